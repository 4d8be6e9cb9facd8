//! Violations: wire ⇄ domain.

use super::wire::{item_ids, papers};
use crate::{
    api::{
        pb,
        wire::{maybe_micros, timestamp},
    },
    app::{App, Result, ViolationDraft},
    domain::{Check, Conduct, Violation, ViolationState},
};

/// What a rule must be, for the caller.
pub const RULE: &str = "must be a rule of the conduct table";

pub fn draft(
    check: &mut Check,
    conduct: &Conduct,
    violation: pb::Violation,
) -> Option<ViolationDraft> {
    let rule = conduct.rule(&violation.rule).ok_or(RULE);
    let rule = check.field("violation.rule", rule);
    let papers = papers(
        check,
        ("violation.description", &violation.description, 500),
        ("violation.evidence", &violation.evidence),
    );
    let item_ids = item_ids(check, "violation.item_ids", violation.item_ids);
    let time = violation.event_time.as_ref();
    let event_time = maybe_micros(check, "violation.event_time", time);
    let rule = rule?;
    Some(ViolationDraft {
        rule: rule.id.clone(),
        points: rule.points,
        papers: papers?,
        item_ids: item_ids?,
        event_time: event_time?,
    })
}

/// That one, or all for unspecified.
pub fn states(number: i32) -> Result<Vec<ViolationState>, &'static str> {
    if number == 0 {
        return Ok(ViolationState::ALL.to_vec());
    }
    let state = u8::try_from(number).ok();
    let state = state.and_then(ViolationState::from_number);
    let state = state.ok_or("must be a state, or unspecified")?;
    Ok(vec![state])
}

pub fn wire(app: &App, violation: Violation) -> Result<pb::Violation> {
    let papers = app.papers(&violation.name, &violation.papers)?;
    let mut wire = pb::Violation {
        name: violation.name.to_string(),
        description: papers.text,
        evidence: papers.evidence,
        event_time: Some(timestamp(violation.event_time)),
        state: i32::from(violation.state as u8),
        points: violation.points.into(),
        create_time: Some(timestamp(violation.create_time)),
        update_time: Some(timestamp(violation.update_time)),
        etag: violation.etag(),
        rule: violation.rule,
        item_ids: violation.item_ids,
        reporter: violation.reporter,
        ..Default::default()
    };
    if let Some(decision) = violation.decision {
        wire.decide_time = Some(timestamp(decision.time));
        (wire.decider, wire.decision) = (decision.author, decision.reason);
    }
    if let Some(charge) = violation.charge {
        wire.conduct_version = charge.conduct_version;
        wire.balance = charge.balance.into();
        wire.sanctions = charge.sanctions.iter().map(ToString::to_string).collect();
        if violation.state == ViolationState::Confirmed {
            wire.appeal_end_time = Some(timestamp(charge.appeal_end_time));
            wire.points_return_time = charge.return_time.map(timestamp);
        }
    }
    Ok(wire)
}
