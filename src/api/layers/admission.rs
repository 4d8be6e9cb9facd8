//! Admits so many calls at once and sheds the rest at the door, before they cost anything.

use axum::{BoxError, Router, error_handling::HandleErrorLayer, response::Response};
use http::{HeaderName, HeaderValue};
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
