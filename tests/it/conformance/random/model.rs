//! The store as a child would write it: vectors, and the domain's own next versions.

use mingpian::{
    domain::{Card, Contact, Detail, Micros, Placement, PlacementName, PlacementState, Surface},
    store::Claim,
};

use super::{
    Op, active, add_card, ago, edited, ids, menu_of, of, placed, plain, plain_card, say, sorted,
    turned,
};
use crate::conformance::{NOW, sealed};

/// Everything ever written; the last version of each is how it stands.
#[derive(Default)]
pub struct Model {
    cards: Vec<History<Card>>,
    placements: Vec<Vec<Placement>>,
    answers: Vec<Answer>,
}

struct History<T> {
    versions: Vec<T>,
    purged: bool,
}

struct Answer {
    caller: String,
    id: u128,
    fingerprint: u8,
    answer: Vec<u8>,
    time: Micros,
}

impl Model {
    /// What a store would answer.
    pub fn answer(&mut self, case: &str, op: &Op, now: Micros) -> String {
        let find = |model: &Self, m: &str, id: &str| model.card(of(case, m).id(), id).cloned();
        match op {
            Op::AddCard(_, _, text) | Op::EditCard(_, _, text) if text.contains('\0') => {
                let Op::EditCard(m, id, _) = op else {
                    return "bug".into();
                };
                find(self, m, id).map_or_else(|| say(()), |_| "bug".into())
            }
            Op::AddCard(m, id, text) => {
                let made = self.insert_card(add_card(case, m, id, text, now));
                say(made.map(plain_card))
            }
            Op::EditCard(m, id, text) => find(self, m, id).map_or_else(
                || say(()),
                |old| {
                    let next = edited(&old, text, now);
                    self.change_card(next.clone());
                    say(plain_card(next))
                },
            ),
            Op::DeleteOrUndelete(m, id) => find(self, m, id).map_or_else(
                || say(()),
                |old| {
                    let next = turned(&old, now);
                    self.change_card(next.clone());
                    say(plain_card(next))
                },
            ),
            Op::Purge => say(self.purge(now)),
            Op::Place(m, card, id, surface) => find(self, m, card).map_or_else(
                || say(()),
                |card| {
                    let made = self.insert_placement(placed(case, &card, id, surface, now));
                    say(made.map(plain))
                },
            ),
            Op::Move(m, id, state) => {
                let name = PlacementName::new(of(case, m), id).unwrap();
                let Some(old) = self.placed().find(|p| p.name == name).cloned() else {
                    return say(());
                };
                let next = old.to(*state, now);
                if self.change_placement(next.clone()) {
                    say(plain(next))
                } else {
                    "conflict".into()
                }
            }
            Op::Cards(m, after, limit, deleted) => {
                let mut all: Vec<_> = self
                    .present()
                    .filter(|c| is(c, of(case, m).id(), c.name.id()) && c.name.id() > *after)
                    .filter(|c| !c.purged(now) && (*deleted || active(c)))
                    .collect();
                all.sort_by_key(|c| c.name.id());
                all.truncate(*limit as usize);
                ids(all, |c| c.name.id())
            }
            Op::Placements(m, after, limit, deleted) => {
                let mut all: Vec<_> = self
                    .placed()
                    .filter(|p| *p.name.merchant() == of(case, m) && p.name.id() > *after)
                    .filter(|p| *deleted || p.state != PlacementState::Deleted)
                    .collect();
                all.sort_by_key(|p| p.name.id());
                all.truncate(*limit as usize);
                ids(all, |p| p.name.id())
            }
            Op::Counts(m) => {
                let mine = of(case, m);
                let cards = self
                    .present()
                    .filter(|c| *c.merchant() == mine && active(c));
                let placements = self
                    .placed()
                    .filter(|p| *p.name.merchant() == mine && p.state != PlacementState::Deleted);
                say((cards.count(), placements.count()))
            }
            Op::Menu(m) => {
                let on_menu = |p: &&Placement| {
                    *p.name.merchant() == of(case, m)
                        && matches!(p.surface, Surface::ChatMenu { .. })
                        && p.state != PlacementState::Deleted
                };
                let shown = self.placed().filter(on_menu);
                menu_of(
                    shown
                        .map(|p| (p.clone(), self.card_of(p).cloned()))
                        .collect(),
                )
            }
            Op::Capsules(notes) => {
                let asked = |p: &&Placement| {
                    let Surface::NoteCapsule { note } = &p.surface else {
                        return false;
                    };
                    notes.iter().any(|n| *note == format!("{case}{n}"))
                        && p.state != PlacementState::Deleted
                };
                let first = |p: &&Placement| {
                    let mut before = self.placed().filter(|q| q.no < p.no);
                    !before.any(|q| q.surface == p.surface && q.state == p.state)
                };
                let shown = self.placed().filter(asked).filter(first);
                sorted(
                    shown
                        .map(|p| (p.clone(), self.card_of(p).cloned()))
                        .collect(),
                )
            }
            Op::ShownAt(no, second) => {
                let shown = self.shown_at(*no, Micros(NOW.0 + second * 1_000_000));
                say(shown.map(|(p, c)| (plain(p), plain_card(c))))
            }
            Op::Claim(caller, id, fingerprint, keep) => {
                let caller = format!("{case}{caller}");
                let same = |a: &Answer| a.caller == caller && a.id == *id;
                self.answers
                    .retain(|a| !same(a) || a.time >= ago(now, *keep));
                match self.answers.iter().find(|a| same(a)) {
                    Some(a) if a.fingerprint == *fingerprint => {
                        say(Claim::Answered(a.answer.clone()))
                    }
                    Some(_) => say(Claim::Reused),
                    None => {
                        self.answers.push(Answer {
                            answer: now.0.to_le_bytes().to_vec(),
                            fingerprint: *fingerprint,
                            id: *id,
                            time: now,
                            caller,
                        });
                        say(Claim::Fresh)
                    }
                }
            }
            Op::Forget(keep) => {
                // Other cases' answers are forgotten too, so the count is not compared.
                self.answers.retain(|a| a.time >= ago(now, *keep));
                say(())
            }
        }
    }

