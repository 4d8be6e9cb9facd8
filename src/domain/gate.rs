//! The one gate: a pure function that every door asks. A yes is a `Clearance`, which has no
//! other constructor and which every guarded write and every reveal demands.
//!
//! The order is card, placement, schedule, and last the contact kind.

use super::{
    Card, CardState, ContactKind, Merchant, Micros, Placement, PlacementState, Reason, Refusal,
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
    pub merchant: &'a Merchant,
    /// `None` while it is being created.
    pub card: Option<&'a Card>,
    /// `None` where none is asked about, or while it is being created.
    pub placement: Option<&'a Placement>,
    /// `None` where any will do.
    pub kind: Option<ContactKind>,
}

impl<'a> Facts<'a> {
    pub fn merchant(merchant: &'a Merchant) -> Self {
        Self {
            merchant,
            card: None,
            placement: None,
            kind: None,
        }
    }

    pub fn card(card: &'a Card) -> Self {
        Self {
            card: Some(card),
            ..Self::merchant(card.merchant())
        }
    }

    pub fn placement(card: &'a Card, placement: &'a Placement) -> Self {
        Self {
            placement: Some(placement),
            ..Self::card(card)
        }
    }

    pub fn kind(self, kind: ContactKind) -> Self {
        Self {
            kind: Some(kind),
            ..self
        }
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

/// Judges one question at one moment.
pub fn judge(door: Door, facts: Facts<'_>, now: Micros) -> Result<Clearance, Refusal> {
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
        kind_shown(door, &facts, card, placement)?;
    }
    Ok(Clearance {
        door,
        merchant: facts.merchant.clone(),
        card_no: facts.card.map(|card| card.no),
        kind: facts.kind,
    })
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

/// The asked kind, or any at all. What is configured must name no kind that the card lacks.
fn kind_shown(
    door: Door,
    facts: &Facts<'_>,
    card: &Card,
    placement: &Placement,
) -> Result<(), Refusal> {
    let shown = placement.shown(card);
    let lacking = placement.kinds.iter().find(|k| card.contact(**k).is_none());
    let (fits, kind) = match (facts.kind, lacking) {
        (Some(kind), _) => (shown.contains(&kind), Some(kind)),
        (None, Some(kind)) if door == Door::Configure => (false, Some(*kind)),
        (None, _) => (!shown.is_empty(), None),
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::KindNotShown,
        "the card has no such contact, or this placement does not show it",
    )
    .about(&placement.name)
    .with("placement", placement.name.to_string())
    .with("kind", kind.map_or("", ContactKind::as_str)))
}
