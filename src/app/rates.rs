//! How often somebody may do something: a caller call, a viewer tap. Each replica counts for
//! itself, in memory.

use std::{
    fmt,
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use crate::domain::{Reason, Refusal};

/// Those who were not seen for long are not looked for more often than this.
const BETWEEN_SWEEPS: usize = 4096;

/// Who did it how often. It remembers those for whom it matters, and up to as many more.
pub struct Rates<K: Clone + Eq + Hash> {
    limiter: DefaultKeyedRateLimiter<K>,
    until_sweep: AtomicUsize,
}

impl<K: Clone + Eq + Hash> Rates<K> {
    /// So many times a second each, and `burst` times at once; `None` for no limit, which is 0.
    pub fn per_second(times: u32, burst: u32) -> Option<Self> {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(NonZeroU32::new(times)?).allow_burst(burst);
        Some(Self::new(quota))
    }

    /// So many times a minute each, in any order; `None` for no limit, which is 0.
    pub fn per_minute(times: u32) -> Option<Self> {
        Some(Self::new(Quota::per_minute(NonZeroU32::new(times)?)))
    }

    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            until_sweep: AtomicUsize::new(BETWEEN_SWEEPS),
        }
    }

    /// Counts one more of `who`; or `RATE_LIMITED`, with when to come again, which counts for
    /// nothing.
    pub fn count(&self, who: &K, what: &str) -> Result<(), Refusal> {
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.sweep();
        }
        self.limiter.check_key(who).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Refusal::new(Reason::RateLimited, format!("too many {what}")).retry_after(wait)
        })
    }

    /// Forgets whom it would treat like somebody new. The next time is after as many calls as
    /// are remembered now, so it costs each call the same however many there are.
    fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        let next = self.limiter.len().max(BETWEEN_SWEEPS);
        self.until_sweep.store(next, Ordering::Relaxed);
    }
}

impl<K: Clone + Eq + Hash> fmt::Debug for Rates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rates")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_over_the_rate_is_told_when_to_come_again_and_others_are_not_touched() {
        let rates = Rates::per_minute(2).unwrap();
        rates.count(&"a", "taps").unwrap();
        rates.count(&"a", "taps").unwrap();
        let refusal = rates.count(&"a", "taps").unwrap_err();
        assert_eq!(refusal.reason, Reason::RateLimited);
        let wait = refusal.retry_after.unwrap();
        assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30));
        rates.count(&"b", "taps").unwrap();
    }

    #[test]
    fn nothing_is_no_limit() {
        assert!(Rates::<u64>::per_minute(0).is_none());
        assert!(Rates::<u64>::per_second(0, 5).is_none());
    }

    #[test]
    fn those_who_would_be_like_new_are_forgotten() {
        let rates = Rates::per_second(1_000_000, 1).unwrap();
        for who in 0..100 * BETWEEN_SWEEPS {
            let _ = rates.count(&who, "calls");
        }
        let left = rates.limiter.len();
        assert!(left <= 2 * BETWEEN_SWEEPS, "{left} are remembered");
    }

    #[test]
    fn those_who_are_counted_are_remembered_for_as_long_as_it_matters() {
        let rates = Rates::per_minute(1).unwrap();
        for who in 0..2 * BETWEEN_SWEEPS {
            rates.count(&who, "taps").unwrap();
        }
        rates.count(&0, "taps").unwrap_err();
    }
}
