//! What a viewer is shown of a merchant's placements, and until when that holds.

use std::sync::Arc;

use super::{
    Card, Clearance, ContactKind, Door, Facts, Micros, Placement, Reason, Refusal, Standing,
    Surface, gate,
};

/// A chat menu's most.
const MENU_ITEMS: usize = 3;

/// A placement with its card, if that is still there, and what is known of its merchant.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub placement: Placement,
    pub card: Option<Card>,
    pub standing: Arc<Standing>,
}

impl Candidate {
    /// The next moment at which a date changes the gate's word: of the schedule, of a program,
    /// of the spend.
    pub fn next_edge(&self, now: Micros) -> Option<Micros> {
        let edges = [self.placement.next_edge(now), self.standing.next_edge(now)];
        edges.into_iter().flatten().min()
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
    let Candidate {
        placement,
        card,
        standing,
    } = candidate;
    match card {
        Some(card) => gate::judge(
            door,
            Facts::placement(standing, card, placement).kinds(kinds),
            now,
        ),
        None => {
            gate::judge(door, Facts::merchant(standing), now)?;
            Err(card_gone(placement))
        }
    }
}

/// The refusal for a placement whose card was purged.
pub fn card_gone(placement: &Placement) -> Refusal {
    Refusal::new(Reason::CardNotActive, "the card is gone")
        .about(&placement.card)
        .with("card", placement.card.to_string())
        .with("state", "DELETED")
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
        answer.edge = [answer.edge, candidate.next_edge(now)]
            .into_iter()
            .flatten()
            .min();
        match shown(candidate, now) {
            Ok(items) => answer.items.extend(items),
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

/// The items of one candidate, or why there is none.
fn shown(candidate: &Candidate, now: Micros) -> Result<Vec<Showing<'_>>, Refusal> {
    let placement = &candidate.placement;
    let kinds = open_kinds(Door::Serve, candidate, now)?;
    Ok(candidate
        .card
        .iter()
        .flat_map(|card| kinds.iter().map(move |kind| (card, *kind)))
        .take(placement.most_shown())
        .map(|(card, kind)| Showing {
            placement,
            card,
            kind,
        })
        .collect())
}

/// The first kind that the gate lets through.
pub fn first_kind(door: Door, candidate: &Candidate, now: Micros) -> Result<ContactKind, Refusal> {
    let kinds = open_kinds(door, candidate, now)?;
    let nothing = || Refusal::new(Reason::KindNotShown, "the placement shows nothing");
    kinds.first().copied().ok_or_else(nothing)
}

/// The kinds that the gate lets through, in the menu's order; at least one, or why not.
fn open_kinds(door: Door, candidate: &Candidate, now: Micros) -> Result<Vec<ContactKind>, Refusal> {
    judge(door, candidate, &[], now)?;
    let open = |kind: &ContactKind| judge(door, candidate, &[*kind], now).is_ok();
    let offered = candidate
        .card
        .iter()
        .flat_map(|card| candidate.placement.offered(card));
    Ok(offered.filter(open).collect())
}
