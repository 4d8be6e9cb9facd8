//! Raw events: how they come in, in statements over many rows, and how whole days go.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::RangeInclusive,
    time::Duration,
};

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect, Statement,
    TransactionTrait, Value,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Db, Error, Result, Tx,
    array::array,
    bulk::is_taken,
    entity::{event, funnel_queue},
    history::json,
    meta,
    placements::padded,
};
use crate::domain::{Event, Merchant, Micros, Touch, day::MICROS_A_DAY, time::before};

/// Rows of one of SQLite's statements: more are no faster.
const SQLITE_ROWS: usize = 100;

/// Events for which a savepoint is worth its two ways to PostgreSQL.
const MANY: usize = 100;

/// How far the clocks of replicas may differ.
const CLOCKS: Duration = Duration::from_secs(60);

/// Names the row with the first day of which all events are kept.
const KEPT_FROM: &str = "events_kept_from";

/// Viewers of a merchant of whom something new is known, each from when on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    pub merchant: Merchant,
    pub viewers: BTreeMap<i64, Micros>,
}

impl Tx {
    /// Keeps events, each once; how many are new. In the order of their keys, so that callers who
    /// send the same ones do not wait for each other.
    pub async fn insert_events(
        &self,
        events: impl IntoIterator<Item = &Event>,
        now: Micros,
    ) -> Result<u64> {
        let mut events: Vec<_> = events.into_iter().collect();
        events.sort_by_key(|event| (day(event.time), event.id));
        if self.0.get_database_backend() == DbBackend::Postgres {
            return self.insert_postgres(&events, now).await;
        }
        if events.iter().any(|event| has_nul(event)) {
            return Err(Error::corrupt("an event's text has a NUL in it"));
        }
        let mut new = 0;
        for events in events.chunks(SQLITE_ROWS) {
            let values = events.iter().flat_map(|event| row(event, now));
            let sql = sqlite(events.len());
            let statement = Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
            new += self.0.execute_raw(statement).await?.rows_affected();
        }
        Ok(new)
    }

    /// As if every event were new: `ON CONFLICT` costs more, of many. Where one was not, nothing
    /// of it stays, and each is looked up.
    async fn insert_postgres(&self, events: &[&Event], now: Micros) -> Result<u64> {
        let statement =
            |sql| Statement::from_sql_and_values(DbBackend::Postgres, sql, columns(events, now));
        let any = || statement(format!("{POSTGRES} ON CONFLICT DO NOTHING"));
        if events.len() < MANY {
            return Ok(self.0.execute_raw(any()).await?.rows_affected());
        }
        let savepoint = self.0.begin().await?;
        match savepoint.execute_raw(statement(POSTGRES.to_owned())).await {
            Ok(done) => {
                savepoint.commit().await?;
                return Ok(done.rows_affected());
            }
            Err(e) if is_taken(&e) => savepoint.rollback().await?,
            Err(e) => return Err(e.into()),
        }
        Ok(self.0.execute_raw(any()).await?.rows_affected())
    }

    /// Of these taps the ids that are kept already, be it of the day before: of tokens that open for
    /// so long.
    pub async fn known_taps(
        &self,
        taps: impl IntoIterator<Item = &Event>,
        ttl: Duration,
    ) -> Result<HashSet<Uuid>> {
        let (mut days, mut ids) = (BTreeSet::new(), Vec::new());
        for tap in taps {
            days.extend(day(before(tap.time, ttl + CLOCKS))..=day(tap.time));
            ids.push(tap.id);
        }
        self.plan_anew().await?;
        let known = event::Entity::find()
            .select_only()
            .column(event::Column::Id)
            .filter(event::Column::Day.is_in(days))
            .filter(event::Column::Id.is_in(padded(ids.into_iter())))
            .into_tuple::<Uuid>()
            .all(&self.0);
        Ok(known.await?.into_iter().collect())
    }

    /// Has the funnels of these viewers looked at again.
    pub async fn queue_funnel(&self, touched: &[Touched], now: Micros) -> Result<()> {
        if touched.is_empty() {
            return Ok(());
        }
        let row = funnel_queue::ActiveModel {
            no: NotSet,
            time: Set(now.0),
            body: Set(json(&touched)),
        };
        funnel_queue::Entity::insert(row)
            .exec_without_returning(&self.0)
            .await?;
        Ok(())
    }
}