    fn card(&self, merchant: &str, id: &str) -> Option<&Card> {
        self.present().find(|c| is(c, merchant, id))
    }

    /// Cards as they stand.
    fn present(&self) -> impl Iterator<Item = &Card> {
        let kept = self.cards.iter().filter(|h| !h.purged);
        kept.filter_map(|h| h.versions.last())
    }

    /// Its number counts from 1; `None` if the name is taken.
    fn insert_card(&mut self, mut card: Card) -> Option<Card> {
        if self.card(card.merchant().id(), card.name.id()).is_some() {
            return None;
        }
        card.no = self.cards.len() as i64 + 1;
        self.cards.push(History {
            versions: vec![card.clone()],
            purged: false,
        });
        Some(card)
    }

    fn change_card(&mut self, card: Card) {
        self.cards[card.no as usize - 1].versions.push(card);
    }

    /// How many cards were purged.
    fn purge(&mut self, now: Micros) -> usize {
        let mut purged = 0;
        for history in &mut self.cards {
            let last = history.versions.last().unwrap();
            if history.purged || !last.purged(now) {
                continue;
            }
            let no = last.no;
            purged += 1;
            history.purged = true;
            for version in &mut history.versions {
                version.contacts.iter_mut().for_each(erase);
            }
            for versions in &mut self.placements {
                let last = versions.last().unwrap();
                if last.card_no == no && last.state != PlacementState::Deleted {
                    versions.push(last.to(PlacementState::Deleted, now));
                }
            }
        }
        purged
    }

    /// Placements as they stand.
    fn placed(&self) -> impl Iterator<Item = &Placement> {
        self.placements.iter().filter_map(|v| v.last())
    }

    /// `None` if the name or the slot is taken.
    fn insert_placement(&mut self, mut placement: Placement) -> Option<Placement> {
        if self.placed().any(|p| p.name == placement.name) || self.slot_taken(&placement) {
            return None;
        }
        placement.no = self.placements.len() as i64 + 1;
        self.placements.push(vec![placement.clone()]);
        Some(placement)
    }

    /// False if another one holds its slot.
    fn change_placement(&mut self, placement: Placement) -> bool {
        let free = !self.slot_taken(&placement);
        if free {
            self.placements[placement.no as usize - 1].push(placement);
        }
        free
    }

    fn slot_taken(&self, placement: &Placement) -> bool {
        let slot = placement.slot();
        slot.is_some()
            && self
                .placed()
                .any(|p| p.no != placement.no && p.slot() == slot)
    }

    /// The card of a placement, if it was not purged.
    fn card_of(&self, placement: &Placement) -> Option<&Card> {
        self.present().find(|c| c.no == placement.card_no)
    }

    fn shown_at(&self, placement: usize, at: Micros) -> Option<(Placement, Card)> {
        let then = |time: Micros| time <= at;
        let versions = &self.placements.get(placement)?;
        let placement = versions.iter().rfind(|p| then(p.update_time))?;
        let history = &self.cards[placement.card_no as usize - 1];
        let card = history.versions.iter().rfind(|c| then(c.update_time))?;
        Some((placement.clone(), card.clone()))
    }
}

fn is(card: &Card, merchant: &str, id: &str) -> bool {
    card.merchant().id() == merchant && card.name.id() == id
}

fn erase(contact: &mut Contact) {
    match &mut contact.detail {
        Detail::Phone(secret) | Detail::WechatId(secret) => *secret = sealed("", ""),
        Detail::Wecom(_) => {}
    }
}
