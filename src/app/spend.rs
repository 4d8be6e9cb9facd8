//! Ad spend coming in: a stream or a file, chunk by chunk, and days that are complete.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Ambient, App, Call, Result,
    write::{Begin, before},
};
use crate::{
    domain::{Day, SourceNames, SpendCounts, SpendDay, SpendEntry},
    store::{self, Store},
};

/// Figures that make a good chunk, where there are many: enough that a transaction's cost is
/// shared by many, few enough to lose little by a kill and to keep others waiting but shortly.
pub const CHUNK_ROWS: usize = 50_000;

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
    row: store::SpendImport,
    /// When it last gave way.
    gave_way: Instant,
}

impl SpendImport {
    /// Begins; what `author` sends has no end that is known beforehand.
    pub async fn begin(store: Store, ambient: Ambient, author: &str) -> store::Result<Self> {
        Self::insert(store, ambient, author, None).await
    }

    /// Begins with a file, named by the digest of its contents; or goes on where an earlier
    /// run of the same file was cut.
    pub async fn of_file(
        store: Store,
        ambient: Ambient,
        author: &str,
        digest: String,
    ) -> store::Result<Self> {
        let since = before(ambient.now(), RESUME_WITHIN);
        match store.reads().unfinished_import(&digest, since).await? {
            Some(row) => Ok(Self {
                store,
                ambient,
                row,
                gave_way: Instant::now(),
            }),
            None => Self::insert(store, ambient, author, Some(digest)).await,
        }
    }

    async fn insert(
        store: Store,
        ambient: Ambient,
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
            row,
            gave_way: Instant::now(),
        })
    }

    /// Takes in figures, all or, on an error, none. With a file, `position` is how many of its
    /// bytes are in with them; it is kept in the same transaction, so that a run that is
    /// killed at any point neither misses a figure nor counts one twice.
    pub async fn chunk(&mut self, entries: &[SpendEntry], position: u64) -> store::Result<()> {
        let (_turn, tx) = self.store.begin_import().await?;
        // Of the time since others wrote: what was known before then stays as it was told.
        let now = self.ambient.now();
        let mut counts = self.row.counts;
        counts += tx.import_chunk(self.row.no, entries, now).await?;
        tx.advance_import(&self.row, position, counts, now).await?;
        tx.commit().await?;
        (self.row.position, self.row.counts) = (position, counts);
        Ok(())
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
        Ok(SpendImport::begin(store, ambient, author).await?)
    }

    /// Whose figures are taken.
    pub fn sources(&self) -> &SourceNames {
        &self.rules.calendar.sources
    }

    /// The business day.
    pub fn today(&self) -> Day {
        self.rules.calendar.zone.day(self.ambient.now())
    }

    pub async fn complete_spend_day(
        &self,
        call: &Call,
        source: &str,
        day: Day,
    ) -> Result<SpendDay> {
        let write = match self.begin(call).await? {
            Begin::Answered(day) => return Ok(day),
            Begin::Fresh(write) => write,
        };
        let day = write
            .tx
            .complete_day(source, day, write.author, write.now)
            .await?;
        write.finish(day).await
    }
}
