//! What is told of what happens, and what is not.

use std::time::Duration;

use mingpian::{
    api::{common, pb},
    domain::Zone,
};
use serde_json::json;
use tonic::transport::Channel;

use super::{Consumer, Heard, Nats, adds, telling, text};
use crate::{
    lifecycle::{column, database},
    on_both_engines,
    support::{
        CardClient, ComplianceClient, EligibilityClient, Engine, PlacementClient, ProgramClient,
        ServingClient, TestServer, WecomClient, create_card, on_note, phone, place, tap_capsule,
        viewer,
    },
    wecom::sender::{CORP_ID, Sender, Told, corp},
};

on_both_engines!(
    what_changes_is_told_and_nobody_is_named,
    an_add_that_turns_out_otherwise_is_told_again,
    who_opens_and_closes_is_told,
    without_a_url_nothing_is_kept_to_be_told,
);

/// Of the conduct table.
const RULE: &str = "phone";
const WHO: &str = "wmSomebodyWhoIsReal";

fn latest<'a>(heard: &'a Heard, subject: &str) -> &'a serde_json::Value {
    &heard.latest[subject]
}

fn has(kind: &str) -> impl Fn(&Heard) -> bool {
    move |heard| heard.latest.values().any(|event| event["type"] == kind)
}

/// A capsule with a WeCom card: its State, and the tap's id.
async fn tapped(channel: &Channel) -> (String, String) {
    let mut corps = WecomClient::new(channel.clone());
    corps.create_corp(corp("klook", CORP_ID)).await.unwrap();
    let mut request = create_card("klook", "main");
    let mut contact = crate::support::wecom();
    if let Some(pb::contact::Details::Wecom(wecom)) = &mut contact.details {
        wecom.corp = "corps/klook".into();
    }
    request.card.as_mut().unwrap().contacts = vec![contact, phone("13800138000")];
    let mut cards = CardClient::new(channel.clone());
    cards.create_card(request).await.unwrap();
    let placement = place("klook", "main", "capsule", on_note("n-1"));
    let mut placements = PlacementClient::new(channel.clone());
    placements.create_placement(placement).await.unwrap();
    tap_capsule(&mut ServingClient::new(channel.clone()), "notes/n-1").await
}

async fn sanctioned(channel: &Channel) {
    let mut compliance = ComplianceClient::new(channel.clone());
    let request = pb::CreateSanctionRequest {
        parent: "merchants/klook".into(),
        sanction: Some(pb::Sanction {
            kind: pb::sanction::Kind::TrafficRestricted.into(),
            reason: "因为一个秘密".into(),
            rule: RULE.into(),
            ..Default::default()
        }),
        sanction_id: "s-1".into(),
        ..Default::default()
    };
    compliance.create_sanction(request).await.unwrap();
    let request = pb::LiftSanctionRequest {
        name: "merchants/klook/sanctions/s-1".into(),
        reason: "另一个秘密".into(),
        ..Default::default()
    };
    compliance.lift_sanction(request).await.unwrap();
}

