//! The accept loop against peers that do not play along. Frames are written by hand: a
//! proper client would refuse to send them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, body::Body, routing::any};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mingpian::{
    api::layers::Arrived,
    server::accept::{Limits, Protocol, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const CANCEL: u32 = 8;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Bytes of the answer of `/large`.
const LARGE: usize = 4 << 20;

const SOON: Duration = Duration::from_secs(5);

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    cut: CancellationToken,
    /// Handlers at work.
    working: Arc<AtomicUsize>,
    ended: JoinHandle<()>,
}

impl Server {
    async fn start(protocol: Protocol, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let working = Arc::new(AtomicUsize::new(0));
        let ended = tokio::spawn(serve(
            listener,
            None,
            protocol,
            limits,
            routes(working.clone()),
            stop.clone(),
            cut.clone(),
        ));
        Self {
            address,
            stop,
            cut,
            working,
            ended,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Drains for `drain`, then cuts; how long the end took.
    async fn shut_down(self, drain: Duration) -> Duration {
        let started = Instant::now();
        self.stop.cancel();
        let mut ended = self.ended;
        if timeout(drain, &mut ended).await.is_err() {
            self.cut.cancel();
            timeout(SOON, ended)
                .await
                .expect("hangs after the cut")
                .unwrap();
        }
        started.elapsed()
    }
}

struct Working(Arc<AtomicUsize>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn routes(working: Arc<AtomicUsize>) -> Router {
    let begin = move || {
        working.fetch_add(1, Ordering::SeqCst);
        Working(working.clone())
    };
    let (hanging, streaming) = (begin.clone(), begin);
    Router::new()
        .route(
            "/at",
            any(|Extension(Arrived(at)): Extension<Arrived>| async move {
                format!("{}", at.elapsed() < SOON)
            }),
        )
        .route(
            "/hang",
            any(move || {
                let working = hanging();
                async move {
                    std::future::pending::<()>().await;
                    drop(working);
                }
            }),
        )
        .route(
            "/slow",
            any(|| async { sleep(Duration::from_millis(600)).await }),
        )
        .route("/large", any(|| async { vec![0; LARGE] }))
        .route(
            "/stream",
            any(move || {
                let working = streaming();
                async move {
                    let ticks = stream::unfold(working, |working| async move {
                        sleep(Duration::from_millis(20)).await;
                        Some((Ok::<_, std::io::Error>(Bytes::from("tick")), working))
                    });
                    Body::from_stream(ticks)
                }
            }),
        )
}

/// An HTTP/2 peer that says what it likes.
struct Peer(TcpStream);

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Of RST_STREAM and GOAWAY.
    fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    fn ends(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

impl Peer {
    async fn connect(server: &Server) -> Self {
        let mut peer = Self(server.connect().await);
        peer.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        peer.send(SETTINGS, 0, 0, &[]).await;
        peer
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let _ = self.0.write_all(&frame(kind, flags, stream, payload)).await;
    }

    async fn get(&mut self, stream: u32, path: &str) {
        let headers = request(path);
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &headers)
            .await;
    }

    /// `None` when the connection has ended.
    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
            payload,
        })
    }

