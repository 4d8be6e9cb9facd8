//! Imports leave room for everything else.

use std::{fs, time::Duration};

use futures_util::future::join_all;
use mingpian::{
    api::pb,
    app::Ambient,
    domain::{Micros, Zone},
    server::open_store,
    store::{Options, Store},
};
use sea_orm::DatabaseConnection;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::{column, database, import, path};
use crate::support::{Engine, ProgramClient, Scratch, TestServer, get_menu, refused};

/// One write.
async fn pause_or_resume(programs: &mut ProgramClient, paused: bool) {
    let name = "programs/default".to_owned();
    if paused {
        let request = pb::ResumeProgramRequest {
            name,
            ..Default::default()
        };
        programs.resume_program(request).await.unwrap();
    } else {
        let request = pb::PauseProgramRequest {
            name,
            ..Default::default()
        };
        programs.pause_program(request).await.unwrap();
    }
}

async fn one_day(server: &TestServer, n: i32) -> pb::ImportSpendRequest {
    let day = Zone::SHANGHAI.day(server.clock.now()) - 1;
    let (year, month, day) = day.date();
    let entry = pb::SpendEntry {
        merchant: format!("merchants/m{n}"),
        day: Some(mingpian::api::common::Date {
            year,
            month: month.cast_signed(),
            day: day.cast_signed(),
        }),
        source: "juguang".into(),
        amount: Some(mingpian::api::common::Money {
            currency_code: "CNY".into(),
            units: 1,
            nanos: 0,
        }),
    };
    pb::ImportSpendRequest {
        entries: vec![entry],
    }
}

async fn becomes(db: &DatabaseConnection, sql: &str, wanted: &str) {
    let started = Instant::now();
    while column(db, sql).await != [wanted] {
        assert!(started.elapsed() < Duration::from_secs(20), "{sql}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Another replica takes long over a chunk.
#[tokio::test(flavor = "multi_thread")]
async fn importers_that_wait_leave_the_connections_to_calls() {
    // As many as one replica takes.
    const STREAMS: i32 = 8;
    let more = "[store]\nmax_connections = 4\n";
    let server = TestServer::gated(Engine::Postgres, more).await;
    let other = Options {
        url: server.scratch.url.clone().into(),
        max_connections: 1,
        acquire_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(5),
    };
    let other = Store::open(&other).await.unwrap();
    let (turn, tx) = other.begin_import().await.unwrap();

    let client = server.eligibilities().await;
    let streams = join_all((0..STREAMS).map(async |n| {
        let messages = tokio_stream::once(one_day(&server, n).await);
        client.clone().import_spend(messages).await
    }));
    let db = database(&server.scratch).await;
    let meanwhile = async {
        let begun = "SELECT CAST(count(*) AS text) FROM spend_imports";
        becomes(&db, begun, &STREAMS.to_string()).await;
        let waiting = "SELECT CAST(count(*) AS text) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event = 'advisory'";
        becomes(&db, waiting, "1").await;
        let one_more = tokio_stream::once(one_day(&server, STREAMS).await);
        let one_more = server.eligibilities().await.import_spend(one_more).await;
        refused(one_more, Code::Unavailable, "OVERLOADED");
        let mut programs = server.programs().await;
        pause_or_resume(&mut programs, false).await;
        pause_or_resume(&mut programs, true).await;
        let menu = get_menu("klook");
        server.serving().await.get_chat_menu(menu).await.unwrap();
        assert_eq!(column(&db, waiting).await, ["1"]);
        server.clock.advance(Duration::from_secs(60));
        let released = server.clock.now();
        tx.rollback().await.unwrap();
        drop(turn);
        released
    };
    let (answers, released): (Vec<_>, Micros) = tokio::join!(streams, meanwhile);
    for answer in answers {
        assert_eq!(answer.unwrap().into_inner().accepted, 1);
    }
    // Nobody could have been told of a figure before it was written.
    let early = format!("SELECT merchant FROM spend WHERE time < {}", released.0);
    assert!(column(&db, &early).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_paused_while_another_process_imports_into_sqlite() {
    let server = TestServer::gated(Engine::Sqlite, "").await;
    let day = Zone::SHANGHAI.day(server.clock.now()) - 1;
    // Four chunks: the importer gives way between them.
    let rows: String = (0..1_200_000)
        .map(|n| format!("m{n},{day},juguang,1,CNY\n"))
        .collect();
    let file = path(&server.scratch, "f.csv");
    fs::write(
        &file,
        format!("merchant,day,source,amount,currency\n{rows}"),
    )
    .unwrap();
    let db = database(&server.scratch).await;
    let under_way = "SELECT 'yes' FROM spend_imports WHERE position > 0 AND finish_time IS NULL";
    let mut programs = server.programs().await;
    let mut importing = import::command(&server.scratch, &file).spawn().unwrap();
    let (mut times, mut longest, mut paused) = (0, Duration::ZERO, false);
    let code = loop {
        if let Some(code) = importing.try_wait().unwrap() {
            break code;
        }
        let begun = column(&db, under_way).await;
        let started = Instant::now();
        pause_or_resume(&mut programs, paused).await;
        paused = !paused;
        // What had to wait for the import's end is none of them.
        if !begun.is_empty() && !column(&db, under_way).await.is_empty() {
            longest = longest.max(started.elapsed());
            times += 1;
        }
    };
    eprintln!("{times} times, the longest in {longest:?}");
    assert!(code.success() && times >= 1, "{code}, {times}");
}

/// For longer than SQLite waits.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_into_a_busy_sqlite_says_what_to_do() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let settings = scratch.settings("");
    let store = open_store(&settings, &Ambient::system()).await.unwrap();
    let file = path(&scratch, "f.csv");
    fs::write(&file, "merchant,day,source,amount,currency\n").unwrap();
    let others = store.begin().await.unwrap();
    let output = import::command(&scratch, &file).output().unwrap();
    others.rollback().await.unwrap();
    assert_eq!(output.status.code(), Some(75));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "mingpian: another process is writing to the store, perhaps another import; give the \
         same command again when it is done: what is in stays in\n"
    );
    let output = import::command(&scratch, &file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
