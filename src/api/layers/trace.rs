//! One span and one closing log line a call. Neither holds metadata or messages: what a
//! caller sends may be personal.

use std::time::Duration;

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{global, propagation::Extractor};
use tokio::time::Instant;
use tonic::Code;
use tracing::{Instrument, Span, debug, error, field::Empty, info, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use super::{
    ending::{self, Ending},
    metrics::word,
};

/// The request's id, in the request for what is within and in the answer for the caller.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub async fn trace(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let path = request.uri().path();
    let span = info_span!(
        "rpc",
        otel.kind = "server",
        rpc.method = path.trim_start_matches('/'),
        rpc.response.status_code = Empty,
        request_id = id.to_str().unwrap_or_default(),
    );
    // Without OTLP there is neither a propagator nor a layer to take the parent.
    let parent = global::get_text_map_propagator(|p| p.extract(&Headers(request.headers())));
    let _ = span.set_parent(parent);

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

/// The caller's own when it is one word of a log line, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    match headers.get(REQUEST_ID) {
        Some(id) if (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain) => id.clone(),
        _ => HeaderValue::from_str(&Uuid::now_v7().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("-")),
    }
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

/// Where the propagator finds `traceparent`.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))])
    }

    #[test]
    fn a_request_id_is_the_callers_unless_it_could_forge_a_log_line() {
        assert_eq!(request_id(&sent("order-7_a.1")), "order-7_a.1");
        for odd in ["", "a b", "a\tb", "a\"b", "a=b"] {
            assert_eq!(request_id(&sent(odd)).len(), 36, "{odd:?}");
        }
    }
}
