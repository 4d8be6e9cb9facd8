//! Counts and times requests of the public door, by the names of OpenTelemetry's HTTP
//! conventions; and counts WeCom's callbacks by what became of them.

use std::time::Duration;

use axum::{
    extract::MatchedPath,
    http::{Method, StatusCode},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Seconds, as the conventions advise.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The conventions' word for what is not known beforehand.
const OTHER: &str = "_OTHER";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    http_request_method: &'static str,
    /// The route, never the path: that has a token in it.
    http_route: String,
    http_response_status_code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallbackLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// The public door's metrics.
#[derive(Clone)]
pub struct Metrics {
    duration: Family<Labels, Histogram>,
    callbacks: Family<CallbackLabels, Counter>,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let duration = Family::new_with_constructor(histogram);
        registry.register_with_unit(
            "http_server_request_duration",
            "Duration of HTTP requests",
            Unit::Seconds,
            duration.clone(),
        );
        let callbacks = Family::default();
        registry.register(
            "mingpian_wecom_callbacks",
            "WeCom's callbacks by kind and by what became of them",
            callbacks.clone(),
        );
        Self {
            duration,
            callbacks,
        }
    }

    /// Counts and times one request.
    pub(super) fn observe(
        &self,
        http_request_method: &'static str,
        route: Option<&MatchedPath>,
        status: StatusCode,
        took: Duration,
    ) {
        let labels = Labels {
            http_request_method,
            http_route: self::route(route).to_owned(),
            http_response_status_code: status.as_u16(),
        };
        let duration = self.duration.get_or_create(&labels);
        duration.observe(took.as_secs_f64());
    }

    /// Counts one callback; `kind` says what it told of, as far as it was read.
    pub(super) fn count_callback(&self, kind: &'static str, outcome: &'static str) {
        let labels = CallbackLabels { kind, outcome };
        self.callbacks.get_or_create(&labels).inc();
    }
}

/// The method, or the word for those that the door does not know.
pub(super) fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => OTHER,
    }
}

/// The route, or the word for paths that are none.
pub(super) fn route(route: Option<&MatchedPath>) -> &str {
    route.map_or(OTHER, MatchedPath::as_str)
}
