//! Lets in gRPC and nothing else, as its specification asks: tonic would hand anything to a
//! handler. What stays outside is no call: it is neither traced nor counted as one.

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};

const POST: HeaderValue = HeaderValue::from_static("POST");

pub async fn grpc<A>(request: Request, within: impl FnOnce(Request) -> A) -> Response
where
    A: Future<Output = Response>,
{
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, POST)]).into_response();
    }
    if !is_grpc(request.headers()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    within(request).await
}

/// `application/grpc`, perhaps with a format or parameters; gRPC-Web is another protocol.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}
