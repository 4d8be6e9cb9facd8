//! Which notes may have a capsule: most have none, and are answered without asking. A Bloom
//! filter, made anew when it has filled up.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use arc_swap::ArcSwapOption;
use fastbloom::AtomicBloomFilter;

use crate::store::{Changed, Mark, Marks, Reads, Result};

/// Of a hundred notes without a capsule about one is looked at.
const FALSE_POSITIVES: f64 = 0.01;
/// Rows of one query.
const PAGE: u64 = 10_000;
/// Notes that a new filter has room for at least.
const ROOM: usize = 10_000;

/// The notes, as far as they are known.
#[derive(Debug, Default)]
pub struct Notes {
    filter: ArcSwapOption<Filter>,
    /// Notes with a change later than this may have a capsule that the filter does not know.
    known: AtomicU64,
    /// What changed while a new filter is being made.
    meanwhile: Mutex<Option<Vec<String>>>,
}

#[derive(Debug)]
struct Filter {
    notes: AtomicBloomFilter,
    room: AtomicUsize,
}

impl Filter {
    /// For so many notes at most, and half as many more.
    fn new(notes: usize) -> Self {
        let room = (notes / 2).max(ROOM);
        Self {
            notes: AtomicBloomFilter::with_false_pos(FALSE_POSITIVES).expected_items(notes + room),
            room: AtomicUsize::new(room),
        }
    }

    fn insert(&self, note: &str) {
        if !self.notes.insert(note) {
            let less = |room: usize| room.checked_sub(1);
            let _ = self
                .room
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        }
    }
}

impl Notes {
    /// Whether a note may have a capsule; while nothing is known, any.
    pub fn may_have(&self, note: &str, marks: &Marks) -> bool {
        let Some(filter) = &*self.filter.load() else {
            return true;
        };
        let mark = Mark::of(&Changed::Note(note.to_owned()));
        filter.notes.contains(note) || !marks.holds(self.known.load(Ordering::SeqCst), &[mark])
    }

    /// Takes note of changes.
    pub fn changed(&self, changed: &[Changed]) {
        let mut meanwhile = self.meanwhile();
        let filter = self.filter.load();
        for changed in changed {
            let Changed::Note(note) = changed else {
                continue;
            };
            if let Some(filter) = &*filter {
                filter.insert(note);
            }
            if let Some(meanwhile) = &mut *meanwhile {
                meanwhile.push(note.clone());
            }
        }
    }

    /// Everything up to there was taken note of.
    pub fn known(&self, then: u64) {
        self.known.fetch_max(then, Ordering::SeqCst);
    }

    /// Nothing is known any more.
    pub fn forget(&self) {
        let mut meanwhile = self.meanwhile();
        *meanwhile = None;
        self.filter.store(None);
    }

    /// Whether the filter is to be made, or made anew.
    pub fn wanting(&self) -> bool {
        let filter = self.filter.load();
        filter
            .as_ref()
            .is_none_or(|filter| filter.room.load(Ordering::SeqCst) == 0)
    }

    /// Makes the filter of what the store has.
    pub async fn make(&self, reads: &Reads) -> Result<usize> {
        *self.meanwhile() = Some(Vec::new());
        let most = usize::try_from(reads.most_notes().await?).unwrap_or(usize::MAX);
        let filter = Filter::new(most);
        let (mut notes, mut after) = (0, 0);
        while let Some((last, page)) = reads.notes_page(after, PAGE).await? {
            after = last;
            notes += page.len();
            for note in page {
                filter.notes.insert(note.as_str());
            }
        }
        let mut meanwhile = self.meanwhile();
        // Where changes were missed meanwhile, this is worth nothing.
        if let Some(meanwhile) = meanwhile.take() {
            for note in meanwhile {
                filter.insert(&note);
            }
            self.filter.store(Some(filter.into()));
        }
        Ok(notes)
    }

    fn meanwhile(&self) -> MutexGuard<'_, Option<Vec<String>>> {
        self.meanwhile
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
