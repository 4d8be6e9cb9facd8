//! What NATS has acknowledged may be lost there: it is told again.

use std::time::Duration;

use async_nats::jetstream;
use mingpian::domain::{Enrollment, List, Merchant, ProgramName};
use tokio::time::{Instant, sleep};

use super::{Consumer, Nats, telling};
use crate::{
    lifecycle::{column, database},
    on_both_engines,
    support::{Engine, TestServer},
};

on_both_engines!(
    a_stream_that_was_wiped_or_deleted_is_told_all_again,
    a_stream_that_went_back_is_told_all_again,
    what_a_stream_does_not_take_is_told_once_it_does,
    without_nats_all_goes_on_and_is_told_later,
    what_was_told_is_kept_for_as_long_as_the_settings_say,
);

/// Changes of one kind, numbered.
async fn enroll(server: &TestServer, numbers: std::ops::Range<usize>) {
    let store = &server.app.store;
    let name = ProgramName::new("default").unwrap();
    for n in numbers {
        let tx = store.begin().await.unwrap();
        let program = tx.lock_program(&name).await.unwrap().unwrap();
        let merchant = Merchant::from_id(&format!("m-{n}")).unwrap();
        let now = server.clock.now();
        let enrollment = Enrollment::new(&program, merchant, List::Allow, None, now);
        tx.save_enrollment(&enrollment, "test").await.unwrap();
        tx.commit().await.unwrap();
    }
}

async fn hears(consumer: &Consumer, enrollments: usize) {
    let all = |heard: &super::Heard| {
        let names = (0..enrollments).map(|n| format!("programs/default/enrollments/m-{n}"));
        let mut names = names;
        names.all(|name| heard.latest.contains_key(&name))
    };
    consumer.hears("all enrollments", all).await;
}

async fn a_stream_that_was_wiped_or_deleted_is_told_all_again(engine: Engine) {
    let mut nats = Nats::start();
    let server = TestServer::start_with(engine, &telling(&nats)).await;
    enroll(&server, 0..20).await;
    hears(&Consumer::of(&nats), 20).await;

    nats.kill();
    nats.wipe();
    nats.back();
    // Nothing new happens: it is seen all the same.
    hears(&Consumer::of(&nats), 20).await;

    let client = async_nats::connect(nats.url()).await.unwrap();
    jetstream::new(client)
        .delete_stream("MINGPIAN")
        .await
        .unwrap();
    enroll(&server, 20..21).await;
    hears(&Consumer::of(&nats), 21).await;
}

async fn a_stream_that_went_back_is_told_all_again(engine: Engine) {
    let mut nats = Nats::start();
    let server = TestServer::start_with(engine, &telling(&nats)).await;
    enroll(&server, 0..5).await;
    hears(&Consumer::of(&nats), 5).await;
    nats.kill();
    let copy = nats.copy();
    nats.back();
    enroll(&server, 5..10).await;
    hears(&Consumer::of(&nats), 10).await;

    nats.kill();
    nats.set_back(&copy);
    nats.back();
    hears(&Consumer::of(&nats), 10).await;
}

/// One that is there is used as it is, even where it was made for something else.
async fn what_a_stream_does_not_take_is_told_once_it_does(engine: Engine) {
    let nats = Nats::start();
    let client = async_nats::connect(nats.url()).await.unwrap();
    let context = jetstream::new(client);
    let mut config = jetstream::stream::Config {
        name: "MINGPIAN".to_owned(),
        subjects: vec!["other".to_owned()],
        ..Default::default()
    };
    context.create_stream(config.clone()).await.unwrap();
    let server = TestServer::start_with(engine, &telling(&nats)).await;
    enroll(&server, 0..5).await;
    // Long enough that it was tried.
    sleep(Duration::from_secs(2)).await;
    config.subjects = vec!["mingpian.>".to_owned()];
    context.update_stream(config).await.unwrap();
    hears(&Consumer::of(&nats), 5).await;
}

async fn without_nats_all_goes_on_and_is_told_later(engine: Engine) {
    let mut nats = Nats::start();
    nats.kill();
    let server = TestServer::start_with(engine, &telling(&nats)).await;
    let started = Instant::now();
    enroll(&server, 0..5).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    let metric = |name: &str, text: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<i64>().ok())
    };
    let metrics = async || {
        let url = format!("http://{}/metrics", server.admin);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    };
    // Two programs, and the enrollments; counted now and then.
    while metric("mingpian_outbox_waiting", &metrics().await) != Some(7) {
        assert!(
            started.elapsed() < Duration::from_secs(40),
            "{}",
            metrics().await
        );
        sleep(Duration::from_millis(200)).await;
    }
    assert!(metric("mingpian_outbox_waiting_seconds", &metrics().await) >= Some(0));
    nats.back();
    hears(&Consumer::of(&nats), 5).await;
    while metric("mingpian_outbox_told_total", &metrics().await) != Some(7) {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{}",
            metrics().await
        );
        sleep(Duration::from_millis(200)).await;
    }
}

async fn what_was_told_is_kept_for_as_long_as_the_settings_say(engine: Engine) {
    let nats = Nats::start();
    let more = format!("{}\n[events]\nkeep_days = 2\n", telling(&nats));
    let server = TestServer::start_with(engine, &more).await;
    enroll(&server, 0..3).await;
    hears(&Consumer::of(&nats), 3).await;
    let db = database(&server.scratch).await;
    let kept = async || {
        column(&db, "SELECT subject FROM outbox ORDER BY no")
            .await
            .len()
    };
    let told = "SELECT subject FROM outbox WHERE published_time IS NOT NULL";
    let started = Instant::now();
    while column(&db, told).await.len() < 5 {
        assert!(started.elapsed() < Duration::from_secs(20), "not marked");
        sleep(Duration::from_millis(50)).await;
    }
    let day = Duration::from_secs(24 * 60 * 60);
    server.clock.advance(2 * day - Duration::from_secs(60));
    server.app.sweep().await.unwrap();
    assert_eq!(kept().await, 5);
    server.clock.advance(Duration::from_secs(120));
    server.app.sweep().await.unwrap();
    assert_eq!(kept().await, 0);
}
