//! What is kept of a contact: every fact, and which event each belongs to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Event, EventKind, Fact, Source, fold::fold};

/// Facts kept of one contact; nobody becomes a customer so often.
const MOST: usize = 200;

/// The facts of one contact in the order in which they were learned, each with its event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(Vec<(Fact, Uuid)>);

/// What new facts change among the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub added: Vec<(Uuid, Event)>,
    pub changed: Vec<(Uuid, Event)>,
    /// They turned out to be others.
    pub gone: Vec<Uuid>,
}

impl History {
    /// Takes facts in, unless they are known; `None` where all are. An event keeps the id that
    /// the first of its facts had.
    pub fn learn(
        &mut self,
        facts: impl IntoIterator<Item = Fact>,
        id: impl FnMut() -> Uuid,
    ) -> Option<Changes> {
        let (before, known) = (self.events(), self.0.clone());
        for fact in facts {
            self.take(fact);
        }
        if self.0 == known {
            return None;
        }
        self.name(id);
        let mut changes = Changes::default();
        let mut after = self.events();
        for (id, event) in &before {
            match after.remove(id) {
                None => changes.gone.push(*id),
                Some(now) if now != *event => changes.changed.push((*id, now)),
                Some(_) => {}
            }
        }
        changes.added.extend(after);
        Some(changes)
    }

    /// Whether no more is taken in.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Whether there is something of this kind, with this State where one is given.
    pub fn knows(&self, kind: EventKind, state: Option<Uuid>) -> bool {
        let mut alike = self.0.iter().filter(|(fact, _)| fact.kind == kind);
        alike.any(|(fact, _)| state.is_none() || fact.state.as_ref().map(|s| s.id) == state)
    }

    /// By id.
    pub fn events(&self) -> BTreeMap<Uuid, Event> {
        let facts: Vec<_> = self.0.iter().map(|(fact, _)| fact.clone()).collect();
        let events = fold(&facts).into_iter();
        events
            .map(|(event, group)| (self.0[group[0]].1, event))
            .collect()
    }

    fn take(&mut self, fact: Fact) {
        let full = self.is_full();
        let state = |fact: &Fact| fact.state.as_ref().map(|state| state.id);
        let known = self.0.iter_mut().find(|(known, _)| {
            (known.kind, known.source, state(known)) == (fact.kind, fact.source, state(&fact))
                && (known.time == fact.time || fact.source == Source::Pull)
        });
        match known {
            // A pull finds the same again and again; what counts is the first time.
            Some((known, _)) if fact.time < known.time => *known = fact,
            Some(_) => {}
            None if full => {}
            None => self.0.push((fact, Uuid::nil())),
        }
    }

    /// Gives each fact the id of its event.
    fn name(&mut self, mut id: impl FnMut() -> Uuid) {
        let facts: Vec<_> = self.0.iter().map(|(fact, _)| fact.clone()).collect();
        let mut taken = BTreeSet::from([Uuid::nil()]);
        for (_, mut group) in fold(&facts) {
            group.sort_unstable();
            let mut had = group.iter().map(|&i| self.0[i].1);
            let name = had.find(|id| !taken.contains(id)).unwrap_or_else(&mut id);
            taken.insert(name);
            for i in group {
                self.0[i].1 = name;
            }
        }
    }
}
