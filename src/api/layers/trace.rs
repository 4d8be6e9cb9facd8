//! One span and one closing log line a call. Neither holds metadata or messages: what a
//! caller sends may be personal. Calls that are asked for at a high rate have them only where
//! they fail, or where somebody wants to see all: a line costs more than such a call.

use std::time::Duration;

use axum::{extract::Request, response::Response};
use tonic::{Code, Status};
use tracing::{
    Instrument, Level, Span, debug, enabled, error, field::Empty, info, info_span, warn,
};

use super::{
    FREQUENT,
    ending::{self, Ending},
    metrics::{Metrics, Timing, word},
};
use crate::telemetry::{self, REQUEST_ID};

/// Measures a call, too.
pub async fn trace<A>(
    metrics: &Metrics,
    request: Request,
    within: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    let timing = metrics.begin(&request);
    let path = request.uri().path();
    let quiet = !telemetry::exports() && !enabled!(Level::DEBUG);
    if quiet && FREQUENT.contains(&path) {
        failures(timing, request, within).await
    } else {
        every(timing, request, within).await
    }
}

/// Tells of calls that fail. Only these have an id where their callers gave none.
async fn failures<A>(
    mut timing: Timing,
    request: Request,
    within: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    let id = telemetry::callers_id(request.headers()).cloned();
    let uri = request.uri().clone();
    let mut response = within(request).await;
    let failed = response.headers().contains_key(Status::GRPC_STATUS);
    let id = id.or_else(|| failed.then(telemetry::new_id));
    if let Some(id) = &id {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    let ending = Ending::new(move |code, said| {
        let took = timing.end(code);
        if code != Code::Ok && said {
            let id = id.as_ref().and_then(|id| id.to_str().ok());
            let span = span(uri.path(), id.unwrap_or_default());
            log(&span, code, took, false);
        }
    });
    ending::watch(response, ending)
}

async fn every<A>(
    mut timing: Timing,
    mut request: Request,
    within: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    let id = telemetry::request_id(request.headers());
    let path = request.uri().path();
    let span = span(path, id.to_str().unwrap_or_default());
    telemetry::continue_trace(&span, request.headers());

    let probe = path.starts_with("/grpc.health.");
    let told = span.clone();
    let ending = Ending::new(move |code, said| {
        let took = timing.end(code);
        told.record("rpc.response.status_code", word(code));
        if said {
            log(&told, code, took, probe);
        }
    });
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = within(request).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    ending::watch(response, ending)
}

fn span(path: &str, id: &str) -> Span {
    info_span!(
        "rpc",
        otel.kind = "server",
        rpc.method = path.trim_start_matches('/'),
        rpc.response.status_code = Empty,
        request_id = id,
        // Of a tap (`app/tap.rs`).
        event_id = Empty,
        placement = Empty,
        kind = Empty,
    )
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
