//! The second door: a tap as a plain link, and WeCom's callbacks; and the operators' listener.

pub mod admin;
mod body;
mod bots;
mod container;
mod headers;
mod lang;
pub mod metrics;
mod page;
mod trace;
mod wecom;
mod words;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header::RETRY_AFTER},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use futures_util::FutureExt;
use tokio::{sync::Semaphore, time::timeout};

use self::{metrics::Metrics, page::CardFace};
use crate::{
    app::{self, App, Error, Tap},
    domain::{
        Lang, Reason, Refusal,
        launch::{Container, Step},
    },
};

struct Door {
    app: App,
    deadline: Duration,
}

/// The public door. It works on so many taps at once, sheds the rest, and gives each as long
/// as `deadline`. Callbacks have places of their own (`wecom.rs`).
pub fn public(app: App, at_once: usize, deadline: Duration, metrics: Metrics) -> Router {
    let callbacks = wecom::routes(app.clone(), at_once, deadline, metrics.clone())
        .method_not_allowed_fallback(other_method)
        .layer(from_fn(catch_panic));
    let taps = Router::new()
        .route("/t/{token}", get(tap))
        .with_state(Arc::new(Door { app, deadline }))
        .fallback(nothing);
    let routes = limited(taps, at_once).merge(callbacks);
    guard(routes, metrics)
}

/// Works on so many requests of these routes at once, and sheds the rest.
fn limited(routes: Router, at_once: usize) -> Router {
    let places = Arc::new(Semaphore::new(at_once));
    routes
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(places, limit))
}

/// Puts around the routes what every request passes.
fn guard(routes: Router, metrics: Metrics) -> Router {
    routes.layer(from_fn_with_state(metrics, trace::trace))
}

async fn limit(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match places.try_acquire() {
        Ok(_place) => catch_panic(request, next).await,
        Err(_) => refused(lang::asked(request.headers()), Reason::Overloaded),
    }
}

/// A panic ends its request with a page and nothing else.
async fn catch_panic(request: Request, next: Next) -> Response {
    let lang = lang::asked(request.headers());
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => refused(lang, app::bug(&Panicked).reason),
    }
}

/// The panic's own text may hold anything.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

async fn tap(
    State(door): State<Arc<Door>>,
    token: Result<Path<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Ok(Path(token)) = token else {
        return nothing(headers).await;
    };
    let lang = lang::asked(&headers);
    let environment = container::guess(&headers);
    let tap = door
        .app
        .tap(None, &token, bots::tapper(&method, &headers), environment);
    let tap = timeout(door.deadline, tap).await;
    match tap.unwrap_or_else(|_| Err(Error::Refused(late()))) {
        Ok(tap) => launch(lang, environment.container, &tap),
        Err(error) => said_no(lang, &error.into_refusal()),
    }
}

/// With when to come again, where the refusal knows.
fn said_no(lang: Lang, refusal: &Refusal) -> Response {
    let mut response = refused(lang, refusal.reason);
    if let Some(delay) = refusal.retry_after {
        let seconds = HeaderValue::from(delay.as_secs() + 1);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

async fn nothing(headers: HeaderMap) -> Response {
    refused(lang::asked(&headers), Reason::TokenMalformed)
}

async fn other_method(headers: HeaderMap) -> Response {
    refused(lang::asked(&headers), Reason::MethodUnknown)
}

fn refused(lang: Lang, reason: Reason) -> Response {
    page::refused(lang, status(reason), reason)
}

/// Inside WeChat the link opens where it is; anywhere else a page launches WeChat.
fn launch(lang: Lang, container: Container, tap: &Tap) -> Response {
    if let (Container::WechatWebview, [Step::Https { uri }]) = (container, tap.steps.as_slice())
        && let Some(redirect) = page::redirect(uri)
    {
        return redirect;
    }
    let face = CardFace {
        display_name: &tap.card.display_name,
        headline: &tap.card.headline,
        avatar_uri: &tap.card.avatar_uri,
    };
    page::launch(lang, &face, tap.kind, &tap.steps)
}

fn late() -> Refusal {
    Refusal::new(Reason::DeadlineExceeded, "the tap took too long")
}

/// Unknown 404, another method 405, expired 410, withdrawn 451, away 503.
fn status(reason: Reason) -> StatusCode {
    use Reason::*;
    match reason {
        TokenMalformed | TokenForged | PlacementNotFound | LinkNotFound => StatusCode::NOT_FOUND,
        MethodUnknown => StatusCode::METHOD_NOT_ALLOWED,
        TokenExpired => StatusCode::GONE,
        StoreUnavailable | Overloaded | DeadlineExceeded | TransactionConflict => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
    }
}

#[cfg(test)]
mod tests;
