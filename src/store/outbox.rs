//! The outbox: what is to be told outward, written with the fact that it tells of, and kept for
//! a while after it was told, to be told again.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Query, SelectStatement},
};
use serde::{Deserialize, Serialize};

use super::{
    Db, Error, Result, Store, Tx,
    entity::outbox::{ActiveModel, Column, Entity},
    history::{from_json, json},
    meta,
    placements::padded,
};
use crate::domain::{Day, Micros, Telling, TellingKind};

/// Rows of one insert: SQLite takes 32,766 values at once.
const ROWS: usize = 500;

/// Names this database among those that tell the same stream.
const SOURCE: &str = "outbox_source";
/// How far the stream was when it was last seen.
const STREAM: &str = "outbox_stream";

/// What is yet to be told.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub no: i64,
    pub kind: TellingKind,
    pub subject: String,
    pub time: Micros,
    /// JSON.
    pub data: String,
}

/// How much waits, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stands {
    pub waiting: i64,
    pub since: Option<Micros>,
}

/// A stream, and the last number it had given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamNote {
    /// When it was made; empty for none.
    pub made: String,
    pub last: u64,
}

impl<C: ConnectionTrait> Db<C> {
    /// The first `limit` that wait.
    pub async fn outbox_waiting(&self, limit: u64) -> Result<Vec<Waiting>> {
        let rows = Entity::find()
            .filter(Column::PublishedTime.is_null())
            .order_by_asc(Column::No)
            .limit(limit)
            .all(&self.0)
            .await?;
        let waiting = rows.into_iter().map(|row| {
            let kind = TellingKind::from_number(row.kind);
            Ok(Waiting {
                no: row.no,
                kind: kind.ok_or_else(|| Error::corrupt("outbox.kind"))?,
                subject: row.subject,
                time: Micros(row.time),
                data: row.data,
            })
        });
        waiting.collect()
    }

    pub async fn outbox_stands(&self) -> Result<Stands> {
        let stands = Entity::find()
            .select_only()
            .column_as(Column::No.count(), "waiting")
            .column_as(Column::Time.min(), "since")
            .filter(Column::PublishedTime.is_null())
            .into_tuple::<(i64, Option<i64>)>()
            .one(&self.0)
            .await?;
        let (waiting, since) = stands.unwrap_or_default();
        Ok(Stands {
            waiting,
            since: since.map(Micros),
        })
    }
}

impl Store {
    /// What this database is called outward: `proposed`, where it has no name yet.
    pub async fn outbox_source(&self, proposed: &str) -> Result<String> {
        let name = meta::kept(&self.writer, SOURCE, proposed.as_bytes()).await?;
        String::from_utf8(name).map_err(|_| Error::corrupt("meta.outbox_source"))
    }

    /// How far the stream was; `None` before anything was told.
    pub async fn stream_note(&self) -> Result<Option<StreamNote>> {
        let note = meta::value(&self.writer, STREAM).await?;
        let text = note.map(String::from_utf8).transpose();
        let text = text.map_err(|_| Error::corrupt("meta.outbox_stream"))?;
        text.map(|text| from_json(&text)).transpose()
    }
}

impl Tx {
    /// Whether what changes is told outward.
    pub fn tells(&self) -> bool {
        self.1.tells
    }

    /// Has this told, once this transaction is committed; nothing where nothing is told.
    pub async fn tell(&self, tellings: impl IntoIterator<Item = Telling>) -> Result<()> {
        if !self.tells() {
            return Ok(());
        }
        let rows = tellings.into_iter().map(|telling| ActiveModel {
            no: NotSet,
            time: Set(telling.time.0),
            kind: Set(telling.kind as i16),
            subject: Set(telling.subject),
            data: Set(json(&telling.data)),
            published_time: Set(None),
        });
        let rows: Vec<_> = rows.collect();
        for rows in rows.chunks(ROWS) {
            Entity::insert_many(rows.to_vec())
                .exec_without_returning(&self.0)
                .await?;
        }
        Ok(())
    }

    /// Has told who opened and who closed in a run, however many. Names need no escape.
    pub(super) async fn tell_transitions(&self, run_no: i64, day: Day, now: Micros) -> Result<()> {
        if !self.tells() {
            return Ok(());
        }
        let (opened, closed) = (TellingKind::Opened as i16, TellingKind::Closed as i16);
        let now = now.0;
        let tell = format!(
            "INSERT INTO outbox (time, kind, subject, data) \
             SELECT {now}, CASE WHEN t.opened THEN {opened} ELSE {closed} END, \
             'merchants/' || t.merchant || '/eligibility/programs/' || p.id, \
             '{{\"merchant\":\"merchants/' || t.merchant || '\",\"program\":\"programs/' || p.id \
             || '\",\"day\":\"{day}\"}}' \
             FROM transitions t JOIN programs p ON p.no = t.program_no WHERE t.run_no = {run_no}"
        );
        self.execute(&tell).await?;
        Ok(())
    }

    /// These were told.
    pub async fn outbox_published(&self, nos: &[i64], now: Micros) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::PublishedTime, Expr::val(now.0))
            .filter(Column::No.is_in(padded(nos.iter().copied())))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// Has at most `limit` of what was told told again; how many.
    pub async fn tell_again(&self, limit: u64) -> Result<u64> {
        let told = some(limit, Column::PublishedTime.is_not_null());
        let again = Entity::update_many()
            .col_expr(Column::PublishedTime, Expr::val(None::<i64>))
            .filter(Column::No.in_subquery(told))
            .exec(&self.0)
            .await?;
        Ok(again.rows_affected)
    }

    /// Forgets at most `limit` of what was told before then; how many.
    pub async fn forget_outbox(&self, before: Micros, limit: u64) -> Result<u64> {
        let old = some(limit, Column::PublishedTime.lt(before.0));
        let forgotten = Entity::delete_many()
            .filter(Column::No.in_subquery(old))
            .exec(&self.0)
            .await?;
        Ok(forgotten.rows_affected)
    }

    /// Notes how far the stream is.
    pub async fn note_stream(&self, note: &StreamNote) -> Result<()> {
        meta::put(&self.0, STREAM, json(note).into_bytes()).await
    }
}

/// The numbers of the longest told.
fn some(limit: u64, which: Expr) -> SelectStatement {
    Query::select()
        .column(Column::No)
        .from(Entity)
        .and_where(which)
        .order_by(Column::PublishedTime, sea_orm::Order::Asc)
        .limit(limit)
        .take()
}
