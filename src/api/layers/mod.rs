//! What every call passes through before a service sees it, one layer a file.

pub mod admission;
pub mod auth;
pub mod catch_panic;
pub mod deadline;
mod ending;
pub mod errors;
pub mod metrics;
mod protocol;
pub mod trace;

use std::time::Duration;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use tower::ServiceBuilder;

use self::metrics::Metrics;

/// What calls may take of the server, all together and each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at work at once, over all connections; the next one is shed. Streams count
    /// until their answer begins.
    pub calls: usize,
    /// How long a call may work, whatever its client allows it.
    pub deadline: Duration,
}

/// Puts the layers around the services. From the outside in: what is not gRPC is refused;
/// a call is traced, measured, kept from taking the process down, answered with errors of
/// our registry and held to its deadline; then, for `services` only, authenticated by
/// `auth` and admitted.
///
/// `open` is for everyone and is never shed: health and reflection. A path that is in
/// neither gets the fallback of `services`.
pub fn stack(
    services: Router,
    open: Router,
    auth: impl FnOnce(Router) -> Router,
    limits: Limits,
    metrics: Metrics,
) -> Router {
    let admitted = admission::admit(admission::admit_large(services), limits.calls);
    auth(admitted).merge(open.reset_fallback()).layer(
        ServiceBuilder::new()
            .layer(from_fn(protocol::grpc))
            .layer(from_fn(trace::trace))
            .layer(from_fn_with_state(metrics, metrics::measure))
            .layer(catch_panic::layer())
            .layer(from_fn(errors::mend))
            .layer(from_fn_with_state(limits.deadline, deadline::bound)),
    )
}
