//! How a call ended, told once: by the head of the answer, by its trailers, or by nobody
//! being left to listen.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::{Code, Status};

use super::errors;

/// Marks an answer that is told of together with others of its kind, and not by itself.
#[derive(Clone, Copy)]
pub struct Unsaid;

/// Calls `tell` with the call's code, and whether it is to be said; with `CANCELLED` when dropped
/// before that.
pub struct Ending<F: FnOnce(Code, bool)>(Option<F>);

impl<F: FnOnce(Code, bool)> Ending<F> {
    pub fn new(tell: F) -> Self {
        Self(Some(tell))
    }

    fn tell(&mut self, code: Code, said: bool) {
        if let Some(tell) = self.0.take() {
            tell(code, said);
        }
    }
}

impl<F: FnOnce(Code, bool)> Drop for Ending<F> {
    fn drop(&mut self) {
        self.tell(Code::Cancelled, true);
    }
}

/// Tells the ending when the response, with its body, has ended.
pub fn watch<F>(response: Response, mut ending: Ending<F>) -> Response
where
    F: FnOnce(Code, bool) + Unpin + Send + 'static,
{
    if let Some(code) = code(response.headers()) {
        let said = response.extensions().get::<Unsaid>().is_none();
        ending.tell(code, said);
        return response;
    }
    if response.body().is_end_stream() {
        ending.tell(Code::Unknown, true);
        return response;
    }
    response.map(|body| Body::new(Watched { body, ending }))
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers
        .get(Status::GRPC_STATUS)
        .map(|code| Code::from_bytes(code.as_bytes()))
}

struct Watched<F: FnOnce(Code, bool)> {
    body: Body,
    ending: Ending<F>,
}

impl<F: FnOnce(Code, bool) + Unpin> HttpBody for Watched<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(cx);
        match &mut polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    errors::mend_trailers(trailers);
                    self.ending
                        .tell(code(trailers).unwrap_or(Code::Unknown), true);
                }
            }
            // An answer that ends without a status.
            Poll::Ready(Some(Err(_)) | None) => self.ending.tell(Code::Unknown, true),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
