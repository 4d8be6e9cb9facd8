//! The kill switch and a sanction, told to one replica while callers ask the other for menus
//! without a pause: its taps are refused from the moment on at which that is acknowledged, and its
//! menus follow within a second.
//!
//! `TEST_ROUNDS=100 TEST_CALLERS=64 tests/run --no-capture replicas::stop` measures it.

use std::time::{Duration, Instant};

use mingpian::api::pb::{self, environment::Container, sanction::Kind};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, transport::Channel};

use crate::{
    lifecycle::{card_in_menu, channel, path, serve_on, times},
    support::{
        ComplianceClient, Engine, ProgramClient, Scratch, ServingClient, get_menu, process::serve,
        tap,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_stops_the_other_stops_too_under_load() {
    let scratch = Scratch::new(Engine::Postgres).await;
    let more = "[limits]\nviewer_taps_per_minute = 0";
    let told = serve_on(&scratch, more);
    let file = path(&scratch, "settings.toml");
    let other = serve(&["--config", &file], &[]);
    let (told, by) = (channel(told.grpc).await, channel(other.grpc).await);
    card_in_menu(&told).await;
    let mut serving = ServingClient::new(by);
    let mut callers = JoinSet::new();
    for _ in 0..times("TEST_CALLERS", 4) {
        let channel = channel(other.grpc).await;
        callers.spawn(ask(channel));
    }
    let (mut switched, mut sanctioned) = (Vec::new(), Vec::new());
    for round in 0..times("TEST_ROUNDS", 5) {
        let token = shown(&mut serving).await;
        pause(&told).await;
        switched.push(stopped(&mut serving, &token).await);
        resume(&told).await;
        let token = shown(&mut serving).await;
        let sanction = sanction(&told, &format!("s{round}")).await;
        sanctioned.push(stopped(&mut serving, &token).await);
        lift(&told, sanction).await;
    }
    callers.abort_all();
    for (what, mut took) in [("kill switch", switched), ("sanction", sanctioned)] {
        took.sort_unstable();
        let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        println!("{what}: menus followed after {half:?} (half), {most:?} (99 %)");
        assert!(most < Duration::from_secs(1), "{what}: {took:?}");
    }
}

async fn ask(channel: Channel) {
    let mut serving = ServingClient::new(channel);
    loop {
        // Some are refused: it is more than the replica can do.
        let _ = serving.get_chat_menu(get_menu("klook")).await;
    }
}

/// The token of an item, once there is one.
async fn shown(serving: &mut ServingClient) -> String {
    let menu = until(serving, |menu| !menu.items.is_empty()).await;
    menu.items[0].tap_token.clone()
}

/// How long menus went on after this began; a tap is refused at once.
async fn stopped(serving: &mut ServingClient, token: &str) -> Duration {
    let acknowledged = Instant::now();
    let tapped = serving.open_card(tap(token, Container::NativeApp)).await;
    assert_eq!(tapped.unwrap_err().code(), Code::FailedPrecondition);
    until(serving, |menu| menu.items.is_empty()).await;
    acknowledged.elapsed()
}

async fn until(
    serving: &mut ServingClient,
    wanted: impl Fn(&pb::GetChatMenuResponse) -> bool,
) -> pb::GetChatMenuResponse {
    let started = Instant::now();
    loop {
        match serving.get_chat_menu(get_menu("klook")).await {
            Ok(menu) if wanted(menu.get_ref()) => return menu.into_inner(),
            Ok(_) => {}
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
        }
        assert!(started.elapsed() < Duration::from_secs(10), "it never came");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn pause(channel: &Channel) {
    let request = pb::PauseProgramRequest {
        name: "programs/open".to_owned(),
        ..Default::default()
    };
    let mut programs = ProgramClient::new(channel.clone());
    programs.pause_program(request).await.unwrap();
}

async fn resume(channel: &Channel) {
    let request = pb::ResumeProgramRequest {
        name: "programs/open".to_owned(),
        ..Default::default()
    };
    let mut programs = ProgramClient::new(channel.clone());
    programs.resume_program(request).await.unwrap();
}

/// Its name.
async fn sanction(channel: &Channel, id: &str) -> String {
    let request = pb::CreateSanctionRequest {
        parent: "merchants/klook".to_owned(),
        sanction: Some(pb::Sanction {
            kind: Kind::CardsSuspended.into(),
            rule: "evasion".to_owned(),
            reason: "多次违规".to_owned(),
            ..Default::default()
        }),
        sanction_id: id.to_owned(),
        ..Default::default()
    };
    let mut compliance = ComplianceClient::new(channel.clone());
    let made = compliance.create_sanction(request).await.unwrap();
    made.into_inner().name
}

async fn lift(channel: &Channel, name: String) {
    let request = pb::LiftSanctionRequest {
        name,
        reason: "已整改".to_owned(),
        ..Default::default()
    };
    let mut compliance = ComplianceClient::new(channel.clone());
    compliance.lift_sanction(request).await.unwrap();
}
