//! What time removes: cards past their purge time, answers past theirs. Nothing waits for
//! it: both are treated as gone from that moment on.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{App, Result};
use crate::{
    domain::{Micros, time::before},
    store,
};

/// Cards looked up at once; each is purged in a transaction of its own.
const PAGE: u64 = 100;
/// Callbacks forgotten at once.
const CALLBACKS: u64 = 1000;
/// For so long, at least, it is known that a callback came in; one that comes again after twice
/// its age is too old to be taken.
const KEEP_CALLBACKS: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// How long changes are kept: a replica that has not looked for that long reads everything anew.
const KEEP_CHANGES: Duration = Duration::from_secs(60 * 60);

/// The latest change at each sweep of the last hour.
#[derive(Debug, Default)]
pub struct Latest(VecDeque<(Instant, i64)>);

impl App {
    /// Forgets changes that every replica has seen.
    pub async fn forget_changes(&self, latest: &mut Latest) -> Result<()> {
        let Some((last, _)) = self.store.reads().latest_change().await? else {
            return Ok(());
        };
        latest.0.push_back((Instant::now(), last));
        let mut old = None;
        while let Some((time, last)) = latest.0.front()
            && time.elapsed() >= KEEP_CHANGES
        {
            old = Some(*last);
            latest.0.pop_front();
        }
        if let Some(old) = old {
            self.store.forget_changes(old).await?;
        }
        Ok(())
    }

    /// Removes what has had its time; how many cards there were. A card that cannot be
    /// purged is left for the next sweep, and does not keep the others.
    pub async fn sweep(&self) -> Result<usize> {
        let now = self.ambient.now();
        let (mut purged, mut after) = (0, 0);
        loop {
            let page = self.store.reads().cards_to_purge(now, after, PAGE).await?;
            let Some(&last) = page.last() else { break };
            for no in page {
                purged += usize::from(self.purged(no, now).await?);
            }
            after = last;
        }
        let tx = self.store.begin().await?;
        tx.forget_answers(before(now, self.rules.keep_answers))
            .await?;
        tx.commit().await?;
        self.forget_callbacks(now).await?;
        self.forget_outbox(now).await?;
        // Days come and go where nobody reads or writes for a moment; if not now, then later.
        if let Err(error) = self.keep_events(now).await {
            tracing::info!(%error, "days of events are put off");
        }
        Ok(purged)
    }

    /// A few at a time, so that callbacks that come in have their turn in between.
    async fn forget_callbacks(&self, now: Micros) -> Result<()> {
        let keep = (2 * self.rules.callback_max_age).max(KEEP_CALLBACKS);
        loop {
            let tx = self.store.begin().await?;
            let forgotten = tx.forget_callbacks(before(now, keep), CALLBACKS).await?;
            tx.commit().await?;
            if forgotten < CALLBACKS {
                return Ok(());
            }
        }
    }

    /// Whether the card is gone now; an error only where the next card would meet it too.
    async fn purged(&self, no: i64, now: Micros) -> store::Result<bool> {
        match self.purge(no, now).await {
            Err(error) if error.is_unavailable() => Err(error),
            Err(error) if error.is_conflict() => {
                tracing::debug!(card = no, %error, "purge put off");
                Ok(false)
            }
            Err(error) => {
                tracing::error!(card = no, %error, "cannot be purged");
                Ok(false)
            }
            purged => purged,
        }
    }

    async fn purge(&self, no: i64, now: Micros) -> store::Result<bool> {
        let tx = self.store.begin().await?;
        let Some(card) = tx.lock_card_to_purge(no, now).await? else {
            return Ok(false);
        };
        tx.purge_card(&card, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}
