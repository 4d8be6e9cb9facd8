//! What every call passes through before a service sees it, one thing a file.

pub mod admission;
pub mod auth;
pub mod catch_panic;
pub mod deadline;
mod ending;
pub mod errors;
pub mod metrics;
mod protocol;
pub mod trace;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
};
use tower::Service;

use self::{admission::Admission, auth::Auth, metrics::Metrics};
use super::status;

/// What the BFF asks for with each page: calls from memory, beside which a log line, or a box in
/// the heap, is dear. Their answers are whole when they begin.
const FREQUENT: &[&str] = &[
    "/mingpian.v1.ServingService/GetChatMenu",
    "/mingpian.v1.ServingService/BatchGetNoteCapsules",
    "/mingpian.v1.ServingService/GetCardMessage",
];

/// When the head of a request was read; an extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct Arrived(pub Instant);

/// What calls may take of the server, all together and each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at once that wait for the store, over all connections: of `ServingService`, and of
    /// all others. Streams count until their answer begins.
    pub calls: usize,
    /// Calls that wait for each of these places; the next one is shed.
    pub queue: usize,
    /// How long they wait; and menus, capsules and messages for a processor.
    pub patience: Duration,
    /// Calls of one caller, a second and at once; 0 a second for no limit.
    pub caller: (u32, u32),
    /// How long a call may work, whatever its client allows it.
    pub deadline: Duration,
}

/// Puts the layers around the services, which `auth` lets callers to, and around what is `open` to
/// everyone and never shed: health and reflection. What is under no open prefix and is no service
/// gets the fallback of `services`.
pub fn stack(
    services: Router,
    open: Router,
    auth: Auth,
    limits: Limits,
    metrics: Metrics,
) -> Router {
    let layers = Layers {
        metrics,
        deadline: limits.deadline,
        auth,
        admission: Admission::new(&limits),
        services,
        open,
    };
    Router::new().fallback(call).with_state(Arc::new(layers))
}

struct Layers {
    metrics: Metrics,
    deadline: Duration,
    auth: Auth,
    admission: Admission,
    services: Router,
    open: Router,
}

/// From the outside in: what is not gRPC is refused; a call is traced, measured, kept from taking
/// the process down, answered with errors of our registry and held to its deadline; then it is
/// authenticated and admitted. All in one future: as middleware each would cost some boxes.
async fn call(State(layers): State<Arc<Layers>>, request: Request) -> Response {
    let layers = &*layers;
    let serve = |request| layers.serve(request);
    let bound = |request| deadline::bound(layers.deadline, request, serve);
    let mend = |request| errors::mend(request, bound);
    let catch = |request| catch_panic::catch(request, mend);
    let trace = |request| trace::trace(&layers.metrics, request, catch);
    protocol::grpc(request, trace).await
}

impl Layers {
    async fn serve(&self, mut request: Request) -> Response {
        if auth::is_open(request.uri().path()) {
            return answer(&self.open, request).await;
        }
        match self.auth.admit(&mut request) {
            Ok(()) => {
                let work = |request| answer(&self.services, request);
                self.admission.admit(request, work).await
            }
            Err(refusal) => status::refusal(&refusal).into_http(),
        }
    }
}

async fn answer(routes: &Router, request: Request) -> Response {
    match routes.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
