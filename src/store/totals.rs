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
        let longest = self.windows().max().unwrap_or(0);
        let first = self.day - longest - i32::from(self.before);
        format!("day >= {} AND day < {}", first.0, self.day.0)
    }

    /// The window of that day.
    fn sum(&self, day: Day, days: i32) -> String {
        let (first, end) = ((day - days).0, day.0);
        format!(
            "CAST(SUM(CASE WHEN day >= {first} AND day < {end} THEN delta ELSE 0 END) AS bigint)"
        )
    }
}
