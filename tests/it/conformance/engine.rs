//! Transactions, connections, and what only one of the engines can do.

use std::{pin::pin, time::Duration};

use futures_util::future::join_all;
use mingpian::store::Store;
use sea_orm::{ConnectionTrait, Database};
use tokio::time::{Instant, timeout};

use super::{
    AUTHOR, NOW, SECOND, Stage, card, card_name, clearance, insert_card, insert_card_as, options,
    select,
};
use crate::{
    on_both_engines,
    support::{Engine, Scratch},
};

on_both_engines!(
    reads_see_what_was_acknowledged_and_nothing_else,
    a_dropped_transaction_never_was_and_blocks_nobody,
    a_write_that_is_cut_short_never_was,
    a_committed_write_is_there_after_reopening,
    reads_go_on_while_a_transaction_is_open,
    an_exhausted_pool_is_unavailable_in_time,
    an_exhausted_pool_leaves_the_ping_its_connection,
    bursts_of_reads_and_writes_all_end,
);

async fn reads_see_what_was_acknowledged_and_nothing_else(engine: Engine) {
    let s = Stage::new(engine).await;
    for i in 0..50 {
        let name = card_name("klook", &format!("c{i}"));
        let tx = s.store.begin().await.unwrap();
        let made = insert_card(&tx, card("klook", name.id())).await;
        assert_eq!(tx.card(&name).await.unwrap(), made);
        assert_eq!(s.store.reads().card(&name).await.unwrap(), None);
        tx.commit().await.unwrap();
        let read = || s.store.reads().card(&name);
        // Whichever connection of the pool looks.
        for seen in join_all((0..8).map(|_| read())).await {
            assert_eq!(seen.unwrap(), made);
        }
    }
}

async fn a_dropped_transaction_never_was_and_blocks_nobody(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let clear = clearance(first.merchant());
    for i in 0..40 {
        let tx = s.store.begin().await.unwrap();
        tx.lock_merchant("klook").await.unwrap();
        tx.lock_card(&first.name).await.unwrap().unwrap();
        let next = first.next(NOW);
        tx.change_card(&clear, &next, AUTHOR).await.unwrap();
        insert_card(&tx, card("klook", &format!("c{i}")))
            .await
            .unwrap();
    }
    let read = s.store.reads().card(&first.name).await.unwrap();
    assert_eq!(read, Some(first.clone()));
    let count = s.store.reads().count_cards(first.merchant()).await;
    assert_eq!(count.unwrap(), 1);
}

async fn a_write_that_is_cut_short_never_was(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let clear = clearance(first.merchant());
    // A caller may go away at any point.
    for micros in (0..4000).step_by(100) {
        let work = s.write(async |tx| {
            let card = tx.lock_card(&first.name).await.unwrap().unwrap();
            let next = card.next(NOW);
            tx.change_card(&clear, &next, AUTHOR).await.unwrap();
        });
        let _ = timeout(Duration::from_micros(micros), work).await;
    }
    // The last may be cut in its very commit: who writes next has waited for it.
    s.store.begin().await.unwrap().rollback().await.unwrap();
    let card = s.store.reads().card(&first.name).await.unwrap().unwrap();
    let versions = s.select("SELECT CAST(version AS TEXT) FROM card_versions v ORDER BY v.version");
    let all: Vec<_> = (1..=card.version).map(|v| v.to_string()).collect();
    assert_eq!(versions.await, all);
}

async fn a_committed_write_is_there_after_reopening(engine: Engine) {
    let s = Stage::new(engine).await;
    let made = s.add_card(card("klook", "main")).await;
    let Stage { store, scratch, .. } = s;
    drop(store);
    let again = Store::open(&options(&scratch.url)).await.unwrap();
    assert_eq!(again.reads().card(&made.name).await.unwrap(), Some(made));
}

