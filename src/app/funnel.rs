//! The funnel: what is rolled up of raw events, and what is told of it.
//!
//! Who writes an event queues its viewer in the same transaction. One replica takes what is
//! queued, makes the windows of these viewers again from their events, and counts the difference
//! to what was counted before: in one transaction, so nothing is lost or counted twice, in
//! whatever order and however often events come.

mod rebuild;

use std::collections::BTreeMap;

use super::{App, Result};
use crate::{
    domain::{
        Merchant, Micros, Stage,
        funnel::{LONGEST, Reached, again},
        metric::{Metric, told},
        time::before,
    },
    store::{self, Basis, Counted, Queued, Scope, Stretch, Tally, Touched, Tx},
};

pub use rebuild::rebuild_funnel;

/// The lease's name.
const LEASE: &str = "funnel";
/// Batches of events in one transaction: others write between.
const BATCHES: u64 = 4;
/// Viewers looked up at once.
const VIEWERS: usize = 500;
/// Rows forgotten at once.
const FORGOTTEN: u64 = 5000;

/// What one round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolledUp {
    /// Viewers looked at.
    pub viewers: usize,
    /// Whether more waits.
    pub more: bool,
}

/// How many viewers reached each stage, row by row.
#[derive(Clone, Debug)]
pub struct Funnel {
    /// As many as there are stretches of time.
    pub rows: Vec<FunnelRow>,
    /// Everything acknowledged before is in.
    pub as_of: Micros,
}

/// One row. A number that is not told is `None`.
#[derive(Clone, Debug)]
pub struct FunnelRow {
    /// In the order of `Stage::ALL`.
    pub counts: Vec<(Stage, Option<i64>)>,
}

impl FunnelRow {
    /// Above and below a metric's line.
    pub fn figure(&self, metric: &Metric) -> (Option<i64>, Option<i64>) {
        let of = |stage| self.counts.iter().find(|(s, _)| *s == stage);
        let count = |stage| of(stage).and_then(|(_, count)| *count);
        (count(metric.numerator), count(metric.denominator))
    }
}

impl App {
    /// A merchant's funnel.
    pub async fn funnel(
        &self,
        merchant: &Merchant,
        scope: &Scope,
        stretch: Stretch,
        basis: Basis,
    ) -> Result<Funnel> {
        let now = self.ambient.now();
        let reads = self.store.reads();
        // Asked first: what is rolled up meanwhile only makes the figures better than they say.
        let waiting = reads.funnel_waits_since().await?;
        let called_back = reads.callbacks_wait_since().await?;
        let counts = reads.funnel(merchant, scope, stretch, basis).await?;
        let count = |row: i32, stage: Stage| {
            let count = counts.get(&(row, stage)).copied().unwrap_or(0);
            told(count, self.rules.withheld_under)
        };
        let rows = 0..(stretch.end - stretch.first) / stretch.hours;
        Ok(Funnel {
            rows: rows
                .map(|row| FunnelRow {
                    counts: Stage::ALL.iter().map(|s| (*s, count(row, *s))).collect(),
                })
                .collect(),
            as_of: [waiting, called_back]
                .into_iter()
                .flatten()
                .fold(now, Micros::min),
        })
    }

    /// Rolls up what waits, if this replica leads.
    pub async fn roll_up(&self, holder: &str) -> Result<RolledUp> {
        let now = self.ambient.now();
        if self.store.reads().funnel_waits_since().await?.is_none() {
            return Ok(RolledUp::default());
        }
        let until = now + self.rules.lease;
        if !self.store.take_lease(LEASE, holder, now, until).await? {
            return Ok(RolledUp::default());
        }
        let tx = self.store.begin().await?;
        if !tx.hold_lease(LEASE, holder, self.ambient.now()).await? {
            return Ok(RolledUp::default());
        }
        let queued = tx.queued_funnel(BATCHES).await?;
        let nos: Vec<_> = queued.iter().map(|batch| batch.no).collect();
        let touched = queued.into_iter().flat_map(readable).flatten();
        let mut round = Round::begin(&tx).await?;
        for (merchant, viewers) in by_merchant(touched) {
            round.merchant(&merchant, &viewers).await?;
        }
        let Round { tally, viewers, .. } = round;
        tx.count_viewers(&tally).await?;
        tx.funnel_done(&nos).await?;
        tx.commit().await?;
        Ok(RolledUp {
            viewers,
            more: nos.len() as u64 == BATCHES,
        })
    }

    /// Leaves the roll-ups to another replica.
    pub async fn leave_funnel(&self, holder: &str) -> Result<()> {
        Ok(self.store.release_lease(LEASE, holder).await?)
    }

