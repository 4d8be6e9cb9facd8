//! The read side: what viewers see, kept in memory. An answer is read from the store on first
//! use, compiled, and served until something that it depends on changes or a date comes; the
//! feed of changes says the former, the gate the latter.

mod compile;
mod feed;
mod held;
mod notes;
mod read;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    domain::{Calendar, Candidate, Merchant, Micros, PlacementName},
    store::{Marks, Reads, Result, Store},
};

pub use compile::{Compile, Entry, Item, Snapshot};
pub use feed::{Feed, Freshness};
use held::Held;
pub use held::Known;
use notes::Notes;
pub use read::candidates;

/// How much is kept in memory, and how it is compiled.
#[derive(Clone, Debug)]
pub struct Options {
    pub calendar: Calendar,
    /// Bytes at most, all answers together.
    pub memory: u64,
    /// How the wire has an item.
    pub compile: Compile,
    /// How long to go on without the store.
    pub away: Duration,
}

/// What is served from memory.
#[derive(Debug)]
pub struct Serving {
    pub feed: Feed,
    reads: Reads,
    /// For what is not kept.
    others: Reads,
    marks: Arc<Marks>,
    calendar: Calendar,
    compile: Compile,
    menus: Held<Merchant, Snapshot>,
    capsules: Held<Box<str>, Snapshot>,
    messages: Held<PlacementName, Option<Snapshot>>,
    candidates: Held<i64, Option<Candidate>>,
    notes: Arc<Notes>,
}

/// An answer from memory.
pub type Kept<V> = Arc<Known<V>>;

impl Serving {
    /// Nothing is in memory yet.
    pub async fn new(store: &Store, options: Options) -> Result<Self> {
        let reads = store.serving().clone();
        let (marks, notes) = (store.marks().clone(), Arc::<Notes>::default());
        let part = |percent: u64| options.memory / 100 * percent;
        Ok(Self {
            feed: Feed::begin(reads.clone(), marks.clone(), notes.clone(), options.away).await?,
            menus: Held::new(part(40), &marks),
            capsules: Held::new(part(40), &marks),
            messages: Held::new(part(10), &marks),
            candidates: Held::new(part(10), &marks),
            notes,
            others: store.reads().clone(),
            calendar: options.calendar,
            compile: options.compile,
            reads,
            marks,
        })
    }

    /// A merchant's menu.
    pub async fn menu(
        self: &Arc<Self>,
        merchant: &Merchant,
        now: Micros,
    ) -> Result<Kept<Snapshot>> {
        held::one(self, merchant, now).await
    }

    /// The capsules of notes given by id, in that order; `None` where a note has none.
    pub async fn capsules(
        self: &Arc<Self>,
        notes: &[&str],
        now: Micros,
    ) -> Result<Vec<Option<Kept<Snapshot>>>> {
        let mut missed: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut capsules: Vec<_> = notes.iter().map(|_| None).collect();
        for (place, note) in notes.iter().enumerate() {
            match self.capsules.get(*note, now) {
                None if self.notes.may_have(note, &self.marks) => {
                    missed.entry(note).or_default().push(place);
                }
                known => capsules[place] = known,
            }
        }
        if missed.is_empty() {
            return Ok(capsules);
        }
        let (keys, places): (Vec<_>, Vec<_>) = missed.into_iter().unzip();
        let keys: Vec<_> = keys.into_iter().map(Box::from).collect();
        let read = held::read(self, &keys, now).await?;
        for (known, places) in read.into_iter().zip(places) {
            for place in places {
                capsules[place] = Some(known.clone());
            }
        }
        Ok(capsules)
    }

    /// Likewise, but only of these merchants; not from memory.
    pub async fn capsules_of(
        &self,
        notes: &[&str],
        merchants: &BTreeSet<String>,
        now: Micros,
    ) -> Result<Vec<Option<Kept<Snapshot>>>> {
        let distinct: BTreeSet<_> = notes.iter().map(|note| Box::from(*note)).collect();
        let distinct: Vec<_> = distinct.into_iter().collect();
        let of = Some(merchants);
        let read = self.read_capsules(&self.others, &distinct, of, now).await?;
        let read = read
            .into_iter()
            .map(|(note, known)| (note, Arc::new(known)));
        let read: HashMap<Box<str>, _> = read.collect();
        Ok(notes.iter().map(|note| read.get(*note).cloned()).collect())
    }

    /// The card in a message, given by its placement; `None` where that is no message.
    pub async fn message(
        self: &Arc<Self>,
        placement: &PlacementName,
        now: Micros,
    ) -> Result<Kept<Option<Snapshot>>> {
        held::one(self, placement, now).await
    }

    /// What the tap of a placement, given by number, is judged by: as it stands in the store, where
    /// the feed was looked at before.
    pub async fn candidate(
        self: &Arc<Self>,
        placement_no: i64,
        now: Micros,
    ) -> Result<Kept<Option<Candidate>>> {
        held::one(self, &placement_no, now).await
    }

    /// Makes the filter of notes where it is wanting; says when, and of how many.
    pub async fn make_filter(&self) -> Result<Option<(usize, Duration)>> {
        if !self.notes.wanting() {
            return Ok(None);
        }
        let begun = Instant::now();
        let notes = self.notes.make(&self.reads).await?;
        Ok(Some((notes, begun.elapsed())))
    }
}
