//! How fast events come in, against the engine's own bulk insert of the same rows into the same
//! table; and what a year's funnel costs before and after ten times as many raw events.
//!
//!     cargo bench --bench intake -- --events 200000
//!
//! On PostgreSQL too where `TEST_DATABASE_URL` names a server: before the command goes
//! `tests/tools/with-postgres`. Measured is what `IngestEvents` does once its message is read:
//! ids and viewers hashed, placements looked up, rows and what is to be rolled up written.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss
)]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    path::Path,
    time::{Duration, Instant},
};

use mingpian::{
    app::{About, Ambient, App, EventDraft},
    config::{self, Flags},
    domain::{Merchant, Micros, PlacementName, Stage},
    server::Server,
    store::{Basis, Scope, Stretch},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use sqlx::{Connection, PgConnection};

const BATCH: usize = 1000;
const PLACEMENTS: usize = 50;
const HOURS_A_YEAR: i32 = 365 * 24;

#[tokio::main]
async fn main() {
    let words: Vec<String> = env::args().collect();
    let events = words.iter().position(|word| word == "--events");
    let events = events.map_or(200_000, |at| words[at + 1].parse().unwrap());
    println!("{events} events in batches of {BATCH}");
    let dir = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
    let intake = Intake::start(&url("intake.db"), dir.path(), events).await;
    let took = intake.run().await;
    drop(Intake::start(&url("bulk.db"), dir.path(), 0).await);
    for rows in [BATCH, 10 * BATCH, usize::MAX] {
        let bulk = sqlite_bulk(&dir.path().join("bulk.db"), &intake, rows).await;
        let what = match rows {
            usize::MAX => "one transaction".to_owned(),
            rows => format!("transactions of {rows}"),
        };
        told("SQLite", &what, events, bulk, took);
    }
    intake.roll_up("SQLite").await;
    intake.query("SQLite").await;

    let Ok(server) = env::var("TEST_DATABASE_URL") else {
        println!("no TEST_DATABASE_URL: PostgreSQL is left out");
        return;
    };
    let admin = Database::connect(&server).await.unwrap();
    let mut urls = Vec::new();
    for name in ["bench_intake", "bench_bulk"] {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        admin.execute_unprepared(&drop).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        admin.execute_unprepared(&create).await.unwrap();
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(name);
        urls.push(url.to_string());
    }
    let intake = Intake::start(&urls[0], dir.path(), events).await;
    let took = intake.run().await;
    drop(Intake::start(&urls[1], dir.path(), 0).await);
    let bulk = postgres_bulk(&urls[1], &intake).await;
    told("PostgreSQL", "one COPY", events, bulk, took);
    intake.roll_up("PostgreSQL").await;
    intake.query("PostgreSQL").await;
    drop(intake);
    for name in ["bench_intake", "bench_bulk"] {
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        admin.execute_unprepared(&drop).await.unwrap();
    }
}

fn told(engine: &str, what: &str, events: usize, bulk: Duration, took: Duration) {
    let rate = |took: Duration| events as f64 / took.as_secs_f64();
    println!(
        "{engine}: bulk insert in {what} {:.0} rows/s, intake {:.0} events/s, ratio {:.2}",
        rate(bulk),
        rate(took),
        rate(took) / rate(bulk)
    );
}

/// An app on a database with a merchant's placements, and events to come.
struct Intake {
    app: App,
    db: DatabaseConnection,
    merchant: Merchant,
    events: usize,
}

impl Intake {
    async fn start(url: &str, dir: &Path, events: usize) -> Self {
        let keys = dir.join("keys.toml");
        if !keys.exists() {
            mingpian::keys::add(&keys, [7; 64]).unwrap();
        }
        let file = dir.join("settings.toml");
        let text = format!(
            "grpc_listen = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\n\
             admin_listen = \"127.0.0.1:0\"\nstore_url = \"{url}\"\nkeys_file = \"{}\"\n",
            keys.display()
        );
        std::fs::write(&file, text).unwrap();
        let settings = config::load(&Flags {
            config: Some(file),
            ..Flags::default()
        });
        let server = Server::bind(&settings.unwrap(), Ambient::system()).await;
        let db = Database::connect(url).await.unwrap();
        for n in 0..PLACEMENTS {
            let place = format!(
                "INSERT INTO placements (merchant, id, card_no, card_id, kinds, surface, target, \
                 state, version, create_time, update_time) \
                 VALUES ('klook', 'placement-{n}', 1, 'main', 0, 2, 'note-{n}', 1, 1, 1, 1)"
            );
            db.execute_unprepared(&place).await.unwrap();
        }
        Self {
            app: server.unwrap().app,
            db,
            merchant: Merchant::parse("merchants/klook").unwrap(),
            events,
        }
    }

    /// Of ten viewers' worth each, over the last 20 days.
    fn draft(&self, n: usize, now: Micros) -> EventDraft {
        const KINDS: [Stage; 4] = [
            Stage::Impression,
            Stage::Inbound,
            Stage::Opening,
            Stage::Lead,
        ];
        let mixed = n.wrapping_mul(2_654_435_761) >> 8;
        let placement = format!("merchants/klook/placements/placement-{}", n % PLACEMENTS);
        let placement = PlacementName::parse(&placement).unwrap();
        EventDraft {
            event_id: format!("0195c0de-0000-7000-8000-{n:012x}"),
            stage: KINDS[mixed % 4],
            merchant: self.merchant.clone(),
            viewer_id: format!("viewer-{:08}", mixed % (self.events / 10).max(1)),
            about: Some(About::Placement(placement)),
            time: Micros(now.0 - i64::try_from(mixed % 1_728_000).unwrap() * 1_000_000),
            note: String::new(),
            conversation: format!("conversation-{}", mixed % 1000),
            attributes: BTreeMap::from([("app".to_owned(), "9.1".to_owned())]),
        }
    }

    /// All events, batch after batch; without the time that making them takes.
    async fn run(&self) -> Duration {
        let (now, mut took) = (self.app.ambient.now(), Duration::ZERO);
        for first in (0..self.events).step_by(BATCH) {
            let events = first..(first + BATCH).min(self.events);
            let drafts = events.map(|n| self.draft(n, now)).enumerate().collect();
            let started = Instant::now();
            let ingested = self.app.ingest(drafts).await.unwrap();
            took += started.elapsed();
            assert_eq!(ingested.duplicates, 0);
        }
        took
    }

    async fn roll_up(&self, engine: &str) {
        let (started, mut viewers) = (Instant::now(), 0);
        loop {
            let done = self.app.roll_up("bench").await.unwrap();
            viewers += done.viewers;
            if !done.more {
                break;
            }
        }
        let took = started.elapsed();
        let rate = self.events as f64 / took.as_secs_f64();
        println!("{engine}: rolled up {rate:.0} events/s, {viewers} looks at viewers, {took:.1?}");
    }

    /// A year in roll-ups, asked for with so many raw events, and with ten times as many.
    async fn query(&self, engine: &str) {
        let end = self.app.ambient.now().hour();
        let year = format!(
            "WITH RECURSIVE h (h) AS (SELECT {} UNION ALL SELECT h + 1 FROM h WHERE h < {end}), \
             s (s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM s WHERE s < 11) \
             INSERT INTO funnel_hours \
             SELECT 'klook', b.b, h, s, 'placement-' || p.p, 'note-' || p.p, '', 7 \
             FROM h, s, (SELECT 1 AS b UNION SELECT 2) b, (SELECT 1 AS p UNION SELECT 2) p \
             WHERE true ON CONFLICT DO NOTHING",
            end - HOURS_A_YEAR
        );
        self.db.execute_unprepared(&year).await.unwrap();
        let postgres = self.db.get_database_backend() == DbBackend::Postgres;
        let id = ["randomblob(16)", "gen_random_uuid()"][usize::from(postgres)];
        let more = format!(
            "INSERT INTO events SELECT e.day, {id}, e.stage, e.merchant, e.viewer, e.event_time, \
             e.time, e.placement, e.note, e.channel, e.conversation, e.bot, e.attributes \
             FROM events e, (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9)) n"
        );
        self.asked(engine, end).await;
        self.db.execute_unprepared(&more).await.unwrap();
        if postgres {
            self.db.execute_unprepared("ANALYZE").await.unwrap();
        }
        self.asked(engine, end).await;
    }

    async fn asked(&self, engine: &str, end: i32) {
        let count = |table: &str| {
            let count = format!("SELECT count(*) AS n FROM {table}");
            Statement::from_string(self.db.get_database_backend(), count)
        };
        let mut line = format!("{engine}:");
        for table in ["events", "funnel_hours"] {
            let row = self.db.query_one_raw(count(table)).await.unwrap().unwrap();
            let rows: i64 = row.try_get("", "n").unwrap();
            write!(line, " {rows} {table},").unwrap();
        }
        for (what, hours, row) in [
            ("a year in one row", HOURS_A_YEAR, HOURS_A_YEAR),
            ("a year of days", HOURS_A_YEAR, 24),
            ("31 days of hours", 31 * 24, 1),
        ] {
            let stretch = Stretch {
                first: end - hours,
                end,
                hours: row,
            };
            let mut times = Vec::new();
            for _ in 0..9 {
                let started = Instant::now();
                let funnel = self
                    .app
                    .funnel(&self.merchant, &Scope::All, stretch, Basis::Touch);
                funnel.await.unwrap();
                times.push(started.elapsed());
            }
            times.sort();
            write!(line, " {what} {:.1?}", times[4]).unwrap();
        }
        println!("{line}");
    }

    /// The rows as they are in the table, for a bulk insert of the same.
    async fn rows(&self) -> Vec<sea_orm::QueryResult> {
        let all = format!("SELECT {COLUMNS} FROM events ORDER BY time, id");
        let all = Statement::from_string(self.db.get_database_backend(), all);
        self.db.query_all_raw(all).await.unwrap()
    }
}

const COLUMNS: &str = "day, id, stage, merchant, viewer, event_time, time, placement, note, \
                       channel, conversation, bot, attributes";

/// A row of `events`.
struct Row {
    numbers: (i32, i16, i64, i64, i64, bool),
    id: uuid::Uuid,
    texts: [String; 6],
}

fn row(row: &sea_orm::QueryResult) -> Row {
    let text = |n| row.try_get_by_index::<String>(n).unwrap();
    let big = |n| row.try_get_by_index::<i64>(n).unwrap();
    Row {
        numbers: (
            row.try_get_by_index(0).unwrap(),
            row.try_get_by_index(2).unwrap(),
            big(4),
            big(5),
            big(6),
            row.try_get_by_index(11).unwrap(),
        ),
        id: row.try_get_by_index(1).unwrap(),
        texts: [text(3), text(7), text(8), text(9), text(10), text(12)],
    }
}

/// A prepared INSERT of one row, in transactions of so many.
async fn sqlite_bulk(path: &Path, intake: &Intake, at_once: usize) -> Duration {
    let rows: Vec<_> = intake.rows().await.iter().map(row).collect();
    let mut db = rusqlite::Connection::open(path).unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute("DELETE FROM events", []).unwrap();
    let started = Instant::now();
    for rows in rows.chunks(at_once) {
        let tx = db.transaction().unwrap();
        {
            let insert = format!(
                "INSERT INTO events ({COLUMNS}) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
            );
            let mut insert = tx.prepare(&insert).unwrap();
            for row in rows {
                let (day, stage, viewer, event_time, time, bot) = row.numbers;
                let [merchant, placement, note, channel, conversation, attributes] = &row.texts;
                insert
                    .execute((
                        day,
                        row.id.as_bytes(),
                        stage,
                        merchant,
                        viewer,
                        event_time,
                        time,
                        placement,
                        note,
                        channel,
                        conversation,
                        bot,
                        attributes,
                    ))
                    .unwrap();
            }
        }
        tx.commit().unwrap();
    }
    started.elapsed()
}

async fn postgres_bulk(url: &str, intake: &Intake) -> Duration {
    let mut lines = vec![String::new()];
    for row in intake.rows().await.iter().map(row) {
        if lines.last().unwrap().len() > 1 << 20 {
            lines.push(String::new());
        }
        let (day, stage, viewer, event_time, time, bot) = row.numbers;
        let [merchant, placement, note, channel, conversation, attributes] = row.texts;
        let last = lines.last_mut().unwrap();
        writeln!(
            last,
            "{day}\t{}\t{stage}\t{merchant}\t{viewer}\t{event_time}\t{time}\t{placement}\t{note}\
             \t{channel}\t{conversation}\t{bot}\t{attributes}",
            row.id
        )
        .unwrap();
    }
    let mut db = PgConnection::connect(url).await.unwrap();
    let started = Instant::now();
    let copy = format!("COPY events ({COLUMNS}) FROM STDIN");
    let mut copying = db.copy_in_raw(&copy).await.unwrap();
    for part in lines {
        copying.send(part.into_bytes()).await.unwrap();
    }
    copying.finish().await.unwrap();
    started.elapsed()
}