    /// The next frame that `wanted` says yes to.
    async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        timeout(SOON, async {
            loop {
                let frame = self.read().await.expect("the connection ended");
                if wanted(&frame) {
                    return frame;
                }
            }
        })
        .await
        .expect("the frame did not come")
    }

    async fn ends_within(&mut self, limit: Duration) -> bool {
        timeout(limit, async { while self.read().await.is_some() {} })
            .await
            .is_ok()
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// HPACK by the static table: GET, http, and the path and authority as literals.
fn request(path: &str) -> Vec<u8> {
    let mut headers = vec![0x82, 0x86];
    for (name, value) in [(0x04, path), (0x01, "a")] {
        headers.extend([name, value.len() as u8]);
        headers.extend(value.as_bytes());
    }
    headers
}

async fn closed_within(tcp: &mut TcpStream, limit: Duration) -> bool {
    let mut read = Vec::new();
    timeout(limit, tcp.read_to_end(&mut read)).await.is_ok()
}

#[tokio::test]
async fn a_flood_of_malformed_headers_ends_the_connection() {
    let limits = Limits {
        max_local_error_reset_streams: 50,
        ..Limits::default()
    };
    let server = Server::start(Protocol::Grpc, limits).await;
    let mut peer = Peer::connect(&server).await;
    let mut headers = request("/at");
    headers.extend(b"\x00\x0aconnection\x05close");
    let mut flood = Vec::new();
    for n in 0..2_000 {
        flood.extend(frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            n * 2 + 1,
            &headers,
        ));
    }
    let _ = peer.0.write_all(&flood).await;
    let goaway = peer.until(|frame| frame.kind == GOAWAY).await;
    assert_eq!(goaway.error(), ENHANCE_YOUR_CALM);
}

/// Sends this until the server has had enough, and reads meanwhile.
async fn flood(peer: Peer, frame: &[u8]) {
    let (mut read, mut write) = peer.0.into_split();
    tokio::spawn(async move {
        let mut answers = vec![0; 1 << 16];
        while read.read(&mut answers).await.is_ok_and(|n| n > 0) {}
    });
    let many = frame.repeat(100);
    let flooding = async { while write.write_all(&many).await.is_ok() {} };
    let closed = timeout(SOON, flooding).await;
    closed.expect("the flood goes on");
}

#[tokio::test]
async fn a_flood_of_frames_without_work_ends_the_connection() {
    let server = Server::start(Protocol::Grpc, Limits::default()).await;
    for frame in [
        frame(PING, 0, 0, b"12345678"),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(SETTINGS, 0, 0, &[]),
        frame(99, 0, 0, b"unknown"),
    ] {
        let peer = Peer::connect(&server).await;
        flood(peer, &frame).await;
    }
}

#[tokio::test]
async fn a_busy_client_may_ping_and_open_its_windows() {
    let server = Server::start(Protocol::Grpc, Limits::default()).await;
    let mut peer = Peer::connect(&server).await;
    let each_call = [
        frame(PING, 0, 0, b"12345678"),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 20]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
    ]
    .concat();
    for batch in 0..50 {
        for n in 0..100 {
            peer.get((batch * 100 + n) * 2 + 1, "/at").await;
            peer.0.write_all(&each_call).await.unwrap();
        }
        for _ in 0..100 {
            peer.until(Frame::ends).await;
        }
    }
}

#[tokio::test]
async fn a_large_answer_pays_for_its_window_updates() {
    let limits = Limits {
        idle_frames: 100,
        ..Limits::default()
    };
    let server = Server::start(Protocol::Grpc, limits).await;
    let mut peer = Peer::connect(&server).await;
    peer.get(1, "/large").await;
    let mut got = 0;
    while got < LARGE {
        let data = peer.until(|frame| frame.kind == DATA).await.payload;
        got += data.len();
        let length = (data.len() as u32).to_be_bytes();
        for stream in [0, 1] {
            peer.send(WINDOW_UPDATE, 0, stream, &length).await;
        }
    }
}

/// Calls from this one on, each cancelled at once.
fn cancelled(first: u32, calls: u32) -> Vec<u8> {
    let call = |n| {
        let stream = (first + n) * 2 + 1;
        let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, &request("/at"));
        let cancel = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
        [open, cancel].concat()
    };
    (0..calls).flat_map(call).collect()
}

