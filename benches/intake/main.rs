//! How fast events come in, against the engine's own bulk insert of the same rows into the same
//! table; and what a year's funnel and an experiment's report cost, with few raw events and many.
//!
//!     cargo bench --bench intake -- --events 200000 --total 10000000
//!
//! On PostgreSQL too where `TEST_DATABASE_URL` names a server: before the command goes
//! `tests/tools/with-postgres`; `--only-postgres` leaves SQLite out. Measured is what `IngestEvents` does once its message is read:
//! ids and viewers hashed, placements looked up, rows and what is to be rolled up written.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss
)]

mod bulk;
#[path = "../support/app.rs"]
mod support;
mod year;

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use mingpian::{
    app::{About, Ambient, App, EventDraft},
    domain::{Merchant, Micros, PlacementName, Stage},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

const BATCH: usize = 1000;
const PLACEMENTS: usize = 50;
/// Callers who send at once, where it is not one.
const CALLERS: usize = 4;

#[derive(Clone, Copy)]
struct Options {
    events: usize,
    /// Raw events of the merchant under which the funnel is asked again; 0: not at all.
    total: usize,
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = env::args().collect();
    let number = |flag: &str, default| {
        let at = words.iter().position(|word| word == flag);
        at.map_or(default, |at| words[at + 1].parse().unwrap())
    };
    let options = Options {
        events: number("--events", 200_000),
        total: number("--total", 0),
    };
    println!("{} events in batches of {BATCH}", options.events);
    if !words.contains(&"--only-postgres".to_owned()) {
        sqlite(options).await;
    }
    match env::var("TEST_DATABASE_URL") {
        Ok(server) => postgres(options, &server).await,
        Err(_) => println!("no TEST_DATABASE_URL: PostgreSQL is left out"),
    }
}

async fn sqlite(options: Options) {
    let dir = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
    let (intake, took) = taken(&url("one.db"), dir.path(), options.events, 1).await;
    let rows = intake.rows().await;
    drop(Intake::start(&url("bulk.db"), dir.path(), 0).await);
    for at_once in [BATCH, 10 * BATCH, usize::MAX] {
        let bulk = bulk::sqlite(&dir.path().join("bulk.db"), &rows, at_once);
        let what = match at_once {
            usize::MAX => "one transaction".to_owned(),
            rows => format!("transactions of {rows}"),
        };
        told("SQLite", &what, 1, options.events, bulk, took);
        if at_once == usize::MAX {
            let (_, took) = taken(&url("more.db"), dir.path(), options.events, CALLERS).await;
            told("SQLite", &what, CALLERS, options.events, bulk, took);
        }
    }
    drop(rows);
    intake.roll_up("SQLite").await;
    intake.year("SQLite", options.total).await;
}

async fn postgres(options: Options, server: &str) {
    let dir = tempfile::tempdir().unwrap();
    let admin = Database::connect(server).await.unwrap();
    let mut urls = Vec::new();
    for name in ["bench_one", "bench_more", "bench_bulk"] {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        admin.execute_unprepared(&drop).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        admin.execute_unprepared(&create).await.unwrap();
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(name);
        urls.push(url.to_string());
    }
    let (intake, took) = taken(&urls[0], dir.path(), options.events, 1).await;
    drop(Intake::start(&urls[2], dir.path(), 0).await);
    let rows = intake.rows().await;
    for at_once in [BATCH, usize::MAX] {
        let bulk = bulk::postgres(&urls[2], &rows, at_once).await;
        let what = match at_once {
            usize::MAX => "one COPY".to_owned(),
            rows => format!("COPYs of {rows}"),
        };
        told("PostgreSQL", &what, 1, options.events, bulk, took);
        if at_once == usize::MAX {
            let (_, took) = taken(&urls[1], dir.path(), options.events, CALLERS).await;
            told("PostgreSQL", &what, CALLERS, options.events, bulk, took);
        }
    }
    intake.roll_up("PostgreSQL").await;
    intake.year("PostgreSQL", options.total).await;
    drop(intake);
    for name in ["bench_one", "bench_more", "bench_bulk"] {
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        admin.execute_unprepared(&drop).await.unwrap();
    }
}

fn told(engine: &str, what: &str, callers: usize, events: usize, bulk: Duration, took: Duration) {
    let rate = |took: Duration| events as f64 / took.as_secs_f64();
    println!(
        "{engine}: bulk insert in {what} {:.0} rows/s, intake from {callers} {:.0} events/s, \
         ratio {:.2}",
        rate(bulk),
        rate(took),
        rate(took) / rate(bulk)
    );
}

async fn taken(url: &str, dir: &Path, events: usize, callers: usize) -> (Intake, Duration) {
    let intake = Intake::start(url, dir, events).await;
    let took = intake.run(callers).await;
    (intake, took)
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
        let app = support::app(url, dir, Ambient::system()).await;
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
            app,
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

    /// All events, batch after batch, by so many callers at once; without the time that making
    /// them takes.
    async fn run(&self, callers: usize) -> Duration {
        let now = self.app.ambient.now();
        let batches = (0..self.events).step_by(BATCH).map(|first| {
            let events = first..(first + BATCH).min(self.events);
            let drafts = events.map(|n| self.draft(n, now)).enumerate();
            drafts.collect::<Vec<_>>()
        });
        let mut batches: Vec<_> = batches.collect();
        batches.reverse();
        let batches = Arc::new(Mutex::new(batches));
        let started = Instant::now();
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let (app, batches) = (self.app.clone(), batches.clone());
                let next = move || batches.lock().unwrap().pop();
                tokio::spawn(async move {
                    while let Some(batch) = next() {
                        let ingested = app.ingest(batch).await.unwrap();
                        assert_eq!((ingested.duplicates, ingested.rejected.len()), (0, 0));
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        started.elapsed()
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
}