    /// Makes room for the events of the days to come, and forgets those that are kept no longer
    /// with the windows that they alone could change.
    pub(super) async fn keep_events(&self, now: Micros) -> Result<()> {
        let tx = self.store.begin().await?;
        tx.make_event_days(now).await?;
        tx.commit().await?;
        let keep = before(now, self.rules.keep_events);
        loop {
            let tx = self.store.begin().await?;
            let forgotten = tx.forget_event_days(keep, FORGOTTEN).await?;
            let windows = before(keep, LONGEST);
            let closed = tx.forget_windows(windows, FORGOTTEN).await?;
            tx.commit().await?;
            if forgotten < FORGOTTEN && closed < FORGOTTEN {
                return Ok(());
            }
        }
    }
}

/// One that nobody can read must not keep the others waiting: its events are kept, so
/// `rebuild-funnel` counts them.
fn readable(batch: Queued) -> Option<Vec<Touched>> {
    if batch.touched.is_none() {
        let no = batch.no;
        tracing::error!(
            no,
            "a row of funnel_queue is broken: run `mingpian rebuild-funnel`"
        );
    }
    batch.touched
}

/// From when on the funnel of each viewer may be another.
fn by_merchant(
    touched: impl Iterator<Item = Touched>,
) -> BTreeMap<Merchant, BTreeMap<i64, Micros>> {
    let mut of: BTreeMap<Merchant, BTreeMap<i64, Micros>> = BTreeMap::new();
    for Touched { merchant, viewers } in touched {
        let of = of.entry(merchant).or_default();
        for (viewer, since) in viewers {
            let first = of.entry(viewer).or_insert(since);
            *first = (*first).min(since);
        }
    }
    of
}

/// One transaction's work.
struct Round<'a> {
    tx: &'a Tx,
    /// What opened before is counted for good: its events are gone.
    kept: Micros,
    tally: Tally,
    viewers: usize,
}

impl<'a> Round<'a> {
    async fn begin(tx: &'a Tx) -> store::Result<Self> {
        Ok(Self {
            tx,
            kept: tx.events_kept_from().await?,
            tally: Tally::new(),
            viewers: 0,
        })
    }
}

impl Round<'_> {
    async fn merchant(
        &mut self,
        merchant: &Merchant,
        viewers: &BTreeMap<i64, Micros>,
    ) -> store::Result<()> {
        let mut all: Vec<_> = viewers
            .iter()
            .map(|(viewer, since)| (*viewer, *since))
            .collect();
        // Those of whom only late things are known are not read from as early as others.
        all.sort_unstable_by_key(|(viewer, since)| (*since, *viewer));
        for some in all.chunks(VIEWERS) {
            self.some(merchant, some).await?;
        }
        self.viewers += all.len();
        Ok(())
    }

    async fn some(&mut self, merchant: &Merchant, viewers: &[(i64, Micros)]) -> store::Result<()> {
        let ids: Vec<_> = viewers.iter().map(|(viewer, _)| *viewer).collect();
        let since = viewers.iter().map(|(_, since)| *since).min();
        // Nothing that opened before can still be open.
        let since = before(since.unwrap_or_default(), LONGEST);
        let mut seen = self.tx.seen(merchant, &ids, since).await?;
        let mut counted = self.tx.reached(merchant, &ids, since).await?;
        let mut reached = Vec::new();
        for (viewer, since) in viewers {
            let was = counted.remove(viewer).unwrap_or_default();
            let seen = seen.remove(viewer).unwrap_or_default();
            let (was, is) = again(was, seen, *since, self.kept);
            for (key, gone) in &was {
                if !is.contains_key(key) {
                    self.tx.forget_reached(merchant, *viewer, *key).await?;
                }
                if is.get(key) != Some(gone) {
                    self.count(merchant, *key, gone, -1, Basis::BOTH);
                }
            }
            for (key, new) in is {
                if was.get(&key) != Some(&new) {
                    self.count(merchant, key, &new, 1, Basis::BOTH);
                    reached.push((*viewer, key, new));
                }
            }
        }
        self.tx.save_reached(merchant, &reached).await
    }

    fn count(
        &mut self,
        merchant: &Merchant,
        (opened, stage): (Micros, Stage),
        reached: &Reached,
        by: i64,
        bases: &[Basis],
    ) {
        for basis in bases {
            let time = match basis {
                Basis::Event => reached.time,
                Basis::Touch => opened,
            };
            let counted = Counted {
                merchant: merchant.clone(),
                basis: *basis,
                hour: time.hour(),
                stage,
                touch: reached.touch.clone(),
            };
            *self.tally.entry(counted).or_default() += by;
        }
    }
}
