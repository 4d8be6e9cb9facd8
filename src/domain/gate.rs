//! The one gate: a pure function that every door asks. A yes is a `Clearance`, which has no
//! other constructor and which every guarded write and every reveal demands.
//!
//! The order is program, eligibility (both in `admission.rs`), sanctions, card, placement,
//! schedule, the contact kind, and last whether the WeCom link works.

mod facts;
mod link;

pub use facts::Facts;
pub use link::link_unavailable;
use link::{led, link_works};

use super::{
    Asked, Card, CardState, ContactKind, Finding, Gate, LinkHealth, Merchant, Micros, Placement,
    PlacementState, ProgramName, Reason, Refusal, acquisition::Cause,
};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Creating or changing a card, a placement or a link; sending a card.
    Configure,
    /// Showing an item.
    Serve,
    /// Launching a contact.
    Tap,
    /// Showing a contact in clear to a caller with that right.
    Reveal,
}

/// Proof that the gate said yes: to whom, at which door, and when. Made by [`judge`] alone.
#[derive(Debug)]
pub struct Clearance {
    door: Door,
    merchant: Merchant,
    card_no: Option<i64>,
    kind: Option<ContactKind>,
}

impl Clearance {
    /// Whether it lets this merchant's cards and placements be written.
    pub fn configures(&self, merchant: &Merchant) -> bool {
        self.door == Door::Configure && self.merchant == *merchant
    }

    /// Whether it lets this contact of this card be opened.
    pub fn opens(&self, card: &Card, kind: ContactKind) -> bool {
        matches!(self.door, Door::Tap | Door::Reveal)
            && self.card_no == Some(card.no)
            && self.kind == Some(kind)
    }
}

/// Judges one question at one moment: programs and spend first, then sanctions, card, placement
/// and schedule, and last whether the contact is there.
pub fn judge(door: Door, facts: Facts<'_>, now: Micros) -> Result<Clearance, Refusal> {
    admitted(door, &facts, now)?;
    facts.standing.unsanctioned(now)?;
    if let Some(card) = facts.card {
        card_active(card, now)?;
    }
    if let Some(placement) = facts.placement {
        placement_live(door, placement)?;
        if matches!(door, Door::Serve | Door::Tap) {
            in_schedule(placement, now)?;
        }
    }
    if let (Some(card), Some(placement)) = (facts.card, facts.placement) {
        kinds_there(&facts, card, placement)?;
        if matches!(door, Door::Serve | Door::Tap) {
            link_works(door, &facts, card, now)?;
        }
        if door == Door::Tap {
            kinds_shown(door, &facts, placement, now)?;
        }
    }
    Ok(Clearance {
        door,
        merchant: facts.standing.merchant.clone(),
        card_no: facts.card.map(|card| card.no),
        kind: facts.kinds.first().copied(),
    })
}

/// What a placement shows: the kinds that the gate lets through, in the menu's order, as many
/// as its surface has room for; at least one, or why not.
pub fn shown(door: Door, facts: Facts<'_>, now: Micros) -> Result<Vec<ContactKind>, Refusal> {
    judge(door, facts, now)?;
    Ok(open_kinds(door, &facts, now))
}

/// Whether a contact may be shown in clear to a caller with that right. No program is asked:
/// reading always works.
pub fn reveal(card: &Card, kind: ContactKind, now: Micros) -> Result<Clearance, Refusal> {
    card_active(card, now)?;
    Ok(Clearance {
        door: Door::Reveal,
        merchant: card.merchant().clone(),
        card_no: Some(card.no),
        kind: Some(kind),
    })
}

/// Every gate with its word, in order, also those after a refusal: first each program's, by
/// program, then the sanctions', the card's and the placement's own.
pub fn explain(facts: Facts<'_>, now: Micros) -> (Vec<(ProgramName, Finding)>, Vec<Finding>) {
    let standing = facts.standing;
    let offered = offered(&facts);
    let programs = standing.chances.iter().flat_map(|chance| {
        let open = |kind: &&ContactKind| chance.program.kinds.contains(kind);
        let kind = offered.iter().find(open).or(offered.first()).copied();
        let asked = asked(Door::Serve, &facts, kind, now);
        let findings = chance.findings(&standing.merchant, &asked);
        findings
            .into_iter()
            .map(|finding| (chance.program.name.clone(), finding))
    });
    let sanctioned = standing.unsanctioned(now).err();
    let mut own = vec![Finding::new(Gate::Sanctions, sanctioned)];
    if let Some(card) = facts.card {
        own.push(Finding::new(Gate::Card, card_active(card, now).err()));
    }
    if let Some(placement) = facts.placement {
        let live = placement_live(Door::Serve, placement).err();
        own.push(Finding::new(Gate::Placement, live));
        own.push(Finding::new(
            Gate::Schedule,
            in_schedule(placement, now).err(),
        ));
    }
    if let (Some(card), Some(placement)) = (facts.card, facts.placement) {
        let there = kinds_there(&facts, card, placement);
        own.push(Finding::new(Gate::Contact, there.err()));
        let works = link_works(Door::Serve, &facts, card, now);
        own.push(Finding::new(Gate::Link, works.err()).with(led(&facts, card)));
    }
    (programs.collect(), own)
}

