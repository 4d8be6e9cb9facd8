//! The feed of changes, as this replica follows it: a few times a second, and before each tap.
//!
//! Numbers are given when a change is written and seen when it is committed, so on PostgreSQL
//! they come out of order, and what is rolled back leaves a gap. A gap is asked for again until
//! it is too old for a transaction to be behind it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Mutex as Seat,
    time::{Instant, timeout},
};

use super::notes::Notes;
use crate::store::{Changed, Error, Marks, Reads, Result};

/// The longest that a transaction may take from its changes, which are the last that it writes, to
/// its commit: twice what PostgreSQL lets it wait for its client (`store/backend.rs`).
const LONGEST: Duration = Duration::from_secs(60);
/// After so long without a look everything is read anew: changes are forgotten after an hour.
const LOST: Duration = Duration::from_secs(600);
/// Changes of one query.
const AT_ONCE: usize = 5_000;
/// How far back a replica that begins to follow looks for changes under way.
const BACK: i64 = 200;
/// How many numbers between two that were seen may be of transactions under way, where the
/// sequence leapt: most have less than 200 (`store/changes.rs`).
const LEAP: i64 = 2_000;
/// A look that takes longer is given up.
const LOOK: Duration = Duration::from_secs(2);
/// What is older than this is served with a mark.
const CURRENT: Duration = Duration::from_secs(1);

/// How old what is in memory may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A second at most.
    Current,
    /// The store is away, but not for long.
    Stale,
    /// It has been away for too long.
    Lost,
}

/// Follows what changes.
#[derive(Debug)]
pub struct Feed {
    reads: Reads,
    marks: Arc<Marks>,
    notes: Arc<Notes>,
    away: Duration,
    /// Looks begun.
    begun: AtomicU64,
    seat: Seat<Seen>,
    /// When the last look that succeeded began.
    looked: Mutex<Instant>,
}

/// How far the feed was followed.
#[derive(Debug)]
struct Seen {
    /// The last change, and its number.
    last: Option<(i64, Changed)>,
    /// Numbers that were skipped, and since when that is known.
    skipped: BTreeMap<i64, Instant>,
    /// The last look's number, and how it ended.
    look: u64,
    ended: Result<()>,
}

impl Feed {
    /// Follows from here on.
    pub async fn begin(
        reads: Reads,
        marks: Arc<Marks>,
        notes: Arc<Notes>,
        away: Duration,
    ) -> Result<Self> {
        let looked = Instant::now();
        let seen = Seen::begin(&reads, looked).await?;
        Ok(Self {
            reads,
            marks,
            notes,
            away,
            begun: AtomicU64::new(0),
            seat: Seat::new(seen),
            looked: Mutex::new(looked),
        })
    }

    /// After this, what is in memory and holds is as it stands in the store now. One look is
    /// shared by all that wait for one when it begins.
    pub async fn look(&self) -> Result<()> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut seen = self.seat.lock().await;
        if seen.look > asked {
            return seen.ended.clone();
        }
        let look = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let began = Instant::now();
        let ended = match timeout(LOOK, self.follow(&mut seen, began)).await {
            Ok(ended) => ended,
            Err(_) => Err(Error::unavailable("a look at the feed takes too long")),
        };
        if ended.is_ok() {
            *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = began;
        }
        // Not before: a look that is dropped half way was none.
        (seen.look, seen.ended) = (look, ended.clone());
        ended
    }

    /// How old what is in memory may be.
    pub fn freshness(&self) -> Freshness {
        match self.age() {
            age if age <= CURRENT => Freshness::Current,
            age if age <= self.away => Freshness::Stale,
            _ => Freshness::Lost,
        }
    }

    fn age(&self) -> Duration {
        self.looked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    async fn follow(&self, seen: &mut Seen, now: Instant) -> Result<()> {
        let then = self.marks.now();
        loop {
            let skipped: Vec<_> = seen.skipped.keys().copied().collect();
            let from = seen.last.as_ref().map_or(0, |(last, _)| *last);
            let changes = self.reads.changes(from, &skipped, AT_ONCE as u64).await?;
            if self.age() > LOST || !seen.goes_on_in(&changes) {
                return self.begin_anew(seen, now).await;
            }
            let all = changes.len() < AT_ONCE;
            let changed: Vec<_> = changes.iter().map(|(_, changed)| changed.clone()).collect();
            self.notes.changed(&changed);
            self.marks.mark(&seen.new_in(&changes));
            seen.saw(changes, now);
            if all {
                break;
            }
        }
        self.notes.known(then);
        Ok(())
    }

    /// What was missed may be anything.
    async fn begin_anew(&self, seen: &mut Seen, now: Instant) -> Result<()> {
        let look = seen.look;
        *seen = Seen::begin(&self.reads, now).await?;
        seen.look = look;
        self.notes.forget();
        self.marks.mark(&[Changed::Everything]);
        Ok(())
    }
}

