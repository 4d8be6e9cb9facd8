//! A panic in a handler ends that call with `INTERNAL` and nothing else.

use std::any::Any;

use axum::{body::Body, response::Response};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{api::status, app};

type Responder = fn(Box<dyn Any + Send>) -> Response<Body>;

pub fn layer() -> CatchPanicLayer<Responder> {
    CatchPanicLayer::custom(answer as Responder)
}

/// The panic's own text may hold anything: the panic hook logs it, the caller is never told.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

fn answer(_panic: Box<dyn Any + Send>) -> Response {
    status::refusal(&app::bug(&Panicked)).into_http()
}
