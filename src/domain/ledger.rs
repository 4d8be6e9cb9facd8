//! What is known of ad spend: a merchant's figures, and what sources have said of their days.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Day, Micros, Money};

/// One merchant's figures.
#[derive(Clone, Debug, Default)]
pub struct Spend {
    /// As they are known: by day, then by source.
    pub days: BTreeMap<Day, BTreeMap<String, Money>>,
    /// How they came to be, for as far back as a lapse is looked for; in any order.
    pub changes: Vec<Change>,
}

/// What one import added to a day's figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub time: Micros,
    pub day: Day,
    pub delta: Money,
}

impl Spend {
    /// All sources of one day together.
    pub fn of_day(&self, day: Day) -> Option<Money> {
        let sources = self.days.get(&day)?;
        Some(Money(sources.values().map(|amount| amount.0).sum()))
    }

    /// The days from `first` until before `end`, as they are known.
    pub fn between(&self, first: Day, end: Day) -> Money {
        let days = self.days.range(first..end);
        let amounts = days.flat_map(|(_, sources)| sources.values());
        Money(amounts.map(|amount| amount.0).sum())
    }

    /// The changes, the latest first.
    pub fn latest_first(&self) -> Vec<Change> {
        let mut changes = self.changes.clone();
        changes.sort_unstable_by_key(|change| Reverse(change.time));
        changes
    }
}

/// One merchant's figures, all sources together, wound back in time.
pub struct Past<'a> {
    days: BTreeMap<Day, i64>,
    /// Those that are in `days` yet, the latest first.
    changes: &'a [Change],
}

impl<'a> Past<'a> {
    /// As they are known; `changes` are those of `spend`, the latest first.
    pub fn new(spend: &Spend, changes: &'a [Change]) -> Self {
        let sum = |sources: &BTreeMap<String, Money>| sources.values().map(|m| m.0).sum();
        let days = spend.days.iter();
        Self {
            days: days.map(|(day, sources)| (*day, sum(sources))).collect(),
            changes,
        }
    }

    /// Takes away what was added after `at`. There is no way forth again.
    pub fn wind_back(&mut self, at: Micros) {
        let later = self.changes.partition_point(|change| change.time > at);
        let (later, rest) = self.changes.split_at(later);
        for change in later {
            *self.days.entry(change.day).or_default() -= change.delta.0;
        }
        self.changes = rest;
    }

    /// The days from `first` until before `end`, as they were known then.
    pub fn between(&self, first: Day, end: Day) -> Money {
        Money(self.days.range(first..end).map(|(_, amount)| amount).sum())
    }
}

/// A source that has said nothing of so many days has ended: longer than the longest window
/// and the longest wait together, so that it keeps nobody waiting and closes nobody early.
pub const SILENT_DAYS: i32 = 100;

/// What a source has said of one day.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    /// When it first did.
    pub first: Micros,
    /// When it said that there is no more to come.
    pub complete: Option<Micros>,
}

/// One source, day by day.
#[derive(Clone, Debug, Default)]
pub struct Source(pub BTreeMap<Day, Said>);

impl Source {
    /// Whether it had begun by this day and not ended, by what it had said until `at`.
    fn reports(&self, day: Day, at: Micros) -> bool {
        let mut days = self.0.range(day - SILENT_DAYS..=day);
        days.any(|(_, said)| said.first <= at)
    }

    fn completed(&self, day: Day) -> Option<Micros> {
        self.0.get(&day)?.complete
    }
}

/// The sources, by name.
#[derive(Clone, Debug, Default)]
pub struct Sources(pub BTreeMap<String, Source>);

impl Sources {
    /// The first moment at which every source that reported had completed the day.
    pub fn complete_from(&self, day: Day) -> Option<Micros> {
        let all = |at: Micros| {
            self.0.values().all(|source| {
                !source.reports(day, at) || source.completed(day).is_some_and(|t| t <= at)
            })
        };
        let said = self.0.values().filter_map(|source| source.completed(day));
        let nobody = all(Micros::MAX).then_some(Micros::MIN);
        said.filter(|at| all(*at)).min().or(nobody)
    }

    /// Whether some source has yet to say something of the day, given what it has said.
    pub fn lacking(&self, day: Day, said: Option<&BTreeMap<String, Money>>) -> bool {
        self.0.iter().any(|(name, source)| {
            source.reports(day, Micros::MAX)
                && source.completed(day).is_none()
                && said.is_none_or(|said| !said.contains_key(name))
        })
    }
}
