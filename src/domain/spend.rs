//! Figures of ad spend as they come in: what each must be, and what becomes of them.

use serde::{Deserialize, Serialize};

use super::{Day, Merchant, Micros, Money, Violation};

/// A figure may be of today or of so many days before.
pub const OLDEST_DAYS: i32 = 400;

/// The longest name of a source, in bytes.
const MAX_SOURCE: usize = 32;

/// What one source says that a merchant spent on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendEntry {
    pub merchant: Merchant,
    pub day: Day,
    pub source: String,
    pub amount: Money,
}

impl SpendEntry {
    /// The figure, or the first field that breaks a rule. `today` is the business day.
    pub fn new(
        merchant: Result<Merchant, String>,
        day: Result<Day, &'static str>,
        source_name: &str,
        amount: Result<Money, &'static str>,
        today: Day,
    ) -> Result<Self, Violation> {
        Ok(Self {
            merchant: merchant.map_err(|rule| violation("merchant", rule))?,
            day: day
                .and_then(|day| imported(day, today))
                .map_err(|rule| violation("day", rule))?,
            source: source(source_name).map_err(|rule| violation("source", rule))?,
            amount: amount.map_err(|rule| violation("amount", rule))?,
        })
    }
}

/// A source's name.
pub fn source(name: &str) -> Result<String, &'static str> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if (1..=MAX_SOURCE).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err("must be 1 to 32 of [a-z0-9_-]")
    }
}

/// A day that a figure may be of.
fn imported(day: Day, today: Day) -> Result<Day, &'static str> {
    if day > today {
        Err("must not be in the future")
    } else if day < today - OLDEST_DAYS {
        Err("must be one of the 400 days before today, or today")
    } else {
        Ok(day)
    }
}

/// A day that may be complete.
pub fn completed(day: Day, today: Day) -> Result<Day, &'static str> {
    if (today - OLDEST_DAYS..today).contains(&day) {
        Ok(day)
    } else {
        Err("must be one of the 400 days before today")
    }
}

fn violation(field: &str, rule: impl Into<String>) -> Violation {
    Violation {
        field: field.to_owned(),
        description: rule.into(),
    }
}

/// What became of figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpendCounts {
    /// Of keys that were not there.
    pub accepted: u64,
    /// There already, with this amount.
    pub unchanged: u64,
    /// There already, with another amount.
    pub replaced: u64,
}

impl std::ops::AddAssign for SpendCounts {
    fn add_assign(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.unchanged += more.unchanged;
        self.replaced += more.replaced;
    }
}

/// A day of which a source has said that it has reported everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendDay {
    pub source: String,
    pub day: Day,
    pub complete_time: Micros,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Day = Day(20_000);

    fn entry(day: Day, source: &str) -> Result<SpendEntry, String> {
        let merchant = Merchant::parse("merchants/klook");
        let entry = SpendEntry::new(merchant, Ok(day), source, Ok(Money(1)), TODAY);
        entry.map_err(|violation| violation.field)
    }

    #[test]
    fn a_figure_is_of_today_or_of_the_400_days_before() {
        assert!(entry(TODAY, "s").is_ok() && entry(TODAY - 400, "s").is_ok());
        for day in [TODAY + 1, TODAY - 401] {
            assert_eq!(entry(day, "s"), Err("day".to_owned()));
        }
        assert!(completed(TODAY - 1, TODAY).is_ok() && completed(TODAY - 400, TODAY).is_ok());
        for day in [TODAY, TODAY - 401, Day(i32::MAX)] {
            assert!(completed(day, TODAY).is_err(), "{day}");
        }
    }

    #[test]
    fn a_source_is_a_short_word() {
        for good in ["juguang", "a", "0_-", &"a".repeat(32)] {
            assert!(entry(TODAY, good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a b", "聚光", &"a".repeat(33)] {
            assert_eq!(entry(TODAY, bad), Err("source".to_owned()), "{bad}");
        }
    }
}
