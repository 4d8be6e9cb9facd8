//! Failures: each is a conflict, an outage or a bug, and none tells a value.

use std::fs;

use mingpian::{
    domain::{Detail, PlacementState},
    store::{Error, Store},
};
use sea_orm::ConnectionTrait;

use super::{
    AUTHOR, NOW, Stage, card, clearance, insert_placement, menu, options, placement, sealed,
};
use crate::{
    on_both_engines,
    support::{Engine, MOBILE, Scratch, WECHAT_ID},
};

on_both_engines!(
    a_unique_violation_is_a_conflict_that_tells_no_value,
    a_row_that_does_not_read_is_a_bug_that_tells_no_value,
    a_store_that_is_away_is_unavailable,
);

/// Neither text tells what the tests write.
#[track_caller]
fn silent(e: &Error) {
    for text in [e.to_string(), format!("{e:?}")] {
        for value in [MOBILE, WECHAT_ID, "klook", "menu/", "geheim"] {
            assert!(!text.contains(value), "{text}");
        }
    }
}

async fn a_unique_violation_is_a_conflict_that_tells_no_value(engine: Engine) {
    let s = Stage::new(engine).await;
    let mut wanted = card("klook", "geheim");
    wanted.contacts[1].detail = Detail::Phone(sealed(MOBILE, WECHAT_ID));
    let card = s.add_card(wanted).await;
    s.add_placement(placement(&card, "geheim-1", menu(1))).await;
    let paused = s
        .write(async |tx| {
            let mut second = placement(&card, "geheim-2", menu(1));
            second.state = PlacementState::Paused;
            insert_placement(tx, second).await.unwrap()
        })
        .await;
    let clear = clearance(card.merchant());

    let tx = s.store.begin().await.unwrap();
    let live = paused.to(PlacementState::Live, NOW);
    let slot = tx.change_placement(&clear, &live, AUTHOR).await;
    drop(tx);
    let tx = s.store.begin().await.unwrap();
    let version = tx.change_card(&clear, &card, AUTHOR).await;
    for e in [slot.unwrap_err(), version.unwrap_err()] {
        assert!(e.is_conflict() && !e.is_unavailable(), "{e}");
        silent(&e);
    }
}

async fn a_row_that_does_not_read_is_a_bug_that_tells_no_value(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&card, "p", menu(1))).await;
    let db = s.raw().await;
    for sql in [
        format!("UPDATE cards SET contacts = '[{{\"geheim\": \"{MOBILE}'"),
        format!("UPDATE card_versions SET body = '{{\"geheim\": \"{MOBILE}'"),
        "UPDATE placements SET target = 'geheim'".to_owned(),
    ] {
        db.execute_unprepared(&sql).await.unwrap();
    }
    let reads = s.store.reads();
    for e in [
        reads.card(&card.name).await.unwrap_err(),
        reads.shown_at(p.no, NOW).await.unwrap_err(),
        reads.placement(&p.name).await.unwrap_err(),
        // A missing row cannot be changed.
        s.store
            .begin()
            .await
            .unwrap()
            .save_link(&super::link("klook", "geheim"))
            .await
            .unwrap_err(),
    ] {
        assert!(!e.is_conflict() && !e.is_unavailable(), "{e}");
        silent(&e);
    }
}

async fn a_store_that_is_away_is_unavailable(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let urls = match engine {
        Engine::Sqlite => {
            fs::write(scratch.file("file"), "no database").unwrap();
            let at = |rest: &str| format!("sqlite://{}{rest}", scratch.file("file").display());
            // A folder that cannot be made, and a file that is something else.
            vec![at("/folder/mingpian.db"), at("")]
        }
        Engine::Postgres => {
            let change = |change: fn(&mut url::Url)| {
                let mut url: url::Url = scratch.url.parse().unwrap();
                change(&mut url);
                url.to_string()
            };
            // Nobody listens, the database is gone, the password was changed.
            vec![
                change(|url| url.set_port(Some(1)).unwrap()),
                change(|url| url.set_path("/geheim")),
                change(|url| url.set_password(Some("geheim2")).unwrap()),
            ]
        }
    };
    for url in urls {
        let mut options = options(&url);
        options.acquire_timeout = std::time::Duration::from_millis(500);
        let e = Store::open(&options).await.unwrap_err();
        assert!(e.is_unavailable() && !e.is_conflict(), "{e}");
        let text = format!("{e} {e:?}");
        assert!(!text.contains("geheim2"), "{text}");
    }
}
