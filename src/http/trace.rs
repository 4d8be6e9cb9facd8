//! One span and one closing log line a request of the public door. Neither holds the path,
//! which has a token in it: the route is enough.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::StatusCode;
use tokio::time::Instant;
use tracing::{Instrument, error, field::Empty, info, info_span, warn};

use super::metrics;
use crate::telemetry::{self, REQUEST_ID};

pub(super) async fn trace(
    route: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = telemetry::request_id(request.headers());
    let span = info_span!(
        "http",
        otel.kind = "server",
        http.request.method = metrics::method(request.method()),
        http.route = metrics::route(route.as_ref()),
        http.response.status_code = Empty,
        request_id = id.to_str().unwrap_or_default(),
    );
    telemetry::continue_trace(&span, request.headers());

    let started = Instant::now();
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    response.headers_mut().insert(REQUEST_ID, id);

    let status = response.status();
    let (code, ms) = (
        status.as_u16(),
        started.elapsed().as_micros() as f64 / 1000.0,
    );
    span.record("http.response.status_code", code);
    span.in_scope(|| match status {
        StatusCode::INTERNAL_SERVER_ERROR => error!(code, ms, "request ended"),
        _ if status.is_server_error() => warn!(code, ms, "request ended"),
        _ => info!(code, ms, "request ended"),
    });
    response
}
