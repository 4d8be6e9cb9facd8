//! Figures of ad spend as they come in: what each must be, and what becomes of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Day, FieldViolation, Merchant, Micros, Money};

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
    /// What a figure replaces an earlier one of: merchant, day, source.
    pub fn key(&self) -> (&str, Day, &str) {
        (self.merchant.id(), self.day, &self.source)
    }

    /// The figure, or the first field that breaks a rule. `today` is the business day.
    pub fn new(
        merchant: Result<Merchant, String>,
        day: Result<Day, &'static str>,
        source: Result<String, &'static str>,
        amount: Result<Money, &'static str>,
        today: Day,
    ) -> Result<Self, FieldViolation> {
        Ok(Self {
            merchant: merchant.map_err(|rule| violation("merchant", rule))?,
            day: day
                .and_then(|day| imported(day, today))
                .map_err(|rule| violation("day", rule))?,
            source: source.map_err(|rule| violation("source", rule))?,
            amount: amount.map_err(|rule| violation("amount", rule))?,
        })
    }
}

/// Why there is no room for a source.
pub const ONE_TOO_MANY: &str =
    "would be a new one, and there are as many as the settings allow; is the name right?";

/// The sources whose figures are taken and awaited. None named: any, up to so many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SourceNames {
    named: BTreeSet<String>,
    /// At most, where none are named.
    #[serde(skip)]
    most: usize,
}

impl SourceNames {
    /// Whatever source it is.
    pub const ANY: Self = Self {
        named: BTreeSet::new(),
        most: usize::MAX,
    };

    /// These alone; the rule for a name where one breaks it.
    pub fn new(names: impl IntoIterator<Item = String>) -> Result<Self, &'static str> {
        let named: Result<_, _> = names.into_iter().map(|name| source(&name)).collect();
        named.map(|named| Self { named, ..Self::ANY })
    }

    /// Where none are named, at most so many.
    pub fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// How many there may be, where none are named.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Whether this source's figures are taken and awaited.
    pub fn admit(&self, name: &str) -> bool {
        self.named.is_empty() || self.named.contains(name)
    }

    /// Beside the sources that report already.
    pub fn room(&self, reporting: BTreeSet<String>) -> SourceRoom {
        let named = !self.named.is_empty();
        SourceRoom {
            reporting,
            most: if named { usize::MAX } else { self.most },
        }
    }

    /// The name of a source whose figures are taken.
    pub fn source(&self, name: &str) -> Result<String, &'static str> {
        let name = source(name)?;
        if self.admit(&name) {
            Ok(name)
        } else {
            Err("must be one of the sources that the settings name")
        }
    }
}

/// The sources that report, and room for some more: every decision reads what each has said.
#[derive(Clone, Debug)]
pub struct SourceRoom {
    reporting: BTreeSet<String>,
    most: usize,
}

impl SourceRoom {
    /// Whether a source reports, or does from now on.
    pub fn admit(&mut self, name: &str) -> bool {
        // Looked up without a copy of the name: it is there but for the first time.
        self.reporting.contains(name)
            || self.reporting.len() < self.most && self.reporting.insert(name.to_owned())
    }
}

/// A source's name.
fn source(name: &str) -> Result<String, &'static str> {
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

/// What is wrong with the source of a figure for which there is no room.
pub fn one_too_many() -> FieldViolation {
    violation("source", ONE_TOO_MANY)
}

fn violation(field: &str, rule: impl Into<String>) -> FieldViolation {
    FieldViolation {
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
        let source = SourceNames::ANY.source(source);
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

    #[test]
    fn where_sources_are_named_others_are_not_taken() {
        let one = SourceNames::new(["juguang".to_owned()]).unwrap();
        assert_eq!(one.source("juguang").as_deref(), Ok("juguang"));
        assert!(one.source("juguan").is_err() && !one.admit("juguan"));
        assert!(SourceNames::ANY.admit("juguan"));
        assert!(SourceNames::new(["Juguang".to_owned()]).is_err());
    }

    #[test]
    fn where_none_are_named_there_is_room_for_so_many() {
        let reporting = || BTreeSet::from(["a".to_owned()]);
        let mut room = SourceNames::ANY.at_most(2).room(reporting());
        let admitted = ["b", "c", "a", "b"].map(|name| room.admit(name));
        assert_eq!(admitted, [true, false, true, true]);
        // There were more before the setting: those go on.
        let mut room = SourceNames::ANY.at_most(0).room(reporting());
        assert!(room.admit("a") && !room.admit("b"));
        let named = SourceNames::new(["b".to_owned()]).unwrap().at_most(1);
        assert!(named.room(reporting()).admit("b"));
    }
}
