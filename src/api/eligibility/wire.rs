//! Spend and eligibility on the wire.

use super::super::{
    common,
    pb::{self, eligibility::State as Wire},
    wire::{date, money, timestamp},
};
use crate::domain::{
    Chance, Day, FieldViolation, Merchant, Micros, Money, SourceNames, SpendDay, SpendEntry,
    eligibility::State,
};

pub fn day(date: Option<common::Date>) -> Result<Day, &'static str> {
    let part = |n: i32| u32::try_from(n).ok();
    let date = date.unwrap_or_default();
    part(date.month)
        .zip(part(date.day))
        .and_then(|(month, day)| Day::from_date(date.year, month, day))
        .ok_or("must be a day of the calendar, with its year and month")
}

pub fn entry(
    entry: pb::SpendEntry,
    today: Day,
    sources: &SourceNames,
) -> Result<SpendEntry, FieldViolation> {
    let amount = entry.amount.ok_or("required");
    SpendEntry::new(
        Merchant::parse(&entry.merchant),
        day(entry.day),
        sources.source(&entry.source),
        amount.and_then(|m| Money::from_parts(&m.currency_code, m.units, m.nanos)),
        today,
    )
}

impl From<SpendDay> for pb::SpendDay {
    fn from(day: SpendDay) -> Self {
        Self {
            source: day.source,
            day: Some(date(day.day)),
            complete_time: Some(timestamp(day.complete_time)),
        }
    }
}

/// A merchant's decision in one program, as of `at`.
pub fn eligibility(merchant: &Merchant, chance: Chance, at: Micros) -> pb::Eligibility {
    let decision = chance.decision;
    let state = match decision.state {
        State::Locked => Wire::Locked,
        State::Pending => Wire::Pending,
        State::Open => Wire::Open,
        State::Grace => Wire::Grace,
    };
    let window = decision.window.into_iter();
    let window = window.map(|(day, amount)| pb::eligibility::Day {
        day: Some(date(day)),
        amount: Some(money(amount)),
    });
    pb::Eligibility {
        name: format!("{merchant}/eligibility"),
        program: chance.program.name.to_string(),
        state: state.into(),
        decision_day: Some(date(decision.decision_day)),
        window: window.collect(),
        total: Some(money(decision.total)),
        threshold: Some(money(decision.threshold)),
        shortfall: Some(money(decision.shortfall)),
        opens_at: decision.opens_at.map(timestamp),
        closes_at: decision.closes_at.map(timestamp),
        hides_at: decision.hides_at.map(timestamp),
        missing_days: decision.missing_days.into_iter().map(date).collect(),
        as_of: Some(timestamp(at)),
    }
}
