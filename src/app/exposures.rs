//! Who met an experiment: noted in memory as cards are served, and written a moment later, so
//! that serving waits for no write. What a crash loses is what it noted since the last write: at
//! most a second's, of both arms alike, and who comes again is noted again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::time::timeout;

use super::{App, Result};
use crate::{
    domain::{Arm, Micros},
    store::{self, Exposure},
};

/// Viewers of whom it is remembered here that they were noted.
const REMEMBERED: usize = 200_000;
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
    known: Cache<(i64, u64, Arm), ()>,
    waiting: Mutex<Vec<Exposure>>,
}

impl Default for Exposures {
    fn default() -> Self {
        Self {
            known: Cache::new(REMEMBERED),
            waiting: Mutex::default(),
        }
    }
}

impl Exposures {
    /// Notes that a viewer meets an experiment now.
    pub fn note(&self, experiment_no: i64, viewer: u64, arm: Arm, now: Micros) {
        let key = (experiment_no, viewer, arm);
        if self.known.contains_key(&key) {
            return;
        }
        let mut waiting = self.lock();
        if waiting.len() < WAITING {
            self.known.insert(key, ());
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
        let some = waiting.len().min(WRITTEN);
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
                Ok(()) => written += some.len(),
                Err(error) => {
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
    use super::*;

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
