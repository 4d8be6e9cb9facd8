//! Many callbacks at once, and senders that dawdle.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use super::*;

/// A post that goes no further than this.
async fn stalled(door: &Door, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(door.server.http).await.unwrap();
    let head = "POST /wecom/callback/klook?a=b HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
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
