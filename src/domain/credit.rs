//! Credit points: what a merchant has at a moment, how it came about, and what brings points
//! back. Nothing is kept but the violations; the balance follows from their times.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{Micros, Violation, appeal::span};

/// What every merchant begins with.
pub const INITIAL: u8 = 12;

/// What made the balance change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A violation was confirmed.
    Confirmed,
    /// An appeal was upheld.
    Overturned,
    /// The points came back by themselves.
    Returned,
}

/// One change of the balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub time: Micros,
    pub cause: Cause,
    /// By how much; the balance is never under 0, whatever was lost.
    pub points: i32,
    pub balance: u8,
    pub violation: &'a Violation,
}

/// Points that are missing at a moment, and when they come back by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing<'a> {
    pub violation: &'a Violation,
    pub return_time: Option<Micros>,
    pub appeal_end_time: Micros,
}

/// From when and until when a violation's points are missing, as far as is known.
pub fn missing(violation: &Violation) -> Option<(Micros, Option<Micros>)> {
    let charge = violation.charge.as_ref()?;
    let from = violation.decision.as_ref()?.time;
    let overturned = charge.overturned.as_ref().map(|(time, _)| *time);
    let ends = [overturned, charge.return_time];
    Some((from, ends.into_iter().flatten().min()))
}

/// The balance while so many points are missing.
pub fn balance(missing: u64) -> u8 {
    INITIAL.saturating_sub(u8::try_from(missing).unwrap_or(u8::MAX))
}

/// Whether its points are missing at that moment.
fn is_missing(violation: &Violation, at: Micros) -> bool {
    missing(violation).is_some_and(|(from, until)| from <= at && until.is_none_or(|end| at < end))
}

/// What is lost of a violation's points when it is overturned at this moment, and for how long they
/// were missing. Points that came back by themselves are not given back again.
pub fn lost_until(violation: &Violation, at: Micros) -> (u8, Duration) {
    let Some((from, until)) = missing(violation) else {
        return (0, Duration::ZERO);
    };
    let points = match is_missing(violation, at) {
        true => violation.points,
        false => 0,
    };
    (points, span(from, until.map_or(at, |end| end.min(at))))
}

/// The changes that these violations made until a moment at which so many points are missing, the
/// latest first. Right as far back as none is left out.
pub fn history(violations: &[Violation], until: Micros, missing: u64) -> Vec<Entry<'_>> {
    let mut changes: Vec<_> = violations.iter().flat_map(changes).collect();
    changes.retain(|(time, ..)| *time <= until);
    // What comes back at the same moment comes first, as in `is_missing`.
    changes.sort_by_key(|(time, cause, _)| (*time, *cause == Cause::Confirmed));
    let mut missing = missing;
    let mut entries = Vec::with_capacity(changes.len());
    for (time, cause, violation) in changes.into_iter().rev() {
        let after = balance(missing);
        let points = u64::from(violation.points);
        missing = match cause {
            Cause::Confirmed => missing.saturating_sub(points),
            Cause::Overturned | Cause::Returned => missing + points,
        };
        entries.push(Entry {
            time,
            cause,
            points: i32::from(after) - i32::from(balance(missing)),
            balance: after,
            violation,
        });
    }
    entries
}

fn changes(violation: &Violation) -> Vec<(Micros, Cause, &Violation)> {
    let Some((from, until)) = missing(violation) else {
        return Vec::new();
    };
    let mut changes = vec![(from, Cause::Confirmed, violation)];
    if let Some(until) = until {
        let charge = violation.charge.as_ref();
        let overturned = charge.and_then(|charge| charge.overturned.as_ref());
        let cause = match overturned {
            Some((time, _)) if *time == until => Cause::Overturned,
            _ => Cause::Returned,
        };
        changes.push((until, cause, violation));
    }
    changes
}

/// What is missing at a moment, the next to come back first.
pub fn restorations(violations: &[Violation], at: Micros) -> Vec<Missing<'_>> {
    let mut missing: Vec<_> = violations
        .iter()
        .filter(|violation| is_missing(violation, at))
        .filter_map(|violation| {
            let charge = violation.charge.as_ref()?;
            Some(Missing {
                violation,
                return_time: charge.return_time,
                appeal_end_time: charge.appeal_end_time,
            })
        })
        .collect();
    missing.sort_by_key(|missing| missing.return_time.unwrap_or(Micros::MAX));
    missing
}
