//! How often a corp's calls go out, and whether they go out at all while WeCom is ill.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prometheus_client::metrics::gauge::Gauge;
use recloser::{AsyncRecloser, Recloser};
use tokio::time::timeout;

use super::error::{Attempt, Failure};

/// Of a minute's calls one in so many may go out at once.
const BURST: u32 = 10;
/// The breaker looks at so many last attempts, and opens when half of them failed.
const LAST: usize = 10;
/// So many attempts show that WeCom is well again.
const PROBES: usize = 1;

/// The turns of one corp.
pub(super) struct Turns {
    rate: DefaultDirectRateLimiter,
    breaker: AsyncRecloser,
    /// Whether the breaker held the last attempt back.
    held: AtomicBool,
    /// Corps whose breaker did.
    open: Gauge,
}

impl Turns {
    /// While WeCom is ill, nothing goes out for `pause`.
    pub(super) fn new(calls_per_minute: NonZeroU32, pause: Duration, open: Gauge) -> Self {
        let burst = NonZeroU32::new(calls_per_minute.get() / BURST).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(calls_per_minute).allow_burst(burst);
        let breaker = Recloser::custom()
            .error_rate(0.5)
            .closed_len(LAST)
            .half_open_len(PROBES)
            .open_wait(pause)
            .build();
        Self {
            rate: RateLimiter::direct(quota),
            breaker: breaker.into(),
            held: AtomicBool::new(false),
            open,
        }
    }

    /// Makes an attempt when its turn has come, which is waited for no longer than `patience`.
    pub(super) async fn take<T>(
        &self,
        patience: Duration,
        attempt: impl Future<Output = Attempt<T>>,
    ) -> Attempt<T> {
        let waiting = timeout(patience, self.rate.until_ready());
        waiting
            .await
            .map_err(|_| Failure::Held("too many calls of this corp"))?;
        let ill = |failure: &Failure| failure.is_ill();
        let answer = self.breaker.call_with(ill, attempt).await;
        self.note(matches!(answer, Err(recloser::Error::Rejected)));
        answer.map_err(|e| match e {
            recloser::Error::Inner(failure) => failure,
            recloser::Error::Rejected => Failure::Held("it failed too often just now"),
        })
    }

    fn note(&self, held: bool) {
        match (self.held.swap(held, Ordering::Relaxed), held) {
            (false, true) => drop(self.open.inc()),
            (true, false) => drop(self.open.dec()),
            _ => {}
        }
    }
}
