//! The layers that every call passes, with handlers that misbehave.

mod admission;

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response, routing::post};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName};
use http_body_util::BodyExt;
use mingpian::api::{
    self,
    layers::{self, Limits, auth::Auth, metrics::Metrics},
};
use opentelemetry::{
    global,
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status, codec::CompressionEncoding, service::Routes};
use tonic_health::pb::health_server::HealthServer;
use tonic_types::StatusExt;
use tower::ServiceExt;
use tracing::instrument::WithSubscriber;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

const CARDS: &str = "/mingpian.v1.CardService/GetCard";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

const LIMITS: Limits = Limits {
    calls: 2,
    queue: 1,
    patience: Duration::from_millis(20),
    caller: (0, 1),
    deadline: Duration::from_millis(200),
};

const SOON: Duration = Duration::from_secs(5);

/// What a client is left with.
#[derive(Debug)]
struct Answer {
    status: Status,
    headers: HeaderMap,
    messages: Bytes,
}

impl Answer {
    fn reason(&self) -> String {
        let info = self.status.get_details_error_info();
        info.expect("an error has a reason").reason
    }
}

async fn call(server: &Router, path: &str, sent: &[(&'static str, &str)], body: &[u8]) -> Answer {
    answer(server, request(path, sent, body)).await
}

async fn answer(server: &Router, request: Request) -> Answer {
    let answer = async {
        let response = server.clone().oneshot(request).await.unwrap();
        let headers = response.headers().clone();
        (headers, response.into_body().collect().await.unwrap())
    };
    let (headers, body) = timeout(SOON, answer).await.expect("the call hangs");
    let status = Status::from_header_map(body.trailers().unwrap_or(&headers));
    Answer {
        status: status.expect("an answer has a status"),
        headers,
        messages: body.to_bytes(),
    }
}

async fn begin(
    server: &Router,
    path: &str,
    sent: &[(&'static str, &str)],
    body: &[u8],
) -> Response {
    let request = request(path, sent, body);
    server.clone().oneshot(request).await.unwrap()
}

fn request(path: &str, sent: &[(&'static str, &str)], body: &[u8]) -> Request {
    let mut request = Request::post(path)
        .header("content-type", "application/grpc")
        .body(Body::from(body.to_vec()))
        .unwrap();
    for (name, value) in sent {
        let name = HeaderName::from_static(name);
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

fn stack(services: Router) -> Router {
    stack_with(services, &mut Registry::default())
}

fn stack_with(services: Router, registry: &mut Registry) -> Router {
    bounded(services, LIMITS, registry)
}

fn bounded(services: Router, limits: Limits, registry: &mut Registry) -> Router {
    // While one scoped subscriber is all there is, tracing asks the thread that comes by a
    // span first whether anyone listens, and remembers a no for every thread.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let (_, health) = tonic_health::server::health_reporter();
    let open = api::open(health, true).unwrap();
    layers::stack(
        services,
        open,
        Auth::off(),
        limits,
        Metrics::register(registry),
    )
}

/// A stack whose only method does this.
fn doing<F>(handler: impl Fn() -> F + Clone + Send + Sync + 'static) -> Router
where
    F: Future<Output = Response> + Send,
{
    stack(Router::new().route(CARDS, post(handler)))
}

async fn ok() -> Response {
    Status::ok("").into_http()
}

async fn hang() -> Response {
    std::future::pending().await
}

/// Ticks every 20 ms, for ever.
async fn tick() -> Response {
    let ticks = stream::unfold((), |()| async {
        sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, io::Error>(Bytes::from("tick")), ()))
    });
    Response::new(Body::from_stream(ticks))
}

/// A message as it travels.
fn message(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_be_bytes();
    [&[0], &length[..], bytes].concat()
}

#[tokio::test]
async fn a_call_ends_at_the_clients_deadline_and_says_so() {
    let started = Instant::now();
    let answer = call(&doing(hang), CARDS, &[("grpc-timeout", "50m")], &[]).await;
    assert!(started.elapsed() < Duration::from_millis(150));
    assert_eq!(answer.status.code(), Code::DeadlineExceeded);
    assert_eq!(answer.reason(), "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn the_servers_own_deadline_caps_the_clients() {
    for sent in [&[][..], &[("grpc-timeout", "1H")]] {
        let started = Instant::now();
        let answer = call(&doing(hang), CARDS, sent, &[]).await;
        assert_eq!(answer.status.code(), Code::DeadlineExceeded);
        assert!(started.elapsed() < Duration::from_millis(400));
    }
}

#[tokio::test]
async fn no_work_is_begun_for_an_answer_that_would_come_too_late() {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let server = doing(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        ok()
    });
    for (sent, code) in [
        ("0n", Code::DeadlineExceeded),
        ("4m", Code::DeadlineExceeded),
        ("soon", Code::InvalidArgument),
    ] {
        let answer = call(&server, CARDS, &[("grpc-timeout", sent)], &[]).await;
        assert_eq!(answer.status.code(), code, "{sent}");
    }
    assert_eq!(begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_stream_ends_at_the_clients_deadline_with_a_status() {
    let answer = call(&doing(tick), CARDS, &[("grpc-timeout", "100m")], &[]).await;
    assert!(answer.messages.starts_with(b"ticktick"));
    assert_eq!(answer.status.code(), Code::DeadlineExceeded);
    assert_eq!(answer.reason(), "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_stream_without_a_deadline_goes_on() {
    let body = begin(&doing(tick), CARDS, &[], &[]).await.into_body();
    let ended = timeout(LIMITS.deadline * 2, body.collect()).await;
    assert!(ended.is_err(), "a stream that only watches was cut");
}

#[tokio::test]
async fn a_panic_is_internal_and_keeps_its_text() {
    let server = doing(|| async { panic!("13800000000") });
    let answer = call(&server, CARDS, &[], &[]).await;
    assert_eq!(answer.status.code(), Code::Internal);
    assert_eq!(answer.reason(), "INTERNAL");
    let info = answer.status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["errorId"].len(), 32);
    assert!(!format!("{answer:?}").contains("13800000000"));
}

#[tokio::test]
async fn calls_over_the_limit_are_shed_and_health_is_not() {
    let third_answered = Arc::new(Semaphore::new(0));
    let until = third_answered.clone();
    let server = doing(move || {
        let until = until.clone();
        async move {
            let _ = until.acquire().await;
            ok().await
        }
    });
    let one = || call(&server, CARDS, &[], &[]);
    let (first, second, third) = tokio::join!(one(), one(), async {
        sleep(Duration::from_millis(20)).await;
        let healthy = call(&server, HEALTH, &[], &message(&[])).await;
        assert_eq!(healthy.status.code(), Code::Ok);
        let third = one().await;
        third_answered.close();
        third
    });
    assert_eq!(first.status.code(), Code::Ok);
    assert_eq!(second.status.code(), Code::Ok);

    assert_eq!(third.status.code(), Code::Unavailable);
    assert_eq!(third.reason(), "OVERLOADED");
    let retry = third.status.get_details_retry_info().unwrap();
    assert_eq!(retry.retry_delay, Some(Duration::from_secs(1)));
    assert_eq!(third.headers["grpc-retry-pushback-ms"], "1000");

    assert_eq!(one().await.status.code(), Code::Ok, "room comes back");
}

/// A service that tonic generated, inside of the layers: the errors are tonic's own.
fn generated() -> Router {
    let metrics = Metrics::register(&mut Registry::default());
    layers::stack(
        Router::new(),
        generated_service(),
        Auth::off(),
        LIMITS,
        metrics,
    )
}

fn generated_service() -> Router {
    let health = tonic_health::server::HealthService::from_health_reporter(
        tonic_health::server::HealthReporter::new(),
    );
    let service = HealthServer::new(health)
        .max_decoding_message_size(64)
        .accept_compressed(CompressionEncoding::Gzip);
    Routes::new(service).into_axum_router()
}

#[tokio::test]
async fn errors_of_tonics_own_become_ours() {
    let malformed = message(b"\xff\xff");
    let large = message(&[0; 65]);
    let short = [0, 0, 0, 0, 9, 1];
    let odd = [7, 0, 0, 0, 0];
    let not_gzip = [1, 0, 0, 0, 2, 9, 9];
    let gzip = [("grpc-encoding", "gzip")];
    let cases = [
        (
            &malformed[..],
            &[][..],
            Code::InvalidArgument,
            "FIELD_INVALID",
        ),
        (&large, &[], Code::InvalidArgument, "FIELD_INVALID"),
        (&short, &[], Code::InvalidArgument, "FIELD_INVALID"),
        (&odd, &[], Code::InvalidArgument, "FIELD_INVALID"),
        (&[], &[], Code::InvalidArgument, "FIELD_INVALID"),
        (&not_gzip, &gzip, Code::InvalidArgument, "FIELD_INVALID"),
        (
            &odd,
            &[("grpc-encoding", "zz")],
            Code::Unimplemented,
            "METHOD_UNKNOWN",
        ),
    ];
    for (body, sent, code, reason) in cases {
        let answer = call(&generated(), HEALTH, sent, body).await;
        assert_eq!(answer.status.code(), code, "{answer:?}");
        assert_eq!(answer.reason(), reason);
        let text = answer.status.message();
        assert!(
            text.starts_with("the request") || text.starts_with("no such"),
            "{text}"
        );
        if code == Code::Unimplemented {
            assert!(answer.headers.contains_key("grpc-accept-encoding"));
        }
    }
    for path in ["/grpc.health.v1.Health/Nope", "/nothing.Here/AtAll", "/"] {
        let answer = call(&generated(), path, &[], &[]).await;
        assert_eq!(answer.status.code(), Code::Unimplemented);
        assert_eq!(answer.reason(), "METHOD_UNKNOWN");
    }
}

#[tokio::test]
async fn open_services_take_small_requests_and_have_errors_and_deadlines_too() {
    let server = stack(Router::new());
    // A service, or a symbol, by a name of 4096 bytes.
    let named = |tag: u8| message(&[&[tag, 0x80, 0x20], &[b'a'; 4096][..]].concat());
    let large = call(&server, HEALTH, &[], &named(0x0a)).await;
    assert_eq!(large.status.code(), Code::InvalidArgument, "{large:?}");
    assert_eq!(large.reason(), "FIELD_INVALID");
    // Reflection ends without a word.
    let large = call(&server, REFLECTION, &[], &named(0x22)).await;
    assert_eq!((large.status.code(), large.messages.len()), (Code::Ok, 0));
    let small = call(&server, REFLECTION, &[], &message(b"\x22\x01a")).await;
    assert_eq!(small.status.code(), Code::NotFound);
    for path in [
        "/grpc.health.v1.Health/Nope",
        "/grpc.reflection.v1.ServerReflection/Nope",
    ] {
        let unknown = call(&server, path, &[], &[]).await;
        assert_eq!(unknown.status.code(), Code::Unimplemented);
        assert_eq!(unknown.reason(), "METHOD_UNKNOWN");
    }

    let late = [("grpc-timeout", "100m")];
    let watched = call(&server, WATCH, &late, &message(&[])).await;
    assert_eq!(watched.messages, message(&[8, 1]), "SERVING");
    assert_eq!(watched.reason(), "DEADLINE_EXCEEDED");
    let anything = message(&[]);
    let watching = call(&server, WATCH, &[], &anything);
    let ended = timeout(LIMITS.deadline * 2, watching).await;
    assert!(ended.is_err(), "who only watches was cut");

    // A message that is announced and never comes is waited for as long as any other.
    let answer = timeout(
        SOON,
        server
            .clone()
            .oneshot(announcing(HEALTH, stream::pending())),
    );
    let status = Status::from_header_map(answer.await.unwrap().unwrap().headers());
    assert_eq!(status.unwrap().code(), Code::DeadlineExceeded);
}

/// A request that says a message comes, and then has `rest`.
fn announcing(path: &str, rest: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Request {
    let begin = stream::iter([Ok(Bytes::from_static(&[0, 0, 0, 0, 9]))]);
    Request::post(path)
        .header("content-type", "application/grpc")
        .body(Body::from_stream(begin.chain(rest)))
        .unwrap()
}

#[tokio::test]
async fn only_grpc_reaches_a_handler() {
    let server = doing(ok);
    let answer = async |method: &str, kind: &str| {
        let mut request = Request::builder().method(method).uri(CARDS);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = server.clone().oneshot(request).await.unwrap();
        let status = Status::from_header_map(answer.headers());
        (answer.status().as_u16(), status.map(|status| status.code()))
    };
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;charset=utf-8",
    ] {
        assert_eq!(answer("POST", kind).await, (200, Some(Code::Ok)), "{kind}");
    }
    for kind in [
        "",
        "text/html",
        "application/json",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpcx",
    ] {
        assert_eq!(answer("POST", kind).await, (415, None), "{kind}");
    }
    for method in ["GET", "PUT", "HEAD", "OPTIONS", "X"] {
        let refused = answer(method, "application/grpc").await;
        assert_eq!(refused, (405, None), "{method}");
    }
}

#[tokio::test]
async fn a_request_that_its_peer_breaks_off_is_cancelled_and_no_bug_of_ours() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let server = layers::stack(
        Router::new(),
        generated_service(),
        Auth::off(),
        LIMITS,
        metrics,
    );
    let gone = || stream::iter([Err(io::Error::other("reset by the peer"))]);
    let text = logged(async {
        let response = server
            .clone()
            .oneshot(announcing(HEALTH, gone()))
            .await
            .unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Cancelled);
    })
    .await;
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(" INFO ") && text.contains("CANCELLED"),
        "{text}"
    );
    assert!(exposed(&registry).contains(r#"rpc_response_status_code="CANCELLED"} 1"#));
}

#[tokio::test]
async fn answers_that_have_a_reason_are_left_alone() {
    // NOT_FOUND for an unknown service, as health says it to everyone.
    let server = stack(Router::new());
    let answer = call(&server, HEALTH, &[], &message(b"\x0a\x01x")).await;
    assert_eq!(answer.status.code(), Code::NotFound);
    assert!(answer.status.details().is_empty());
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let mut registry = Registry::default();
    let services = Router::new()
        .route(CARDS, post(tick))
        .route("/mingpian.v1.CardService/DeleteCard", post(hang));
    let server = stack_with(services, &mut registry);
    call(&server, HEALTH, &[], &message(&[])).await;
    call(&server, HEALTH, &[], &message(b"\x0a\x01x")).await;
    call(&server, CARDS, &[("grpc-timeout", "50m")], &[]).await;
    drop(begin(&server, "/made.up/Path", &[], &[]).await);
    let dropped = begin(&server, CARDS, &[], &[]).await;
    let waiting = call(&server, "/mingpian.v1.CardService/DeleteCard", &[], &[]);
    assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
    assert!(exposed(&registry).contains("rpc_server_active_calls 1\n"));
    drop(dropped);

    let text = exposed(&registry);
    for line in [
        r#"{rpc_method="grpc.health.v1.Health/Check",rpc_response_status_code="OK"} 1"#,
        r#"{rpc_method="grpc.health.v1.Health/Check",rpc_response_status_code="NOT_FOUND"} 1"#,
        r#"{rpc_method="mingpian.v1.CardService/GetCard",rpc_response_status_code="DEADLINE_EXCEEDED"} 1"#,
        r#"{rpc_method="mingpian.v1.CardService/GetCard",rpc_response_status_code="CANCELLED"} 1"#,
        r#"{rpc_method="mingpian.v1.CardService/DeleteCard",rpc_response_status_code="CANCELLED"} 1"#,
        r#"{rpc_method="_OTHER","#,
    ] {
        let line = format!("rpc_server_call_duration_seconds_count{line}");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("made.up"));
    assert!(text.contains("rpc_server_active_calls 0\n"));
}

fn exposed(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log of one call, without health's probes at DEBUG.
async fn log_of(server: Router, path: &str, sent: &[(&'static str, &str)]) -> String {
    logged(call(&server, path, sent, &message(&[]))).await
}

async fn logged(work: impl Future) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    work.with_subscriber(subscriber).await;
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_call_logs_one_line_as_loud_as_an_operator_needs() {
    let sent = [
        ("x-request-id", "order-7"),
        ("authorization", "Bearer secret"),
    ];
    for (code, level) in [
        (Code::Ok, " INFO "),
        (Code::NotFound, " INFO "),
        (Code::InvalidArgument, " INFO "),
        (Code::Unavailable, " WARN "),
        (Code::Internal, "ERROR "),
    ] {
        let server = stack(Router::new().route(
            CARDS,
            post(move || async move {
                Status::with_details(code, "13800000000", Bytes::from("x")).into_http::<Body>()
            }),
        ));
        let text = log_of(server, CARDS, &sent).await;
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(level), "{text}");
        assert!(text.contains(r#"request_id="order-7""#), "{text}");
        assert!(text.contains("GetCard"), "{text}");
        assert!(
            !text.contains("secret") && !text.contains("13800000000"),
            "{text}"
        );
    }
    assert_eq!(log_of(doing(ok), HEALTH, &[]).await, "");
}

#[tokio::test]
async fn a_request_has_an_id_and_its_answer_too() {
    let handler = |headers: HeaderMap| async move {
        let id = headers["x-request-id"].to_str().unwrap().to_owned();
        Status::with_details(Code::NotFound, id, Bytes::from("x")).into_http::<Body>()
    };
    let server = stack(Router::new().route(CARDS, post(handler)));
    let answer = call(&server, CARDS, &[("x-request-id", "order-7")], &[]).await;
    assert_eq!(answer.headers["x-request-id"], "order-7");
    assert_eq!(answer.status.message(), "order-7");
    let answer = call(&server, CARDS, &[], &[]).await;
    assert_eq!(answer.headers["x-request-id"], answer.status.message());
    assert_eq!(answer.status.message().len(), 36);
}

#[tokio::test]
async fn a_call_continues_its_callers_trace() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let handler = || async {
        let context = tracing::Span::current().context();
        let trace = context.span().span_context().trace_id().to_string();
        Status::with_details(Code::NotFound, trace, Bytes::from("x")).into_http::<Body>()
    };
    let server = stack(Router::new().route(CARDS, post(handler)));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let sent = format!("00-{trace}-00f067aa0ba902b7-01");
    let answer = call(&server, CARDS, &[("traceparent", &sent)], &[])
        .with_subscriber(tracing_subscriber::registry().with(spans))
        .await;
    assert_eq!(answer.status.message(), trace);
}
