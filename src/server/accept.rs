//! One accept loop for every listener. It exists because the stock server leaves open what
//! a hostile peer needs: streams, resets, pings and connections without number, connections that
//! never speak, an age limit that cuts calls, and a shutdown that waits for ever.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    frames::{Budget, Frames},
    gather::Gather,
    preface::Preface,
    seats::{Seat, Seats},
    tls::Tls,
};
use crate::api::layers::Arrived;

/// How long to leave `accept` alone after it failed. Out of file descriptors it fails at
/// once, again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 and nothing else.
    Grpc,
    /// HTTP/1.1 or HTTP/2, as the client likes.
    Http,
}

/// What one peer may take of a listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections in all; those over it are closed at once.
    pub connections: usize,
    /// Open connections from one IPv4 address or IPv6 /64; a load balancer counts as one.
    pub connections_per_ip: usize,
    /// Until the first 24 bytes of a connection are here.
    pub preface_timeout: Duration,
    /// Until TLS is agreed upon.
    pub tls_handshake_timeout: Duration,
    /// HTTP/1: until the headers of the next request are here; ends idle connections too.
    pub header_read_timeout: Duration,
    /// HTTP/2: open streams on one connection.
    pub max_concurrent_streams: u32,
    /// HTTP/2: bytes of a request's headers, decoded.
    pub max_header_list_bytes: u32,
    /// HTTP/2: resets that a peer's mistakes may cost us before its connection is closed
    /// (RUSTSEC-2024-0003).
    pub max_local_error_reset_streams: usize,
    /// HTTP/2: calls cancelled before we come to them, at most, before the connection is closed
    /// (CVE-2023-44487). Who brings many people's calls may cancel all streams at once.
    pub max_pending_accept_reset_streams: usize,
    /// HTTP/2: frames without work (all but HEADERS and DATA) that a peer may send
    /// at once before its connection is closed. Every KiB that we write gives one back.
    pub idle_frames: u32,
    /// HTTP/2: how many of them a second gives back.
    pub idle_frames_per_second: u32,
    /// HTTP/2: how many of them a call gives back.
    pub idle_frames_per_call: u32,
    /// HTTP/2: between two of our PINGs.
    pub keepalive_interval: Duration,
    /// HTTP/2: until a PING is answered; a connection that does not is dead.
    pub keepalive_timeout: Duration,
    /// Until a connection is told to go, so that load spreads over new replicas; ±10 %.
    pub connection_age: Duration,
    /// From then until the calls it still carries are cut; at a shutdown `cut` may come sooner.
    pub connection_age_grace: Duration,
    /// HTTP/2: bytes that one stream may send ahead of its reader.
    pub stream_window_bytes: u32,
    /// HTTP/2: bytes that one connection may send ahead of all its readers.
    pub connection_window_bytes: u32,
    /// HTTP/2: bytes of answer held for a slow reader, a stream.
    pub max_send_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_ip: 1_000,
            preface_timeout: Duration::from_secs(5),
            tls_handshake_timeout: Duration::from_secs(5),
            header_read_timeout: Duration::from_secs(5),
            max_concurrent_streams: 128,
            max_header_list_bytes: 16 * 1024,
            max_local_error_reset_streams: 256,
            max_pending_accept_reset_streams: 256,
            idle_frames: 1_000,
            idle_frames_per_second: 100,
            idle_frames_per_call: 10,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            connection_age: Duration::from_secs(5 * 60),
            connection_age_grace: Duration::from_secs(30),
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 1024 * 1024,
            max_send_buffer_bytes: 64 * 1024,
        }
    }
}

/// Serves until `stop`, then drains: the socket is closed, clients are told to go, calls
/// under way are finished. `cut` ends whatever is left. Returns when every connection and
/// every call has ended, so the caller sets the bound by when it cancels `cut`.
///
/// Requests carry when they [`Arrived`].
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    protocol: Protocol,
    limits: Limits,
    service: Router,
    stop: CancellationToken,
    cut: CancellationToken,
) {
    let tasks = Tasks {
        tracker: TaskTracker::new(),
        cut: cut.clone(),
    };
    let seats = Seats::new(limits.connections, limits.connections_per_ip);
    let door = Arc::new(Door {
        protocol,
        http: http(protocol, &limits, tasks.clone()),
        tls,
        limits,
        service,
        stop: stop.clone(),
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = cut.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => match seats.take(peer.ip()) {
                Some(seat) => tasks.execute(door.clone().receive(tcp, seat)),
                None => tracing::debug!("connection over the limit closed"),
            },
            Err(e) if is_peers(&e) => {}
            Err(e) => {
                tracing::warn!(error = %e, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.tracker.close();
    tasks.tracker.wait().await;
}

/// What every connection of a listener shares.
struct Door {
    protocol: Protocol,
    http: auto::Builder<Tasks>,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    service: Router,
    stop: CancellationToken,
}

impl Door {
    async fn receive(self: Arc<Self>, tcp: TcpStream, _seat: Seat) {
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.speak(tcp).await;
        };
        let handshake = timeout(
            self.limits.tls_handshake_timeout,
            tls.acceptor().accept(tcp),
        );
        match self.stop.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.speak(stream).await,
            Some(Ok(Err(e))) => tracing::debug!(error = %e, "TLS handshake failed"),
            Some(Err(_)) => tracing::debug!("TLS handshake timed out"),
            None => {}
        }
    }

    async fn speak<I>(&self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let budget = Budget {
            most: self.limits.idle_frames,
            per_second: self.limits.idle_frames_per_second,
            per_call: self.limits.idle_frames_per_call,
        };
        let io = Frames::within(budget, Preface::within(self.limits.preface_timeout, io));
        match self.protocol {
            Protocol::Grpc => self.converse(Gather::within(io)).await,
            Protocol::Http => self.converse(io).await,
        }
    }

    async fn converse<I>(&self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Arrived(Instant::now()));
            self.service.clone().oneshot(request)
        });
        let mut connection = std::pin::pin!(self.http.serve_connection(TokioIo::new(io), service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.stop.cancelled() => {}
            () = sleep(jittered(self.limits.connection_age)) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = timeout(self.limits.connection_age_grace, connection).await;
    }
}

fn http(protocol: Protocol, limits: &Limits, tasks: Tasks) -> auto::Builder<Tasks> {
    let mut http = auto::Builder::new(tasks);
    if protocol == Protocol::Grpc {
        http = http.http2_only();
    }
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_header_list_bytes)
        .max_local_error_reset_streams(limits.max_local_error_reset_streams)
        .max_pending_accept_reset_streams(limits.max_pending_accept_reset_streams)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_send_buf_size(limits.max_send_buffer_bytes);
    http
}

/// Runs connections and the calls on them. hyper gives each call a task that outlives its
/// connection's future; here they are counted, and cut together.
#[derive(Clone)]
struct Tasks {
    tracker: TaskTracker,
    cut: CancellationToken,
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let cut = self.cut.clone();
        self.tracker.spawn(async move {
            // Most are done in one go: only who is not asks to be told of the cut.
            tokio::select! {
                biased;
                _ = task => {}
                () = cut.cancelled() => {}
            }
        });
    }
}

/// An error of one connection that was gone before it was accepted, not of the listener.
fn is_peers(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// ±10 %, so that connections opened together do not all come back together.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::random_range(0.9..1.1))
}
