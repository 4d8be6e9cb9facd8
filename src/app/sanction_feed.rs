//! Watching sanctions: a look at the store for all that watch here, and a place in the feed for
//! each.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{App, Principal, Result};
use crate::domain::{Micros, Reason, Refusal, Sanction, SanctionKind};

/// Streams at once on one replica.
const SEATS: usize = 64;
/// Changes read at once; the longest are 32 KiB each.
const MOST: usize = 100;
/// The longest silence of a stream.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Tells those that watch here how far the feed has come.
#[derive(Debug)]
pub struct SanctionFeed {
    /// The last change that was seen; `None` once this replica ends.
    latest: watch::Sender<Option<i64>>,
    seats: Arc<Semaphore>,
}

impl Default for SanctionFeed {
    fn default() -> Self {
        Self {
            latest: watch::Sender::new(Some(0)),
            seats: Arc::new(Semaphore::new(SEATS)),
        }
    }
}

/// Changes, in order, and how far they go.
#[derive(Debug)]
pub struct Batch {
    /// Each with its revision, and as the sanction then read; none in a sign of life.
    pub changes: Vec<(i64, Sanction)>,
    /// To go on after.
    pub revision: i64,
}

impl App {
    /// Looks whether the feed went on, if somebody watches here.
    pub async fn look_at_sanctions(&self) -> Result<()> {
        if self.sanctions.latest.receiver_count() == 0 {
            return Ok(());
        }
        let last = self.store.reads().last_sanction_change().await?;
        let news = |latest: &mut Option<i64>| {
            let news = latest.is_some_and(|known| known < last);
            if news {
                *latest = Some(last);
            }
            news
        };
        self.sanctions.latest.send_if_modified(news);
        Ok(())
    }

    /// Those that watch here are sent elsewhere.
    pub fn end_sanction_feed(&self) {
        self.sanctions.latest.send_replace(None);
    }

    /// Every change after `revision`, and on as they come, for as long as the caller's token is
    /// accepted; of these kinds, or of all where there are none.
    pub async fn watch_sanctions(
        &self,
        caller: &Principal,
        revision: i64,
        kinds: Vec<SanctionKind>,
    ) -> Result<impl Stream<Item = Result<Batch>> + Send + use<>> {
        let seat = self.sanctions.seats.clone().try_acquire_owned();
        let seat = seat.map_err(|_| full())?;
        // From another store, or of one that was set back: its changes would be missed.
        if !(0..=self.store.reads().last_sanction_change().await?).contains(&revision) {
            let rule = "must be one that a list or a stream gave; list sanctions again";
            return Err(Refusal::field("revision", rule).into());
        }
        let watcher = Watcher {
            _seat: seat,
            latest: self.sanctions.latest.subscribe(),
            app: self.clone(),
            ends: caller.ends,
            kinds,
            revision,
        };
        Ok(stream::try_unfold(watcher, |mut watcher| async {
            let batch = watcher.next().await?;
            Ok(Some((batch, watcher)))
        }))
    }
}

/// One stream.
struct Watcher {
    app: App,
    /// When the caller's token does.
    ends: Option<Micros>,
    kinds: Vec<SanctionKind>,
    /// Up to here all was sent.
    revision: i64,
    latest: watch::Receiver<Option<i64>>,
    _seat: OwnedSemaphorePermit,
}

impl Watcher {
    async fn next(&mut self) -> Result<Batch> {
        loop {
            let Some(latest) = *self.latest.borrow_and_update() else {
                return Err(ending().into());
            };
            let left = self.left().ok_or_else(ended)?;
            let changes = self.changes().await?;
            if let Some((last, _)) = changes.last() {
                self.revision = *last;
                return Ok(self.batch(changes));
            }
            // Nothing of these kinds up to there.
            self.revision = self.revision.max(latest);
            let news = timeout(left.min(SIGN_OF_LIFE), self.latest.changed()).await;
            if news.is_err() {
                return Ok(self.batch(Vec::new()));
            }
        }
    }

    /// How long the stream may go on.
    fn left(&self) -> Option<Duration> {
        let Some(ends) = self.ends else {
            return Some(Duration::MAX);
        };
        let left = ends.0 - self.app.ambient.now().0;
        let left = u64::try_from(left).ok().filter(|left| *left > 0);
        left.map(Duration::from_micros)
    }

    async fn changes(&self) -> Result<Vec<(i64, Sanction)>> {
        let reads = self.app.store.reads();
        let changes = reads.sanction_changes(self.revision, &self.kinds, MOST as u64);
        Ok(changes.await?)
    }

    fn batch(&self, changes: Vec<(i64, Sanction)>) -> Batch {
        Batch {
            changes,
            revision: self.revision,
        }
    }
}

fn full() -> Refusal {
    Refusal::new(
        Reason::QuotaExhausted,
        format!("{SEATS} watch at this replica already; ask another, or let several share one"),
    )
    .with("limit", SEATS.to_string())
}

fn ending() -> Refusal {
    Refusal::new(
        Reason::ShuttingDown,
        "this replica is shutting down; go on at another from the last revision",
    )
    .retry_after(Duration::from_secs(1))
}

fn ended() -> Refusal {
    Refusal::new(
        Reason::CredentialsInvalid,
        "the bearer token has ended; go on with a new one from the last revision",
    )
}
