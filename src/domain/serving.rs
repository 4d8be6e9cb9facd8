//! What a viewer is shown of a merchant's placements, and until when that holds.

use super::{
    Card, Clearance, ContactKind, Door, Facts, Micros, Placement, Reason, Refusal, Surface, gate,
};

/// A chat menu's most.
const MENU_ITEMS: usize = 3;

/// A placement with its card, if that is still there.
pub type Candidate = (Placement, Option<Card>);

/// One item that the gate lets through.
#[derive(Debug)]
pub struct Showing<'a> {
    pub placement: &'a Placement,
    pub card: &'a Card,
    pub kind: ContactKind,
}

/// An answer before tokens.
#[derive(Debug)]
pub struct Answer<'a> {
    pub items: Vec<Showing<'a>>,
    /// Why there are none.
    pub absence: Option<Reason>,
    /// When a schedule changes it next.
    pub edge: Option<Micros>,
}

/// The gate's word on one candidate.
pub fn judge(
    door: Door,
    candidate: &Candidate,
    kind: Option<ContactKind>,
    now: Micros,
) -> Result<Clearance, Refusal> {
    let (placement, card) = candidate;
    let card = card.as_ref().ok_or_else(|| {
        Refusal::new(Reason::CardNotActive, "the card is gone")
            .about(&placement.card)
            .with("card", placement.card.to_string())
            .with("state", "DELETED")
    })?;
    let mut facts = Facts::placement(card, placement);
    facts.kind = kind;
    gate::judge(door, facts, now)
}

/// A chat menu: one item for each kind of each placement, by position, then by kind.
pub fn menu(candidates: &[Candidate], now: Micros) -> Answer<'_> {
    let mut answer = answer(candidates, now);
    answer.items.sort_by_key(|item| {
        let position = match item.placement.surface {
            Surface::ChatMenu { position } => position,
            _ => i32::MAX,
        };
        (position, item.kind)
    });
    answer.items.truncate(MENU_ITEMS);
    answer
}

/// What of these candidates is shown. Where nothing is, the first refusal says why, so what
/// is live comes first.
pub fn answer(candidates: &[Candidate], now: Micros) -> Answer<'_> {
    let mut answer = Answer {
        items: Vec::new(),
        absence: None,
        edge: None,
    };
    for candidate in candidates {
        let (placement, card) = candidate;
        answer.edge = [answer.edge, placement.next_edge(now)]
            .into_iter()
            .flatten()
            .min();
        match (judge(Door::Serve, candidate, None, now), card) {
            (Ok(_), Some(card)) => {
                answer
                    .items
                    .extend(placement.shown(card).into_iter().map(|kind| Showing {
                        placement,
                        card,
                        kind,
                    }));
            }
            (Err(refusal), _) => answer.absence = answer.absence.or(Some(refusal.reason)),
            (Ok(_), None) => {}
        }
    }
    answer.absence = if answer.items.is_empty() {
        answer.absence.or(Some(Reason::PlacementNotFound))
    } else {
        None
    };
    answer
}
