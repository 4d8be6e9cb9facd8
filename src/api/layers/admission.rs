//! Admits so many calls at once and sheds the rest at the door, before they cost anything.

use std::sync::Arc;

use axum::{
    BoxError, Router,
    error_handling::HandleErrorLayer,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use http::{HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer};

use crate::{
    api::status,
    domain::{Reason, Refusal},
};

/// What gRPC clients with a retry policy look for; the same second as in `RetryInfo`.
const PUSHBACK: (HeaderName, HeaderValue) = (
    HeaderName::from_static("grpc-retry-pushback-ms"),
    HeaderValue::from_static("1000"),
);

/// Lets `calls` work at once, over all connections and methods.
pub fn admit(services: Router, calls: usize) -> Router {
    services.layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(shed))
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(calls)),
    )
}

/// The calls whose messages are the largest: pictures.
const LARGE: &str = "/mingpian.v1.ComplianceService/ScreenContent";
/// So many of them are read at once: together a gigabyte at most.
const MOST_LARGE: usize = 64;

/// Lets few of the large calls be read at once; the others wait, unread, until their deadline.
pub fn admit_large(services: Router) -> Router {
    let seats = Arc::new(Semaphore::new(MOST_LARGE));
    services.layer(from_fn_with_state(seats, large))
}

async fn large(State(seats): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    if request.uri().path() != LARGE {
        return next.run(request).await;
    }
    match seats.acquire().await {
        Ok(_seat) => next.run(request).await,
        Err(closed) => shed(closed.into()).await,
    }
}

/// The only error there is to handle: the services have none.
async fn shed(_overloaded: BoxError) -> Response {
    let refusal = Refusal::new(
        Reason::Overloaded,
        "more calls than this replica takes at once; come again in a second",
    );
    let mut response: Response = status::refusal(&refusal).into_http();
    response.headers_mut().insert(PUSHBACK.0, PUSHBACK.1);
    response
}
