//! T+1 and the preview against the bare aggregate of the same ledger; docs/MEASUREMENTS.md
//! says how to run it and what came out.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "support/app.rs"]
mod support;

use std::{
    env,
    time::{Duration, Instant},
};

use mingpian::{
    app::{Ambient, App},
    domain::{Day, Micros, Money, Program, Zone},
    store::Run,
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

/// The first decision day; 2026-03-01.
const FIRST: Day = Day(20_513);
/// Each is measured so often; the median counts.
const NIGHTS: i32 = 3;

#[tokio::main]
async fn main() {
    let merchants = env::var("BENCH_MERCHANTS").map_or(100_000, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}", dir.path().join("bench.db").display());
    measure("SQLite", &sqlite, dir.path(), merchants).await;
    let Ok(server) = env::var("TEST_DATABASE_URL") else {
        println!("no TEST_DATABASE_URL: PostgreSQL is left out");
        return;
    };
    let admin = Database::connect(&server).await.unwrap();
    let name = format!("bench_{}", std::process::id());
    let create = format!("CREATE DATABASE {name}");
    admin.execute_unprepared(&create).await.unwrap();
    let mut url: url::Url = server.parse().unwrap();
    url.set_path(&name);
    measure("PostgreSQL", url.as_str(), dir.path(), merchants).await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    admin.execute_unprepared(&drop).await.unwrap();
}

async fn measure(engine: &str, url: &str, dir: &std::path::Path, merchants: i64) {
    let now = at(FIRST + NIGHTS);
    let app = support::app(url, dir, Ambient::with_clock(move || now)).await;
    let db = Database::connect(url).await.unwrap();
    let started = Instant::now();
    generate(&db, merchants).await;
    println!(
        "\n{engine}: {merchants} merchants × 31 days generated in {:.1?}",
        started.elapsed()
    );

    let (_, first) = timed(run(&app, FIRST)).await;
    let (mut bare, mut before, mut after) = (vec![], vec![], vec![]);
    let (mut threshold, mut share) = (vec![], vec![]);
    for night in 1..=NIGHTS {
        let day = FIRST + night;
        new_day(&db, merchants, day, night).await;
        bare.push(timed(aggregate(&db, day)).await.1);
        before.push(timed(run(&app, day)).await.1);
        complete(&db, day - 1).await;
        let (found, took) = timed(run(&app, day)).await;
        after.push(took);
        println!("night {night}: at the second run {found:?}");
        threshold.push(timed(previewed(&app, 110_000, 1000)).await.1);
        share.push(timed(previewed(&app, 100_000, 900)).await.1);
    }
    let bare = median(bare);
    for (what, took) in [
        ("bare aggregate", bare),
        ("first run: half of all open", first),
        ("a night's run, the day not complete", median(before)),
        ("a night's run, the day complete", median(after)),
        ("preview of another threshold", median(threshold)),
        ("preview of another share", median(share)),
    ] {
        let ratio = took.as_secs_f64() / bare.as_secs_f64();
        println!("{engine}  {what:<38} {took:>10.2?}  ratio {ratio:.2}");
    }
}

/// One o'clock in the morning.
fn at(day: Day) -> Micros {
    Zone::SHANGHAI.start(day) + Duration::from_secs(3600)
}

/// 31 days before the first; each merchant's days are alike, and half of all are over 1000.00.
async fn generate(db: &DatabaseConnection, merchants: i64) {
    let (from, to, time) = (FIRST.0 - 31, FIRST.0 - 1, at(FIRST - 31).0);
    let numbers = numbers(db, "i", 1, merchants);
    let days = numbers_between(db, "d", from, to);
    execute(
        db,
        &format!(
            "WITH RECURSIVE {numbers}, {days} INSERT INTO spend \
             SELECT {NAME}, d, 'juguang', 1, {DAILY}, {DAILY}, 1, {time} FROM i, d"
        ),
    )
    .await;
    for day in from..=to {
        said(db, Day(day)).await;
        complete(db, Day(day)).await;
    }
    let analyze = match db.get_database_backend() {
        DbBackend::Postgres => "VACUUM ANALYZE",
        _ => "ANALYZE",
    };
    execute(db, analyze).await;
}

const NAME: &str = "'m' || substr(CAST(100000000 + i AS text), 2)";
/// In cents; 30 of them are over 1000.00 for half of the merchants.
const DAILY: &str = "((CAST(i AS bigint) * 7919) % 6667)";

/// The day before: as ever, save for one merchant in a hundred, which changes sides.
async fn new_day(db: &DatabaseConnection, merchants: i64, day: Day, night: i32) {
    let (on, time) = (day.0 - 1, at(day).0 - 1);
    let numbers = numbers(db, "i", 1, merchants);
    let amount = format!(
        "CASE WHEN i % 100 <> {night} THEN {DAILY} WHEN {DAILY} * 30 > 100000 \
         THEN {DAILY} * -29 ELSE {DAILY} + 100001 END"
    );
    execute(
        db,
        &format!(
            "WITH RECURSIVE {numbers} INSERT INTO spend \
             SELECT {NAME}, {on}, 'juguang', 1, {amount}, {amount}, 1, {time} FROM i"
        ),
    )
    .await;
    said(db, day - 1).await;
}

fn numbers(db: &DatabaseConnection, name: &str, from: i64, to: i64) -> String {
    match db.get_database_backend() {
        DbBackend::Postgres => {
            format!("{name}({name}) AS (SELECT g FROM generate_series({from}, {to}) g)")
        }
        _ => format!(
            "{name}({name}) AS (SELECT {from} UNION ALL SELECT {name} + 1 FROM {name} WHERE {name} < {to})"
        ),
    }
}

fn numbers_between(db: &DatabaseConnection, name: &str, from: i32, to: i32) -> String {
    numbers(db, name, from.into(), to.into())
}

async fn said(db: &DatabaseConnection, day: Day) {
    let sql = format!(
        "INSERT INTO spend_days (source, day, first_time) VALUES ('juguang', {}, {})",
        day.0,
        at(day).0
    );
    execute(db, &sql).await;
}

async fn complete(db: &DatabaseConnection, day: Day) {
    let sql = format!(
        "UPDATE spend_days SET complete_time = {} WHERE day = {}",
        at(day + 1).0,
        day.0
    );
    execute(db, &sql).await;
}

async fn aggregate(db: &DatabaseConnection, day: Day) {
    let sql = format!(
        "SELECT COUNT(*), MAX(total) FROM (SELECT merchant, SUM(delta) AS total FROM spend \
         WHERE day >= {} AND day < {} GROUP BY merchant) t",
        day.0 - 30,
        day.0
    );
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_one_raw(statement).await.unwrap();
}

async fn run(app: &App, day: Day) -> Run {
    let tx = app.store.begin().await.unwrap();
    let run = tx.run_openings(&app.rules.calendar, at(day), "bench").await;
    tx.commit().await.unwrap();
    run.unwrap()
}

async fn previewed(app: &App, threshold: i64, share_permille: u16) {
    let wanted = Program {
        threshold: Money(threshold),
        share_permille,
        ..Program::default_at(Micros(0))
    };
    let preview = app.preview_program(wanted).await.unwrap();
    assert!(preview.lost.count > 0 && preview.unchanged.count > preview.lost.count);
}

async fn execute(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap();
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (work.await, started.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
