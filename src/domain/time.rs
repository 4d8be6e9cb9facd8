//! Moments as the store keeps them: whole microseconds since 1970-01-01T00:00:00Z.

use std::{fmt, ops::Add, time::Duration};

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// A moment, in microseconds UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// 0001-01-01T00:00:00Z, the first moment of `google.protobuf.Timestamp`.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z, its last.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole hours since the epoch, rounded down. Times that are
    /// kept are far from its ends.
    pub fn hour(self) -> i32 {
        i32::try_from(self.0.div_euclid(MICROS_AN_HOUR)).unwrap_or(i32::MAX)
    }

    /// The first moment of an hour since the epoch.
    pub fn from_hour(hour: i32) -> Self {
        Self(i64::from(hour) * MICROS_AN_HOUR)
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }
}

impl Add<Duration> for Micros {
    type Output = Self;

    fn add(self, d: Duration) -> Self {
        let micros = i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }
}

/// So much earlier, the epoch at the earliest.
pub fn before(now: Micros, age: Duration) -> Micros {
    let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    Micros(now.0 - age.min(now.0))
}

/// The time of a version: now, but always after the version before, whatever the clocks of
/// two replicas say.
pub fn after(last: Micros, now: Micros) -> Micros {
    now.max(Micros(last.0 + 1))
}

/// RFC 3339, for facts in errors.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            // Over 260,000 years away.
            None => write!(f, "{} microseconds", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_rfc_3339() {
        for (micros, text) in [
            (Micros(0), "1970-01-01T00:00:00Z"),
            (Micros(-1), "1969-12-31T23:59:59.999999Z"),
            (Micros(1_767_225_600_500_000), "2026-01-01T00:00:00.500Z"),
            (Micros::MIN, "0001-01-01T00:00:00Z"),
            (Micros::MAX, "9999-12-31T23:59:59.999999Z"),
            (Micros(i64::MAX), "9223372036854775807 microseconds"),
        ] {
            assert_eq!(micros.to_string(), text);
        }
    }
}
