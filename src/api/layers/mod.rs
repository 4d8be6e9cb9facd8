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

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};

use self::metrics::Metrics;

/// What the BFF asks for with each page: calls from memory, beside which a log line, or a box in
/// the heap, is dear. Their answers are whole when they begin.
const FREQUENT: &[&str] = &[
    "/mingpian.v1.ServingService/GetChatMenu",
    "/mingpian.v1.ServingService/BatchGetNoteCapsules",
    "/mingpian.v1.ServingService/GetCardMessage",
];

/// What calls may take of the server, all together and each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at once that wait for the store, over all connections: of `ServingService`, and of
    /// all others. Streams count until their answer begins.
    pub calls: usize,
    /// Menus, capsules and messages that are worked on at once.
    pub menus: usize,
    /// Calls that wait for each of these places; the next one is shed.
    pub queue: usize,
    /// How long they wait.
    pub patience: Duration,
    /// Calls of one caller, a second and at once; 0 a second for no limit.
    pub caller: (u32, u32),
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
    let admitted = services.layer(admission::Admission::new(&limits));
    let around = Arc::new(Around {
        metrics,
        deadline: limits.deadline,
    });
    auth(admitted)
        .merge(open.reset_fallback())
        .layer(from_fn_with_state(around, call))
}

/// What layers know.
struct Around {
    metrics: Metrics,
    deadline: Duration,
}

/// The layers, the outermost first: functions in one another, for a middleware of its own would
/// cost each a box or two.
async fn call(State(around): State<Arc<Around>>, request: Request, next: Next) -> Response {
    let Around { metrics, deadline } = &*around;
    let bound = |request| deadline::bound(*deadline, request, |request| next.run(request));
    let mend = |request| errors::mend(request, bound);
    let catch = |request| catch_panic::catch(request, mend);
    let trace = |request| trace::trace(metrics, request, catch);
    protocol::grpc(request, trace).await
}
