//! What is told outward goes to a stream of NATS, on one replica at a time: at least once, and
//! again after any doubt. NATS may lose what it has acknowledged, so what was told is kept for as
//! long as the stream keeps it; a stream that went back, or is another, is told all of it again.

use std::time::Duration;

use tokio::time::Instant;

use super::{App, Error, Result};
use crate::{
    domain::{Micros, time::before},
    events::{self, Ack, CloudEvent, Seen, Stream},
    store::{self, Stands, StreamNote, Tx, Waiting},
};

/// The lease's name.
const LEASE: &str = "outbox";
/// Events of one round.
const BATCH: u64 = 1000;
/// Rows that are changed in one transaction.
const STEP: u64 = 5000;
/// Between two looks at a stream that nothing is told to.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where it goes, as far as it is known here.
#[derive(Debug)]
pub struct Outlet {
    options: events::Options,
    stream: Option<Stream>,
    looked: Option<Instant>,
}

/// What one round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub events: u64,
    /// The stream lost some, and is told all that is kept again.
    pub again: bool,
    /// Whether more may be waiting.
    pub more: bool,
}

/// Why nothing was told.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
    #[error(transparent)]
    Here(#[from] Error),
    #[error(transparent)]
    Away(#[from] events::Error),
}

impl From<store::Error> for Untold {
    fn from(error: store::Error) -> Self {
        Self::Here(error.into())
    }
}

impl Outlet {
    pub fn new(options: events::Options) -> Self {
        Self {
            options,
            stream: None,
            looked: None,
        }
    }

    /// Whether the stream was not looked at for long.
    fn is_due(&self) -> bool {
        self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY)
    }

    async fn stream(&mut self) -> events::Result<&Stream> {
        self.looked = Some(Instant::now());
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::open(&self.options).await?,
        };
        Ok(self.stream.insert(stream))
    }
}

impl App {
    /// Tells what waits, if this replica leads.
    pub async fn tell_outward(&self, holder: &str, outlet: &mut Outlet) -> Result<Told, Untold> {
        let reads = self.store.reads();
        if reads.outbox_waiting(1).await?.is_empty() && !outlet.is_due() {
            return Ok(Told::default());
        }
        let now = self.ambient.now();
        let until = now + self.rules.lease;
        if !self.store.take_lease(LEASE, holder, now, until).await? {
            return Ok(Told::default());
        }
        let told = self.tell_to(outlet.stream().await?, holder).await;
        if let Err(Untold::Away(_)) = &told {
            // The next round begins with a new connection.
            outlet.stream = None;
        }
        told
    }

    /// Leaves the telling to another replica.
    pub async fn leave_outbox(&self, holder: &str) -> Result<()> {
        Ok(self.store.release_lease(LEASE, holder).await?)
    }

    /// How much waits.
    pub async fn outbox_stands(&self) -> Result<Stands> {
        Ok(self.store.reads().outbox_stands().await?)
    }

    async fn tell_to(&self, stream: &Stream, holder: &str) -> Result<Told, Untold> {
        let seen = stream.look().await?;
        let note = self.store.stream_note().await?;
        let mut told = Told::default();
        if note.is_some_and(|note| note.made != seen.made || note.last > seen.last) {
            told.again = self.tell_again(holder, &seen).await?;
        }
        let waiting = self.store.reads().outbox_waiting(BATCH).await?;
        if waiting.is_empty() {
            return Ok(told);
        }
        let source = self.ambient.uuid().to_string();
        let source = self.store.outbox_source(&source).await?;
        let acks = stream.publish(&cloud_events(&waiting, &source)?).await?;
        if went_back(&acks, &seen) {
            told.again = self.tell_again(holder, &seen).await?;
            told.more = true;
            return Ok(told);
        }
        let last = acks.iter().map(|ack| ack.number).fold(seen.last, u64::max);
        let note = StreamNote {
            made: seen.made,
            last,
        };
        let Some(tx) = self.begin_telling(holder).await? else {
            return Ok(told);
        };
        let nos: Vec<_> = waiting.iter().map(|waiting| waiting.no).collect();
        tx.outbox_published(&nos, self.ambient.now()).await?;
        tx.note_stream(&note).await?;
        tx.commit().await?;
        told.events = nos.len() as u64;
        told.more = told.events == BATCH;
        Ok(told)
    }

    /// Has all that is kept told again, to the stream as it is now; whether this replica still
    /// leads. Cut off in between, it is done again: until the end the note fits no stream.
    async fn tell_again(&self, holder: &str, seen: &Seen) -> Result<bool> {
        let mut note = StreamNote::default();
        loop {
            let Some(tx) = self.begin_telling(holder).await? else {
                return Ok(false);
            };
            tx.note_stream(&note).await?;
            if !note.made.is_empty() {
                tx.commit().await?;
                return Ok(true);
            }
            if tx.tell_again(STEP).await? < STEP {
                note.made.clone_from(&seen.made);
            }
            tx.commit().await?;
            self.store.give_way().await;
            let now = self.ambient.now();
            let until = now + self.rules.lease;
            self.store.take_lease(LEASE, holder, now, until).await?;
        }
    }

    /// A transaction in which nobody else marks what was told; `None`: another replica took over.
    async fn begin_telling(&self, holder: &str) -> Result<Option<Tx>> {
        let tx = self.store.begin().await?;
        let held = tx.hold_lease(LEASE, holder, self.ambient.now()).await?;
        Ok(held.then_some(tx))
    }

    /// Forgets what was told and is kept no longer, a few at a time.
    pub(super) async fn forget_outbox(&self, now: Micros) -> Result<()> {
        let keep = before(now, self.rules.keep_outbox);
        loop {
            let tx = self.store.begin().await?;
            let forgotten = tx.forget_outbox(keep, STEP).await?;
            tx.commit().await?;
            if forgotten < STEP {
                return Ok(());
            }
        }
    }
}

/// Whether the stream gives numbers that it had given before: what had them is lost.
fn went_back(acks: &[Ack], seen: &Seen) -> bool {
    acks.iter().any(|ack| !ack.again && ack.number <= seen.last)
}

/// The id holds the time, too: in a database that was set back numbers come again.
fn cloud_events<'a>(waiting: &'a [Waiting], source: &str) -> Result<Vec<CloudEvent<'a>>> {
    let events = waiting.iter().map(|waiting| {
        Ok(CloudEvent {
            id: format!("{source}-{}-{}", waiting.no, waiting.time.0),
            source: format!("/mingpian/{source}"),
            kind: waiting.kind.as_str(),
            subject: &waiting.subject,
            time: waiting.time.to_string(),
            sequence: waiting.no,
            data: serde_json::from_str(&waiting.data).map_err(Error::bug)?,
        })
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_before_shows_a_loss_and_a_repeated_message_does_not() {
        let seen = Seen {
            made: "1".to_owned(),
            last: 7,
        };
        let acks = |acks: &[(u64, bool)]| {
            let ack = |&(number, again)| Ack { number, again };
            acks.iter().map(ack).collect::<Vec<_>>()
        };
        assert!(!went_back(
            &acks(&[(3, true), (8, false), (9, false)]),
            &seen
        ));
        assert!(went_back(&acks(&[(7, false), (8, false)]), &seen));
    }
}
