//! The engines' own drivers, doing what a tap at least takes: one read of a placement by its
//! number and one insert of an event, each durable by itself. Ours are taps of kind 1, its own
//! of kind 3.

use std::{fmt::Debug, sync::mpsc, thread};

use mingpian::app::Ambient;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio::sync::oneshot;

/// Connections, as our server has.
const CONNECTIONS: u32 = 16;
const READ: &str = "SELECT merchant, id, card_no, kinds, surface, state, version \
                    FROM placements WHERE no = $1";
const INSERT: &str = "INSERT INTO events (day, id, stage, kind, merchant, viewer, event_time, \
                      time, placement, note, channel, conversation, bot, attributes) \
                      VALUES ($1, $2, 2, 3, $3, $4, $5, $5, $6, '', '', '', false, '') \
                      ON CONFLICT DO NOTHING";
const MICROS_A_DAY: i64 = 86_400_000_000;

#[derive(Clone)]
pub enum Raw {
    /// SQLite has one writer: a thread that has the connection.
    Sqlite(mpsc::Sender<(i64, oneshot::Sender<()>)>),
    Postgres(PgPool),
}

impl Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Raw")
    }
}

impl Raw {
    pub async fn open(url: &str) -> Self {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let (taps, todo) = mpsc::channel();
            let db = sqlite(path);
            thread::spawn(move || write(&db, &todo));
            return Self::Sqlite(taps);
        }
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        Self::Postgres(pool.connect(url).await.unwrap())
    }

    /// Of a placement that the token stands for.
    pub async fn tap(&self, token: &[u8]) {
        let no = token.iter().map(|byte| i64::from(*byte)).sum::<i64>() % 1_000 + 1;
        match self {
            Self::Sqlite(taps) => {
                let (done, told) = oneshot::channel();
                taps.send((no, done)).unwrap();
                told.await.unwrap();
            }
            Self::Postgres(pool) => postgres(pool, no).await,
        }
    }
}

/// A connection that commits durably, with the settings of our server's.
pub fn sqlite(path: &str) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.pragma_update(None, "busy_timeout", 5_000).unwrap();
    db.pragma_update(None, "cache_size", -65_536).unwrap();
    db.pragma_update(None, "wal_autocheckpoint", 8_192).unwrap();
    db
}

fn write(db: &rusqlite::Connection, todo: &mpsc::Receiver<(i64, oneshot::Sender<()>)>) {
    let ambient = Ambient::system();
    let mut read = db.prepare(READ).unwrap();
    let mut insert = db.prepare(INSERT).unwrap();
    for (no, done) in todo {
        let row: (String, String) = read
            .query_row([no], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        let now = ambient.now().0;
        let id = *ambient.uuid().as_bytes();
        insert
            .execute((now / MICROS_A_DAY, id, row.0, no, now, row.1))
            .unwrap();
        // Nobody may wait for it any more.
        let _ = done.send(());
    }
}

async fn postgres(pool: &PgPool, no: i64) {
    let read = sqlx::query_as::<_, (String, String)>(AssertSqlSafe(
        "SELECT merchant, id FROM placements WHERE no = $1",
    ));
    let row = read.bind(no).fetch_one(pool).await.unwrap();
    let ambient = Ambient::system();
    let now = ambient.now().0;
    sqlx::query(INSERT)
        .bind(i32::try_from(now / MICROS_A_DAY).unwrap())
        .bind(ambient.uuid())
        .bind(row.0)
        .bind(no)
        .bind(now)
        .bind(row.1)
        .execute(pool)
        .await
        .unwrap();
}