async fn listed_and_paused(channel: &Channel) {
    let mut programs = ProgramClient::new(channel.clone());
    let request = pb::CreateEnrollmentRequest {
        parent: "programs/default".into(),
        merchant: "merchants/klook".into(),
        enrollment: Some(pb::Enrollment {
            list: pb::enrollment::List::Deny.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    programs.create_enrollment(request).await.unwrap();
    let request = pb::DeleteEnrollmentRequest {
        name: "programs/default/enrollments/klook".into(),
        ..Default::default()
    };
    programs.delete_enrollment(request).await.unwrap();
    let request = pb::PauseProgramRequest {
        name: "programs/default".into(),
        ..Default::default()
    };
    programs.pause_program(request).await.unwrap();
}

async fn what_changes_is_told_and_nobody_is_named(engine: Engine) {
    let nats = Nats::start();
    let server = TestServer::start_with(engine, &telling(&nats)).await;
    let consumer = Consumer::of(&nats);
    let channel = server.channel().await;
    let (state, tap_event) = tapped(&channel).await;
    let (sender, http) = (Sender::new("klook", CORP_ID), server.http.to_string());
    let now = server.clock.now().seconds();
    let told = Told::contact("add_external_contact", WHO, &state, now);
    assert_eq!(sender.send(&http, &told).await, Some(200));
    sanctioned(&channel).await;
    listed_and_paused(&channel).await;
    let page = reqwest::Client::new()
        .get(format!("http://{http}/t/{state}"))
        .header("user-agent", "Mozilla/5.0 (compatible; Baiduspider/2.0)");
    page.send().await.unwrap();

    let all = |heard: &Heard| {
        let of = |name: &str| heard.latest.get(name).map(|event| &event["data"]);
        has("mingpian.contact.added")(heard)
            && of("merchants/klook/sanctions/s-1").is_some_and(|s| !s["liftTime"].is_null())
            && of("programs/default").is_some_and(|p| p["state"] == "PAUSED")
            && of("programs/default/enrollments/klook").is_some_and(|e| e["deleted"] == true)
            && heard
                .latest
                .values()
                .any(|event| event["data"]["bot"] == true)
    };
    let heard = consumer.hears("all of it", all).await;

    let known = adds(&server.app.store).await;
    assert_eq!((known.len(), heard.adds()), (1, known.clone()));
    let add = latest(
        &heard,
        &format!("corps/klook/contactEvents/{}", known.first().unwrap()),
    );
    let placement = "merchants/klook/placements/capsule";
    for (field, value) in [
        ("merchant", "merchants/klook"),
        ("placement", placement),
        ("note", "notes/n-1"),
        ("tapEventId", &tap_event),
        ("source", "CALLBACK"),
        ("kind", "WECOM"),
    ] {
        assert_eq!(add["data"][field], value, "{add}");
    }
    let tap = latest(&heard, &format!("{placement}/taps/{tap_event}"));
    assert_eq!(tap["data"]["bot"], false);
    assert_eq!(
        tap["data"]["viewer"], add["data"]["viewer"],
        "one viewer, one name"
    );
    assert_eq!(text(&tap["data"], "viewer").len(), 16);
    let sanction = latest(&heard, "merchants/klook/sanctions/s-1");
    assert_eq!(sanction["data"]["kind"], "TRAFFIC_RESTRICTED");
    let program = latest(&heard, "programs/default");
    let threshold = json!({"currencyCode": "CNY", "units": "1000", "nanos": 0});
    assert_eq!(program["data"]["threshold"], threshold);
    for key in [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "sequence",
    ] {
        assert!(program[key].is_string(), "{program}");
    }

    let all = serde_json::to_string(&heard.latest).unwrap();
    let viewer = viewer().unwrap().viewer_id;
    for secret in [WHO, "zhangsan", "13800138000", "秘密", &state, &viewer] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

/// WeCom tells of an add twice, the second time with what was tapped.
async fn an_add_that_turns_out_otherwise_is_told_again(engine: Engine) {
    let nats = Nats::start();
    let server = TestServer::start_with(engine, &telling(&nats)).await;
    let consumer = Consumer::of(&nats);
    let (state, _) = tapped(&server.channel().await).await;
    let (sender, http) = (Sender::new("klook", CORP_ID), server.http.to_string());
    let now = server.clock.now().seconds();
    let blank = Told::contact("add_half_external_contact", WHO, "", now);
    assert_eq!(sender.send(&http, &blank).await, Some(200));
    let heard = consumer
        .hears("an add", has("mingpian.contact.added"))
        .await;
    let known = adds(&server.app.store).await;
    let subject = format!("corps/klook/contactEvents/{}", known.first().unwrap());
    assert_eq!(latest(&heard, &subject)["data"]["unattributed"], "NO_STATE");

    let told = Told::contact("add_external_contact", WHO, &state, now + 1);
    assert_eq!(sender.send(&http, &told).await, Some(200));
    let credited = |heard: &Heard| {
        let event = heard.latest.get(&subject);
        event.is_some_and(|event| event["data"]["merchant"] == "merchants/klook")
    };
    let heard = consumer.hears("that it is credited", credited).await;
    assert_eq!(heard.adds(), known);
}

async fn spent(server: &TestServer, units: i64) {
    let (year, month, day) = (Zone::SHANGHAI.day(server.clock.now()) - 1).date();
    let date = common::Date {
        year,
        month: month.cast_signed(),
        day: day.cast_signed(),
    };
    let entry = pb::SpendEntry {
        merchant: "merchants/klook".into(),
        day: Some(date),
        source: "juguang".into(),
        amount: Some(common::Money {
            currency_code: "CNY".into(),
            units,
            nanos: 0,
        }),
    };
    let request = pb::ImportSpendRequest {
        entries: vec![entry],
    };
    let mut client = EligibilityClient::new(server.channel().await);
    let importing = client.import_spend(tokio_stream::iter([request]));
    importing.await.unwrap();
    // Or closing would wait for more figures.
    let request = pb::CompleteSpendDayRequest {
        source: "juguang".into(),
        day: Some(date),
        ..Default::default()
    };
    client.complete_spend_day(request).await.unwrap();
    let calendar = &server.app.rules.calendar;
    let tx = server.app.store.begin().await.unwrap();
    tx.run_openings(calendar, server.clock.now(), "test")
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Of a merchant in one program.
const SUBJECT: &str = "merchants/klook/eligibility/programs/default";

async fn who_opens_and_closes_is_told(engine: Engine) {
    let nats = Nats::start();
    // The runs are the test's own.
    let more = format!("roles = [\"serve\", \"publish\"]\n{}", telling(&nats));
    let server = TestServer::gated(engine, &more).await;
    let consumer = Consumer::of(&nats);
    spent(&server, 2000).await;
    let heard = consumer
        .hears("who opens", has("mingpian.eligibility.opened"))
        .await;
    let opened = latest(&heard, SUBJECT);
    let day = Zone::SHANGHAI.day(server.clock.now()).to_string();
    let wanted = json!({"merchant": "merchants/klook", "program": "programs/default", "day": day});
    assert_eq!(opened["data"], wanted);

    server.clock.advance(Duration::from_secs(24 * 60 * 60));
    spent(&server, -2000).await;
    let heard = consumer
        .hears("who closes", has("mingpian.eligibility.closed"))
        .await;
    let closed = latest(&heard, SUBJECT);
    assert_eq!(closed["type"], "mingpian.eligibility.closed");
    assert_eq!(closed["data"]["program"], "programs/default");
}

async fn without_a_url_nothing_is_kept_to_be_told(engine: Engine) {
    let server = TestServer::start(engine).await;
    tapped(&server.channel().await).await;
    listed_and_paused(&server.channel().await).await;
    let db = database(&server.scratch).await;
    assert_eq!(column(&db, "SELECT subject FROM outbox").await, [""; 0]);
}
