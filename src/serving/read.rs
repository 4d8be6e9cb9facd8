//! Answers as the store has them: several at once, in a fixed number of queries.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use smallvec::SmallVec;

use super::{
    Known, Serving, Snapshot,
    held::{Held, Source},
};
use crate::{
    domain::{
        Calendar, Candidate, Card, Experiment, Merchant, Micros, PlacementName, Split, Surface,
        serving::{self, Answer},
    },
    store::{Changed, Mark, Reads, Result, Shown},
};

/// Candidates that were read together, and what had changed before.
struct Read {
    candidates: Vec<Candidate>,
    splits: HashMap<Merchant, Split>,
    then: u64,
    now: Micros,
}

/// The placements with what is known of their merchants.
pub async fn candidates(
    reads: &Reads,
    calendar: &Calendar,
    shown: Vec<Shown>,
    now: Micros,
) -> Result<Vec<Candidate>> {
    if shown.is_empty() {
        return Ok(Vec::new());
    }
    let merchants = shown.iter().map(|(placement, _)| placement.name.merchant());
    let standings = reads.standings(merchants, calendar, now).await?;
    let cards = shown.iter().filter_map(|(_, card)| card.as_ref());
    let health = reads.link_health(cards).await?;
    let with = |(placement, card): Shown| {
        let standing = standings.get(placement.name.merchant())?.clone();
        Some(Candidate {
            placement,
            health: card.as_ref().and_then(|card| health.get(&card.no).cloned()),
            card,
            standing,
        })
    };
    Ok(shown.into_iter().filter_map(with).collect())
}

impl Source<Merchant, Snapshot> for Serving {
    fn held(&self) -> &Held<Merchant, Snapshot> {
        &self.menus
    }

    async fn read(
        &self,
        merchants: &[Merchant],
        now: Micros,
    ) -> Result<Vec<(Merchant, Known<Snapshot>)>> {
        let then = self.marks.now();
        let ids: Vec<_> = merchants.iter().map(Merchant::id).collect();
        let shown = self.reads.menus(&ids).await?;
        let read = self.with_facts(&self.reads, shown, then, now).await?;
        let of = read.by(|candidate| candidate.placement.name.merchant().clone());
        let menus = merchants.iter().map(|merchant| {
            let candidates = of.get(merchant).map_or(&[][..], Vec::as_slice);
            let own = Changed::Merchant(merchant.id().to_owned());
            let menu = self.snapshot(&read, candidates, serving::menu);
            (merchant.clone(), read.known(menu, candidates, own))
        });
        Ok(menus.collect())
    }
}

impl Source<Box<str>, Snapshot> for Serving {
    fn held(&self) -> &Held<Box<str>, Snapshot> {
        &self.capsules
    }

    async fn read(
        &self,
        notes: &[Box<str>],
        now: Micros,
    ) -> Result<Vec<(Box<str>, Known<Snapshot>)>> {
        self.read_capsules(&self.reads, notes, None, now).await
    }
}

impl Source<PlacementName, Option<Snapshot>> for Serving {
    fn held(&self) -> &Held<PlacementName, Option<Snapshot>> {
        &self.messages
    }

    async fn read(
        &self,
        names: &[PlacementName],
        now: Micros,
    ) -> Result<Vec<(PlacementName, Known<Option<Snapshot>>)>> {
        let then = self.marks.now();
        let mut shown = self.reads.shown_by_names(names).await?;
        shown.retain(|(placement, _)| matches!(placement.surface, Surface::CardMessage { .. }));
        let read = self.with_facts(&self.reads, shown, then, now).await?;
        let of = read.by(|candidate| candidate.placement.name.clone());
        let messages = names.iter().map(|name| {
            let candidates = of.get(name).map_or(&[][..], Vec::as_slice);
            let own = Changed::Merchant(name.merchant().id().to_owned());
            let (message, until) = self.snapshot(&read, candidates, serving::answer);
            let message = (!candidates.is_empty()).then_some(message);
            (name.clone(), read.known((message, until), candidates, own))
        });
        Ok(messages.collect())
    }
}

impl Source<i64, Option<Candidate>> for Serving {
    fn held(&self) -> &Held<i64, Option<Candidate>> {
        &self.candidates
    }