#[tokio::test]
async fn who_cancels_many_calls_keeps_the_others_and_a_flood_ends_the_connection() {
    let server = Server::start(Protocol::Grpc, Limits::default()).await;
    let mut peer = Peer::connect(&server).await;
    peer.get(1, "/at").await;
    peer.0.write_all(&cancelled(1, 120)).await.unwrap();
    peer.get(999, "/at").await;
    let good = |frame: &Frame| frame.kind == GOAWAY || frame.stream == 999 && frame.ends();
    assert_eq!(peer.until(good).await.stream, 999);

    let mut peer = Peer::connect(&server).await;
    let _ = peer.0.write_all(&cancelled(0, 20_000)).await;
    let goaway = peer.until(|frame| frame.kind == GOAWAY).await;
    assert_eq!(goaway.error(), ENHANCE_YOUR_CALM);
}

#[tokio::test]
async fn streams_over_the_limit_are_refused() {
    let limits = Limits {
        max_concurrent_streams: 3,
        ..Limits::default()
    };
    let server = Server::start(Protocol::Grpc, limits).await;
    let mut peer = Peer::connect(&server).await;
    for n in 0..5 {
        peer.get(n * 2 + 1, "/hang").await;
    }
    for stream in [7, 9] {
        let reset = peer.until(|frame| frame.kind == RST_STREAM).await;
        assert_eq!((reset.stream, reset.error()), (stream, REFUSED_STREAM));
    }
    assert_eq!(server.working.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_peer_that_does_not_speak_is_closed_at_the_deadline() {
    let limits = Limits {
        preface_timeout: Duration::from_millis(300),
        header_read_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let server = Server::start(protocol, limits.clone()).await;
        for said in ["", "PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: "] {
            let started = Instant::now();
            let mut tcp = server.connect().await;
            tcp.write_all(said.as_bytes()).await.unwrap();
            assert!(closed_within(&mut tcp, SOON).await, "{protocol:?} {said:?}");
            if protocol == Protocol::Http || said.len() < 20 {
                assert!(started.elapsed() >= Duration::from_millis(290), "{said:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_peer_that_trickles_its_preface_is_closed_at_the_deadline() {
    let limits = Limits {
        preface_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Server::start(Protocol::Grpc, limits).await;
    let (mut read, mut write) = server.connect().await.into_split();
    let started = Instant::now();
    tokio::spawn(async move {
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r" {
            let _ = write.write_all(&[*byte]).await;
            sleep(Duration::from_millis(40)).await;
        }
    });
    let _ = read.read_to_end(&mut Vec::new()).await;
    assert!(started.elapsed() < Duration::from_millis(600));
}

#[tokio::test]
async fn a_connection_may_be_idle_after_its_preface() {
    let limits = Limits {
        preface_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Server::start(Protocol::Grpc, limits).await;
    let mut peer = Peer::connect(&server).await;
    sleep(Duration::from_millis(400)).await;
    peer.get(1, "/at").await;
    let body = peer.until(|frame| frame.kind == DATA).await.payload;
    assert_eq!(body, b"true");
}

#[tokio::test]
async fn an_http2_peer_that_answers_no_ping_is_closed() {
    let limits = Limits {
        keepalive_interval: Duration::from_millis(200),
        keepalive_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::start(Protocol::Grpc, limits).await;
    let mut peer = Peer::connect(&server).await;
    assert!(peer.ends_within(Duration::from_secs(2)).await);
}

#[tokio::test]
async fn a_shutdown_is_bounded_whatever_peers_do() {
    let server = Server::start(Protocol::Grpc, Limits::default()).await;
    let _silent_tcp = server.connect().await;
    let _silent_h2 = Peer::connect(&server).await;
    let mut hanging = Peer::connect(&server).await;
    hanging.get(1, "/hang").await;
    let mut streaming = Peer::connect(&server).await;
    streaming.get(1, "/stream").await;
    streaming.until(|frame| frame.kind == DATA).await;
    let working = server.working.clone();
    assert_eq!(working.load(Ordering::SeqCst), 2);

    let took = server.shut_down(Duration::from_millis(300)).await;
    assert!(took < Duration::from_millis(800), "{took:?}");
    assert_eq!(
        working.load(Ordering::SeqCst),
        0,
        "a handler outlived its server"
    );
}

#[tokio::test]
async fn a_shutdown_finishes_calls_and_takes_no_new_connections() {
    let server = Server::start(Protocol::Grpc, Limits::default()).await;
    let address = server.address;
    let mut peer = Peer::connect(&server).await;
    peer.until(|frame| frame.kind == SETTINGS).await;
    peer.get(1, "/slow").await;
    sleep(Duration::from_millis(100)).await;
    let down = tokio::spawn(server.shut_down(Duration::from_secs(3)));
    peer.until(|frame| frame.kind == GOAWAY && frame.error() == 0)
        .await;
    assert!(TcpStream::connect(address).await.is_err());
    peer.until(|frame| frame.stream == 1 && frame.ends()).await;
    drop(peer);
    let took = down.await.unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn an_old_connection_is_told_to_go_finishes_its_call_then_is_cut() {
    let limits = Limits {
        connection_age: Duration::from_millis(300),
        connection_age_grace: Duration::from_millis(800),
        ..Limits::default()
    };
    let server = Server::start(Protocol::Grpc, limits).await;
    let started = Instant::now();
    let mut peer = Peer::connect(&server).await;
    peer.get(1, "/slow").await;
    peer.get(3, "/hang").await;
    peer.until(|frame| frame.kind == GOAWAY).await;
    assert!(started.elapsed() >= Duration::from_millis(265));
    peer.until(|frame| frame.stream == 1 && frame.ends()).await;
    assert!(
        started.elapsed() >= Duration::from_millis(590),
        "the call was finished"
    );
    assert!(peer.ends_within(Duration::from_secs(1)).await);
    assert!(started.elapsed() >= Duration::from_millis(1_000));
    sleep(Duration::from_millis(50)).await;
    assert_eq!(server.working.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once_and_room_comes_back() {
    let full = Limits {
        connections: 2,
        ..Limits::default()
    };
    let greedy = Limits {
        connections_per_ip: 2,
        ..Limits::default()
    };
    for limits in [full, greedy] {
        let server = Server::start(Protocol::Grpc, limits).await;
        let first = server.connect().await;
        let _second = server.connect().await;
        let mut third = server.connect().await;
        assert!(closed_within(&mut third, Duration::from_secs(1)).await);
        drop(first);
        sleep(Duration::from_millis(100)).await;
        let mut fourth = Peer::connect(&server).await;
        fourth.get(1, "/at").await;
        fourth.until(|frame| frame.kind == DATA).await;
    }
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let limits = Limits {
        max_header_list_bytes: 4 * 1024,
        ..Limits::default()
    };
    let server = Server::start(Protocol::Grpc, limits).await;
    let mut peer = Peer::connect(&server).await;
    // Once by name, then by index: half of it is never on the wire.
    let mut headers = request("/at");
    headers.extend([0x40, 0x01, b'x', 0x7f, 0x81, 0x1e]);
    headers.extend([b'y'; 4_096 - 128]);
    headers.push(0xbe);
    peer.send(HEADERS, END_STREAM | END_HEADERS, 1, &headers)
        .await;
    let answer = peer
        .until(|frame| matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY))
        .await;
    // `:status: 431` in HPACK.
    assert_eq!(answer.payload, [0x48, 0x83, 0x69, 0x90, 0xff]);
    assert!(answer.ends());
}

#[tokio::test]
async fn the_public_door_speaks_http1_too() {
    let server = Server::start(Protocol::Http, Limits::default()).await;
    let mut tcp = server.connect().await;
    tcp.write_all(b"GET /at HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntrue"), "{answer}");
    let many = stream::iter(0..20).map(|_| Peer::connect(&server));
    let mut peers: Vec<_> = many.buffered(20).collect().await;
    for peer in &mut peers {
        peer.get(1, "/at").await;
        peer.until(|frame| frame.kind == DATA).await;
    }
}
