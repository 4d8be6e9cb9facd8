//! The inbox of WeCom's callbacks: kept once, worked off, forgotten.

use std::time::Duration;

use mingpian::{domain::Micros, store::Callback};

use super::{NOW, SECOND, Stage};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    a_callback_that_comes_again_is_kept_once,
    of_callbacks_that_come_at_once_one_is_kept,
    due_callbacks_come_in_the_order_they_wait,
    a_callback_worked_off_keeps_its_key_and_nothing_else,
    a_callback_put_off_comes_again_then,
    only_what_is_worked_off_is_forgotten,
    so_many_are_forgotten_and_no_more,
);

const CORP: i64 = 7;

/// A key that is as good as any.
fn key(n: u8) -> [u8; 32] {
    [n; 32]
}

impl Stage {
    async fn put(&self, n: u8, at: Micros) -> bool {
        let body = vec![n, 0, 0xff];
        self.store
            .put_callback(key(n), CORP, body, at)
            .await
            .unwrap()
    }

    async fn due(&self, at: Micros, limit: u64) -> Vec<Callback> {
        self.store.reads().due_callbacks(at, limit).await.unwrap()
    }

    /// The first byte of the body of each that is due.
    async fn due_ids(&self, at: Micros) -> Vec<u8> {
        let due = self.due(at, 100).await;
        due.iter().map(|callback| callback.body[0]).collect()
    }
}

async fn a_callback_that_comes_again_is_kept_once(engine: Engine) {
    let stage = Stage::new(engine).await;
    assert!(stage.put(1, NOW).await);
    assert!(!stage.put(1, NOW + SECOND).await);
    assert!(stage.put(2, NOW + SECOND).await);
    let due = stage.due(NOW + SECOND, 100).await;
    assert_eq!(due.len(), 2);
    let first = Callback {
        no: due[0].no,
        corp_no: CORP,
        time: NOW,
        body: vec![1, 0, 0xff],
        attempts: 0,
    };
    assert_eq!(due[0], first, "as it first came");
}

async fn of_callbacks_that_come_at_once_one_is_kept(engine: Engine) {
    let stage = Stage::new(engine).await;
    let puts = (0..8).map(|_| {
        let store = stage.store.clone();
        tokio::spawn(async move { store.put_callback(key(1), CORP, vec![1], NOW).await })
    });
    let mut kept = 0;
    for put in puts.collect::<Vec<_>>() {
        kept += usize::from(put.await.unwrap().unwrap());
    }
    assert_eq!(kept, 1);
    assert_eq!(stage.due(NOW, 100).await.len(), 1);
}

async fn due_callbacks_come_in_the_order_they_wait(engine: Engine) {
    let stage = Stage::new(engine).await;
    for (n, at) in [(1, NOW + SECOND), (2, NOW), (3, NOW), (4, NOW + 9 * SECOND)] {
        assert!(stage.put(n, at).await);
    }
    assert_eq!(stage.due_ids(NOW + SECOND).await, [2, 3, 1]);
    assert_eq!(stage.due_ids(NOW).await, [2, 3]);
    assert_eq!(stage.due(NOW + SECOND, 2).await.len(), 2);
}

async fn a_callback_worked_off_keeps_its_key_and_nothing_else(engine: Engine) {
    let stage = Stage::new(engine).await;
    for n in 1..=3 {
        stage.put(n, NOW).await;
    }
    let due = stage.due(NOW, 2).await;
    let nos: Vec<_> = due.iter().map(|callback| callback.no).collect();
    stage
        .write(async |tx| tx.callbacks_done(&nos).await.unwrap())
        .await;
    stage
        .write(async |tx| tx.callbacks_done(&[]).await.unwrap())
        .await;
    assert_eq!(stage.due_ids(NOW + 9 * SECOND).await, [3]);
    let empty = "SELECT CAST(COUNT(*) AS text) FROM callbacks WHERE length(body) = 0";
    assert_eq!(stage.select(empty).await, ["2"]);
    assert!(!stage.put(1, NOW + SECOND).await, "it is still known");
    assert_eq!(stage.due_ids(NOW + 9 * SECOND).await, [3]);
}

async fn a_callback_put_off_comes_again_then(engine: Engine) {
    let stage = Stage::new(engine).await;
    stage.put(1, NOW).await;
    let no = stage.due(NOW, 1).await[0].no;
    let later = NOW + Duration::from_secs(30);
    stage
        .write(async |tx| tx.callback_later(no, later).await.unwrap())
        .await;
    assert!(stage.due(Micros(later.0 - 1), 9).await.is_empty());
    let due = stage.due(later, 9).await;
    assert_eq!((due[0].no, due[0].attempts), (no, 1));
    stage
        .write(async |tx| {
            tx.callbacks_done(&[no]).await.unwrap();
            tx.callback_later(no, later).await.unwrap();
        })
        .await;
    assert!(stage.due(later, 9).await.is_empty(), "done is done");
}

async fn only_what_is_worked_off_is_forgotten(engine: Engine) {
    let stage = Stage::new(engine).await;
    for (n, at) in [(1, NOW), (2, NOW), (3, NOW + SECOND)] {
        stage.put(n, at).await;
    }
    let all = stage.due(NOW + SECOND, 9).await;
    let done = [all[0].no, all[2].no];
    let forgotten = stage
        .write(async |tx| {
            tx.callbacks_done(&done).await.unwrap();
            tx.forget_callbacks(NOW + SECOND, 9).await.unwrap()
        })
        .await;
    assert_eq!(forgotten, 1);
    assert!(stage.put(1, NOW + SECOND).await, "nobody knows it any more");
    assert!(!stage.put(2, NOW).await && !stage.put(3, NOW).await);
}

async fn so_many_are_forgotten_and_no_more(engine: Engine) {
    let stage = Stage::new(engine).await;
    for n in 1..=3 {
        stage.put(n, NOW).await;
    }
    let all = stage.due(NOW, 9).await;
    let nos: Vec<_> = all.iter().map(|callback| callback.no).collect();
    stage
        .write(async |tx| tx.callbacks_done(&nos).await.unwrap())
        .await;
    for left in [2, 1, 0] {
        let forgotten = stage
            .write(async |tx| tx.forget_callbacks(NOW + SECOND, 2).await.unwrap())
            .await;
        assert_eq!(forgotten, left);
    }
}
