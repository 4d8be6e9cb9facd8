//! Figures of ad spend coming in: chunk by chunk, each kept whole or not at all.

use std::{collections::BTreeSet, time::Duration};

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, OnConflict},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::{
    Changed, Db, Error, Result, Store, Tx,
    entity::{spend_day, spend_import},
    history,
};
use crate::domain::{Day, Micros, SpendCounts, SpendDay, SpendEntry};

/// Rows of `spend_days` in one statement.
const DAYS_AT_ONCE: usize = 1000;

/// Of more figures at once it is not said whose they are.
const MOST_NAMED: usize = 1000;

/// How long an importer waits for those before it, here and in other processes.
const TURN: Duration = Duration::from_secs(60);

/// An import as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendImport {
    /// The number on every row that it writes.
    pub no: i64,
    pub id: Uuid,
    /// When it began.
    pub time: Micros,
    pub author: String,
    /// Names the file by its contents; none for a stream.
    pub file: Option<String>,
    /// Bytes of the file that are in.
    pub position: u64,
    pub counts: SpendCounts,
}

impl<C: ConnectionTrait> Db<C> {
    /// The import of this file, begun at `since` or later, that has not been finished; none
    /// where another import began later: its figures may be the newer ones.
    pub async fn unfinished_import(
        &self,
        file: &str,
        since: Micros,
    ) -> Result<Option<SpendImport>> {
        let latest = spend_import::Entity::find()
            .order_by_desc(spend_import::Column::No)
            .one(&self.0)
            .await?;
        let unfinished = latest.filter(|row| {
            row.file.as_deref() == Some(file) && row.finish_time.is_none() && row.time >= since.0
        });
        Ok(unfinished.map(Into::into))
    }
}

/// While it is kept, no other import of this process has a connection. To be dropped after its
/// transaction.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Store {
    /// A transaction that imports, when it is its turn: it holds the lock under which figures
    /// are written. Those that wait hold no connection, but for one in each process. A
    /// conflict when others import for too long.
    pub async fn begin_import(&self) -> Result<(Turn, Tx)> {
        let give_up = Instant::now() + TURN;
        let late = || Error::conflict("others have been importing for too long");
        let permit = timeout_at(give_up, Semaphore::acquire_owned(self.imports.clone()))
            .await
            .map_err(|_| late())?
            .map_err(|_| late())?;
        loop {
            match self.begin_locked().await {
                Err(e) if e.is_conflict() && Instant::now() < give_up => {}
                locked => return Ok((Turn { _permit: permit }, locked?)),
            }
        }
    }

    async fn begin_locked(&self) -> Result<Tx> {
        let tx = self.begin().await?;
        tx.lock_spend().await?;
        Ok(tx)
    }
}

impl Tx {
    /// The import with its number.
    pub async fn insert_import(&self, mut import: SpendImport) -> Result<SpendImport> {
        let row = spend_import::ActiveModel {
            no: NotSet,
            id: Set(import.id),
            time: Set(import.time.0),
            author: Set(import.author.clone()),
            file: Set(import.file.clone()),
            position: Set(0),
            accepted: Set(0),
            unchanged: Set(0),
            replaced: Set(0),
            finish_time: Set(None),
            update_time: Set(import.time.0),
        };
        let done = spend_import::Entity::insert(row).exec(&self.0).await?;
        import.no = done.last_insert_id;
        Ok(import)
    }

    /// Takes in figures, as if one after the other: a figure that differs from the latest of
    /// its merchant, day and source gets a row of its own. In a transaction that imports. At
    /// most some 300,000 at once.
    pub async fn import_chunk(
        &self,
        import_no: i64,
        entries: &[SpendEntry],
        now: Micros,
    ) -> Result<SpendCounts> {
        self.insert_days(entries, now).await?;
        let mut counts = SpendCounts::default();
        for round in rounds(entries) {
            counts += self.append_spend(import_no, &round, now).await?;
        }
        if counts.accepted + counts.replaced > 0 {
            match entries.len() {
                ..=MOST_NAMED => self.changes_too(entries.iter().map(|e| history::of(&e.merchant))),
                _ => self.changes_too([Changed::Everything]),
            }
        }
        Ok(counts)
    }

