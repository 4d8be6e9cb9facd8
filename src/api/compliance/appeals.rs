//! Appeals: wire ⇄ domain.

use std::time::Duration;

use super::wire::papers;
use crate::{
    api::{
        pb,
        wire::{money, timestamp},
    },
    app::{App, AppealDraft, Result},
    domain::{
        Appeal, AppealState, Check, Merchant, Micros, ResourceName, SanctionName, ViolationName,
        appeal::{Effect, Loss, Subject},
    },
};

pub fn draft(check: &mut Check, parent: &Merchant, appeal: pb::Appeal) -> Option<AppealDraft> {
    let subject = subject(check, parent, appeal.subject);
    let papers = papers(
        check,
        ("appeal.statement", &appeal.statement, 2000),
        ("appeal.evidence", &appeal.evidence),
    );
    Some(AppealDraft {
        subject: subject?,
        papers: papers?,
    })
}

fn subject(
    check: &mut Check,
    parent: &Merchant,
    subject: Option<pb::appeal::Subject>,
) -> Option<Subject> {
    use pb::appeal::Subject as Wire;
    match subject {
        Some(Wire::Violation(name)) => check
            .field("appeal.violation", of::<ViolationName>(parent, &name))
            .map(Subject::Violation),
        Some(Wire::Sanction(name)) => check
            .field("appeal.sanction", of::<SanctionName>(parent, &name))
            .map(Subject::Sanction),
        None => {
            check.violation("appeal", "must have one of violation, sanction");
            None
        }
    }
}

fn of<N: ResourceName>(parent: &Merchant, name: &str) -> Result<N, String> {
    let name = N::parse(name)?;
    if name.merchant() != parent {
        return Err("must be one of the parent's".to_owned());
    }
    Ok(name)
}

/// The appeal as it is at that moment: for a write that of the write, or the answer to a
/// repeated request would be another.
pub fn wire(app: &App, appeal: Appeal, at: Micros) -> Result<pb::Appeal> {
    use pb::appeal::Subject as Wire;
    let papers = app.papers(&appeal.name, &appeal.papers)?;
    let mut wire = pb::Appeal {
        name: appeal.name.to_string(),
        statement: papers.text,
        evidence: papers.evidence,
        state: state(appeal.state(at)).into(),
        due_time: Some(timestamp(appeal.due_time)),
        create_time: Some(timestamp(appeal.create_time)),
        update_time: Some(timestamp(appeal.update_time)),
        etag: appeal.etag(),
        subject: Some(match appeal.subject {
            Subject::Violation(name) => Wire::Violation(name.to_string()),
            Subject::Sanction(name) => Wire::Sanction(name.to_string()),
        }),
        author: appeal.author,
        ..Default::default()
    };
    if let Some(outcome) = appeal.outcome {
        wire.decide_time = Some(timestamp(outcome.time));
        (wire.decider, wire.decision) = (outcome.author, outcome.reason);
        wire.loss = outcome.loss.map(Into::into);
    }
    Ok(wire)
}

fn state(state: AppealState) -> pb::appeal::State {
    use pb::appeal::State as Wire;
    match state {
        AppealState::Pending => Wire::Pending,
        AppealState::Overdue => Wire::Overdue,
        AppealState::Upheld => Wire::Upheld,
        AppealState::Rejected => Wire::Rejected,
    }
}

impl From<Loss> for pb::appeal::Loss {
    fn from(loss: Loss) -> Self {
        Self {
            points: loss.points.into(),
            duration: duration(loss.missing),
            effects: loss.effects.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Effect> for pb::appeal::loss::Effect {
    fn from(effect: Effect) -> Self {
        Self {
            sanction: effect.sanction.to_string(),
            kind: i32::from(effect.kind as u8),
            duration: duration(effect.duration),
            amount: effect.amount.map(money),
        }
    }
}

/// Between two moments of ours it always fits.
fn duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}