fn kind(event: &Event) -> i16 {
    event.kind.map_or(0, |kind| kind as i16)
}

/// The day of an event's key.
pub(super) fn day(time: Micros) -> i32 {
    i32::try_from(time.0.div_euclid(MICROS_A_DAY)).unwrap_or(i32::MAX)
}

const COLUMNS: &str = "day, id, stage, kind, merchant, viewer, event_time, time, placement, note, \
                       channel, conversation, bot, attributes";

fn row(event: &Event, now: Micros) -> [Value; 14] {
    [
        day(event.time).into(),
        event.id.into(),
        (event.stage as i16).into(),
        kind(event).into(),
        event.merchant.id().into(),
        event.viewer.map(u64::cast_signed).into(),
        event.time.0.into(),
        now.0.into(),
        event.touch.placement.as_str().into(),
        event.touch.note.as_str().into(),
        event.touch.channel.as_str().into(),
        event.conversation.as_str().into(),
        event.bot.into(),
        event.attributes.as_str().into(),
    ]
}

/// What PostgreSQL cannot keep, and the schema of SQLite does not refuse here.
fn has_nul(event: &Event) -> bool {
    let Event {
        touch: Touch {
            placement,
            note,
            channel,
        },
        conversation,
        attributes,
        id: _,
        stage: _,
        merchant: _,
        viewer: _,
        time: _,
        kind: _,
        bot: _,
    } = event;
    [placement, note, channel, conversation, attributes]
        .iter()
        .any(|text| text.contains('\0'))
}

/// `OR FAIL`: what a broken statement wrote goes with its transaction, so SQLite need not copy
/// each page before it changes it.
fn sqlite(rows: usize) -> String {
    let row = format!("({})", ["?"; 14].join(","));
    let rows = vec![row; rows].join(",");
    format!("INSERT OR FAIL INTO events ({COLUMNS}) VALUES {rows} ON CONFLICT DO NOTHING")
}

const POSTGRES: &str = "\
INSERT INTO events (day, id, stage, kind, merchant, viewer, event_time, time, placement, note, \
                    channel, conversation, bot, attributes)
SELECT e.day, e.id, e.stage, e.kind, e.merchant, CASE WHEN e.known THEN e.viewer END, \
       e.event_time, $15, e.placement, e.note, e.channel, e.conversation, e.bot, e.attributes
FROM unnest($1::int[], $2::uuid[], $3::smallint[], $4::smallint[], $5::text[], $6::boolean[], \
            $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], \
            $13::boolean[], $14::text[])
     AS e (day, id, stage, kind, merchant, known, viewer, event_time, placement, note, channel, \
           conversation, bot, attributes)";

/// An array holds no `None`.
fn columns(events: &[&Event], now: Micros) -> [Value; 15] {
    [
        array(events, |e| day(e.time)),
        array(events, |e| e.id),
        array(events, |e| e.stage as i16),
        array(events, |e| kind(e)),
        array(events, |e| e.merchant.id().to_owned()),
        array(events, |e| e.viewer.is_some()),
        array(events, |e| e.viewer.unwrap_or(0).cast_signed()),
        array(events, |e| e.time.0),
        array(events, |e| e.touch.placement.clone()),
        array(events, |e| e.touch.note.clone()),
        array(events, |e| e.touch.channel.clone()),
        array(events, |e| e.conversation.clone()),
        array(events, |e| e.bot),
        array(events, |e| e.attributes.clone()),
        now.0.into(),
    ]
}

impl<C: ConnectionTrait> Db<C> {
    /// From when on all events are kept: nothing before can be counted again.
    pub async fn events_kept_from(&self) -> Result<Micros> {
        let noted = meta::value(&self.0, KEPT_FROM).await?;
        let Some(noted) = noted else {
            return Ok(Micros::MIN);
        };
        let day = String::from_utf8(noted).ok();
        let day: Option<i64> = day.and_then(|day| day.parse().ok());
        let day = day.ok_or_else(|| Error::corrupt("meta: events_kept_from"))?;
        Ok(Micros(day * MICROS_A_DAY))
    }
}