    /// How far an import has come: from `import` to `position` and `counts`. A conflict when
    /// somebody else goes on with the same import.
    pub async fn advance_import(
        &self,
        import: &SpendImport,
        position: u64,
        counts: SpendCounts,
        now: Micros,
    ) -> Result<()> {
        use spend_import::Column;
        let advanced = spend_import::Entity::update_many()
            .col_expr(Column::UpdateTime, Expr::value(now.0))
            .col_expr(Column::Position, Expr::value(signed(position)))
            .col_expr(Column::Accepted, Expr::value(signed(counts.accepted)))
            .col_expr(Column::Unchanged, Expr::value(signed(counts.unchanged)))
            .col_expr(Column::Replaced, Expr::value(signed(counts.replaced)))
            .filter(Column::No.eq(import.no))
            .filter(Column::Position.eq(signed(import.position)))
            .filter(Column::FinishTime.is_null())
            .exec(&self.0)
            .await?;
        if advanced.rows_affected == 1 {
            Ok(())
        } else {
            Err(Error::conflict("another process imports the same file"))
        }
    }

    /// Nothing more comes with this import.
    pub async fn finish_import(&self, import: &SpendImport, now: Micros) -> Result<()> {
        use spend_import::Column;
        spend_import::Entity::update_many()
            .col_expr(Column::FinishTime, Expr::value(now.0))
            .col_expr(Column::UpdateTime, Expr::value(now.0))
            .filter(Column::No.eq(import.no))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// Marks a source's day as complete; one that is complete already stays as it is.
    pub async fn complete_day(
        &self,
        source: &str,
        day: Day,
        author: &str,
        now: Micros,
    ) -> Result<SpendDay> {
        use spend_day::{ActiveModel, Column, Entity};
        let row = ActiveModel {
            source: Set(source.to_owned()),
            day: Set(day.0),
            first_time: Set(now.0),
            complete_time: Set(Some(now.0)),
            completed_by: Set(Some(author.to_owned())),
        };
        let unless_complete = OnConflict::columns([Column::Source, Column::Day])
            .update_columns([Column::CompleteTime, Column::CompletedBy])
            .action_and_where(Expr::col((Entity, Column::CompleteTime)).is_null())
            .to_owned();
        let news = Entity::insert(row)
            .on_conflict(unless_complete)
            .exec_without_returning(&self.0)
            .await?;
        if news > 0 {
            self.changes_too([Changed::Everything]);
        }
        let row = Entity::find_by_id((source.to_owned(), day.0))
            .one(&self.0)
            .await?;
        let complete_time = row.and_then(|row| row.complete_time);
        Ok(SpendDay {
            source: source.to_owned(),
            day,
            complete_time: Micros(complete_time.ok_or_else(|| Error::corrupt("spend_days"))?),
        })
    }

    /// Days that a source speaks of for the first time. In order: two writers that take
    /// several days at once would else wait for one another.
    async fn insert_days(&self, entries: &[SpendEntry], now: Micros) -> Result<()> {
        let days: BTreeSet<_> = entries.iter().map(|e| (e.source.as_str(), e.day)).collect();
        let rows: Vec<_> = days
            .into_iter()
            .map(|(source, day)| spend_day::ActiveModel {
                source: Set(source.to_owned()),
                day: Set(day.0),
                first_time: Set(now.0),
                complete_time: Set(None),
                completed_by: Set(None),
            })
            .collect();
        for rows in rows.chunks(DAYS_AT_ONCE) {
            let new = spend_day::Entity::insert_many(rows.iter().cloned())
                .on_conflict(OnConflict::new().do_nothing().to_owned())
                .exec_without_returning(&self.0)
                .await?;
            if new > 0 {
                self.changes_too([Changed::Everything]);
            }
        }
        Ok(())
    }
}

/// Each round has a key once: the n-th has the n-th figures of keys that come again. Within a
/// round by key, so that neighbors in the table are written together.
fn rounds(entries: &[SpendEntry]) -> Vec<Vec<&SpendEntry>> {
    let mut sorted: Vec<_> = entries.iter().collect();
    // Stable: the figures of one key stay in the order in which they came.
    sorted.sort_by(|a, b| a.key().cmp(&b.key()));
    let mut rounds: Vec<Vec<&SpendEntry>> = Vec::new();
    for same in sorted.chunk_by(|a, b| a.key() == b.key()) {
        for (round, entry) in same.iter().enumerate() {
            if round == rounds.len() {
                rounds.push(Vec::new());
            }
            rounds[round].push(entry);
        }
    }
    rounds
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl From<spend_import::Model> for SpendImport {
    fn from(row: spend_import::Model) -> Self {
        let count = |n: i64| u64::try_from(n).unwrap_or_default();
        Self {
            no: row.no,
            id: row.id,
            time: Micros(row.time),
            author: row.author,
            file: row.file,
            position: count(row.position),
            counts: SpendCounts {
                accepted: count(row.accepted),
                unchanged: count(row.unchanged),
                replaced: count(row.replaced),
            },
        }
    }
}
