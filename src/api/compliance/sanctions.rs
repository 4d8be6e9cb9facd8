//! Sanctions: wire ⇄ domain.

use super::{
    violations::RULE,
    wire::{evidence, item_ids},
};
use crate::{
    api::{
        common, pb,
        wire::{maybe_micros, money, timestamp},
    },
    app::{App, Papers, Result, SanctionDraft},
    domain::{
        Check, Conduct, Merchant, Micros, Money, Sanction, SanctionKind, SanctionState,
        ViolationName, sanction::Channel, text,
    },
};

pub fn draft(
    check: &mut Check,
    parent: &Merchant,
    conduct: &Conduct,
    sanction: pb::Sanction,
) -> Option<SanctionDraft> {
    let time = |check: &mut Check, field, time: Option<&_>| maybe_micros(check, field, time);
    let start_time = time(check, "sanction.start_time", sanction.start_time.as_ref());
    let end_time = time(check, "sanction.end_time", sanction.end_time.as_ref());
    let reason = check.field("sanction.reason", text(&sanction.reason, 1..=500));
    let violation = check.field("sanction.violation", violation(parent, &sanction.violation));
    let rule = check.field("sanction.rule", rule(conduct, &sanction));
    let evidence = evidence(check, "sanction.evidence", &sanction.evidence);
    let kind = check.field("sanction.kind", kind(sanction.kind))?;
    let blocks = kind == SanctionKind::ItemsBlocked;
    let channels = channels(check, blocks, &sanction.channels);
    check.require(
        blocks != sanction.item_ids.is_empty(),
        "sanction.item_ids",
        "must be 1 to 100 for ITEMS_BLOCKED, else none",
    );
    let item_ids = item_ids(check, "sanction.item_ids", sanction.item_ids);
    let amount = check.field("sanction.amount", amount(kind, sanction.amount));
    Some(SanctionDraft {
        kind,
        item_ids: item_ids?,
        channels: channels?,
        amount: amount?,
        start_time: start_time?,
        end_time: end_time?,
        reason: reason?,
        rule: rule?,
        violation: violation?,
        papers: Papers {
            text: String::new(),
            evidence: evidence?,
        },
    })
}

fn kind(number: i32) -> Result<SanctionKind, &'static str> {
    let kind = u8::try_from(number).ok();
    let kind = kind.and_then(SanctionKind::from_number);
    kind.ok_or("must be a kind")
}

/// Each at most once; `None` where one is wrong.
pub fn kinds(check: &mut Check, numbers: &[i32]) -> Option<Vec<SanctionKind>> {
    let mut kinds = Vec::new();
    for (i, number) in numbers.iter().enumerate() {
        let kind = kind(*number).ok().filter(|kind| !kinds.contains(kind));
        let kind = kind.ok_or("must be a kind, each at most once");
        // A long list of wrong kinds is one mistake.
        kinds.push(check.field(format!("kinds[{i}]"), kind)?);
    }
    Some(kinds)
}

/// By number.
fn channels(check: &mut Check, blocks: bool, numbers: &[i32]) -> Option<Vec<Channel>> {
    const RULE: &str = "must be 1 to 3 for ITEMS_BLOCKED, each once, else none";
    let read = |number: &i32| u8::try_from(*number).ok().and_then(Channel::from_number);
    let most = Channel::ALL.len();
    let channels: Option<Vec<_>> = numbers.iter().take(most + 1).map(read).collect();
    let mut channels = channels.unwrap_or_default();
    channels.sort_unstable();
    channels.dedup();
    let all = channels.len() == numbers.len() && blocks != channels.is_empty();
    check.require(all, "sanction.channels", RULE);
    all.then_some(channels)
}

fn amount(
    kind: SanctionKind,
    amount: Option<common::Money>,
) -> Result<Option<Money>, &'static str> {
    let deducts = kind == SanctionKind::DamagesDeducted;
    match amount {
        None if !deducts => Ok(None),
        Some(m) if deducts => {
            Money::from_parts(&m.currency_code, m.units, m.nanos).and_then(|amount| {
                (amount > Money(0))
                    .then_some(Some(amount))
                    .ok_or("must be over 0")
            })
        }
        _ => Err("must be set for DAMAGES_DEDUCTED, and only there"),
    }
}

/// Of the parent; `None` for none.
fn violation(parent: &Merchant, name: &str) -> Result<Option<ViolationName>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    let name = ViolationName::parse(name)?;
    if name.merchant() != parent {
        return Err("must be a violation of the parent".to_owned());
    }
    Ok(Some(name))
}

/// `None` where the violation says it.
fn rule(conduct: &Conduct, sanction: &pb::Sanction) -> Result<Option<String>, &'static str> {
    if sanction.rule.is_empty() && !sanction.violation.is_empty() {
        return Ok(None);
    }
    let rule = conduct.rule(&sanction.rule).ok_or(RULE)?;
    Ok(Some(rule.id.clone()))
}

/// The sanction as it is at that moment: for a write that of the write, or the answer to a
/// repeated request would be another.
pub fn wire(app: &App, sanction: Sanction, at: Micros) -> Result<pb::Sanction> {
    let papers = app.papers(&sanction.name, &sanction.papers)?;
    let violation = sanction.violation.as_ref().map(ToString::to_string);
    let mut wire = pb::Sanction {
        name: sanction.name.to_string(),
        kind: i32::from(sanction.kind as u8),
        channels: sanction
            .channels
            .iter()
            .map(|c| i32::from(*c as u8))
            .collect(),
        amount: sanction.amount.map(money),
        start_time: Some(timestamp(sanction.start_time)),
        end_time: sanction.end_time.map(timestamp),
        violation: violation.unwrap_or_default(),
        evidence: papers.evidence,
        // What is known was so when it was written, whatever this replica's clock says.
        state: state(sanction.state(at.max(sanction.update_time))).into(),
        create_time: Some(timestamp(sanction.create_time)),
        update_time: Some(timestamp(sanction.update_time)),
        etag: sanction.etag(),
        item_ids: sanction.item_ids,
        reason: sanction.reason,
        rule: sanction.rule,
        author: sanction.author,
        ..Default::default()
    };
    if let Some(lift) = sanction.lift {
        wire.lift_time = Some(timestamp(lift.time));
        (wire.lifter, wire.lift_reason) = (lift.author, lift.reason);
        wire.appeal = lift.appeal.map(|name| name.to_string()).unwrap_or_default();
    }
    Ok(wire)
}

fn state(state: SanctionState) -> pb::sanction::State {
    use pb::sanction::State as Wire;
    match state {
        SanctionState::Scheduled => Wire::Scheduled,
        SanctionState::Active => Wire::Active,
        SanctionState::Ended => Wire::Ended,
        SanctionState::Lifted => Wire::Lifted,
    }
}