/// Whether some program admits each asked kind, or any where none is named.
fn admitted(door: Door, facts: &Facts<'_>, now: Micros) -> Result<(), Refusal> {
    let ask = |kind| facts.standing.admits(&asked(door, facts, kind, now));
    if !facts.kinds.is_empty() {
        return facts.kinds.iter().try_for_each(|kind| ask(Some(*kind)));
    }
    let offered = offered(facts);
    let Some(first) = offered.first() else {
        return ask(None);
    };
    if offered.iter().any(|kind| ask(Some(*kind)).is_ok()) {
        return Ok(());
    }
    ask(Some(*first))
}

fn asked(door: Door, facts: &Facts<'_>, kind: Option<ContactKind>, now: Micros) -> Asked {
    Asked {
        door,
        surface: facts.placement.map(|placement| placement.surface.kind()),
        kind,
        now,
    }
}

/// What a placement shows of what it could, once the rest of the gate has let it through.
fn open_kinds(door: Door, facts: &Facts<'_>, now: Micros) -> Vec<ContactKind> {
    let dead_end = facts.dead_end().is_some();
    let open = |kind: &ContactKind| {
        let asked = asked(door, facts, Some(*kind), now);
        !(dead_end && *kind == ContactKind::Wecom) && facts.standing.admits(&asked).is_ok()
    };
    let most = facts.placement.map_or(0, Placement::most_shown);
    offered(facts).into_iter().filter(open).take(most).collect()
}

/// What a placement could show, programs aside.
fn offered(facts: &Facts<'_>) -> Vec<ContactKind> {
    match (facts.placement, facts.card) {
        (Some(placement), Some(card)) => placement.offered(card),
        _ => Vec::new(),
    }
}

fn card_active(card: &Card, now: Micros) -> Result<(), Refusal> {
    if card.state == CardState::Active && !card.purged(now) {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::CardNotActive,
        "the card is deleted; undelete it first",
    )
    .about(&card.name)
    .with("card", card.name.to_string())
    .with("state", "DELETED"))
}

/// A paused placement may be configured, a deleted one not.
fn placement_live(door: Door, placement: &Placement) -> Result<(), Refusal> {
    let live = match placement.state {
        PlacementState::Live => true,
        PlacementState::Paused => door == Door::Configure,
        PlacementState::Deleted => false,
    };
    if live {
        return Ok(());
    }
    let state = placement.state.as_str();
    Err(Refusal::new(
        Reason::PlacementNotLive,
        format!("the placement is {state}"),
    )
    .about(&placement.name)
    .with("placement", placement.name.to_string())
    .with("state", state))
}

fn in_schedule(placement: &Placement, now: Micros) -> Result<(), Refusal> {
    let begun = placement.start_time.is_none_or(|start| start <= now);
    if begun && !placement.over(now) {
        return Ok(());
    }
    let message = if begun {
        "the placement's end_time has passed"
    } else {
        "the placement's start_time has not come"
    };
    let time = |t: Option<Micros>| t.map(|t| t.to_string()).unwrap_or_default();
    Err(Refusal::new(Reason::OutsideSchedule, message)
        .about(&placement.name)
        .with("placement", placement.name.to_string())
        .with("startTime", time(placement.start_time))
        .with("endTime", time(placement.end_time)))
}

/// The card has the asked kinds, and the placement offers them; or any at all.
fn kinds_there(facts: &Facts<'_>, card: &Card, placement: &Placement) -> Result<(), Refusal> {
    let offered = placement.offered(card);
    match facts.kinds.iter().find(|kind| !offered.contains(kind)) {
        None if !offered.is_empty() => Ok(()),
        lacking => Err(not_shown(placement, lacking.copied())),
    }
}

/// A surface with room for one shows the first that is open, not the asked one. What stood in for
/// a WeCom link may still be tapped once that works again: nobody changed anything.
fn kinds_shown(
    door: Door,
    facts: &Facts<'_>,
    placement: &Placement,
    now: Micros,
) -> Result<(), Refusal> {
    let mut shown = open_kinds(door, facts, now);
    let without = LinkHealth::Fails(Cause::Unavailable);
    shown.extend(open_kinds(door, &facts.health(Some(&without)), now));
    match facts.kinds.iter().find(|kind| !shown.contains(kind)) {
        None => Ok(()),
        lacking => Err(not_shown(placement, lacking.copied())),
    }
}

/// The refusal for a kind, or for any, that a placement does not show.
pub fn not_shown(placement: &Placement, kind: Option<ContactKind>) -> Refusal {
    Refusal::new(
        Reason::KindNotShown,
        "the card has no such contact, or this placement does not show it",
    )
    .about(&placement.name)
    .with("placement", placement.name.to_string())
    .with("kind", kind.map_or("", ContactKind::as_str))
}
