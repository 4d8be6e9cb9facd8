//! What came of taps: WeCom's callbacks are worked off, and what they missed is pulled. Both
//! write under one lease, in transactions that lock it: nothing is counted twice.

mod pull;
mod recorder;

use std::{collections::BTreeMap, time::Duration};

use self::recorder::Recorder;
use super::{App, Error, Result};
use crate::{
    domain::{
        ContactEvent, EventKind, Micros, Unattributed,
        contact_event::{Event, Source},
    },
    store::{Callback, Of, Tx},
};

/// Callbacks of one transaction.
const BATCH: u64 = 200;
/// How often a callback that does not read, or whose work fails, is tried: a key may be missing
/// for a while.
const TRIES: i32 = 16;
/// The longest pause before something is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The lease's name.
const LEASE: &str = "contacts";

/// New events by what they are.
pub type Tally = BTreeMap<(EventKind, Source, Option<Unattributed>), u64>;

/// What one batch came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worked {
    /// Whether more may be waiting.
    pub more: bool,
    pub events: Tally,
    /// Callbacks that never read, or whose work never went, and are given up.
    pub given_up: u64,
}

impl App {
    /// Events of a merchant or a corp, the latest learned of first, from before this number.
    pub async fn contact_events(
        &self,
        of: Of<'_>,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<ContactEvent>> {
        let reads = self.store.reads();
        Ok(reads.contact_events_page(of, before, limit).await?)
    }

    /// Works off a batch of callbacks, if any are due and no other replica does.
    pub async fn work_off(&self, holder: &str) -> Result<Worked> {
        let now = self.ambient.now();
        let due = self.store.reads().due_callbacks(now, 1).await?;
        if due.is_empty() || !self.lead_contacts(holder).await? {
            return Ok(Worked::default());
        }
        match self.work_off_due(holder, BATCH).await {
            Err(error) if is_poison(&error) => self.work_off_singly(holder).await,
            worked => worked,
        }
    }

    /// Leaves the work to another replica.
    pub async fn leave_contacts(&self, holder: &str) -> Result<()> {
        Ok(self.store.release_lease(LEASE, holder).await?)
    }

    /// Takes or renews the lease; whether it is one's own.
    async fn lead_contacts(&self, holder: &str) -> Result<bool> {
        let now = self.ambient.now();
        let until = now + self.rules.lease;
        Ok(self.store.take_lease(LEASE, holder, now, until).await?)
    }

    /// A transaction in which nobody else writes what is known of contacts; `None`: another
    /// replica took over.
    async fn begin_contacts(&self, holder: &str) -> Result<Option<Tx>> {
        let tx = self.store.begin().await?;
        let held = tx.hold_lease(LEASE, holder, self.ambient.now()).await?;
        Ok(held.then_some(tx))
    }

    /// All of the next `limit`, or none.
    async fn work_off_due(&self, holder: &str, limit: u64) -> Result<Worked> {
        let Some(tx) = self.begin_contacts(holder).await? else {
            return Ok(Worked::default());
        };
        let now = self.ambient.now();
        let batch = tx.due_callbacks(now, limit).await?;
        let mut recorder = Recorder::new(self, &tx, now);
        let (mut done, mut given_up) = (Vec::new(), 0);
        for callback in &batch {
            match self.notice(callback) {
                Ok(notice) => recorder.called_back(callback.corp_no, &notice).await?,
                Err(error) => {
                    given_up += u64::from(put_off(&tx, callback, &error, now).await?);
                    continue;
                }
            }
            done.push(callback.no);
        }
        let events = recorder.finish().await?;
        tx.callbacks_done(&done).await?;
        tx.commit().await?;
        Ok(Worked {
            more: batch.len() as u64 == limit,
            events,
            given_up,
        })
    }

    /// One by one, so that the one which does not go keeps none of the others.
    async fn work_off_singly(&self, holder: &str) -> Result<Worked> {
        let mut all = Worked::default();
        for _ in 0..BATCH {
            let worked = match self.work_off_due(holder, 1).await {
                Err(error) if is_poison(&error) => {
                    all.given_up += self.put_off_first(holder, &error).await?;
                    continue;
                }
                worked => worked?,
            };
            for (what, number) in worked.events {
                *all.events.entry(what).or_default() += number;
            }
            all.given_up += worked.given_up;
            all.more = worked.more;
            if !worked.more {
                break;
            }
        }
        Ok(all)
    }

    /// The first that is due is the one that did not go; how many are given up.
    async fn put_off_first(&self, holder: &str, error: &Error) -> Result<u64> {
        let Some(tx) = self.begin_contacts(holder).await? else {
            return Ok(0);
        };
        let (now, mut given_up) = (self.ambient.now(), 0);
        for callback in tx.due_callbacks(now, 1).await? {
            given_up += u64::from(put_off(&tx, &callback, error, now).await?);
        }
        tx.commit().await?;
        Ok(given_up)
    }
}

/// Until it was tried often enough: then it is over, and what it said is gone; whether it is.
async fn put_off(tx: &Tx, callback: &Callback, error: &Error, now: Micros) -> Result<bool> {
    let (no, attempts) = (callback.no, callback.attempts);
    if attempts + 1 >= TRIES {
        tracing::error!(callback = no, attempts, %error, "a callback is given up");
        tx.callbacks_done(&[no]).await?;
        return Ok(true);
    }
    tracing::warn!(callback = no, attempts, %error, "a callback is put off");
    let pause = Duration::from_secs(1 << attempts.clamp(0, 16)).min(LONGEST_PAUSE);
    tx.callback_later(no, now + pause).await?;
    Ok(false)
}

/// Whether trying again at once would meet the same.
fn is_poison(error: &Error) -> bool {
    match error {
        Error::Store(error) => !error.is_conflict() && !error.is_unavailable(),
        Error::Refused(_) | Error::Bug(_) => true,
    }
}

fn count(tally: &mut Tally, event: &Event) {
    let what = (
        event.kind,
        event.source,
        event.credit.as_ref().err().copied(),
    );
    *tally.entry(what).or_default() += 1;
}
