//! The one gate: a pure function that every door asks. A yes is a `Clearance`, which has no
//! other constructor and which every guarded write and every reveal demands.
//!
//! The order is program, eligibility (both in `admission.rs`), card, placement, schedule, and
//! last the contact kind.

use super::{
    Asked, Card, CardState, ContactKind, Finding, Gate, Merchant, Micros, Placement,
    PlacementState, ProgramName, Reason, Refusal, Standing,
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

/// What the gate judges by.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Of the merchant whose card it is.
    pub standing: &'a Standing,
    /// `None` while it is being created.
    pub card: Option<&'a Card>,
    /// `None` where none is asked about.
    pub placement: Option<&'a Placement>,
    /// Each must be open; where there are none, any that the placement offers.
    pub kinds: &'a [ContactKind],
}

impl<'a> Facts<'a> {
    pub fn merchant(standing: &'a Standing) -> Self {
        Self {
            standing,
            card: None,
            placement: None,
            kinds: &[],
        }
    }

    pub fn card(standing: &'a Standing, card: &'a Card) -> Self {
        Self {
            card: Some(card),
            ..Self::merchant(standing)
        }
    }

    pub fn placement(standing: &'a Standing, card: &'a Card, placement: &'a Placement) -> Self {
        Self {
            placement: Some(placement),
            ..Self::card(standing, card)
        }
    }

    pub fn kinds(self, kinds: &'a [ContactKind]) -> Self {
        Self { kinds, ..self }
    }
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

/// Judges one question at one moment: programs and spend first, then card, placement and
/// schedule, and last whether the contact is there.
pub fn judge(door: Door, facts: Facts<'_>, now: Micros) -> Result<Clearance, Refusal> {
    admitted(door, &facts, now)?;
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
        kinds_offered(door, facts.kinds, card, placement)?;
    }
    Ok(Clearance {
        door,
        merchant: facts.standing.merchant.clone(),
        card_no: facts.card.map(|card| card.no),
        kind: facts.kinds.first().copied(),
    })
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
/// program, then the card's and the placement's own.
pub fn explain(facts: Facts<'_>, now: Micros) -> (Vec<(ProgramName, Finding)>, Vec<Finding>) {
    let standing = facts.standing;
    let surface = facts.placement.map(|p| p.surface.kind());
    let programs = standing.chances.iter().flat_map(|chance| {
        let offered = offered(&facts);
        let open = |kind: &&ContactKind| chance.program.kinds.contains(kind);
        let asked = Asked {
            door: Door::Serve,
            surface,
            kind: offered.iter().find(open).or(offered.first()).copied(),
            now,
        };
        let findings = chance.findings(&standing.merchant, &asked);
        findings
            .into_iter()
            .map(|finding| (chance.program.name.clone(), finding))
    });
    let mut own = Vec::new();
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
        let shown = kinds_offered(Door::Serve, facts.kinds, card, placement);
        own.push(Finding::new(Gate::Contact, shown.err()));
    }
    (programs.collect(), own)
}

/// Whether some program admits each asked kind, or any where none is named.
fn admitted(door: Door, facts: &Facts<'_>, now: Micros) -> Result<(), Refusal> {
    let ask = |kind| {
        facts.standing.admits(&Asked {
            door,
            surface: facts.placement.map(|p| p.surface.kind()),
            kind,
            now,
        })
    };
    let named = match facts.placement {
        Some(placement) if facts.kinds.is_empty() && door == Door::Configure => &placement.kinds,
        _ => facts.kinds,
    };
    if !named.is_empty() {
        return named.iter().try_for_each(|kind| ask(Some(*kind)));
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

/// The asked kinds, or any at all. What is configured must name no kind that the card lacks.
fn kinds_offered(
    door: Door,
    kinds: &[ContactKind],
    card: &Card,
    placement: &Placement,
) -> Result<(), Refusal> {
    let offered = placement.offered(card);
    let named = if kinds.is_empty() && door == Door::Configure {
        &placement.kinds
    } else {
        kinds
    };
    let lacking = named.iter().find(|kind| !offered.contains(kind));
    if lacking.is_none() && !offered.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::KindNotShown,
        "the card has no such contact, or this placement does not show it",
    )
    .about(&placement.name)
    .with("placement", placement.name.to_string())
    .with("kind", lacking.map_or("", |kind| kind.as_str())))
}
