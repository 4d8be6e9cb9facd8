//! `IngestEvents`: what goes in once, what is rejected alone, and what refuses the batch.

use std::collections::HashMap;

use mingpian::{
    api::pb::{self, ErrorReason, event::Origin, event::Type, query_funnel_request::Scope},
    domain::{Micros, TapToken},
};

use super::{ALL_TOLD, Api, DAY, HOUR, at, event, malformed, placement_name, reached, whole};
use crate::{
    on_both_engines,
    support::{Engine, create_card, in_menu, on_note, place},
};

on_both_engines!(
    a_batch_has_one_to_a_thousand_events,
    an_event_goes_in_once_however_often_it_comes,
    what_an_event_is_about_is_looked_up,
);

fn inbounds(many: usize) -> Vec<pb::Event> {
    (0..many)
        .map(|n| event("klook", &format!("e-{n}")))
        .collect()
}

async fn a_batch_has_one_to_a_thousand_events(engine: Engine) {
    let mut api = Api::start(engine).await;
    malformed(api.ingest(vec![]).await, &["events"]);
    let most = inbounds(1000);
    malformed(api.ingest(inbounds(1001)).await, &["events"]);
    api.tell(most.clone()).await;
    let again = api.ingest(most).await.unwrap();
    assert_eq!((again.accepted, again.duplicates), (0, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_events_with_the_longest_names_fit_in() {
    let mut api = Api::start(Engine::Sqlite).await;
    let long = |n: usize| format!("{n:064}");
    let events = (0..1000).map(|n| pb::Event {
        event_id: long(n),
        viewer_id: long(n),
        note: format!("notes/{}", long(n)),
        conversation: format!("conversations/{}", long(n)),
        attributes: HashMap::from([("k".repeat(32), "值".repeat(128))]),
        ..event("klook", "")
    });
    api.tell(events.collect()).await;
}

async fn an_event_goes_in_once_however_often_it_comes(engine: Engine) {
    let mut api = Api::start_with(engine, ALL_TOLD).await;
    let start = api.long_ago();
    let said = |id: &str, when| pb::Event {
        event_id: id.into(),
        ..at(Type::Inbound, "v-1", when)
    };
    let counts = |answer: pb::IngestEventsResponse| (answer.accepted, answer.duplicates);
    let (a, b) = (said("a", start), said("b", start));
    let twice = api.ingest(vec![a.clone(), a.clone(), b.clone()]).await;
    assert_eq!(counts(twice.unwrap()), (2, 1));
    let again = api.ingest(vec![b, a.clone()]).await;
    assert_eq!(counts(again.unwrap()), (0, 2));
    // The id of the day says it, whatever else is said of it.
    let other = pb::Event {
        r#type: Type::Lead.into(),
        ..a.clone()
    };
    assert_eq!(counts(api.ingest(vec![other]).await.unwrap()), (0, 1));
    // On another day, and at another merchant, it is another.
    let next = said("a", start + DAY);
    let others = pb::Event {
        merchant: "merchants/other".into(),
        ..a.clone()
    };
    assert_eq!(
        counts(api.ingest(vec![next, others]).await.unwrap()),
        (2, 0)
    );
    let days = vec![said("c", start), said("c", start + DAY)];
    assert_eq!(counts(api.ingest(days).await.unwrap()), (2, 0));

    let row = api.funnel(whole(start, 48)).await.rows.remove(0);
    assert_eq!(reached(&row), [(Type::Inbound, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_thirty_days_late_or_five_minutes_early_at_most() {
    let mut api = Api::start(Engine::Sqlite).await;
    let now = api.stop_clock();
    let (late, early) = (now.0 - 30 * 86_400_000_000, now.0 + 300_000_000);
    let times = [late, early, now.0, late - 1, early + 1];
    let events = times.map(|when| at(Type::Inbound, "v-1", Micros(when)));
    let answer = api.ingest(events.to_vec()).await.unwrap();
    assert_eq!(answer.accepted, 3);
    let left: Vec<_> = answer.rejected.iter().map(|r| r.index).collect();
    assert_eq!(left, [3, 4]);
    assert!(answer.rejected.iter().all(|r| r.field == "event_time"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule_is_rejected_by_its_place_and_keeps_no_other() {
    use ErrorReason::{FieldInvalid, PlacementNotFound, TokenForged, TokenMalformed};
    let mut api = Api::with_card(Engine::Sqlite).await;
    api.place("menu", in_menu(1)).await.unwrap();
    let token = api.menu().await.items.remove(0).tap_token;
    let gone = api.server.app.keys.open_token(&token).unwrap();
    let gone = api.server.app.keys.seal_token(&TapToken {
        placement_no: 999,
        ..gone
    });
    let other = create_card("other", "main");
    api.cards.create_card(other).await.unwrap();
    let other = place("other", "main", "menu", in_menu(1));
    api.placements.create_placement(other).await.unwrap();
    let menu = crate::support::get_menu("other");
    let menu = api.serving.get_chat_menu(menu).await.unwrap();
    let others = menu.into_inner().items.remove(0).tap_token;

    type Change = Box<dyn Fn(&mut pb::Event)>;
    let origin = |origin: Origin| -> Change { Box::new(move |e| e.origin = Some(origin.clone())) };
    let token = |token: &str| origin(Origin::TapToken(token.into()));
    let placement = |name: &str| origin(Origin::Placement(name.into()));
    let kind = |kind: i32| -> Change { Box::new(move |e| e.r#type = kind) };
    let id = |id: String| -> Change { Box::new(move |e| e.event_id.clone_from(&id)) };
    let viewer = |id: &'static str| -> Change { Box::new(move |e| e.viewer_id = id.into()) };
    let attribute = |key: String, value: String| -> Change {
        Box::new(move |e| drop(e.attributes.insert(key.clone(), value.clone())))
    };
    let cases: Vec<(Change, ErrorReason, &str)> = vec![
        (id(String::new()), FieldInvalid, "event_id"),
        (id("x".repeat(65)), FieldInvalid, "event_id"),
        (id("with space".into()), FieldInvalid, "event_id"),
        (id("名".into()), FieldInvalid, "event_id"),
        (kind(0), FieldInvalid, "type"),
        (kind(Type::Tap.into()), FieldInvalid, "type"),
        (kind(Type::Added.into()), FieldInvalid, "type"),
        (kind(99), FieldInvalid, "type"),
        (
            Box::new(|e| e.merchant = "klook".into()),
            FieldInvalid,
            "merchant",
        ),
        (viewer(""), FieldInvalid, "viewer_id"),
        (viewer("+86 13800138000"), FieldInvalid, "viewer_id"),
        (
            Box::new(|e| e.event_time = None),
            FieldInvalid,
            "event_time",
        ),
        (Box::new(|e| e.note = "n-1".into()), FieldInvalid, "note"),
        (
            Box::new(|e| e.conversation = "conversations/".into()),
            FieldInvalid,
            "conversation",
        ),
        (
            attribute("Key".into(), String::new()),
            FieldInvalid,
            "attributes",
        ),
        (
            attribute("k".into(), "值".repeat(129)),
            FieldInvalid,
            "attributes",
        ),
        (
            attribute("k".into(), "\n".into()),
            FieldInvalid,
            "attributes",
        ),
        (
            Box::new(|e| {
                e.attributes = (0..17).map(|n| (format!("k{n}"), String::new())).collect();
            }),
            FieldInvalid,
            "attributes",
        ),
        (placement("menu"), FieldInvalid, "placement"),
        (
            placement("merchants/other/placements/menu"),
            FieldInvalid,
            "placement",
        ),
        (
            placement(&placement_name("not")),
            PlacementNotFound,
            "placement",
        ),
        (token(&gone), PlacementNotFound, "tap_token"),
        (token("short"), TokenMalformed, "tap_token"),
        (token(""), TokenMalformed, "tap_token"),
        (token(&"A".repeat(64)), TokenForged, "tap_token"),
        (token(&others), TokenForged, "tap_token"),
    ];
    // Before, between and behind them stand good ones.
    let (mut events, mut wanted) = (vec![event("klook", "good")], Vec::new());
    for (n, (change, reason, field)) in cases.iter().enumerate() {
        let mut bad = event("klook", &format!("bad-{n}"));
        change(&mut bad);
        wanted.push((i32::try_from(events.len()).unwrap(), *reason, *field));
        events.push(bad);
        events.push(event("klook", &format!("good-{n}")));
    }
    let answer = api.ingest(events).await.unwrap();
    let rejected = &answer.rejected;
    let found: Vec<_> = rejected
        .iter()
        .map(|r| (r.index, r.reason(), r.field.as_str()))
        .collect();
    assert_eq!(found, wanted);
    assert!(rejected.iter().all(|r| !r.description.is_empty()));
    let good = i32::try_from(cases.len() + 1).unwrap();
    assert_eq!((answer.accepted, answer.duplicates), (good, 0));
}

async fn what_an_event_is_about_is_looked_up(engine: Engine) {
    let mut api = Api::start_with(engine, ALL_TOLD).await;
    api.create("main").await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    api.place("capsule", on_note("n-1")).await.unwrap();
    let of_menu = api.menu().await.items.remove(0).tap_token;
    let link = pb::Link {
        placement: placement_name("capsule"),
        channel: "双十一".into(),
        ..Default::default()
    };
    let link = api.link("l", link).await.unwrap();
    let start = api.long_ago();
    let about = |viewer: &str, origin: Option<Origin>, note: &str| pb::Event {
        origin,
        note: note.into(),
        ..at(Type::Inbound, viewer, start)
    };
    let named = |id: &str| Some(Origin::Placement(placement_name(id)));
    let token = |token: &str| Some(Origin::TapToken(token.into()));
    api.tell(vec![
        about("v-1", named("menu"), ""),
        about("v-2", named("capsule"), ""),
        // What the event says outranks what the placement shows.
        about("v-3", named("capsule"), "notes/n-2"),
        about("v-4", token(&of_menu), "notes/n-1"),
        about("v-5", token(&link.token), ""),
        about("v-6", None, "notes/n-2"),
        about("v-7", None, ""),
    ])
    .await;
    // Tokens say what they say when they open no more.
    api.revoke("l").await.unwrap();
    api.advance(HOUR);
    api.tell(vec![
        about("v-8", token(&link.token), ""),
        about("v-9", token(&of_menu), ""),
    ])
    .await;
    let note = |id: &str| Scope::Note(format!("notes/{id}"));
    let placement = |id: &str| Scope::Placement(placement_name(id));
    for (scope, viewers) in [
        (None, 9),
        (Some(placement("menu")), 3),
        (Some(placement("capsule")), 4),
        (Some(placement("not")), 0),
        (Some(note("n-1")), 4),
        (Some(note("n-2")), 2),
        (Some(Scope::Channel("双十一".into())), 2),
        (Some(Scope::Channel("other".into())), 0),
    ] {
        let request = pb::QueryFunnelRequest {
            scope: scope.clone(),
            ..whole(start, 1)
        };
        let row = api.funnel(request).await.rows.remove(0);
        let wanted: &[_] = match viewers {
            0 => &[],
            viewers => &[(Type::Inbound, viewers)],
        };
        assert_eq!(reached(&row), wanted, "{scope:?}");
    }
}

/// As where no sweep went through for more than a week.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_a_partition_gets_one_with_what_came_in() {
    let mut api = Api::start(Engine::Postgres).await;
    let now = api.server.clock.now();
    api.advance(10 * DAY);
    api.tell(vec![at(Type::Inbound, "v-1", now + 10 * DAY)])
        .await;
    let db = crate::lifecycle::database(&api.server.scratch).await;
    let of = async |table: &str| {
        let rows = format!("SELECT count(*)::text FROM {table}");
        crate::lifecycle::column(&db, &rows).await.remove(0)
    };
    assert_eq!(of("events_other").await, "1");
    api.server.app.sweep().await.unwrap();
    let day = (now + 10 * DAY).0 / 86_400_000_000;
    let own = format!("events_{day}");
    assert_eq!(
        (of("events_other").await, of(&own).await),
        ("0".into(), "1".into())
    );
    let again = vec![at(Type::Inbound, "v-1", now + 10 * DAY)];
    assert_eq!(api.ingest(again).await.unwrap().duplicates, 1);

    // 400 days are kept.
    api.advance(400 * DAY);
    api.server.app.sweep().await.unwrap();
    assert_eq!(of(&own).await, "1");
    api.advance(DAY);
    api.server.app.sweep().await.unwrap();
    let tables = format!("SELECT relname::text FROM pg_class WHERE relname = '{own}'");
    assert_eq!(crate::lifecycle::column(&db, &tables).await, [""; 0]);
    db.close().await.unwrap();
}