async fn reads_go_on_while_a_transaction_is_open(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let clear = clearance(first.merchant());
    let tx = s.store.begin().await.unwrap();
    let next = first.next(NOW);
    tx.change_card(&clear, &next, AUTHOR).await.unwrap();
    let read = timeout(5 * SECOND, s.store.reads().card(&first.name)).await;
    assert_eq!(read.unwrap().unwrap(), Some(first));
    tx.commit().await.unwrap();
}

async fn an_exhausted_pool_is_unavailable_in_time(engine: Engine) {
    const WAIT: Duration = Duration::from_millis(300);
    let s = Stage::new(engine).await;
    let mut options = options(&s.scratch.url);
    options.max_connections = 1;
    options.acquire_timeout = WAIT;
    let store = Store::open(&options).await.unwrap();
    let held = store.begin().await.unwrap();
    let started = Instant::now();
    let e = store.begin().await.unwrap_err();
    assert!(e.is_unavailable(), "{e}");
    let waited = started.elapsed();
    assert!(waited >= WAIT && waited < WAIT + 2 * SECOND, "{waited:?}");
    drop(held);
    store.begin().await.unwrap();
}

#[tokio::test]
async fn a_file_that_may_only_be_read_is_no_store() {
    let s = Stage::new(Engine::Sqlite).await;
    let options = options(&format!("{}?mode=ro", s.scratch.url));
    let opened = Store::open(&options).await;
    let e = match opened {
        Ok(store) => store.migrate(NOW).await.unwrap_err(),
        Err(e) => e,
    };
    assert!(e.is_unavailable(), "{e}");
}

async fn an_exhausted_pool_leaves_the_ping_its_connection(engine: Engine) {
    let s = Stage::new(engine).await;
    let mut options = options(&s.scratch.url);
    options.max_connections = 1;
    options.acquire_timeout = Duration::from_millis(100);
    let store = Store::open(&options).await.unwrap();
    let _held = store.begin().await.unwrap();
    store.begin().await.unwrap_err();
    store.ping().await.unwrap();
}

async fn bursts_of_reads_and_writes_all_end(engine: Engine) {
    let s = Stage::new(engine).await;
    let work = async |i: usize| {
        let made = s.add_card(card("klook", &format!("c{i}"))).await;
        let read = s.store.reads().card(&made.name).await.unwrap();
        assert_eq!(read, Some(made));
    };
    join_all((0..100).map(work)).await;
    let count = s.store.reads().count_cards(&super::merchant("klook")).await;
    assert_eq!(count.unwrap(), 100);
}

/// What the file shows; the connections' own settings are tested in `store/backend.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_has_one_writer_which_locks_from_the_beginning() {
    let s = Stage::new(Engine::Sqlite).await;
    let other = s.raw().await;
    assert_eq!(select(&other, "PRAGMA journal_mode").await, ["wal"]);
    other
        .execute_unprepared("PRAGMA busy_timeout = 0")
        .await
        .unwrap();
    let begin = "BEGIN IMMEDIATE; ROLLBACK";

    // It has written nothing yet.
    let tx = s.store.begin().await.unwrap();
    let e = other.execute_unprepared(begin).await.unwrap_err();
    assert!(e.to_string().contains("database is locked"), "{e}");
    // A second writer of this process waits its turn.
    let second = timeout(Duration::from_millis(100), s.store.begin()).await;
    assert!(second.is_err());
    drop(tx);
    s.store.begin().await.unwrap().rollback().await.unwrap();
    other.execute_unprepared(begin).await.unwrap();
}

