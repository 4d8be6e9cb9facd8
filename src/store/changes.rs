//! What changed: a row for each thing that answers depend on, written with the change itself, so
//! that replicas which keep answers in memory learn what no longer holds; and what this process
//! has learned so far.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{
    Db, Result, Store, Tx,
    entity::change::{ActiveModel, Column, Entity, Model},
    placements::padded,
};

/// Something that answers depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Changed {
    /// What every answer depends on: programs, and what sources of spend say of their days.
    Everything,
    /// A merchant's cards, placements, enrollments, spend, sanctions or experiments, by id.
    Merchant(String),
    /// What is placed on a note, by id.
    Note(String),
    /// A corp, its adds or its links, by id.
    Corp(String),
}

impl Changed {
    fn text(&self) -> String {
        match self {
            Self::Everything => String::new(),
            Self::Merchant(id) => format!("merchants/{id}"),
            Self::Note(id) => format!("notes/{id}"),
            Self::Corp(id) => format!("corps/{id}"),
        }
    }

    /// A word of a later version may mean anything.
    fn read(text: &str) -> Self {
        match text.split_once('/') {
            Some(("merchants", id)) => Self::Merchant(id.to_owned()),
            Some(("notes", id)) => Self::Note(id.to_owned()),
            Some(("corps", id)) => Self::Corp(id.to_owned()),
            _ => Self::Everything,
        }
    }
}

/// Places for marks; two things that share one are marked together, which costs a look at the
/// store too many.
const MARKS: usize = 1 << 16;

/// Where the marks of a thing stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u16);

impl Mark {
    pub fn of(changed: &Changed) -> Self {
        let mut hasher = DefaultHasher::new();
        changed.hash(&mut hasher);
        let [a, b, ..] = hasher.finish().to_le_bytes();
        Self(u16::from_le_bytes([a, b]))
    }
}

/// What changed, as far as this process knows: an answer that was read from the store before its
/// things were marked no longer holds.
#[derive(Debug)]
pub struct Marks {
    /// Grows with each change.
    now: AtomicU64,
    everything: AtomicU64,
    marks: Box<[AtomicU64]>,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            now: AtomicU64::new(0),
            everything: AtomicU64::new(0),
            marks: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Marks {
    /// To be asked before the store is read.
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Marks what is in the store already: who reads it from here on reads the change.
    pub fn mark(&self, changed: &[Changed]) {
        if changed.is_empty() {
            return;
        }
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        for changed in changed {
            let place = match changed {
                Changed::Everything => &self.everything,
                one => &self.marks[usize::from(Mark::of(one).0)],
            };
            place.fetch_max(now, Ordering::SeqCst);
        }
    }

    /// Whether what was read from then on still holds.
    pub fn holds(&self, then: u64, of: &[Mark]) -> bool {
        let unmarked = |place: &AtomicU64| place.load(Ordering::SeqCst) <= then;
        unmarked(&self.everything)
            && of
                .iter()
                .all(|mark| unmarked(&self.marks[usize::from(mark.0)]))
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// What changed from this number on, or under one of these: those that were skipped, and may
    /// have been of transactions under way. In the order of numbers, at most `limit`.
    pub async fn changes(
        &self,
        from: i64,
        skipped: &[i64],
        limit: u64,
    ) -> Result<Vec<(i64, Changed)>> {
        let mut sought = Condition::any().add(Column::No.gte(from));
        if !skipped.is_empty() {
            sought = sought.add(Column::No.is_in(padded(skipped.iter().copied())));
        }
        let rows = Entity::find()
            .filter(sought)
            .order_by_asc(Column::No)
            .limit(limit)
            .all(&self.0)
            .await?;
        Ok(rows.into_iter().map(read).collect())
    }

    /// The latest change and its number.
    pub async fn latest_change(&self) -> Result<Option<(i64, Changed)>> {
        let latest = Entity::find().order_by_desc(Column::No).one(&self.0);
        Ok(latest.await?.map(read))
    }
}

impl Tx {
    /// Notes what this transaction changes, to be written with its commit: a number that is
    /// taken late is seldom overtaken by others.
    pub(super) fn changes_too(&self, changed: impl IntoIterator<Item = Changed>) {
        let mut noted = self
            .1
            .changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        noted.extend(changed);
    }

    pub(super) async fn insert_changes(&self, changed: &[Changed]) -> Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let rows = changed.iter().map(|changed| ActiveModel {
            no: NotSet,
            what: Set(changed.text()),
        });
        Entity::insert_many(rows)
            .exec_without_returning(&self.0)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Forgets changes before this one: every replica has seen them, or looks at everything anew.
    pub async fn forget_changes(&self, before: i64) -> Result<()> {
        Entity::delete_many()
            .filter(Column::No.lt(before))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}

fn read(row: Model) -> (i64, Changed) {
    (row.no, Changed::read(&row.what))
}

/// What a transaction changes, each once; many things are everything, but for notes.
pub(super) fn taken(noted: &Mutex<Vec<Changed>>) -> Vec<Changed> {
    let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
    let mut changed = std::mem::take(&mut *noted);
    changed.sort_unstable();
    changed.dedup();
    if changed.len() > MOST || changed.first() == Some(&Changed::Everything) {
        // Whether a note may have a capsule depends on its own change alone.
        changed.retain(|changed| matches!(changed, Changed::Note(_)));
        changed.insert(0, Changed::Everything);
    }
    changed
}

/// Rows of one transaction.
const MOST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn merchant(id: &str) -> Changed {
        Changed::Merchant(id.to_owned())
    }

    #[test]
    fn what_was_read_before_a_change_no_longer_holds_and_what_was_read_after_does() {
        let marks = Marks::default();
        let klook = [Mark::of(&merchant("klook"))];
        let before = marks.now();
        assert!(marks.holds(before, &klook));
        marks.mark(&[merchant("klook")]);
        assert!(!marks.holds(before, &klook));
        assert!(marks.holds(marks.now(), &klook));
        let other = [Mark::of(&merchant("harbor-tours"))];
        assert!(marks.holds(before, &other));
        marks.mark(&[Changed::Everything]);
        assert!(!marks.holds(before, &other));
        assert!(marks.holds(marks.now(), &other));
    }

    #[test]
    fn changes_read_back_as_written_and_unknown_ones_are_everything() {
        for changed in [
            Changed::Everything,
            merchant("klook"),
            Changed::Note("n/1".to_owned()),
            Changed::Corp("demo".to_owned()),
        ] {
            assert_eq!(Changed::read(&changed.text()), changed);
        }
        assert_eq!(Changed::read("later/x"), Changed::Everything);
    }

    #[test]
    fn a_transaction_tells_each_thing_once_and_many_as_everything() {
        let noted = Mutex::new(vec![merchant("b"), merchant("a"), merchant("b")]);
        assert_eq!(taken(&noted), [merchant("a"), merchant("b")]);
        assert!(taken(&noted).is_empty());
        let many = (0..=MOST).map(|n| merchant(&n.to_string())).collect();
        assert_eq!(taken(&Mutex::new(many)), [Changed::Everything]);
        let note = Changed::Note("n".to_owned());
        let all = vec![note.clone(), merchant("a"), Changed::Everything];
        assert_eq!(taken(&Mutex::new(all)), [Changed::Everything, note]);
    }
}
