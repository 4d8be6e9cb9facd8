//! The ceiling: the same rows, with the same keys and indexes and as durable, by each engine's
//! own way of writing many.

use std::{
    fmt::Write,
    path::Path,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, QueryResult, Statement};
use sqlx::{Connection, PgConnection};

use super::Intake;

const COLUMNS: &str = "day, id, stage, kind, merchant, viewer, event_time, time, placement, note, \
                       channel, conversation, bot, attributes";

/// A row of `events`.
pub struct Row {
    day: i32,
    id: uuid::Uuid,
    stage_and_kind: [i16; 2],
    viewer_and_times: [i64; 3],
    bot: bool,
    /// Merchant, placement, note, channel, conversation, attributes.
    texts: [String; 6],
}

impl From<&QueryResult> for Row {
    fn from(row: &QueryResult) -> Self {
        let text = |n| row.try_get_by_index::<String>(n).unwrap();
        let big = |n| row.try_get_by_index::<i64>(n).unwrap();
        let small = |n| row.try_get_by_index::<i16>(n).unwrap();
        Self {
            day: row.try_get_by_index(0).unwrap(),
            id: row.try_get_by_index(1).unwrap(),
            stage_and_kind: [small(2), small(3)],
            viewer_and_times: [big(5), big(6), big(7)],
            bot: row.try_get_by_index(12).unwrap(),
            texts: [text(4), text(8), text(9), text(10), text(11), text(13)],
        }
    }
}

impl Intake {
    /// The rows as they are in the table, in the order in which they came.
    pub async fn rows(&self) -> Vec<Row> {
        let all = format!("SELECT {COLUMNS} FROM events ORDER BY time, id");
        let all = Statement::from_string(self.db.get_database_backend(), all);
        let rows = self.db.query_all_raw(all).await.unwrap();
        rows.iter().map(Row::from).collect()
    }
}

/// A prepared INSERT of one row, in transactions of so many, with the service's own settings.
pub fn sqlite(path: &Path, rows: &[Row], at_once: usize) -> Duration {
    let mut db = rusqlite::Connection::open(path).unwrap();
    for (name, value) in [("cache_size", -65536), ("wal_autocheckpoint", 8192)] {
        db.pragma_update(None, name, value).unwrap();
    }
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute("DELETE FROM events", []).unwrap();
    let insert = format!(
        "INSERT INTO events ({COLUMNS}) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
    );
    let started = Instant::now();
    for rows in rows.chunks(at_once) {
        let tx = db.transaction().unwrap();
        let mut statement = tx.prepare(&insert).unwrap();
        for row in rows {
            insert_one(&mut statement, row);
        }
        drop(statement);
        tx.commit().unwrap();
    }
    started.elapsed()
}

fn insert_one(insert: &mut rusqlite::Statement<'_>, row: &Row) {
    let [stage, kind] = row.stage_and_kind;
    let [viewer, event_time, time] = row.viewer_and_times;
    let [merchant, placement, note, channel, conversation, attributes] = &row.texts;
    let values = (
        row.day,
        row.id.as_bytes(),
        stage,
        kind,
        merchant,
        viewer,
        event_time,
        time,
        placement,
        note,
        channel,
        conversation,
        row.bot,
        attributes,
    );
    insert.execute(values).unwrap();
}

/// A `COPY` of so many rows a transaction, of lines that were made before.
pub async fn postgres(url: &str, rows: &[Row], at_once: usize) -> Duration {
    let parts: Vec<_> = rows.chunks(at_once).map(lines).collect();
    let mut db = PgConnection::connect(url).await.unwrap();
    sqlx::query("TRUNCATE events")
        .execute(&mut db)
        .await
        .unwrap();
    let copy = format!("COPY events ({COLUMNS}) FROM STDIN");
    let started = Instant::now();
    for part in parts {
        let mut copying = db.copy_in_raw(&copy).await.unwrap();
        for piece in part.as_bytes().chunks(1 << 20) {
            copying.send(piece).await.unwrap();
        }
        copying.finish().await.unwrap();
    }
    started.elapsed()
}

fn lines(rows: &[Row]) -> String {
    let mut lines = String::new();
    for row in rows {
        let [stage, kind] = row.stage_and_kind;
        let [viewer, event_time, time] = row.viewer_and_times;
        let [merchant, placement, note, channel, conversation, attributes] = &row.texts;
        writeln!(
            lines,
            "{}\t{}\t{stage}\t{kind}\t{merchant}\t{viewer}\t{event_time}\t{time}\t{placement}\
             \t{note}\t{channel}\t{conversation}\t{}\t{attributes}",
            row.day, row.id, row.bot
        )
        .unwrap();
    }
    lines
}