/// Of processes that start together on a new file, one turns it to WAL; SQLite itself lets
/// the others fail at once.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_waits_for_who_writes_to_a_new_file() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let other = Database::connect(format!("{}?mode=rwc", scratch.url)).await;
    let other = other.unwrap();
    let sql = "CREATE TABLE t (a); BEGIN IMMEDIATE";
    other.execute_unprepared(sql).await.unwrap();

    let options = options(&scratch.url);
    let mut open = pin!(Store::open(&options));
    let early = timeout(Duration::from_millis(200), &mut open).await;
    assert!(early.is_err(), "{early:?}");
    other.execute_unprepared("ROLLBACK").await.unwrap();
    let store = open.await.unwrap();
    store.migrate(NOW).await.unwrap();
    let fresh = Database::connect(&scratch.url).await.unwrap();
    assert_eq!(select(&fresh, "PRAGMA journal_mode").await, ["wal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_makes_the_folder_of_its_file() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let file = scratch.file("a/b/mingpian.db");
    let url = format!("sqlite://{}", file.display());
    Store::open(&options(&url))
        .await
        .unwrap()
        .migrate(NOW)
        .await
        .unwrap();
    assert!(file.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_ends_a_statement_that_takes_too_long() {
    let s = Stage::new(Engine::Postgres).await;
    let first = s.add_card(card("klook", "main")).await;
    let mut options = options(&s.scratch.url);
    options.statement_timeout = Duration::from_millis(200);
    let impatient = Store::open(&options).await.unwrap();

    let holder = s.store.begin().await.unwrap();
    holder.lock_card(&first.name).await.unwrap();
    let tx = impatient.begin().await.unwrap();
    let e = timeout(10 * SECOND, tx.lock_card(&first.name))
        .await
        .unwrap();
    assert!(e.unwrap_err().is_unavailable());
    // Its schema may take longer.
    impatient.migrate(NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_deadlocks_are_conflicts() {
    let s = Stage::new(Engine::Postgres).await;
    let a = s.add_card(card("klook", "a")).await.name;
    let b = s.add_card(card("klook", "b")).await.name;
    let (first, second) = (
        s.store.begin().await.unwrap(),
        s.store.begin().await.unwrap(),
    );
    first.lock_card(&a).await.unwrap();
    second.lock_card(&b).await.unwrap();
    let ended = tokio::join!(
        async {
            let crossing = first.lock_card(&b).await;
            drop(first);
            crossing
        },
        async {
            let crossing = second.lock_card(&a).await;
            drop(second);
            crossing
        },
    );
    let lost = match ended {
        (Err(e), Ok(_)) | (Ok(_), Err(e)) => e,
        both => panic!("{both:?}"),
    };
    assert!(lost.is_conflict(), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_may_cut_its_connections_and_the_store_recovers() {
    let s = Stage::new(Engine::Postgres).await;
    let made = s.add_card(card("klook", "main")).await;
    let tx = s.store.begin().await.unwrap();
    insert_card(&tx, card("klook", "lost")).await.unwrap();
    s.select(
        "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    let e = tx.commit().await.unwrap_err();
    assert!(e.is_unavailable(), "{e}");

    // At most every connection of the pool fails once.
    let mut failures = 0;
    let read = loop {
        match s.store.reads().card(&made.name).await {
            Ok(read) => break read,
            Err(e) => assert!(e.is_unavailable(), "{e}"),
        }
        failures += 1;
        assert!(failures <= 16);
    };
    assert_eq!(read, Some(made));
    let lost = card_name("klook", "lost");
    assert_eq!(s.store.reads().card(&lost).await.unwrap(), None);
}

/// As after a failover to a standby.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_only_reads_is_unavailable_for_writes() {
    let s = Stage::new(Engine::Postgres).await;
    let made = s.add_card(card("klook", "main")).await;
    let db = s.select("SELECT current_database()::text").await.concat();
    let only_reads = format!("ALTER DATABASE {db} SET default_transaction_read_only = on");
    s.raw().await.execute_unprepared(&only_reads).await.unwrap();
    let standby = Store::open(&options(&s.scratch.url)).await.unwrap();
    assert_eq!(
        standby.reads().card(&made.name).await.unwrap(),
        Some(made.clone())
    );
    let tx = standby.begin().await.unwrap();
    let wanted = card("klook", "other");
    let e = insert_card_as(&tx, clearance(made.merchant()), wanted, AUTHOR).await;
    assert!(e.unwrap_err().is_unavailable());
}