    async fn read(
        &self,
        numbers: &[i64],
        now: Micros,
    ) -> Result<Vec<(i64, Known<Option<Candidate>>)>> {
        let then = self.marks.now();
        let shown = self.reads.shown_by_nos(numbers).await?;
        let candidates = candidates(&self.reads, &self.calendar, shown, now).await?;
        let mut known: HashMap<_, _> = candidates
            .into_iter()
            .map(|candidate| {
                let merchant = candidate.placement.name.merchant().id().to_owned();
                let known = Known {
                    then,
                    at: now,
                    marks: marks([&candidate], Changed::Merchant(merchant)),
                    until: candidate.next_edge(now),
                    value: Some(candidate),
                };
                (known.value.as_ref().map_or(0, |c| c.placement.no), known)
            })
            .collect();
        // A number that is not there never comes to be there: it would be another's.
        let none = || Known {
            then,
            at: now,
            marks: SmallVec::new(),
            until: None,
            value: None,
        };
        let with = |no: &i64| (*no, known.remove(no).unwrap_or_else(none));
        Ok(numbers.iter().map(with).collect())
    }
}

impl Serving {
    pub(super) async fn read_capsules(
        &self,
        reads: &Reads,
        notes: &[Box<str>],
        merchants: Option<&BTreeSet<String>>,
        now: Micros,
    ) -> Result<Vec<(Box<str>, Known<Snapshot>)>> {
        let then = self.marks.now();
        let ids: Vec<_> = notes.iter().map(|note| &**note).collect();
        let shown = reads.capsules(&ids, merchants).await?;
        let read = self.with_facts(reads, shown, then, now).await?;
        let of = read.by(|candidate| match &candidate.placement.surface {
            Surface::NoteCapsule { note } => Box::<str>::from(note.as_str()),
            _ => Box::default(),
        });
        let capsules = notes.iter().map(|note| {
            let candidates = of.get(note).map_or(&[][..], Vec::as_slice);
            let own = Changed::Note(note.as_ref().to_owned());
            let capsule = self.snapshot(&read, candidates, serving::answer);
            (note.clone(), read.known(capsule, candidates, own))
        });
        Ok(capsules.collect())
    }

    async fn with_facts(
        &self,
        reads: &Reads,
        shown: Vec<Shown>,
        then: u64,
        now: Micros,
    ) -> Result<Read> {
        let candidates = candidates(reads, &self.calendar, shown, now).await?;
        let merchants: BTreeSet<_> = candidates
            .iter()
            .map(|candidate| candidate.placement.name.merchant())
            .collect();
        let splits = if merchants.is_empty() {
            HashMap::new()
        } else {
            // By whatever clock they were started.
            let running = reads.running_experiments(merchants, Micros::MAX).await?;
            let split = |(merchant, experiment): (_, Experiment)| (merchant, experiment.split());
            running.into_iter().map(split).collect()
        };
        Ok(Read {
            candidates,
            splits,
            then,
            now,
        })
    }

    /// An answer compiled, and until when it holds.
    fn snapshot(
        &self,
        read: &Read,
        candidates: &[&Candidate],
        answer: for<'a> fn(&[&'a Candidate], Micros) -> Answer<'a>,
    ) -> (Snapshot, Option<Micros>) {
        let answer = answer(candidates, read.now);
        let first = answer.items.first();
        let split = first.and_then(|item| read.splits.get(item.placement.name.merchant()));
        let snapshot = Snapshot::new(&answer, split.cloned(), self.compile);
        (snapshot, answer.edge)
    }
}

impl Read {
    fn by<K: Eq + Hash>(&self, key: impl Fn(&Candidate) -> K) -> HashMap<K, Vec<&Candidate>> {
        let mut of: HashMap<K, Vec<&Candidate>> = HashMap::new();
        for candidate in &self.candidates {
            of.entry(key(candidate)).or_default().push(candidate);
        }
        of
    }

    fn known<V>(
        &self,
        (value, until): (V, Option<Micros>),
        candidates: &[&Candidate],
        own: Changed,
    ) -> Known<V> {
        Known {
            value,
            then: self.then,
            at: self.now,
            marks: marks(candidates.iter().copied(), own),
            until,
        }
    }
}

/// What an answer depends on.
fn marks<'a>(
    candidates: impl IntoIterator<Item = &'a Candidate>,
    own: Changed,
) -> SmallVec<[Mark; 4]> {
    let mut changed = BTreeSet::from([own]);
    for candidate in candidates {
        let merchant = candidate.placement.name.merchant();
        changed.insert(Changed::Merchant(merchant.id().to_owned()));
        let wecom = candidate.card.as_ref().and_then(Card::wecom);
        let corp = wecom.and_then(|wecom| wecom.corp.as_ref());
        changed.extend(corp.map(|corp| Changed::Corp(corp.id().to_owned())));
    }
    changed.iter().map(Mark::of).collect()
}
