//! What every request of the public door passes: one span, one closing log line, its place in the
//! metrics, and the headers of every answer. Neither span, line nor metric holds the path, which
//! has a token in it: the route is enough.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::StatusCode;
use tokio::time::Instant;
use tracing::{Instrument, error, field::Empty, info, info_span, warn};

use super::{
    headers::harden,
    metrics::{self, Metrics},
};
use crate::telemetry::{self, REQUEST_ID};

pub(super) async fn trace(
    State(metrics): State<Metrics>,
    route: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = telemetry::request_id(request.headers());
    let method = metrics::method(request.method());
    let span = info_span!(
        "http",
        otel.kind = "server",
        http.request.method = method,
        http.route = metrics::route(route.as_ref()),
        http.response.status_code = Empty,
        request_id = id.to_str().unwrap_or_default(),
        // Of a tap (`app/tap.rs`).
        event_id = Empty,
        placement = Empty,
        kind = Empty,
    );
    telemetry::continue_trace(&span, request.headers());

    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = harden(next.run(request).instrument(span.clone()).await);
    response.headers_mut().insert(REQUEST_ID, id);

    let (status, took) = (response.status(), started.elapsed());
    metrics.observe(method, route.as_ref(), status, took);
    let (code, ms) = (status.as_u16(), took.as_micros() as f64 / 1000.0);
    span.record("http.response.status_code", code);
    span.in_scope(|| match status {
        StatusCode::INTERNAL_SERVER_ERROR => error!(code, ms, "request ended"),
        _ if status.is_server_error() => warn!(code, ms, "request ended"),
        _ => info!(code, ms, "request ended"),
    });
    response
}
