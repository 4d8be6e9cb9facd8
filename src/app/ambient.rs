//! The two things a program takes from outside: the time and randomness. Tests bring their own.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rand::Rng as _;
use uuid::{Builder, Uuid};

use crate::domain::Micros;

type Now = dyn Fn() -> Micros + Send + Sync;
type Fill = dyn Fn(&mut [u8]) + Send + Sync;

/// A clock and a source of random bytes.
#[derive(Clone)]
pub struct Ambient {
    now: Arc<Now>,
    fill: Arc<Fill>,
}

impl Ambient {
    /// The machine's own.
    pub fn system() -> Self {
        Self::new(system_now, system_random)
    }

    /// The machine's randomness, and this clock.
    pub fn with_clock(now: impl Fn() -> Micros + Send + Sync + 'static) -> Self {
        Self::new(now, system_random)
    }

    fn new(
        now: impl Fn() -> Micros + Send + Sync + 'static,
        fill: impl Fn(&mut [u8]) + Send + Sync + 'static,
    ) -> Self {
        Self {
            now: Arc::new(now),
            fill: Arc::new(fill),
        }
    }

    pub fn now(&self) -> Micros {
        (self.now)()
    }

    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.fill)(&mut bytes);
        bytes
    }

    /// A UUIDv7: ids made later sort later.
    pub fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now().millis()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &self.random()).into_uuid()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the machine"
)]
fn system_now() -> Micros {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Micros(0) + since
}

/// From a generator in each thread (ChaCha12), which the machine's randomness seeds again and
/// again: to ask the machine in each call costs more than to seal a token.
fn system_random(bytes: &mut [u8]) {
    rand::rng().fill_bytes(bytes);
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ambient")
    }
}
