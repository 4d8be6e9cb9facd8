//! Who met an experiment: noted in memory as cards are served, and written a moment later, so
//! that serving waits for no write. What a crash loses is what it noted since the last write: at
//! most a second's, of both arms alike, and who comes again is noted again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;

use super::{App, Result};
use crate::{
    domain::{Arm, Micros},
    store::{self, Exposure},
};

/// Who is remembered here as noted: 8 MiB of them.
const REMEMBERED: usize = 1 << 20;
/// Notes that wait at most; while the store is away for long, the rest is lost to the experiment.
const WAITING: usize = 1_000_000;
/// Notes of one transaction. They lie far apart, and a commit writes each page that they touch: on
/// SQLite 16,000 together take 0.6 of what they take 5,000 at a time.
const WRITTEN: usize = 16_000;
/// How long a transaction may take: it has no caller's deadline.
const LONGEST: Duration = Duration::from_secs(10);

/// What was noted here.
#[derive(Debug)]
pub struct Exposures {
    known: Known,
    waiting: Mutex<Vec<Exposure>>,
    /// Notes of the next transaction: fewer, after one that failed.
    next: AtomicUsize,
}

impl Default for Exposures {
    fn default() -> Self {
        Self {
            known: Known::new(REMEMBERED / WAYS),
            waiting: Mutex::default(),
            next: AtomicUsize::new(WRITTEN),
        }
    }
}

impl Exposures {
    /// Notes that a viewer meets an experiment now.
    pub fn note(&self, experiment_no: i64, viewer: u64, arm: Arm, now: Micros) {
        let mark = mark(experiment_no, viewer, arm);
        if self.known.has(mark) {
            return;
        }
        let mut waiting = self.lock();
        if waiting.len() < WAITING {
            self.known.add(mark);
            waiting.push(Exposure {
                experiment_no,
                viewer,
                arm,
                time: now,
            });
        }
    }

    /// Takes out some of what waits.
    fn take(&self) -> Vec<Exposure> {
        let mut waiting = self.lock();
        let some = waiting.len().min(self.next.load(Ordering::Relaxed));
        waiting.drain(..some).collect()
    }

    /// What could not be written waits again.
    fn put_back(&self, mut exposures: Vec<Exposure>) {
        let mut waiting = self.lock();
        exposures.append(&mut waiting);
        *waiting = exposures;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exposure>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks of one set: a line of a processor's cache.
const WAYS: usize = 8;

/// Marks that were seen, as many as there is room for, and maybe forgotten for others: who is noted
/// again is written once all the same. It is asked of each item of each answer; a cache that kept its
/// keys took a tenth of a page of capsules.
#[derive(Debug)]
struct Known {
    sets: Box<[Set]>,
    /// Which way of a full set is given away next.
    next: AtomicUsize,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

impl Known {
    fn new(sets: usize) -> Self {
        Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    fn has(&self, mark: u64) -> bool {
        let set = &self.set(mark).0;
        set.iter().any(|way| way.load(Ordering::Relaxed) == mark)
    }

    /// In an empty place of its set, or in that of another.
    fn add(&self, mark: u64) {
        let set = &self.set(mark).0;
        let empty = set.iter().position(|way| way.load(Ordering::Relaxed) == 0);
        let way = empty.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed) % WAYS);
        set[way].store(mark, Ordering::Relaxed);
    }

    /// By the upper half of the mark.
    fn set(&self, mark: u64) -> &Set {
        let scaled = ((mark >> 32) * self.sets.len() as u64) >> 32;
        &self.sets[usize::try_from(scaled).unwrap_or_default()]
    }
}

/// Stands for a viewer on a side of an experiment. Viewers are keyed hashes already, so two of them
/// share a mark once in 2^64 times; and nobody's is that of an empty place.
fn mark(experiment_no: i64, viewer: u64, arm: Arm) -> u64 {
    let side = experiment_no.cast_unsigned().wrapping_mul(4) + arm as u64;
    (viewer ^ side.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1)
}

impl App {
    /// Writes what was noted; how much.
    pub async fn write_exposures(&self) -> Result<usize> {
        let mut written = 0;
        loop {
            let some = in_order(self.exposures.take());
            if some.is_empty() {
                return Ok(written);
            }
            match self.save_exposures(&some).await {
                Ok(()) => {
                    written += some.len();
                    self.exposures.next.store(WRITTEN, Ordering::Relaxed);
                }
                Err(error) => {
                    let fewer = (some.len() / 2).max(1);
                    self.exposures.next.store(fewer, Ordering::Relaxed);
                    self.exposures.put_back(some);
                    return Err(error);
                }
            }
        }
    }

    async fn save_exposures(&self, exposures: &[Exposure]) -> Result<()> {
        let save = async {
            let tx = self.store.begin().await?;
            tx.insert_exposures(exposures).await?;
            tx.commit().await
        };
        let long = || store::Error::unavailable("exposures took too long to write");
        let saved = timeout(LONGEST, save).await;
        Ok(saved.unwrap_or_else(|_| Err(long()))?)
    }
}

/// In the order of their keys, so that two replicas do not wait for each other; each key once, for
/// a statement cannot change a row twice.
fn in_order(mut exposures: Vec<Exposure>) -> Vec<Exposure> {
    exposures.sort_unstable();
    exposures.dedup_by_key(|one| (one.experiment_no, one.viewer, one.arm));
    exposures
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;

    #[test]
    fn who_is_known_is_not_noted_again_on_the_same_side_of_the_same_experiment() {
        let exposures = Exposures::default();
        for (experiment_no, viewer, arm) in [
            (1, 7, Arm::Treated),
            (1, 7, Arm::Treated),
            (1, 7, Arm::HeldOut),
            (2, 7, Arm::Treated),
            (1, 8, Arm::Treated),
            (2, 7, Arm::Treated),
        ] {
            exposures.note(experiment_no, viewer, arm, Micros(0));
        }
        assert_eq!(exposures.take().len(), 4);
        assert!(exposures.take().is_empty());
    }

    #[test]
    fn nearly_all_of_half_as_many_as_there_is_room_for_are_remembered() {
        let known = Known::new(1 << 10);
        let marks = |from: u64| {
            (from..from + (1 << 12)).map(|n| {
                let mut viewer = DefaultHasher::new();
                n.hash(&mut viewer);
                mark(3, viewer.finish(), Arm::Treated)
            })
        };
        marks(0).for_each(|mark| known.add(mark));
        let remembered = marks(0).filter(|mark| known.has(*mark)).count();
        assert!(remembered > 4_000, "{remembered}");
        assert_eq!(marks(1 << 12).filter(|mark| known.has(*mark)).count(), 0);
    }

    #[test]
    fn who_is_noted_again_before_it_is_written_is_written_once_by_the_first_time() {
        let of = |viewer, time| Exposure {
            experiment_no: 1,
            viewer,
            arm: Arm::Treated,
            time: Micros(time),
        };
        let ready = in_order(vec![of(2, 5), of(1, 9), of(2, 3), of(1, 9)]);
        assert_eq!(ready, [of(1, 9), of(2, 3)]);
    }
}