/// Days that have a partition before they begin.
const AHEAD: i32 = 8;
/// Days back for which events still come, and one for the clocks.
const BACK: i32 = 31;

/// Makes a day's partition, with what came in while it had none.
fn partition(day: i32) -> String {
    format!(
        "CREATE TABLE events_{day} (LIKE events INCLUDING ALL);
         WITH moved AS (DELETE FROM events_other WHERE day = {day} RETURNING *)
             INSERT INTO events_{day} SELECT * FROM moved;
         ALTER TABLE events ATTACH PARTITION events_{day} FOR VALUES FROM ({day}) TO ({});",
        day + 1
    )
}

impl Tx {
    /// Makes PostgreSQL's partitions for the days to come, and for those of which events may be
    /// late. SQLite has one table.
    pub async fn make_event_days(&self, now: Micros) -> Result<()> {
        let today = day(now);
        let wanted = today - BACK..=today + AHEAD;
        if self.0.get_database_backend() != DbBackend::Postgres
            || self.without_partition(wanted.clone()).await?.is_empty()
        {
            return Ok(());
        }
        self.give_up_soon().await?;
        // One replica at a time; and nothing comes into the place of a day that is being made.
        let alone = "LOCK TABLE events_other IN ACCESS EXCLUSIVE MODE";
        self.0.execute_unprepared(alone).await?;
        let days = self.without_partition(wanted).await?;
        let make: String = days.into_iter().map(partition).collect();
        self.0.execute_unprepared(&make).await?;
        Ok(())
    }

    async fn without_partition(&self, days: RangeInclusive<i32>) -> Result<Vec<i32>> {
        let there = self.event_days().await?;
        Ok(days.filter(|day| !there.contains(day)).collect())
    }

    /// Forgets events of days that ended before `keep`: on SQLite at most `limit` rows, on
    /// PostgreSQL a day. How many rows; `limit` where there may be more.
    pub async fn forget_event_days(&self, keep: Micros, limit: u64) -> Result<u64> {
        let (first, db) = (day(keep), self.0.get_database_backend());
        if db != DbBackend::Postgres {
            let forget = "DELETE FROM events WHERE (day, id) IN \
                          (SELECT day, id FROM events WHERE day < ? ORDER BY day LIMIT ?)";
            let values = [first.into(), limit.into()];
            let forget = Statement::from_sql_and_values(db, forget, values);
            let forgotten = self.0.execute_raw(forget).await?.rows_affected();
            if forgotten > 0 {
                self.note_kept_from(first).await?;
            }
            return Ok(forgotten);
        }
        self.give_up_soon().await?;
        let over = self
            .event_days()
            .await?
            .into_iter()
            .filter(|day| *day < first);
        let Some(day) = over.min() else {
            return Ok(0);
        };
        // One a time: nobody may read or write meanwhile.
        let drop = format!("DROP TABLE IF EXISTS events_{day}");
        self.0.execute_unprepared(&drop).await?;
        self.note_kept_from(day + 1).await?;
        Ok(limit)
    }

    async fn note_kept_from(&self, day: i32) -> Result<()> {
        meta::put(&self.0, KEPT_FROM, day.to_string().into_bytes()).await
    }

    /// Rather not now than have everybody wait behind this.
    async fn give_up_soon(&self) -> Result<()> {
        let soon = "SET LOCAL lock_timeout = '300ms'";
        self.0.execute_unprepared(soon).await?;
        Ok(())
    }

    /// The days that have a partition.
    async fn event_days(&self) -> Result<Vec<i32>> {
        let days = "SELECT substr(c.relname, 8)::int FROM pg_inherits i \
                    JOIN pg_class c ON c.oid = i.inhrelid \
                    WHERE i.inhparent = 'events'::regclass AND c.relname ~ '^events_[0-9]+$'";
        let days = Statement::from_string(DbBackend::Postgres, days);
        let rows = self.0.query_all_raw(days).await?;
        let days = rows.iter().map(|row| row.try_get_by_index(0));
        Ok(days.collect::<Result<_, _>>()?)
    }
}
