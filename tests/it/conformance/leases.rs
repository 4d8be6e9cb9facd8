//! Leases: one holder at a time, whoever asks.

use mingpian::domain::Micros;
use tokio::time::timeout;

use super::{NOW, SECOND, Stage};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    a_lease_has_one_holder_until_it_is_over,
    a_lease_that_is_held_is_not_taken_meanwhile,
);

const LATER: Micros = Micros(NOW.0 + 60_000_000);

async fn a_lease_has_one_holder_until_it_is_over(engine: Engine) {
    let stage = Stage::new(engine).await;
    let store = &stage.store;
    let take = async |holder, now, until| store.take_lease("l", holder, now, until).await.unwrap();
    assert!(take("a", NOW, LATER).await);
    assert!(!take("b", NOW + SECOND, LATER).await);
    assert!(take("a", NOW + SECOND, LATER + SECOND).await, "renewed");
    assert!(!take("b", LATER, LATER + SECOND * 9).await, "not over yet");
    assert!(take("b", LATER + SECOND, LATER + SECOND * 9).await);
    assert!(!take("a", LATER + SECOND, LATER + SECOND * 9).await);
    assert!(store.take_lease("m", "a", NOW, LATER).await.unwrap());

    store.release_lease("l", "a").await.unwrap();
    assert!(!take("a", LATER + SECOND, LATER + SECOND * 9).await);
    store.release_lease("l", "b").await.unwrap();
    assert!(take("a", LATER + SECOND, LATER + SECOND * 9).await);
}

async fn a_lease_that_is_held_is_not_taken_meanwhile(engine: Engine) {
    let stage = Stage::new(engine).await;
    let store = &stage.store;
    assert!(store.take_lease("l", "a", NOW, LATER).await.unwrap());
    let tx = store.begin().await.unwrap();
    assert!(!tx.hold_lease("l", "b", NOW).await.unwrap());
    assert!(!tx.hold_lease("l", "a", LATER).await.unwrap(), "it is over");
    assert!(tx.hold_lease("l", "a", NOW).await.unwrap());

    let other = store.clone();
    let taking = tokio::spawn(async move {
        let until = LATER + SECOND;
        other.take_lease("l", "b", LATER, until).await.unwrap()
    });
    stage.someone_waits().await;
    assert!(!taking.is_finished());
    tx.commit().await.unwrap();
    let taken = timeout(SECOND * 20, taking).await.unwrap().unwrap();
    assert!(taken, "after the transaction it is anybody's");
}
