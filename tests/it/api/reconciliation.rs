//! Taps against adds, and the funnel made again.

use mingpian::{
    api::{
        common,
        pb::{
            self, Event, event::Type, measurement_service_client::MeasurementServiceClient,
            query_reconciliation_response::Row,
        },
    },
    domain::Micros,
};
use sea_orm::ConnectionTrait;
use tonic::{Code, transport::Channel};

use super::{Api, DAY, malformed, refused, rolled_up, time};
use crate::{
    lifecycle::{column, database},
    on_both_engines,
    support::{Engine, in_menu},
};

on_both_engines!(
    taps_adds_and_reports_stand_side_by_side,
    a_funnel_made_again_is_the_same,
    roll_ups_stay_when_their_events_are_gone,
);

fn date(api: &Api, ago: i32) -> Option<common::Date> {
    let zone = api.server.app.rules.calendar.zone;
    let (year, month, day) = (zone.day(api.server.clock.now()) - ago).date();
    Some(common::Date {
        year,
        month: month.cast_signed(),
        day: day.cast_signed(),
    })
}

async fn client(api: &Api) -> MeasurementServiceClient<Channel> {
    MeasurementServiceClient::new(api.server.channel().await)
}

async fn today(api: &Api) -> Row {
    let request = pb::QueryReconciliationRequest {
        parent: "merchants/klook".into(),
        start_day: date(api, 0),
        end_day: date(api, 0),
    };
    let answer = client(api).await.query_reconciliation(request).await;
    answer.unwrap().into_inner().rows.remove(0)
}

fn event(stage: Type, id: &str, viewer: &str, at: Micros) -> Event {
    Event {
        event_id: id.into(),
        r#type: stage.into(),
        merchant: "merchants/klook".into(),
        viewer_id: viewer.into(),
        event_time: time(at),
        ..Default::default()
    }
}

