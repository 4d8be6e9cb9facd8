//! Ad spend coming in: a stream or a file, chunk by chunk, and days that are complete.

use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use super::{Ambient, App, Call, Result, write::Begin};
use crate::{
    domain::{
        Calendar, Day, Micros, Reason, Refusal, SourceNames, SourceRoom, SpendCounts, SpendDay,
        SpendEntry,
        spend::{OLDEST_DAYS, ONE_TOO_MANY},
        time::before,
    },
    store::{self, Store},
};

/// Figures that make a good chunk, where there are many. They are written in the order of their
/// keys, so that the figures of several days meet in one visit to a merchant's pages; few enough
/// to lose little by a kill, to keep others waiting but shortly, and to be kept in memory.
pub const CHUNK_ROWS: usize = 300_000;

/// How long a file that was cut may be gone on with. After that others may have brought newer
/// figures, and it is taken in from its beginning.
const RESUME_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an import writes before it gives way. Others wait for longer than that, and for
/// less than it takes to make them give up.
const TURN: Duration = Duration::from_secs(1);

/// Figures from one sender. Each chunk is one transaction, so what was taken in stays,
/// however the import ends.
#[derive(Debug)]
pub struct SpendImport {
    store: Store,
    ambient: Ambient,
    calendar: Calendar,
    row: store::SpendImport,
    /// When it last gave way.
    gave_way: Instant,
}

impl SpendImport {
    /// Begins; what `author` sends has no end that is known beforehand.
    pub async fn begin(
        store: Store,
        ambient: Ambient,
        calendar: Calendar,
        author: &str,
    ) -> store::Result<Self> {
        Self::insert(store, ambient, calendar, author, None).await
    }

    /// Begins with a file, named by the digest of its contents; or goes on where an earlier
    /// run of the same file was cut.
    pub async fn of_file(
        store: Store,
        ambient: Ambient,
        calendar: Calendar,
        author: &str,
        digest: String,
    ) -> store::Result<Self> {
        let since = before(ambient.now(), RESUME_WITHIN);
        match store.reads().unfinished_import(&digest, since).await? {
            Some(row) => Ok(Self {
                store,
                ambient,
                calendar,
                row,
                gave_way: Instant::now(),
            }),
            None => Self::insert(store, ambient, calendar, author, Some(digest)).await,
        }
    }

    async fn insert(
        store: Store,
        ambient: Ambient,
        calendar: Calendar,
        author: &str,
        file: Option<String>,
    ) -> store::Result<Self> {
        let row = store::SpendImport {
            no: 0,
            id: ambient.uuid(),
            time: ambient.now(),
            author: author.to_owned(),
            file,
            position: 0,
            counts: SpendCounts::default(),
        };
        let tx = store.begin().await?;
        let row = tx.insert_import(row).await?;
        tx.commit().await?;
        Ok(Self {
            store,
            ambient,
            calendar,
            row,
            gave_way: Instant::now(),
        })
    }

    /// For what sources there is room now; a chunk looks again.
    pub async fn room(&self) -> store::Result<SourceRoom> {
        let first = oldest_day(&self.calendar, self.ambient.now());
        let reporting = self.store.reads().reporting_since(first).await?;
        Ok(self.calendar.sources.room(reporting))
    }

    /// Takes in figures, all or, on an error, none; but for those of a source too many, whose
    /// places it answers. With a file, `position` is how many of its bytes are in with them; it
    /// is kept in the same transaction, so that a run that is killed at any point neither misses
    /// a figure nor counts one twice.
    pub async fn chunk(
        &mut self,
        entries: &[SpendEntry],
        position: u64,
    ) -> store::Result<Vec<usize>> {
        let (_turn, tx) = self.store.begin_import().await?;
        // Of the time since others wrote: what was known before then stays as it was told.
        let now = self.ambient.now();
        // When it is our turn, or two importers would both bring the last source.
        let reporting = tx.reporting_since(oldest_day(&self.calendar, now)).await?;
        let mut room = self.calendar.sources.room(reporting);
        let places = 0..entries.len();
        let left_out: Vec<_> = places
            .filter(|i| !room.admit(&entries[*i].source))
            .collect();
        let mut counts = self.row.counts;
        let entries = without(entries, &left_out);
        counts += tx.import_chunk(self.row.no, &entries, now).await?;
        tx.advance_import(&self.row, position, counts, now).await?;
        tx.commit().await?;
        (self.row.position, self.row.counts) = (position, counts);
        Ok(left_out)
    }

    /// Ends the import, and marks these days as complete, all or none.
    pub async fn finish(self, complete: &[(String, Day)]) -> store::Result<()> {
        let (_turn, tx) = self.store.begin_import().await?;
        let now = self.ambient.now();
        for (source, day) in complete {
            tx.complete_day(source, *day, &self.row.author, now).await?;
        }
        tx.finish_import(&self.row, now).await?;
        tx.commit().await
    }

    /// Between two of many chunks: lets others write, once in a while.
    pub async fn give_way(&mut self) {
        if self.gave_way.elapsed() >= TURN {
            self.store.give_way().await;
            self.gave_way = Instant::now();
        }
    }

    pub fn id(&self) -> Uuid {
        self.row.id
    }

    /// As it stands in the store.
    pub fn row(&self) -> &store::SpendImport {
        &self.row
    }
}

impl App {
    /// Begins to take in figures from a caller.
    pub async fn import_spend(&self, author: &str) -> Result<SpendImport> {
        let (store, ambient) = (self.store.clone(), self.ambient.clone());
        let calendar = self.rules.calendar.clone();
        Ok(SpendImport::begin(store, ambient, calendar, author).await?)
    }

    /// Whose figures are taken.
    pub fn sources(&self) -> &SourceNames {
        &self.rules.calendar.sources
    }

    /// The business day.
    pub fn today(&self) -> Day {
        self.rules.calendar.zone.day(self.ambient.now())
    }

    /// When it is its turn among the imports: a day is complete after the figures before it.
    pub async fn complete_spend_day(
        &self,
        call: &Call,
        source: &str,
        day: Day,
    ) -> Result<SpendDay> {
        let (_turn, tx) = self.store.begin_import().await?;
        let write = match self.begin_in(tx, call).await? {
            Begin::Answered(day) => return Ok(day),
            Begin::Fresh(write) => write,
        };
        let calendar = &self.rules.calendar;
        let reporting = write.tx.reporting_since(oldest_day(calendar, write.now));
        if !calendar.sources.room(reporting.await?).admit(source) {
            return Err(one_too_many(&calendar.sources).into());
        }
        let day = write
            .tx
            .complete_day(source, day, write.author, write.now)
            .await?;
        write.finish(day).await
    }
}

/// Whoever said nothing since then reports no more.
fn oldest_day(calendar: &Calendar, now: Micros) -> Day {
    calendar.zone.day(now) - OLDEST_DAYS
}

fn one_too_many(sources: &SourceNames) -> Refusal {
    Refusal::new(Reason::QuotaExhausted, format!("the source {ONE_TOO_MANY}"))
        .with("limit", sources.most().to_string())
}

/// The entries but for those at these places, which are in order.
fn without<'a>(entries: &'a [SpendEntry], places: &[usize]) -> Cow<'a, [SpendEntry]> {
    if places.is_empty() {
        return entries.into();
    }
    let kept = entries.iter().enumerate();
    let kept = kept.filter(|(i, _)| places.binary_search(i).is_err());
    kept.map(|(_, entry)| entry.clone()).collect()
}
