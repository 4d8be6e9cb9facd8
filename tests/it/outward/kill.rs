//! kill -9 of NATS, of the service and of PostgreSQL while adds come in: what was acknowledged is
//! there once, and the stream tells it.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use mingpian::{app::Ambient, wecom::fake::Fake};
use sea_orm::{Database, DatabaseConnection};
use tokio::{sync::watch, time::sleep};

use super::{Consumer, Nats, adds, store, telling};
use crate::{
    lifecycle::{channel, column, serve_on, times},
    on_both_engines,
    support::{Engine, Scratch, WecomClient, process::Process},
    wecom::sender::{CORP_ID, Sender, Told, corp},
};

on_both_engines!(the_stream_tells_the_adds_of_the_database_whoever_is_killed);

/// A PostgreSQL of the test's own, which it may kill.
struct Postgres {
    child: Child,
    url: String,
}

impl Postgres {
    fn start() -> Self {
        let mut child = Command::new("tests/tools/with-postgres")
            .args(["sh", "-c", "echo $TEST_DATABASE_URL; exec cat"])
            .env_remove("TEST_DATABASE_URL")
            // Or what it had acknowledged would be gone with it.
            .env("TEST_PG_FSYNC", "on")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        Self { child, url }
    }

    /// Connects, once it takes connections.
    async fn up(&self) -> DatabaseConnection {
        let started = Instant::now();
        loop {
            match Database::connect(&self.url).await {
                Ok(db) => return db,
                Err(e) => assert!(started.elapsed() < Duration::from_secs(30), "{e}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGKILL to one of its processes: it ends all others, and recovers as from a crash.
    async fn kill(&self) {
        let db = self.up().await;
        let sql = "SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        let pid = column(&db, sql).await.remove(0);
        let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
        assert!(killed.success());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

async fn scratch(postgres: Option<&Postgres>) -> Scratch {
    let Some(postgres) = postgres else {
        return Scratch::new(Engine::Sqlite).await;
    };
    let listen = "127.0.0.1:0".parse().unwrap();
    let wecom = Fake::start(listen, Ambient::system()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    Scratch::on_postgres(postgres.url.clone(), dir, wecom).await
}

/// Lets WeCom tell of one add after the other, each until it is acknowledged; how many.
async fn keep_adding(door: watch::Receiver<SocketAddr>, over: Arc<AtomicBool>) -> usize {
    let sender = Sender::new("klook", CORP_ID);
    let mut acknowledged = 0;
    while !over.load(Ordering::Relaxed) {
        let who = format!("wm-{acknowledged}");
        loop {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.unwrap().as_secs().cast_signed();
            let told = Told::contact("add_external_contact", &who, "", now);
            let http = door.borrow().to_string();
            if sender.send(&http, &told).await == Some(200) {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        acknowledged += 1;
    }
    acknowledged
}

/// Within a round, and no two rounds alike.
async fn a_moment() {
    sleep(Duration::from_millis(
        100 + u64::from(rand::random::<u32>() % 700),
    ))
    .await;
}

async fn create_corp(process: &Process) {
    let mut corps = WecomClient::new(channel(process.grpc).await);
    corps.create_corp(corp("klook", CORP_ID)).await.unwrap();
}

async fn the_stream_tells_the_adds_of_the_database_whoever_is_killed(engine: Engine) {
    let postgres = (engine == Engine::Postgres).then(Postgres::start);
    let scratch = scratch(postgres.as_ref()).await;
    let mut nats = Nats::start();
    let more = telling(&nats);
    let mut process = serve_on(&scratch, &more);
    create_corp(&process).await;
    let consumer = Consumer::of(&nats);
    let (door, at) = watch::channel(process.http);
    let over = Arc::new(AtomicBool::new(false));
    let adding = tokio::spawn(keep_adding(at, over.clone()));

    let rounds = times("TEST_KILLS", 2);
    for round in 0..rounds {
        a_moment().await;
        nats.kill();
        a_moment().await;
        if round == rounds / 2 {
            nats.wipe();
        }
        nats.back();
        a_moment().await;
        process.kill();
        if let Some(postgres) = &postgres {
            // The service does not start without its store.
            postgres.up().await;
        }
        process = serve_on_again(&scratch, &more);
        door.send_replace(process.http);
        a_moment().await;
        if let Some(postgres) = &postgres {
            postgres.kill().await;
            a_moment().await;
        }
    }
    over.store(true, Ordering::Relaxed);
    let acknowledged = adding.await.unwrap();

    let database = store(&scratch).await;
    let started = Instant::now();
    while adds(&database).await.len() < acknowledged {
        let there = adds(&database).await.len();
        let waited = started.elapsed() > Duration::from_secs(60);
        assert!(!waited, "{there} adds of {acknowledged}");
        sleep(Duration::from_millis(100)).await;
    }
    let there = adds(&database).await;
    assert_eq!(there.len(), acknowledged, "none is counted twice");
    let same = |heard: &super::Heard| heard.adds() == there;
    consumer.hears("who followed", same).await;
    let later = Consumer::of(&nats);
    let heard = later.hears("who comes later", same).await;
    println!(
        "{engine:?}: {rounds} rounds, {acknowledged} adds, {} events in the stream",
        heard.ids.len()
    );
    assert!(acknowledged > 10 * rounds);
    let ids: BTreeSet<_> = consumer.heard().ids.into_iter().collect();
    let kept = heard.ids.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(ids, kept, "the stream is whole again");
}

/// Its program that admits everybody is there already.
fn serve_on_again(scratch: &Scratch, more: &str) -> Process {
    scratch.settings(more);
    let settings = scratch.file("settings.toml");
    crate::support::process::serve(&["--config", settings.to_str().unwrap()], &[])
}
