//! A replica does what its roles say.

use std::time::{Duration, Instant};

use mingpian::{
    api::pb::{self, measurement_service_client::MeasurementServiceClient},
    server::Server,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Response, Status, transport::Channel};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};

use crate::{
    lifecycle::{becomes, channel, column, database},
    on_both_engines,
    support::{CardClient, Clock, Engine, Scratch, TestServer, create_card, refused},
};

on_both_engines!(intake_and_roll_up_run_on_replicas_of_their_own);

/// A replica in this process, on what others are on.
async fn replica(scratch: &Scratch, roles: &str) -> (Channel, CancellationToken, String) {
    let settings = scratch.settings(&format!("roles = [{roles}]\n"));
    let server = Server::bind(&settings, Clock::default().ambient())
        .await
        .unwrap();
    let (stop, http) = (CancellationToken::new(), server.http.to_string());
    let grpc = server.grpc;
    tokio::spawn(server.serve(stop.clone(), CancellationToken::new()));
    let channel = channel(grpc).await;
    becomes(&channel, ServingStatus::Serving).await;
    (channel, stop, http)
}

async fn ingest(channel: &Channel, now: i64) -> Result<pb::IngestEventsResponse, Status> {
    let event = pb::Event {
        event_id: "e-1".into(),
        r#type: pb::event::Type::Impression.into(),
        merchant: "merchants/klook".into(),
        viewer_id: "v-1".into(),
        event_time: Some(prost_types::Timestamp {
            seconds: now,
            nanos: 0,
        }),
        ..Default::default()
    };
    let request = pb::IngestEventsRequest {
        events: vec![event],
    };
    let mut client = MeasurementServiceClient::new(channel.clone());
    client
        .ingest_events(request)
        .await
        .map(Response::into_inner)
}

async fn asked(channel: &Channel, service: &str) -> Result<i32, Code> {
    let service = service.to_owned();
    let answer = HealthClient::new(channel.clone())
        .check(HealthCheckRequest { service })
        .await;
    answer.map(|a| a.into_inner().status).map_err(|s| s.code())
}

async fn intake_and_roll_up_run_on_replicas_of_their_own(engine: Engine) {
    let server = TestServer::start_with(engine, "roles = [\"serve\", \"jobs\"]\n").await;
    let serving = server.channel().await;
    let (intake, _stop, http) = replica(&server.scratch, "\"intake\"").await;
    let now = server.clock.now().seconds();

    let status = refused(
        ingest(&serving, now).await,
        Code::Unimplemented,
        "ROLE_MISSING",
    );
    assert!(status.message().contains("intake"), "{status:?}");
    let mut elsewhere = CardClient::new(intake.clone());
    let call = elsewhere.create_card(create_card("klook", "main")).await;
    refused(call, Code::Unimplemented, "METHOD_UNKNOWN");
    let cards = "mingpian.v1.CardService";
    assert_eq!(asked(&intake, cards).await, Err(Code::NotFound));
    assert_eq!(
        asked(&serving, cards).await,
        Ok(ServingStatus::Serving as i32)
    );
    let page = reqwest::get(format!("http://{http}/t/x")).await.unwrap();
    assert_eq!(page.status(), 404);

    assert_eq!(ingest(&intake, now).await.unwrap().accepted, 1);
    let db = database(&server.scratch).await;
    let queued = "SELECT body FROM funnel_queue";
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(column(&db, queued).await.len(), 1, "nobody rolls up");
    let (_, _stop, _) = replica(&server.scratch, "\"rollup\"").await;
    let started = Instant::now();
    while !column(&db, queued).await.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "not rolled up");
        sleep(Duration::from_millis(50)).await;
    }
}
