//! What merchants count themselves: adds of a day, however they came about.

use std::collections::BTreeSet;

use super::Day;

/// The most that a merchant may say of one day.
pub const MOST_ADDS: i64 = 10_000_000;

/// One day's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedDay {
    pub day: Day,
    pub adds: i64,
    /// Of these, by copied WeChat IDs; where the merchant knows.
    pub copied: Option<i64>,
    /// Keyed hashes of those who added, where the merchant knows.
    pub viewers: BTreeSet<u64>,
}

impl ReportedDay {
    /// Whether every add of the day has its viewer.
    pub fn complete(&self) -> bool {
        self.viewers.len() as u64 == self.adds.unsigned_abs()
    }
}

/// How many adds came by copied WeChat IDs: nobody sees them, so a range. `reported` and
/// `copied` are the merchant's words, `at_wecom` the adds that WeCom told of.
pub fn copied_adds(
    copies: i64,
    at_wecom: i64,
    reported: Option<i64>,
    copied: Option<i64>,
) -> (i64, i64) {
    match (copied, reported) {
        (Some(copied), _) => (copied, copied),
        // What WeCom did not tell of came by a copy, or in some way of the merchant's own.
        (None, Some(reported)) => (0, copies.min((reported - at_wecom).max(0))),
        (None, None) => (0, copies),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_not_adds_but_a_range() {
        for (copies, at_wecom, reported, copied, range) in [
            (10, 3, None, None, (0, 10)),
            (10, 3, Some(7), None, (0, 4)),
            (10, 3, Some(2), None, (0, 0)),
            (10, 3, Some(50), None, (0, 10)),
            (10, 3, Some(7), Some(2), (2, 2)),
        ] {
            assert_eq!(copied_adds(copies, at_wecom, reported, copied), range);
        }
    }
}
