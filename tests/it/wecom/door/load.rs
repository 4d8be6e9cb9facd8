//! Many callbacks at once, and senders that dawdle.

use axum::body::{Body, Bytes};
use futures_util::{StreamExt, future::join, stream};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;

use super::*;

/// An address with what may be a signature.
const SIGNED: &str = "/wecom/callback/klook?msg_signature=0123456789abcdef0123456789abcdef01234567";

/// A post that goes no further than this.
async fn stalled(door: &Door, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(door.server.http).await.unwrap();
    let head = format!("POST {SIGNED} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

/// Callbacks whose senders dawdle take no place from others, nor from taps.
#[tokio::test(flavor = "multi_thread")]
async fn stalled_callbacks_keep_nobody_out() {
    let door = Door::open(Engine::Sqlite, "[limits]\nconcurrency = 1").await;
    assert_eq!(door.tell(&door.added("wo-0")).await, 200, "it is warm");
    let mut slow = Vec::new();
    for _ in 0..200 {
        slow.push(stalled(&door, "<xml").await);
    }
    let began = Instant::now();
    assert_eq!(door.tell(&door.added("wo-1")).await, 200);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "it waits for them"
    );
    let tap = format!("http://{}/t/nothing", door.server.http);
    let tap = door.client.get(tap).send().await.unwrap();
    assert_eq!(tap.status(), 404, "a tap has its own place");
    for stream in &mut slow {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 503");
    }
    assert!(began.elapsed() < Duration::from_secs(4), "for a second");
    Door::counted(&door.metrics().await, "UNREAD", "late", 200);
}

/// Posts on one HTTP/2 connection whose last byte does not come; each is followed by another.
async fn stall_streams(channel: Channel) {
    let mut streams = JoinSet::new();
    for _ in 0..128 {
        let channel = channel.clone();
        streams.spawn(async move {
            loop {
                let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from("<xml"))]);
                let body = Body::from_stream(begun.chain(stream::pending()));
                let request = Request::post(SIGNED).body(tonic::body::Body::new(body));
                let _ = channel.clone().oneshot(request.unwrap()).await;
            }
        });
    }
    streams.join_next().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_streams_keep_nobody_out() {
    let door = Door::open(Engine::Sqlite, "").await;
    let mut stalls = JoinSet::new();
    for _ in 0..8 {
        let endpoint = Endpoint::from_shared(format!("http://{}", door.server.http));
        stalls.spawn(stall_streams(endpoint.unwrap().connect().await.unwrap()));
    }
    sleep(Duration::from_millis(500)).await;
    let echo: String = byte_serialize(ECHO.as_bytes()).collect();
    let echo = format!("{ECHO_QUERY}&echostr={echo}");
    for n in 0..20 {
        let add = door.added(&format!("wo-{n}"));
        let (told, read) = join(door.tell(&add), door.get("klook", &echo)).await;
        assert_eq!((told, read.0), (200, 200));
        sleep(Duration::from_millis(50)).await;
    }
    let metrics = door.metrics().await;
    assert!(
        metrics.contains("outcome=\"late\""),
        "they stall: {metrics}"
    );
    assert!(!metrics.contains("outcome=\"shed\""), "{metrics}");
}

/// Those that were read wait in so many places.
#[tokio::test(flavor = "multi_thread")]
async fn callbacks_without_a_place_are_shed_and_counted() {
    let door = Door::open(Engine::Sqlite, "").await;
    let writing = door.server.app.store.begin().await.unwrap();
    let tells = join_all((0..600).map(async |n| door.tell(&door.added(&format!("wo-{n}"))).await));
    let free = async {
        sleep(Duration::from_secs(2)).await;
        let metrics = door.metrics().await;
        writing.rollback().await.unwrap();
        metrics
    };
    let (told, metrics) = join(tells, free).await;
    assert!(metrics.contains("outcome=\"shed\""), "{metrics}");
    let refused = told.iter().filter(|status| **status == 503).count();
    assert!(refused >= 88, "512 places for 600: {refused}");
}

/// SQLite's one writer is another's for longer than a call waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_waits_for_the_writer_until_wecom_does_not() {
    let door = Door::open(Engine::Sqlite, "").await;
    let writing = door.server.app.store.begin().await.unwrap();
    let free = async {
        sleep(Duration::from_secs(2)).await;
        writing.rollback().await.unwrap();
    };
    let (told, ()) = join(door.tell(&door.added(USER)), free).await;
    assert_eq!((told, door.rows().await), (200, 1));
}

/// While the store stands still there is no turn for most of them.
#[tokio::test(flavor = "multi_thread")]
async fn callbacks_wait_for_their_turn() {
    let door = Door::open(Engine::Sqlite, "").await;
    let db = Database::connect(&door.server.scratch.url).await.unwrap();
    let mode = sea_orm::TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let lock = db.begin_with_options(mode).await.unwrap();
    let tells = join_all((0..160).map(async |n| door.tell(&door.added(&format!("wo-{n}"))).await));
    let free = async {
        sleep(Duration::from_millis(500)).await;
        lock.rollback().await.unwrap();
    };
    let (told, ()) = tokio::join!(tells, free);
    assert_eq!(told, [200; 160]);
    assert_eq!(door.rows().await, 160);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_breaks_off_is_not_too_large() {
    let door = Door::open(Engine::Sqlite, "").await;
    let mut stream = stalled(&door, "<xml").await;
    stream.shutdown().await.unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let metrics = door.metrics().await;
        assert!(!metrics.contains("oversize"), "{metrics}");
        if metrics.contains("kind=\"UNREAD\",outcome=\"broken\"") {
            return;
        }
        assert!(Instant::now() < until, "{metrics}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// WeCom waits for 5 s; the figures are for who runs this with `--no-capture`.
#[tokio::test(flavor = "multi_thread")]
async fn callbacks_under_load_are_answered_in_time() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let door = Door::open(engine, "").await;
        let (mut took, began) = (Vec::new(), Instant::now());
        for batch in 0..50 {
            let tells = (0..16).map(async |n| {
                let (message, began) = (door.added(&format!("wo-{batch}-{n}")), Instant::now());
                assert_eq!(door.tell(&message).await, 200);
                began.elapsed()
            });
            took.extend(join_all(tells).await);
        }
        took.sort_unstable();
        let (rate, all) = (800.0 / began.elapsed().as_secs_f64(), took.len());
        println!(
            "{engine:?}: {all} callbacks, 16 at once, {rate:.0}/s; p50 {:?} p99 {:?} most {:?}",
            took[all / 2],
            took[all * 99 / 100],
            took[all - 1]
        );
        assert!(took[all - 1] < Duration::from_secs(5));
        assert_eq!(door.rows().await, 800);
    }
}