async fn taps_adds_and_reports_stand_side_by_side(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    let now = api.stop_clock();
    api.place("menu", in_menu(1)).await.unwrap();
    let tokens: Vec<_> = {
        let items = api.menu().await.items.into_iter();
        items.map(|item| item.tap_token).collect()
    };
    for token in &tokens {
        api.tap(token).await.unwrap();
        // Once more is no other tap.
        api.tap(token).await.unwrap();
    }
    let mut measurement = client(&api).await;
    let copies = ["c-1", "c-2"].map(|id| event(Type::Copy, id, id, now));
    let events = pb::IngestEventsRequest {
        events: copies.into(),
    };
    measurement.ingest_events(events).await.unwrap();

    let row = today(&api).await;
    // Of three taps one is on WeCom.
    assert_eq!((row.taps, row.bot_taps, row.missing), (1, 0, 1));
    assert_eq!(
        (row.copies, row.wecom_adds, row.reported_adds),
        (2, 0, None)
    );
    assert_eq!(row.copied_adds, Some(pb::Range { least: 0, most: 2 }));

    let mut import = pb::ImportReportedAddsRequest {
        parent: "merchants/klook".into(),
        reports: vec![pb::ReportedAdds {
            day: date(&api, 0),
            adds: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    let imported = measurement.import_reported_adds(import.clone()).await;
    assert_eq!(imported.unwrap().into_inner().accepted, 1);
    let row = today(&api).await;
    assert_eq!(row.reported_adds, Some(1));
    assert_eq!(row.copied_adds, Some(pb::Range { least: 0, most: 1 }));

    import.reports[0].copied = Some(2);
    let too_many = measurement.import_reported_adds(import.clone()).await;
    malformed(too_many, &["reports[0].copied"]);
    import.reports[0].copied = Some(1);
    let imported = measurement.import_reported_adds(import).await;
    assert_eq!(imported.unwrap().into_inner().replaced, 1);
    let row = today(&api).await;
    assert_eq!(row.copied_adds, Some(pb::Range { least: 1, most: 1 }));

    let long = pb::QueryReconciliationRequest {
        parent: "merchants/klook".into(),
        start_day: date(&api, 92),
        end_day: date(&api, 0),
    };
    malformed(measurement.query_reconciliation(long).await, &["end_day"]);
}

/// What is counted, row by row.
async fn counted(api: &Api) -> Vec<String> {
    let db = database(&api.server.scratch).await;
    let rows = "SELECT basis || '/' || hour || '/' || stage || '/' || note || '/' || viewers \
                FROM funnel_hours WHERE viewers <> 0 ORDER BY basis, hour, stage, note";
    column(&db, rows).await
}

/// Three weeks of some viewers' comings and goings.
async fn traffic(api: &Api) {
    let now = api.server.clock.now();
    let stages = [Type::Impression, Type::Inbound, Type::Opening, Type::Lead];
    let mut events = Vec::new();
    for n in 0..400i64 {
        let stage = stages[usize::try_from(n * 7 % 4).unwrap()];
        let ago = n * 7919 % (21 * 24 * 3600);
        let at = Micros(now.0 - ago * 1_000_000);
        let mut told = event(stage, &format!("e-{n}"), &format!("v-{}", n % 9), at);
        told.note = format!("notes/n-{}", n % 3);
        events.push(told);
    }
    let mut measurement = client(api).await;
    let told = measurement.ingest_events(pb::IngestEventsRequest { events });
    assert_eq!(told.await.unwrap().into_inner().accepted, 400);
    rolled_up(&api.server).await;
}

async fn a_funnel_made_again_is_the_same(engine: Engine) {
    let api = Api::start(engine).await;
    traffic(&api).await;
    let before = counted(&api).await;
    assert!(before.len() > 100, "{}", before.len());
    let db = database(&api.server.scratch).await;
    for broken in [
        "UPDATE funnel_hours SET viewers = viewers + 1",
        "DELETE FROM funnel_stages WHERE stage = 1",
    ] {
        db.execute_unprepared(broken).await.unwrap();
    }
    assert_ne!(counted(&api).await, before);
    let app = &api.server.app;
    // The roll-up of this server may hold the lease for as long as it lasts.
    let free = "DELETE FROM leases WHERE name = 'funnel'";
    db.execute_unprepared(free).await.unwrap();
    let viewers = mingpian::app::rebuild_funnel(&app.store, &app.ambient).await;
    assert_eq!(viewers.unwrap(), 9);
    assert_eq!(counted(&api).await, before);
}

async fn roll_ups_stay_when_their_events_are_gone(engine: Engine) {
    let few_days = "[measurement]\nkeep_event_days = 45\n";
    let api = Api::start_with(engine, few_days).await;
    api.stop_clock();
    traffic(&api).await;
    let before = counted(&api).await;
    // All but the last days' events are forgotten.
    api.advance(40 * DAY);
    api.server.app.sweep().await.unwrap();
    let db = database(&api.server.scratch).await;
    let left = column(&db, "SELECT CAST(count(*) AS text) FROM events").await;
    assert_ne!(left, ["400"]);
    assert_ne!(left, ["0"]);
    assert_eq!(counted(&api).await, before);
    // Work that is queued from before then changes nothing that is counted for good.
    let old = "INSERT INTO funnel_queue (time, body) SELECT 0, \
               '[{\"merchant\":\"klook\",\"viewers\":{' || string_agg(DISTINCT \
               '\"' || viewer || '\":0', ',') || '}}]' FROM events";
    let old = match engine {
        Engine::Postgres => old.to_owned(),
        Engine::Sqlite => old
            .replace(
                "string_agg(DISTINCT '\"' || viewer || '\":0', ',')",
                "group_concat('\"' || viewer || '\":0')",
            )
            .replace("FROM events", "FROM (SELECT DISTINCT viewer FROM events)"),
    };
    db.execute_unprepared(&old).await.unwrap();
    rolled_up(&api.server).await;
    assert_eq!(counted(&api).await, before);
    let free = "DELETE FROM leases WHERE name = 'funnel'";
    db.execute_unprepared(free).await.unwrap();
    let app = &api.server.app;
    mingpian::app::rebuild_funnel(&app.store, &app.ambient)
        .await
        .unwrap();
    assert_eq!(counted(&api).await, before);

    let gone = pb::QueryReconciliationRequest {
        parent: "merchants/klook".into(),
        start_day: date(&api, 60),
        end_day: date(&api, 59),
    };
    let gone = client(&api).await.query_reconciliation(gone).await;
    refused(gone, Code::InvalidArgument, "FIELD_INVALID");
}
