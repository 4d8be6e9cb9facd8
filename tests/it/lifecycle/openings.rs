//! T+1 on several replicas: one makes the run; where it is killed, another does.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::time::sleep;

use super::{column, database, serve_on};
use crate::support::{Engine, Scratch};

/// A holder that is silent so long has lost the lease.
const LEASE: &str = "[spend]\nlease_seconds = 2";

async fn runs(db: &DatabaseConnection) -> Vec<String> {
    column(db, "SELECT holder FROM runs ORDER BY no").await
}

async fn has_run(db: &DatabaseConnection, times: usize) {
    let started = Instant::now();
    while runs(db).await.len() < times {
        assert!(started.elapsed() < Duration::from_secs(20), "no run");
        sleep(Duration::from_millis(50)).await;
    }
}

/// That nobody takes the lease from its holder.
async fn one_holds_the_lease_for(db: &DatabaseConnection, time: Duration) {
    let holder = async || column(db, "SELECT holder FROM leases WHERE name = 'openings'").await;
    let (first, started) = (holder().await, Instant::now());
    while started.elapsed() < time {
        assert_eq!(holder().await, first, "after {:?}", started.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
}

/// As if the last run had been yesterday's.
async fn a_day_passes(db: &DatabaseConnection) {
    let sql = "UPDATE runs SET day = day - 1";
    db.execute_unprepared(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_one_makes_the_run() {
    let scratch = Scratch::new(Engine::Postgres).await;
    let _replicas = [serve_on(&scratch, LEASE), serve_on(&scratch, LEASE)];
    let db = database(&scratch).await;
    has_run(&db, 1).await;
    one_holds_the_lease_for(&db, Duration::from_secs(3)).await;
    assert_eq!(runs(&db).await.len(), 1, "for the first day");

    a_day_passes(&db).await;
    has_run(&db, 2).await;
    one_holds_the_lease_for(&db, Duration::from_secs(3)).await;
    let holders = runs(&db).await;
    assert_eq!(holders.len(), 2, "for the second");
    assert_eq!(holders[0], holders[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_one_that_makes_the_runs_is_killed_another_does() {
    let scratch = Scratch::new(Engine::Postgres).await;
    let mut first = serve_on(&scratch, LEASE);
    let db = database(&scratch).await;
    has_run(&db, 1).await;
    let _second = serve_on(&scratch, LEASE);
    first.kill();
    a_day_passes(&db).await;
    has_run(&db, 2).await;
    let holders = runs(&db).await;
    assert_ne!(holders[0], holders[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_in_good_order_leaves_the_runs_to_others_at_once() {
    let scratch = Scratch::new(Engine::Postgres).await;
    let mut process = serve_on(&scratch, "[spend]\nlease_seconds = 3600");
    let db = database(&scratch).await;
    has_run(&db, 1).await;
    assert_eq!(
        column(&db, "SELECT holder FROM leases WHERE name = 'openings'")
            .await
            .len(),
        1
    );
    process.terminate();
    process.ends_within(Duration::from_secs(20)).unwrap();
    assert!(
        column(&db, "SELECT holder FROM leases WHERE name = 'openings'")
            .await
            .is_empty()
    );
}
