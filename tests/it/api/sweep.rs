//! The sweep: what has had its time is removed, one card at a time.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use tokio::time::timeout;

use super::{Api, DAY};
use crate::{on_both_engines, support::Engine};

on_both_engines!(a_card_that_cannot_be_purged_does_not_keep_the_others);

async fn a_card_that_cannot_be_purged_does_not_keep_the_others(engine: Engine) {
    let mut api = Api::start(engine).await;
    for id in ["a", "b", "c", "d"] {
        api.create(id).await.unwrap();
        api.delete(id).await.unwrap();
    }
    let db = Database::connect(&api.server.scratch.url).await.unwrap();
    for sql in [
        "UPDATE card_versions SET body = 'torn' WHERE no = (SELECT no FROM cards WHERE id = 'a')",
        "UPDATE cards SET contacts = 'torn' WHERE id = 'c'",
    ] {
        db.execute_unprepared(sql).await.unwrap();
    }
    api.advance(31 * DAY);
    let app = api.server.app.clone();
    for purged in [2, 0] {
        let sweep = timeout(Duration::from_secs(10), app.sweep()).await;
        assert_eq!(sweep.unwrap().unwrap(), purged);
        let left = db.query_all_raw(sea_orm::Statement::from_string(
            db.get_database_backend(),
            "SELECT id FROM cards ORDER BY id",
        ));
        let left: Vec<String> = left
            .await
            .unwrap()
            .iter()
            .map(|r| r.try_get_by_index(0).unwrap())
            .collect();
        assert_eq!(left, ["a", "c"]);
    }
}

/// More than are forgotten at once.
#[tokio::test(flavor = "multi_thread")]
async fn all_callbacks_that_are_worked_off_are_forgotten_in_time() {
    let api = Api::start(Engine::Sqlite).await;
    let db = Database::connect(&api.server.scratch.url).await.unwrap();
    let old = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
        INSERT INTO callbacks (key, corp_no, time, body, attempts, next_time)
        SELECT CAST(i AS blob), 1, 0, x'', 0, NULL FROM n";
    db.execute_unprepared(old).await.unwrap();
    api.server.app.sweep().await.unwrap();
    let left = "SELECT count(*) FROM callbacks";
    let left = sea_orm::Statement::from_string(db.get_database_backend(), left);
    let left = db.query_one_raw(left).await.unwrap().unwrap();
    assert_eq!(left.try_get_by_index::<i64>(0).unwrap(), 0);
}
