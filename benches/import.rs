//! How fast `mingpian import-spend` takes in a file, against the engine's own bulk load of the
//! same rows into the same table: SQLite's one prepared INSERT in one transaction, and
//! PostgreSQL's COPY.
//!
//!     cargo bench --bench import -- --merchants 100000 --days 30
//!
//! On PostgreSQL too where `TEST_DATABASE_URL` names a server: before the command goes
//! `tests/tools/with-postgres`. The whole command is measured, from its start to its end.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::{
    env,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use mingpian::{app::Ambient, domain::Day, domain::Zone, store};
use sqlx::{Connection, Executor, PgConnection};

/// What is loaded: each day's figures of every merchant, day after day, as they come.
#[derive(Clone, Copy)]
struct Size {
    merchants: u32,
    days: i32,
}

impl Size {
    fn rows(self) -> u64 {
        u64::from(self.merchants) * self.days.unsigned_abs() as u64
    }

    /// Calls with each row: merchant, day, amount in cents.
    fn each(self, mut row: impl FnMut(&str, Day, u32)) {
        let today = Zone::SHANGHAI.day(Ambient::system().now());
        for day in (1..=self.days).rev() {
            for n in 0..self.merchants {
                let cents = n.wrapping_mul(2_654_435_761).rotate_left(day as u32) % 1_000_000;
                row(&format!("merchant-{n:07}"), today - day, cents);
            }
        }
    }
}

fn main() {
    let mut size = Size {
        merchants: 100_000,
        days: 30,
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--merchants" => size.merchants = words.next().unwrap().parse().unwrap(),
            "--days" => size.days = words.next().unwrap().parse().unwrap(),
            _ => {}
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("spend.csv");
    write_csv(&csv, size);
    println!("{} merchants, {} days", size.merchants, size.days);
    let runtime = tokio::runtime::Runtime::new().unwrap();

    let url = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
    runtime.block_on(migrate(&url("bulk.db")));
    let bulk = sqlite_bulk(&dir.path().join("bulk.db"), size);
    told(
        "SQLite",
        size,
        bulk,
        import(&csv, &url("import.db")),
        again(&csv, &url("import.db")),
    );

    if let Ok(server) = env::var("TEST_DATABASE_URL") {
        let (bulk, first, second) = runtime.block_on(postgres(&server, &csv, size));
        told("PostgreSQL", size, bulk, first, second);
    }
}

fn told(engine: &str, size: Size, bulk: Duration, first: Duration, again: Duration) {
    let rate = |took: Duration| size.rows() as f64 / took.as_secs_f64();
    println!(
        "{engine}: bulk load {:.0} rows/s, import {:.0} rows/s, ratio {:.2}; again {:.0} rows/s",
        rate(bulk),
        rate(first),
        rate(first) / rate(bulk),
        rate(again)
    );
}

fn write_csv(path: &Path, size: Size) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    writeln!(file, "merchant,day,source,amount,currency").unwrap();
    size.each(|merchant, day, cents| {
        let (units, cents) = (cents / 100, cents % 100);
        writeln!(file, "{merchant},{day},juguang,{units}.{cents:02},CNY").unwrap();
    });
    file.flush().unwrap();
}

async fn migrate(url: &str) {
    let options = store::Options {
        url: url.to_owned().into(),
        max_connections: 2,
        acquire_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(60),
    };
    let store = store::Store::open(&options).await.unwrap();
    store.migrate(Ambient::system().now()).await.unwrap();
}

fn import(csv: &Path, url: &str) -> Duration {
    let started = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_mingpian"))
        .arg("import-spend")
        .arg(csv)
        .env("MINGPIAN_STORE_URL", url)
        .env("MINGPIAN_KEYS_FILE", csv.with_extension("keys"))
        .status();
    assert!(status.unwrap().success());
    started.elapsed()
}

/// The same file, when all of it is there.
fn again(csv: &Path, url: &str) -> Duration {
    import(csv, url)
}

fn sqlite_bulk(path: &Path, size: Size) -> Duration {
    let mut db = rusqlite::Connection::open(path).unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    let started = Instant::now();
    let tx = db.transaction().unwrap();
    {
        let insert = "INSERT INTO spend (merchant, day, source, version, amount, delta, \
                      import_no, time) VALUES (?1, ?2, 'juguang', 1, ?3, ?3, 1, 1)";
        let mut insert = tx.prepare(insert).unwrap();
        size.each(|merchant, day, cents| {
            insert.execute((merchant, day.0, cents)).unwrap();
        });
    }
    tx.commit().unwrap();
    started.elapsed()
}

/// The bulk load, the import, and the import once more; each in a database of its own.
async fn postgres(server: &str, csv: &Path, size: Size) -> (Duration, Duration, Duration) {
    let mut admin = PgConnection::connect(server).await.unwrap();
    let mut urls = Vec::new();
    for name in ["bench_bulk", "bench_import"] {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        admin.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        admin.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(name);
        migrate(url.as_str()).await;
        urls.push(url.to_string());
    }
    let bulk = postgres_bulk(&urls[0], size).await;
    let (first, second) = (import(csv, &urls[1]), again(csv, &urls[1]));
    for name in ["bench_bulk", "bench_import"] {
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        admin.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
    }
    (bulk, first, second)
}

async fn postgres_bulk(url: &str, size: Size) -> Duration {
    let mut db = PgConnection::connect(url).await.unwrap();
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    size.each(|merchant, day, cents| {
        if lines.last().unwrap().len() > 1 << 20 {
            lines.push(Vec::new());
        }
        let last = lines.last_mut().unwrap();
        writeln!(
            last,
            "{merchant}\t{}\tjuguang\t1\t{cents}\t{cents}\t1\t1",
            day.0
        )
        .unwrap();
    });
    let started = Instant::now();
    let copy = "COPY spend (merchant, day, source, version, amount, delta, import_no, time) \
                FROM STDIN";
    let mut copying = db.copy_in_raw(copy).await.unwrap();
    for part in lines {
        copying.send(part).await.unwrap();
    }
    copying.finish().await.unwrap();
    started.elapsed()
}
