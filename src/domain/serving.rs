//! What a viewer is shown of a merchant's placements, and until when that holds.

use std::sync::Arc;

use super::{
    Card, Clearance, ContactKind, Door, Facts, LinkHealth, Micros, Placement, Reason, Refusal,
    Standing, Surface, gate,
};

/// A chat menu's most.
const MENU_ITEMS: usize = 3;

/// A placement with its card, if that is still there, and what is known of its merchant.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub placement: Placement,
    pub card: Option<Card>,
    pub standing: Arc<Standing>,
    /// Of the card's WeCom link; `None` where it has none, or nobody asks about it.
    pub health: Option<LinkHealth>,
}

impl Candidate {
    /// The next moment at which a date changes the gate's word: of the schedule, of a program,
    /// of the spend.
    pub fn next_edge(&self, now: Micros) -> Option<Micros> {
        let edges = [self.placement.next_edge(now), self.standing.next_edge(now)];
        edges.into_iter().flatten().min()
    }

    fn showings(&self, kinds: Vec<ContactKind>) -> impl Iterator<Item = Showing<'_>> {
        kinds.into_iter().filter_map(|kind| {
            Some(Showing {
                placement: &self.placement,
                card: self.card.as_ref()?,
                kind,
            })
        })
    }
}

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
    /// When a date changes it next: of a schedule, of a program, of the spend.
    pub edge: Option<Micros>,
}

/// The gate's word on one candidate; `kinds` as in [`Facts`].
pub fn judge(
    door: Door,
    candidate: &Candidate,
    kinds: &[ContactKind],
    now: Micros,
) -> Result<Clearance, Refusal> {
    gate::judge(door, facts(candidate, now)?.kinds(kinds), now)
}

/// What a candidate shows; at least one kind, or why not.
pub fn shown(door: Door, candidate: &Candidate, now: Micros) -> Result<Vec<ContactKind>, Refusal> {
    gate::shown(door, facts(candidate, now)?, now)
}

/// A purged card is not active; programs are asked first, as ever.
pub fn facts(candidate: &Candidate, now: Micros) -> Result<Facts<'_>, Refusal> {
    let Candidate {
        placement,
        card,
        standing,
        health,
    } = candidate;
    let Some(card) = card else {
        gate::judge(Door::Serve, Facts::merchant(standing), now)?;
        return Err(Refusal::new(Reason::CardNotActive, "the card is gone")
            .about(&placement.card)
            .with("card", placement.card.to_string())
            .with("state", "DELETED"));
    };
    Ok(Facts::placement(standing, card, placement).health(health.as_ref()))
}

/// A chat menu: one item for each kind of each placement, by position, then by kind.
pub fn menu<'a>(candidates: &[&'a Candidate], now: Micros) -> Answer<'a> {
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
pub fn answer<'a>(candidates: &[&'a Candidate], now: Micros) -> Answer<'a> {
    let mut answer = Answer {
        items: Vec::new(),
        absence: None,
        edge: None,
    };
    for candidate in candidates {
        answer.edge = [answer.edge, candidate.next_edge(now)]
            .into_iter()
            .flatten()
            .min();
        match shown(Door::Serve, candidate, now) {
            Ok(kinds) => answer.items.extend(candidate.showings(kinds)),
            Err(refusal) => answer.absence = answer.absence.or(Some(refusal.reason)),
        }
    }
    answer.absence = if answer.items.is_empty() {
        answer.absence.or(Some(Reason::PlacementNotFound))
    } else {
        None
    };
    answer
}
