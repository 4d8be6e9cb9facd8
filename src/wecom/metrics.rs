//! Counts and times attempts, and says for whom WeCom is ill.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{error::Failure, wire::Endpoint};

/// Seconds, as OpenTelemetry's conventions advise.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    endpoint: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Metrics {
    attempts: Family<Labels, Histogram>,
    /// Corps whose breaker held the last attempt back.
    pub(super) open: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            attempts: Family::new_with_constructor(histogram),
            open: Gauge::default(),
        }
    }
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "wecom_client_attempt_duration",
            "Duration of attempts to ask WeCom, with the wait for their turn",
            Unit::Seconds,
            self.attempts.clone(),
        );
        registry.register(
            "wecom_client_breakers_open",
            "Corps for which WeCom is not asked, because it failed too often",
            self.open.clone(),
        );
    }

    pub(super) fn ended(&self, endpoint: Endpoint, failure: Option<Failure>, took: Duration) {
        let labels = Labels {
            endpoint: endpoint.word(),
            outcome: failure.map_or("ok", Failure::word),
        };
        let histogram = self.attempts.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }
}
