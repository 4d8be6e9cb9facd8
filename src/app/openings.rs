//! T+1: when a run is due, and that one replica at a time makes it.

use std::time::Duration;

use super::{App, Result};
use crate::{
    domain::{Calendar, Micros, time::before},
    store::Run,
};

/// The lease's name.
const LEASE: &str = "openings";

impl App {
    /// Takes or renews the lease and, with it, makes a run if one is due.
    pub async fn run_openings(&self, holder: &str) -> Result<Option<Run>> {
        let now = self.ambient.now();
        let until = now + self.rules.lease;
        if !self.store.take_lease(LEASE, holder, now, until).await? || !self.due(now).await? {
            return Ok(None);
        }
        let tx = self.store.begin().await?;
        // Meanwhile it may have become another's: its row is what keeps two from running.
        if !tx.hold_lease(LEASE, holder, self.ambient.now()).await? {
            return Ok(None);
        }
        let run = tx.run_openings(&self.rules.calendar, now, holder).await?;
        tx.commit().await?;
        Ok(Some(run))
    }

    /// Leaves the runs to another replica.
    pub async fn leave_openings(&self, holder: &str) -> Result<()> {
        Ok(self.store.release_lease(LEASE, holder).await?)
    }

    async fn due(&self, now: Micros) -> Result<bool> {
        let reads = self.store.reads();
        let Some(last) = reads.last_run().await? else {
            return Ok(true);
        };
        let calendar = &self.rules.calendar;
        if calendar.zone.day(now) > last.day || waited(calendar, last.time, now) {
            return Ok(true);
        }
        let pause = self.rules.rerun;
        if now < last.time + pause {
            return Ok(false);
        }
        // What came shortly before the last run may have been under way when it looked.
        let news = reads.latest_news().await?;
        Ok(news.is_some_and(|news| news > before(last.time, pause)))
    }
}

/// Whether the wait for some day's figures ended between two moments.
fn waited(calendar: &Calendar, last: Micros, now: Micros) -> bool {
    const DAY: u64 = 24 * 60 * 60;
    // Days later than whole ones, the wait of each day ends at the same time of day.
    let rest = Duration::from_secs(calendar.closing_wait.as_secs() % DAY);
    let end = calendar.zone.start(calendar.zone.day(now)) + rest;
    last < end && end <= now
}