impl Seen {
    /// What is committed is seen; what is not yet is a gap.
    async fn begin(reads: &Reads, now: Instant) -> Result<Self> {
        let latest = reads.latest_change().await?;
        let first = latest.map_or(0, |(last, _)| last - BACK);
        let changes = reads.changes(first, &[], AT_ONCE as u64).await?;
        let mut seen = Self {
            last: None,
            skipped: BTreeMap::new(),
            look: 0,
            ended: Ok(()),
        };
        seen.saw(changes, now);
        Ok(seen)
    }

    /// Whether the last change is still there. If not, more may have gone: the store was set
    /// back, or was not looked at for so long that changes were forgotten.
    fn goes_on_in(&self, changes: &[(i64, Changed)]) -> bool {
        self.last.as_ref().is_none_or(|last| changes.contains(last))
    }

    /// What of this was not seen before.
    fn new_in(&self, changes: &[(i64, Changed)]) -> Vec<Changed> {
        let new = changes
            .iter()
            .filter(|change| Some(*change) != self.last.as_ref());
        new.map(|(_, changed)| changed.clone()).collect()
    }

    /// Takes note of changes, in the order of their numbers.
    fn saw(&mut self, changes: Vec<(i64, Changed)>, now: Instant) {
        for (number, changed) in changes {
            self.skipped.remove(&number);
            let last = self.last.as_ref().map_or(0, |(last, _)| *last);
            if number > last {
                // A leap of the sequence: what is further back than that is given up.
                let back = self.last.as_ref().map_or(BACK, |_| LEAP);
                let first = (last + 1).max(number - back);
                self.skipped.extend((first..number).map(|gap| (gap, now)));
                self.last = Some((number, changed));
            }
        }
        self.skipped.retain(|_, since| now - *since < LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: i64) -> (i64, Changed) {
        (number, Changed::Merchant(number.to_string()))
    }

    fn changes(numbers: &[i64]) -> Vec<(i64, Changed)> {
        numbers.iter().copied().map(change).collect()
    }

    fn seen(last: i64) -> Seen {
        Seen {
            last: Some(change(last)),
            skipped: BTreeMap::new(),
            look: 0,
            ended: Ok(()),
        }
    }

    fn gaps(seen: &Seen) -> Vec<i64> {
        seen.skipped.keys().copied().collect()
    }

    #[test]
    fn what_is_skipped_is_asked_for_until_it_comes_or_is_too_old() {
        let (mut seen, now) = (seen(10), Instant::now());
        seen.saw(changes(&[11, 14]), now);
        assert_eq!((&seen.last, gaps(&seen)), (&Some(change(14)), vec![12, 13]));
        seen.saw(changes(&[13, 14, 15]), now + LONGEST / 2);
        assert_eq!((&seen.last, gaps(&seen)), (&Some(change(15)), vec![12]));
        seen.saw(Vec::new(), now + LONGEST);
        assert_eq!(gaps(&seen), Vec::<i64>::new());
    }

    #[test]
    fn a_leap_of_the_sequence_is_no_endless_gap() {
        let mut seen = seen(10);
        seen.saw(changes(&[1_000_000_000]), Instant::now());
        assert_eq!(gaps(&seen).len(), 2_000);
    }

    #[test]
    fn a_feed_that_was_set_back_or_forgotten_does_not_go_on() {
        let seen = seen(10);
        assert!(seen.goes_on_in(&changes(&[7, 10, 11])));
        assert_eq!(seen.new_in(&changes(&[7, 10])), [change(7).1]);
        assert!(!seen.goes_on_in(&changes(&[12])));
        assert!(!seen.goes_on_in(&[(10, Changed::Everything)]));
    }
}
