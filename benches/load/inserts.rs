//! The ceiling of writing a card: the engines' own drivers, inserting the same rows, one card a
//! transaction, in a process on the servers' core.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use mingpian::app::Ambient;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::{
    cards,
    load::Tally,
    process::{Cpu, on_server_core},
    raw,
};

const CARD: &str = "INSERT INTO cards (merchant, id, display_name, headline, avatar_uri, contacts, \
                    deleted, version, create_time, update_time) \
                    VALUES ($1, $2, $3, $4, $5, $6, false, 1, $7, $7) RETURNING no";
const VERSION: &str = "INSERT INTO card_versions (no, version, time, author, body) \
                       VALUES ($1, 1, $2, 'bff', $3)";
const ANSWER: &str = "INSERT INTO requests (caller, id, fingerprint, answer, time) \
                      VALUES ('raw', $1, $2, $3, $4)";
const FIRST: &str = "SELECT display_name, headline, avatar_uri, contacts, \
                     (SELECT max(body) FROM card_versions WHERE no = 1) FROM cards WHERE no = 1";
/// Bytes of a fingerprint, and of a sealed answer beside the card in it.
const FINGERPRINT: usize = 32;
const SEAL: usize = 33;

/// Inserts for so long.
pub fn start(url: &str, time: Duration, clients: usize) -> Tally {
    let program = std::env::current_exe().unwrap();
    let millis = time.as_millis().to_string();
    let out = on_server_core(program.to_str().unwrap())
        .args(["--inserts", url, &millis, &clients.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let figures: Vec<u64> = text
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let [calls, elapsed, cpu] = figures[..] else {
        panic!("{}", String::from_utf8_lossy(&out.stderr))
    };
    Tally {
        calls,
        elapsed: Duration::from_micros(elapsed),
        cpu: Duration::from_micros(cpu),
        ..Tally::default()
    }
}

/// What the program is when it is started so: says how many, in how long, with how much processor.
#[tokio::main(flavor = "current_thread")]
pub async fn run(url: String, time: Duration, clients: usize) {
    let (before, started) = (Cpu::own().used(), Instant::now());
    let made = match url.strip_prefix("sqlite://") {
        Some(path) => sqlite(path, time),
        None => {
            let clients = (0..clients).map(|_| postgres(&url, time));
            join_all(clients).await.into_iter().sum()
        }
    };
    let (elapsed, cpu) = (started.elapsed(), Cpu::own().used() - before);
    println!("{made} {} {}", elapsed.as_micros(), cpu.as_micros());
}

/// What the rows hold: the first card's.
struct Texts {
    card: [String; 4],
    body: String,
    answer: Vec<u8>,
}

impl Texts {
    fn new(card: [String; 4], body: String) -> Self {
        let answer = vec![7; body.len() + SEAL];
        Self { card, body, answer }
    }
}

fn sqlite(path: &str, time: Duration) -> u64 {
    let db = raw::sqlite(path);
    let texts = db
        .query_row(FIRST, [], |row| {
            let card = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            Ok(Texts::new(card, row.get(4)?))
        })
        .unwrap();
    let [mut begin, mut card, mut version, mut answer, mut commit] =
        ["BEGIN IMMEDIATE", CARD, VERSION, ANSWER, "COMMIT"].map(|sql| db.prepare(sql).unwrap());
    let (ambient, until, mut made) = (Ambient::system(), Instant::now() + time, 0);
    while Instant::now() < until {
        let (id, now) = (ambient.uuid(), ambient.now().0);
        let [name, headline, avatar, contacts] = &texts.card;
        begin.execute([]).unwrap();
        let row = (
            merchant(made),
            format!("raw-{id}"),
            name,
            headline,
            avatar,
            contacts,
            now,
        );
        let no: i64 = card.query_row(row, |row| row.get(0)).unwrap();
        version.execute((no, now, &texts.body)).unwrap();
        let row = (id.as_bytes(), [7u8; FINGERPRINT], &texts.answer, now);
        answer.execute(row).unwrap();
        commit.execute([]).unwrap();
        made += 1;
    }
    made
}

async fn postgres(url: &str, time: Duration) -> u64 {
    let mut db = PgConnection::connect(url).await.unwrap();
    let first = sqlx::query(FIRST).fetch_one(&mut db).await.unwrap();
    let texts = Rc::new(Texts::new([0, 1, 2, 3].map(|n| first.get(n)), first.get(4)));
    let (ambient, until, mut made) = (Ambient::system(), Instant::now() + time, 0);
    while Instant::now() < until {
        let (id, now) = (ambient.uuid(), ambient.now().0);
        let [name, headline, avatar, contacts] = &texts.card;
        let mut tx = db.begin().await.unwrap();
        let card = sqlx::query(AssertSqlSafe(CARD))
            .bind(merchant(made))
            .bind(format!("raw-{id}"))
            .bind(name)
            .bind(headline)
            .bind(avatar)
            .bind(contacts)
            .bind(now);
        let no: i64 = card.fetch_one(&mut *tx).await.unwrap().get(0);
        let version = sqlx::query(VERSION).bind(no).bind(now).bind(&texts.body);
        version.execute(&mut *tx).await.unwrap();
        let answer = sqlx::query(ANSWER)
            .bind(id)
            .bind([7u8; FINGERPRINT])
            .bind(&texts.answer)
            .bind(now);
        answer.execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        made += 1;
    }
    made
}

/// None of ours, which would have more cards to count.
fn merchant(n: u64) -> String {
    format!("raw-{}", n % cards::MERCHANTS)
}
