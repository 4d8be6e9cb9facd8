//! SIGTERM: the process ends in time with 0, whatever peers do, and no call is lost.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::{Streaming, transport::Channel};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient},
};

use super::{becomes, channel, database, serve_on};
use crate::{
    on_both_engines,
    support::{CardClient, Engine, Scratch, create_card, process::Process},
};

on_both_engines!(
    hostile_peers_do_not_hold_the_end_up,
    watchers_learn_of_the_end_before_the_door_closes,
    those_who_watch_do_not_hold_the_end_up,
    a_second_signal_ends_at_once,
);

/// HTTP/2's preface and empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn watch(channel: &Channel) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest::default();
    let answer = HealthClient::new(channel.clone()).watch(request).await;
    answer.unwrap().into_inner()
}

async fn said(watch: &mut Streaming<HealthCheckResponse>) -> i32 {
    let next = timeout(Duration::from_secs(5), watch.message()).await;
    next.unwrap().unwrap().unwrap().status
}

/// A peer that says this much and then neither reads nor answers.
async fn silent(address: SocketAddr, words: &[u8]) -> TcpStream {
    let mut peer = TcpStream::connect(address).await.unwrap();
    peer.write_all(words).await.unwrap();
    peer
}

fn ends_well(process: &mut Process, within: Duration) {
    let status = process.ends_within(within);
    let output = process.output.lock().unwrap();
    let status = status.unwrap_or_else(|| panic!("goes on: {output}"));
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(output.contains("shutting down"));
}

async fn hostile_peers_do_not_hold_the_end_up(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut process = serve_on(&scratch, "[limits]\ndrain_seconds = 1");
    let channel = channel(process.grpc).await;
    becomes(&channel, ServingStatus::Serving).await;
    let mut held = Vec::new();
    for address in [process.grpc, process.http, process.admin] {
        for words in [&b""[..], PREFACE, b"GET /t/x HTTP/1.1\r\nHost"] {
            held.push(silent(address, words).await);
        }
    }
    held.push(silent(process.grpc, &endless_call()).await);
    under_way(&process).await;

    process.terminate();
    // The drain, and two seconds.
    ends_well(&mut process, Duration::from_secs(3 + 2));
    let output = process.output.lock().unwrap();
    assert!(!output.contains("ERROR"), "{output}");
}

/// A peer that closes or resets in the middle of its request, and a cut, are no bugs.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_broken_off_is_no_bug() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let process = serve_on(&scratch, "");
    let channel = channel(process.grpc).await;
    becomes(&channel, ServingStatus::Serving).await;
    // Two bytes of a message, then RST_STREAM with PROTOCOL_ERROR or CANCEL, or the end.
    let begun = [0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0];
    let reset = |code| [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, code];
    for words in [&reset(1)[..], &reset(8), &[]] {
        let mut peer = silent(process.grpc, &endless_call()).await;
        peer.write_all(&begun).await.unwrap();
        under_way(&process).await;
        peer.write_all(words).await.unwrap();
        if words.is_empty() {
            drop(peer);
        }
        idle(&process).await;
    }
    let output = process.output.lock().unwrap();
    assert!(!output.contains("ERROR"), "{output}");
    assert_eq!(
        output.matches(r#"code="CANCELLED" ms"#).count(),
        3,
        "{output}"
    );
}

async fn watchers_learn_of_the_end_before_the_door_closes(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut process = serve_on(
        &scratch,
        "[limits]\nshutdown_delay_seconds = 3\ndrain_seconds = 1",
    );
    let first = channel(process.grpc).await;
    becomes(&first, ServingStatus::Serving).await;
    let mut watching = watch(&first).await;
    assert_eq!(said(&mut watching).await, ServingStatus::Serving as i32);

    process.terminate();
    assert_eq!(said(&mut watching).await, ServingStatus::NotServing as i32);
    // A balancer that has not seen it yet still sends calls, and new connections.
    let late = channel(process.grpc).await;
    let mut cards = CardClient::new(late);
    cards
        .create_card(create_card("klook", "late"))
        .await
        .unwrap();
    let ready = reqwest::get(format!("http://{}/readyz", process.admin)).await;
    assert_eq!(ready.unwrap().status(), 503);

    let closed = Instant::now();
    while TcpStream::connect(process.grpc).await.is_ok() {
        assert!(closed.elapsed() < Duration::from_secs(6), "stays open");
        sleep(Duration::from_millis(20)).await;
    }
    ends_well(&mut process, Duration::from_secs(3 + 2));
}

