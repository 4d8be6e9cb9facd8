//! Taps that are to be recorded: all that wait are written in one transaction, by a loop of the
//! server, so that a caller who goes away breaks nothing off.

use std::{
    mem, slice,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{App, Result, events::Touches};
use crate::{
    domain::{Event, Telling},
    store,
};

/// Taps of one transaction.
const TOGETHER: usize = 256;
/// Taps that wait at most: while the store hangs, more are opened and not recorded.
const WAITING: usize = 10_000;
/// How long a transaction may take: it has no caller's deadline.
const LONGEST: Duration = Duration::from_secs(10);

/// Taps that wait.
#[derive(Debug, Default)]
pub struct TapLog {
    waiting: Mutex<Vec<Waiting>>,
    came: Notify,
}

/// A tap, and what is told of it outward.
type Tapped = (Event, Option<Telling>);

#[derive(Debug)]
struct Waiting {
    tapped: Tapped,
    told: oneshot::Sender<store::Result<()>>,
}

impl TapLog {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, tap: Waiting) -> store::Result<()> {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING {
            return Err(store::Error::unavailable("too many taps wait"));
        }
        waiting.push(tap);
        self.came.notify_one();
        Ok(())
    }

    /// The next ones, be it that nobody waits any more: they were tapped.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        if waiting.len() <= TOGETHER {
            return mem::take(&mut *waiting);
        }
        waiting.drain(..TOGETHER).collect()
    }
}

impl App {
    /// Records a tap, once however often it is told of; after this it is durable.
    pub(super) async fn log_tap(&self, tap: Event, telling: Option<Telling>) -> Result<()> {
        let (told, written) = oneshot::channel();
        self.taps.wait(Waiting {
            tapped: (tap, telling),
            told,
        })?;
        let over = || store::Error::unavailable("taps are no longer written");
        Ok(written.await.map_err(|_| over())??)
    }

    /// Writes taps as they come, for as long as it is polled.
    pub async fn write_taps(&self) {
        loop {
            self.taps.came.notified().await;
            loop {
                let waiting = self.taps.take();
                if waiting.is_empty() {
                    break;
                }
                self.write_together(waiting).await;
            }
        }
    }

    async fn write_together(&self, waiting: Vec<Waiting>) {
        let (tapped, told): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .map(|waiting| (waiting.tapped, waiting.told))
            .unzip();
        let written = self.save_in_time(&tapped).await;
        // What cannot be written must not take others with it.
        if tapped.len() > 1 && written.as_ref().is_err_and(|e| !e.is_unavailable()) {
            let mut away = None;
            for (tapped, told) in tapped.iter().zip(told) {
                let saved = match &away {
                    None => self.save_in_time(slice::from_ref(tapped)).await,
                    Some(away) => Err(store::Error::clone(away)),
                };
                // Then the next would only wait for as long.
                away = saved.clone().err().filter(store::Error::is_unavailable);
                let _ = told.send(saved);
            }
            return;
        }
        for told in told {
            // Who no longer waits need not know.
            let _ = told.send(written.clone());
        }
    }

    async fn save_in_time(&self, tapped: &[Tapped]) -> store::Result<()> {
        let long = || store::Error::unavailable("taps took too long to write");
        let saved = timeout(LONGEST, self.save_taps(tapped)).await;
        saved.unwrap_or_else(|_| Err(long()))
    }

    async fn save_taps(&self, tapped: &[Tapped]) -> store::Result<()> {
        let now = self.ambient.now();
        let tx = self.store.begin().await?;
        // The id of a tap is its token's, whichever day it is opened on.
        let taps = tapped.iter().map(|(tap, _)| tap);
        let mut seen = tx.known_taps(taps, self.rules.served_ttl).await?;
        let mut touches = Touches::default();
        let (mut new, mut told) = (Vec::new(), Vec::new());
        for (tap, telling) in tapped {
            if !seen.insert(tap.id) {
                continue;
            }
            if let Some(viewer) = tap.viewer.filter(|_| !tap.bot) {
                touches.add(&tap.merchant, viewer, tap.time);
            }
            new.push(tap);
            told.extend(telling.clone());
        }
        if new.is_empty() {
            return Ok(());
        }
        let wanted = new.len() as u64;
        if tx.insert_events(new, now).await? < wanted {
            // Another replica was faster with one; which one is seen the next time.
            return Err(store::Error::conflict("a tap was recorded elsewhere"));
        }
        touches.queue(&tx, now).await?;
        tx.tell(told).await?;
        tx.commit().await
    }
}
