//! The one aggregate of the ledger: each merchant's totals over several windows.

use std::collections::BTreeSet;

use crate::domain::{Day, Program};

/// Windows of a decision day and, if wanted, of the day before it.
pub(super) struct Totals {
    pub(super) day: Day,
    windows: BTreeSet<i32>,
    before: bool,
}

impl Totals {
    /// Of the windows of these programs.
    pub fn new<'a>(
        day: Day,
        programs: impl IntoIterator<Item = &'a Program>,
        before: bool,
    ) -> Self {
        let windows = programs.into_iter().map(|program| program.window_days);
        Self {
            day,
            windows: windows.collect(),
            before,
        }
    }

    /// The window lengths, in the order of the query's columns.
    pub fn windows(&self) -> impl Iterator<Item = i32> {
        self.windows.iter().copied()
    }

    /// `SELECT merchant, total_…, before_…`: one row a merchant with figures in one of the
    /// windows. Only numbers of ours stand in it.
    pub fn select(&self) -> String {
        let sums: Vec<_> = self.windows().map(|days| self.sums(days)).collect();
        let (sums, within) = (sums.join(", "), self.within());
        format!("SELECT merchant, {sums} FROM spend WHERE {within} GROUP BY merchant")
    }

    fn sums(&self, days: i32) -> String {
        let total = self.sum(self.day, days);
        if !self.before {
            return format!("{total} AS total_{days}");
        }
        let before = self.sum(self.day - 1, days);
        format!("{total} AS total_{days}, {before} AS before_{days}")
    }

    /// Whether a row of `spend` is within the windows.
    pub fn within(&self) -> String {
        format!("day >= {} AND day < {}", self.first().0, self.day.0)
    }

    /// The first day of all the windows.
    fn first(&self) -> Day {
        let longest = self.windows().max().unwrap_or(0);
        self.day - longest - i32::from(self.before)
    }

    /// The window of that day: all, less what is without. Of the longest that is a day or
    /// nothing, and a sum that passes over a row costs half of one that takes it in.
    fn sum(&self, day: Day, days: i32) -> String {
        let (first, end) = (day - days, day);
        let early = (first > self.first()).then(|| format!("day < {}", first.0));
        let late = (end < self.day).then(|| format!("day >= {}", end.0));
        let without: Vec<_> = early.into_iter().chain(late).collect();
        if without.is_empty() {
            return "CAST(SUM(delta) AS bigint)".to_owned();
        }
        let without = without.join(" OR ");
        format!("CAST(SUM(delta) - COALESCE(SUM(delta) FILTER (WHERE {without}), 0) AS bigint)")
    }
}
