//! One span and one closing log line a call. Neither holds metadata or messages: what a
//! caller sends may be personal.

use std::time::Duration;

use axum::{extract::Request, middleware::Next, response::Response};
use tokio::time::Instant;
use tonic::Code;
use tracing::{Instrument, Span, debug, error, field::Empty, info, info_span, warn};

use super::{
    ending::{self, Ending},
    metrics::word,
};
use crate::telemetry::{self, REQUEST_ID};

pub async fn trace(mut request: Request, next: Next) -> Response {
    let id = telemetry::request_id(request.headers());
    let path = request.uri().path();
    let span = info_span!(
        "rpc",
        otel.kind = "server",
        rpc.method = path.trim_start_matches('/'),
        rpc.response.status_code = Empty,
        request_id = id.to_str().unwrap_or_default(),
    );
    telemetry::continue_trace(&span, request.headers());

    let probe = path.starts_with("/grpc.health.");
    let started = Instant::now();
    let within = span.clone();
    let ending = Ending::new(move |code| {
        within.record("rpc.response.status_code", word(code));
        log(&within, code, started.elapsed(), probe);
    });
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    ending::watch(response, ending)
}

/// Mistakes of callers are daily business; what an operator should look at is louder.
fn log(span: &Span, code: Code, took: Duration, probe: bool) {
    let (word, ms) = (word(code), took.as_micros() as f64 / 1000.0);
    span.in_scope(|| match code {
        Code::Internal | Code::DataLoss => error!(code = word, ms, "call ended"),
        Code::Unknown | Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => {
            warn!(code = word, ms, "call ended");
        }
        Code::Ok if probe => debug!(code = word, ms, "call ended"),
        _ => info!(code = word, ms, "call ended"),
    });
}
