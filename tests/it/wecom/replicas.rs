//! Replicas on one store work off the same callbacks, and none twice.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mingpian::{
    app::App,
    domain::{CorpName, Notice, NoticeKind},
    server::Server,
    store::Of,
};
use tokio::time::sleep;

use crate::support::{Clock, Engine, Scratch, TestServer, create_corp};

const CALLBACKS: u64 = 1000;

/// Requests to add: nobody is named, so nothing but the lease tells two of one.
async fn put_callbacks(app: &App, corp_no: i64) {
    let now = app.ambient.now();
    for n in 0..CALLBACKS {
        let notice = Notice {
            kind: NoticeKind::FriendRequested,
            event_time: now,
            user_id: String::new(),
            external_user_id: String::new(),
            link_id: String::new(),
            state: String::new(),
        };
        let notice = serde_json::to_vec(&notice).unwrap();
        let (mut key, place) = ([0; 32], format!("callback/{corp_no}"));
        key[..8].copy_from_slice(&n.to_be_bytes());
        let body = app.keys.seal(&place, &notice, [0; 16]);
        assert!(
            app.store
                .put_callback(key, corp_no, body, now)
                .await
                .unwrap()
        );
    }
}

/// How many events this replica says that it wrote, until nothing is due.
async fn work_off(app: &App, holder: &str) -> u64 {
    let mut events = 0;
    loop {
        if let Ok(worked) = app.work_off(holder).await {
            events += worked.events.values().sum::<u64>();
        }
        let now = app.ambient.now();
        let due = app.store.reads().due_callbacks(now, 1).await;
        if due.is_ok_and(|due| due.is_empty()) {
            return events;
        }
    }
}

/// Leases are over all the time, so each believes that it may go on.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_at_once_make_each_event_once() {
    let scratch = Scratch::new(Engine::Postgres).await;
    let settings = scratch.settings("");
    let server = TestServer::on(scratch, &settings).await;
    let corp = server.wecom().await.create_corp(create_corp("klook")).await;
    let name = CorpName::parse(&corp.unwrap().into_inner().name).unwrap();
    let scratch = server.end().await;
    // Neither serves, so nobody else works anything off.
    let clock = Clock::default();
    let one = Server::bind(&settings, clock.ambient()).await.unwrap();
    let two = Server::bind(&settings, clock.ambient()).await.unwrap();
    let corp = one.app.store.reads().corp(&name).await.unwrap().unwrap();
    put_callbacks(&one.app, corp.no).await;

    let done = AtomicBool::new(false);
    let hurry = async {
        while !done.load(Ordering::Relaxed) {
            clock.advance(Duration::from_secs(61));
            sleep(Duration::from_millis(1)).await;
        }
    };
    let work = async {
        let made = tokio::join!(work_off(&one.app, "one"), work_off(&two.app, "two"));
        done.store(true, Ordering::Relaxed);
        made
    };
    let ((), (by_one, by_two)) = tokio::join!(hurry, work);
    println!("{by_one} by one, {by_two} by the other");
    assert_eq!(by_one + by_two, CALLBACKS);
    let (store, of) = (&two.app.store, Of::Corp { no: corp.no });
    let events = store
        .reads()
        .contact_events_page(of, None, 2 * CALLBACKS)
        .await;
    assert_eq!(events.unwrap().len() as u64, CALLBACKS);
    drop(scratch);
}
