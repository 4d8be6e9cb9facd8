//! Gives the errors that tonic makes by itself a reason of our registry, and keeps its
//! texts from the caller. They come before the handler, so always as a head alone.

use axum::response::Response;
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

/// An error without details becomes one of ours.
pub async fn mend(mut response: Response) -> Response {
    if response.headers().contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    let Some(refusal) = Status::from_header_map(response.headers()).and_then(ours) else {
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

/// `None` for what needs no mending.
fn ours(status: Status) -> Option<Refusal> {
    let text = status.message();
    Some(match status.code() {
        // Nobody is left to read it.
        Code::Ok | Code::Cancelled => return None,
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
