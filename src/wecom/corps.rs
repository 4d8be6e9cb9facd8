//! What the client holds of each corp.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;

use super::{token::Tokens, turns::Turns};

pub(super) struct Corp {
    pub(super) tokens: Tokens,
    pub(super) turns: Turns,
}

/// By the store's number; as many as were asked for since the start.
pub(super) struct Corps {
    known: Mutex<HashMap<i64, Arc<Corp>>>,
    calls_per_minute: NonZeroU32,
    pause: Duration,
    open: Gauge,
}

impl Corps {
    pub(super) fn new(calls_per_minute: NonZeroU32, pause: Duration, open: Gauge) -> Self {
        Self {
            known: Mutex::default(),
            calls_per_minute,
            pause,
            open,
        }
    }

    pub(super) fn get(&self, corp_no: i64) -> Arc<Corp> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Corp {
                tokens: Tokens::default(),
                turns: Turns::new(self.calls_per_minute, self.pause, self.open.clone()),
            })
        };
        known.entry(corp_no).or_insert_with(new).clone()
    }
}
