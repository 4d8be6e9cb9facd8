//! Counts and times calls, by the names of OpenTelemetry's RPC conventions.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::extract::Request;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::time::Instant;
use tonic::Code;

use super::Arrived;
use crate::api::pb;

/// Seconds; the conventions' advice, and finer below 5 ms, where cached reads are.
const BUCKETS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    10.0,
];

/// The conventions' word for a method that the server does not know: a caller could make
/// up any number of them, and each would be kept for ever.
const OTHER: &str = "_OTHER";

/// Every path that is served, without its first slash: `mingpian.v1.CardService/GetCard`.
static METHODS: LazyLock<HashSet<Arc<str>>> = LazyLock::new(|| {
    [
        pb::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ]
    .into_iter()
    .flat_map(methods)
    .collect()
});

fn methods(descriptors: &[u8]) -> Vec<Arc<str>> {
    let set = FileDescriptorSet::decode(descriptors).unwrap_or_default();
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let (package, service) = (file.package(), service.name());
                methods.push(format!("{package}.{service}/{}", method.name()).into());
            }
        }
    }
    methods
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    rpc_method: Arc<str>,
    rpc_response_status_code: &'static str,
}

/// A server's metrics of calls; clones count into the same ones.
#[derive(Clone)]
pub struct Metrics {
    duration: Family<Call, Histogram, fn() -> Histogram>,
    active: Gauge,
    other: Arc<str>,
}

impl Metrics {
    /// `rpc_server_call_duration_seconds{rpc_method,rpc_response_status_code}`, from the
    /// head of the request to the last byte of the answer, and `rpc_server_active_calls`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            active: Gauge::default(),
            other: OTHER.into(),
        };
        registry.register_with_unit(
            "rpc_server_call_duration",
            "Duration of gRPC calls",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "rpc_server_active_calls",
            "gRPC calls that have not ended",
            metrics.active.clone(),
        );
        metrics
    }

    /// Begins to measure a call, from when it arrived.
    pub fn begin(&self, request: &Request) -> Timing {
        self.active.inc();
        let arrived = request.extensions().get();
        let started = arrived.map_or_else(Instant::now, |Arrived(at)| Instant::from_std(*at));
        Timing {
            metrics: self.clone(),
            method: self.method(request.uri().path()),
            started,
            ended: false,
        }
    }

    fn method(&self, path: &str) -> Arc<str> {
        let known = METHODS.get(path.trim_start_matches('/'));
        known.unwrap_or(&self.other).clone()
    }
}

/// A call that is measured. A stream is until it ends; one that its client drops counts as
/// `CANCELLED`.
pub struct Timing {
    metrics: Metrics,
    method: Arc<str>,
    started: Instant,
    ended: bool,
}

impl Timing {
    /// Ends the measuring; how long it took.
    pub fn end(&mut self, code: Code) -> Duration {
        let took = self.started.elapsed();
        self.ended = true;
        self.metrics.active.dec();
        let call = Call {
            rpc_method: self.method.clone(),
            rpc_response_status_code: word(code),
        };
        let duration = self.metrics.duration.get_or_create(&call);
        duration.observe(took.as_secs_f64());
        took
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Code::Cancelled);
        }
    }
}

/// The canonical name of a code.
pub(super) const fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_come_from_the_contract() {
        for method in [
            "mingpian.v1.CardService/GetCard",
            "grpc.health.v1.Health/Watch",
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(METHODS.contains(method), "{method}");
        }
    }
}
