//! Gives the errors that tonic makes by itself a reason of our registry, and keeps its
//! texts from the caller. They come before the handler, so as a head alone; but for an answer
//! that is too large, which only its trailers tell.

use axum::{body::Body, extract::Request, response::Response};
use http::HeaderMap;
use http_body_util::BodyExt;
use tonic::{Code, Status};

use crate::{
    api::status,
    app,
    domain::{Reason, Refusal},
};

/// How tonic begins what it says about a request that it cannot read.
const UNREADABLE: &[&str] = &[
    "failed to decode Protobuf message",
    "Missing request message",
    "Unexpected EOF decoding stream",
    "protocol error: received message with",
    "Error decompressing: ",
];

/// What becomes of a request whose peer goes away, resets it or is cut off by a shutdown.
const BROKEN_OFF: &str = "the request was broken off";

/// An error without details becomes one of ours.
pub async fn mend<A>(request: Request, within: impl FnOnce(Request) -> A) -> Response
where
    A: Future<Output = Response>,
{
    // Not CANCELLED yet: tonic would take that for the end of the request.
    let broken_off = |_| Status::unknown(BROKEN_OFF);
    let request = request.map(|body| Body::new(body.map_err(broken_off)));
    let mut response = within(request).await;
    if response.headers().contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    let Some(status) = Status::from_header_map(response.headers()) else {
        return response;
    };
    if status.code() == Code::Unknown && status.message() == BROKEN_OFF {
        return Status::cancelled(BROKEN_OFF).into_http();
    }
    let Some(refusal) = ours(status) else {
        return response;
    };
    // In place: what else tonic says, such as the encodings it knows, stays.
    if status::refusal(&refusal)
        .add_header(response.headers_mut())
        .is_err()
    {
        response.headers_mut().remove(Status::GRPC_MESSAGE);
    }
    response
}

/// Likewise trailers, which [`super::ending`] sees.
pub fn mend_trailers(trailers: &mut HeaderMap) {
    let code = Status::from_header_map(trailers).map(|status| status.code());
    if code == Some(Code::OutOfRange) && !trailers.contains_key(Status::GRPC_STATUS_DETAILS) {
        // What does not fit into a header says nothing either way.
        let _ = status::refusal(&app::bug(&TooLarge)).add_header(trailers);
    }
}

/// Listings are cut before: a setting is too small for what one answer holds.
#[derive(Debug, thiserror::Error)]
#[error("an answer is larger than limits.max_response_bytes")]
struct TooLarge;

/// `None` for what needs no mending.
fn ours(status: Status) -> Option<Refusal> {
    let text = status.message();
    Some(match status.code() {
        // Nobody is left to read CANCELLED. NOT_FOUND is what health says of a service that
        // it does not know, as its protocol asks.
        Code::Ok | Code::Cancelled | Code::NotFound => return None,
        Code::OutOfRange => Refusal::new(
            Reason::FieldInvalid,
            "the request is larger than this method takes",
        ),
        Code::ResourceExhausted if text.starts_with("Error decompressing: ") => Refusal::new(
            Reason::FieldInvalid,
            "the request is larger than this method takes once decompressed",
        ),
        Code::Internal if UNREADABLE.iter().any(|begin| text.starts_with(begin)) => Refusal::new(
            Reason::FieldInvalid,
            "the request cannot be read as this method's message",
        ),
        Code::Unimplemented => Refusal::new(
            Reason::MethodUnknown,
            "no such method, or it does not know the request's compression",
        ),
        Code::InvalidArgument => Refusal::new(Reason::FieldInvalid, "the request is malformed"),
        Code::Unauthenticated => Refusal::new(
            Reason::CredentialsInvalid,
            "the credentials are not accepted",
        ),
        Code::PermissionDenied => Refusal::new(Reason::PermissionDenied, "permission denied"),
        Code::ResourceExhausted => Refusal::new(Reason::RateLimited, "too much at once"),
        Code::DeadlineExceeded => Refusal::new(Reason::DeadlineExceeded, "the deadline passed"),
        Code::Unavailable => Refusal::new(Reason::Overloaded, "the server is busy"),
        _ => app::bug(&Unexplained(status.code())),
    })
}

/// An error that says nothing of itself that may be told, or logged.
#[derive(Debug, thiserror::Error)]
#[error("answered {0:?} without details")]
struct Unexplained(Code);
