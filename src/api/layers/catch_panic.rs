//! A panic in a handler ends that call with `INTERNAL` and nothing else.

use std::panic::AssertUnwindSafe;

use axum::{extract::Request, response::Response};
use futures_util::FutureExt;

use crate::{api::status, app};

/// The panic's own text may hold anything: the panic hook logs it, the caller is never told.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

pub async fn catch<A>(request: Request, within: impl FnOnce(Request) -> A) -> Response
where
    A: Future<Output = Response>,
{
    // Nothing of the call is looked at afterwards.
    let answer = AssertUnwindSafe(async { within(request).await });
    match answer.catch_unwind().await {
        Ok(response) => response,
        Err(_panic) => status::refusal(&app::bug(&Panicked)).into_http(),
    }
}
