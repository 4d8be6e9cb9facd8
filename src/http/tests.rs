//! What every request of the public door passes, with handlers that misbehave.

use std::{
    future::pending,
    io::{self, Write},
    sync::{Arc, Mutex},
};

use axum::body::{Body, to_bytes};
use futures_util::poll;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tower::ServiceExt;
use tracing::instrument::WithSubscriber;

use super::*;

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

async fn fine() {}

async fn away() -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

async fn panics() {
    panic!("13800000000")
}

/// The door with such handlers, of which one at a time works, and its metrics.
fn door() -> (Router, Registry) {
    let routes = Router::new()
        .route("/t/{token}", get(fine))
        .route("/away/{token}", get(away))
        .route("/panic/{token}", get(panics))
        .route("/hang/{token}", get(pending::<()>));
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let door = guard(limited(routes.fallback(nothing), 1), metrics);
    (door, registry)
}

/// The answer, its page, and what was logged.
async fn send(method: &str, path: &str, sent: &[(&str, &str)]) -> (Response, String, String) {
    // While one scoped subscriber is all there is, tracing asks the thread that comes by a
    // span first whether anyone listens, and remembers a no for every thread.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let (door, _) = door();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in sent {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let answer = door.oneshot(request).with_subscriber(subscriber).await;
    let (head, body) = answer.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let page = String::from_utf8(body.to_vec()).unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    (Response::from_parts(head, Body::empty()), page, log)
}

#[tokio::test]
async fn a_request_logs_one_line_with_its_route_and_never_its_path() {
    let id = [("x-request-id", "order-7")];
    for (method, path, code, level, route) in [
        ("GET", "/t/secret", 200, " INFO ", "/t/{token}"),
        ("PUT", "/t/secret", 405, " INFO ", "/t/{token}"),
        ("GET", "/away/secret", 503, " WARN ", "/away/{token}"),
        ("GET", "/secret", 404, " INFO ", "_OTHER"),
    ] {
        let (answer, _, log) = send(method, path, &id).await;
        assert_eq!(answer.status(), code);
        assert_eq!(answer.headers()["x-request-id"], "order-7");
        assert_eq!(log.lines().count(), 1, "{log}");
        for part in [level, route, "order-7", &format!("code={code}")] {
            assert!(log.contains(part), "{part} is not in {log}");
        }
        assert!(!log.contains("secret"), "{log}");
    }
    let (answer, ..) = send("GET", "/t/x", &[]).await;
    assert_eq!(answer.headers()["x-request-id"].len(), 36);
}

#[tokio::test]
async fn a_panic_is_a_page_and_a_line_that_keep_its_text() {
    let english = [("accept-language", "en")];
    let (answer, page, log) = send("GET", "/panic/secret", &english).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(page.contains("Something went wrong"), "{page}");
    assert!(log.contains("a handler panicked"), "{log}");
    assert!(
        log.contains("request ended") && log.contains("ERROR"),
        "{log}"
    );
    for hidden in ["secret", "13800000000"] {
        assert!(!log.contains(hidden) && !page.contains(hidden));
    }
}

#[tokio::test]
async fn another_method_gets_a_page_too() {
    let (answer, page, _) = send("POST", "/t/x", &[("accept-language", "en")]).await;
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
    assert!(page.contains("No such card"), "{page}");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let (door, registry) = door();
    for path in ["/t/secret", "/t/secret", "/secret"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        door.clone().oneshot(request).await.unwrap();
    }
    let mut metrics = String::new();
    encode(&mut metrics, &registry).unwrap();
    for (route, code, count) in [("/t/{token}", 200, 2), ("_OTHER", 404, 1)] {
        let line = format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"GET\",\
             http_route=\"{route}\",http_response_status_code=\"{code}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    assert!(!metrics.contains("secret"), "{metrics}");
}

#[tokio::test]
async fn who_finds_no_place_is_shed_and_a_place_is_given_back() {
    let (door, _) = door();
    let ask = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        door.clone().oneshot(request)
    };
    let mut hangs = Box::pin(ask("/hang/x"));
    assert!(poll!(&mut hangs).is_pending());
    assert_eq!(ask("/t/x").await.unwrap().status(), 503);
    drop(hangs);
    assert_eq!(ask("/panic/x").await.unwrap().status(), 500);
    assert_eq!(ask("/t/x").await.unwrap().status(), 200);
}
