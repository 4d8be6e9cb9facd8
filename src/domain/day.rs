//! Business days: what a day is depends on the zone, and this is the only place that knows.

use std::{fmt, ops::Add, ops::Sub};

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::Micros;

pub const MICROS_A_DAY: i64 = 86_400_000_000;

/// A calendar day, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub i32);

impl Day {
    /// `None` where the month has no such day.
    pub fn from_date(year: i32, month: u32, day: u32) -> Option<Self> {
        NaiveDate::from_ymd_opt(year, month, day)
            .filter(|date| (1..=9999).contains(&date.year()))
            .map(|date| Self(date.to_epoch_days()))
    }

    /// Reads `2026-01-31`.
    pub fn parse(text: &str) -> Option<Self> {
        let [year, month, day] = text.split('-').collect::<Vec<_>>()[..] else {
            return None;
        };
        let digits = |part: &str, most: usize| {
            (part.len() == most && part.bytes().all(|b| b.is_ascii_digit()))
                .then(|| part.parse().ok())
                .flatten()
        };
        Self::from_date(
            i32::try_from(digits(year, 4)?).ok()?,
            digits(month, 2)?,
            digits(day, 2)?,
        )
    }

    /// Year, month, day.
    pub fn date(self) -> (i32, u32, u32) {
        let date = NaiveDate::from_epoch_days(self.0).unwrap_or_default();
        (date.year(), date.month(), date.day())
    }
}

impl Add<i32> for Day {
    type Output = Self;

    fn add(self, days: i32) -> Self {
        Self(self.0 + days)
    }
}

impl Sub<i32> for Day {
    type Output = Self;

    fn sub(self, days: i32) -> Self {
        Self(self.0 - days)
    }
}

/// `2026-01-31`
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Where a day begins: a fixed distance from UTC. Asia/Shanghai knows no summer time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// East of UTC, in microseconds.
    offset: i64,
}

impl Zone {
    /// Asia/Shanghai.
    pub const SHANGHAI: Self = Self::east_of_utc(8 * 60);

    pub const fn east_of_utc(minutes: i64) -> Self {
        Self {
            offset: minutes * 60_000_000,
        }
    }

    /// The day of a moment.
    pub fn day(self, at: Micros) -> Day {
        let days = at.0.saturating_add(self.offset).div_euclid(MICROS_A_DAY);
        Day(i32::try_from(days).unwrap_or(i32::MAX))
    }

    /// East of UTC, in microseconds.
    pub const fn offset(self) -> i64 {
        self.offset
    }

    /// The first moment of a day.
    pub fn start(self, day: Day) -> Micros {
        Micros(i64::from(day.0) * MICROS_A_DAY - self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_written() {
        for text in ["1970-01-01", "2024-02-29", "2026-12-31", "0001-01-01"] {
            assert_eq!(Day::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Day::parse("1970-01-02"), Some(Day(1)));
        for bad in [
            "",
            "2026-1-1",
            "2023-02-29",
            "2026-00-10",
            "2026-13-01",
            "20260101",
            "2026-01-01 ",
            "+026-01-01",
            "2026-01-01-",
            "0000-01-01",
        ] {
            assert_eq!(Day::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_shanghai() {
        let zone = Zone::SHANGHAI;
        let day = Day::from_date(2026, 3, 1).unwrap();
        let start = zone.start(day);
        assert_eq!(start.to_string(), "2026-02-28T16:00:00Z");
        assert_eq!(zone.day(start), day);
        assert_eq!(zone.day(Micros(start.0 - 1)), day - 1);
    }
}