async fn those_who_watch_do_not_hold_the_end_up(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut process = serve_on(&scratch, "[limits]\ndrain_seconds = 600");
    let channel = channel(process.grpc).await;
    becomes(&channel, ServingStatus::Serving).await;
    let mut watching = watch(&channel).await;
    said(&mut watching).await;

    process.terminate();
    assert_eq!(said(&mut watching).await, ServingStatus::NotServing as i32);
    let end = timeout(Duration::from_secs(5), watching.message()).await;
    assert_eq!(end.unwrap().unwrap(), None, "a stream ends with OK");
    ends_well(&mut process, Duration::from_secs(3));
    let output = process.output.lock().unwrap();
    assert!(!output.contains("ERROR"), "{output}");
}

/// A call whose request never ends, by hand: HEADERS with `:path` and no END_STREAM.
fn endless_call() -> Vec<u8> {
    let path = b"/grpc.health.v1.Health/Check";
    let kind = b"application/grpc";
    // POST, http, and by the static table `:path`, `:authority` and `content-type`.
    let mut headers = vec![0x83, 0x86, 0x04, path.len() as u8];
    headers.extend(path);
    headers.extend([0x01, 1, b'a', 0x0f, 0x10, kind.len() as u8]);
    headers.extend(kind);
    let mut call = PREFACE.to_vec();
    call.extend([0, 0, headers.len() as u8, 1, 4, 0, 0, 0, 1]);
    call.extend(headers);
    call
}

async fn a_second_signal_ends_at_once(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut process = serve_on(&scratch, "[limits]\ndrain_seconds = 600");
    let channel = channel(process.grpc).await;
    becomes(&channel, ServingStatus::Serving).await;
    let _peer = silent(process.grpc, &endless_call()).await;
    under_way(&process).await;

    process.terminate();
    let patient = process.ends_within(Duration::from_millis(500));
    assert_eq!(patient, None, "the first signal waits for the call");
    process.terminate();
    ends_well(&mut process, Duration::from_secs(2));
}

/// The call is held up by a lock on the database that the test lets go of.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_is_finished() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let mut process = serve_on(&scratch, "");
    let channel = channel(process.grpc).await;
    becomes(&channel, ServingStatus::Serving).await;

    let db = database(&scratch).await;
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let lock = db.begin_with_options(immediate).await.unwrap();
    lock.execute_unprepared("DELETE FROM audit").await.unwrap();
    let mut cards = CardClient::new(channel);
    let call = tokio::spawn(async move { cards.create_card(create_card("klook", "a")).await });
    under_way(&process).await;

    process.terminate();
    while TcpStream::connect(process.grpc).await.is_ok() {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!call.is_finished());
    lock.rollback().await.unwrap();
    let card = call.await.unwrap().unwrap().into_inner();
    assert_eq!(card.name, "merchants/klook/cards/a");
    // Nothing is left to drain, so the drain of 20 seconds is not waited for.
    ends_well(&mut process, Duration::from_secs(3));
}

/// Waits until the program works on a call.
async fn under_way(process: &Process) {
    calls(process, 1).await;
}

/// Waits until the program works on no call.
async fn idle(process: &Process) {
    calls(process, 0).await;
}

async fn calls(process: &Process, at_work: usize) {
    let wanted = format!("rpc_server_active_calls {at_work}");
    let started = Instant::now();
    loop {
        let metrics = reqwest::get(format!("http://{}/metrics", process.admin)).await;
        let metrics = metrics.unwrap().text().await.unwrap();
        if metrics.lines().any(|line| line == wanted) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{metrics}");
        sleep(Duration::from_millis(20)).await;
    }
}
