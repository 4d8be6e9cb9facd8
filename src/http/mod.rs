//! The second door: a tap as a plain link; and the operators' listener.

pub mod admin;
mod container;
mod headers;
mod lang;
mod page;
mod words;

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::get,
};
use tokio::time::timeout;

use crate::{
    app::{App, Error, Tap},
    domain::{
        Lang, Reason, Refusal,
        launch::{Container, Step},
    },
};
use page::CardFace;

#[derive(Clone)]
struct Door {
    app: App,
    deadline: Duration,
}

/// The public door. No request takes longer than `deadline`.
pub fn public(app: App, deadline: Duration) -> Router {
    Router::new()
        .route("/t/{token}", get(tap))
        .fallback(nothing)
        .layer(headers::layer())
        .with_state(Door { app, deadline })
}

async fn tap(State(door): State<Door>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let lang = lang::asked(&headers);
    let environment = container::guess(&headers);
    let tap = timeout(door.deadline, door.app.tap(None, &token, environment)).await;
    let tap = tap.unwrap_or_else(|_| Err(Error::Refused(late())));
    match tap {
        Ok(tap) => launch(lang, environment.container, &tap),
        Err(error) => {
            let reason = error.into_refusal().reason;
            page::refused(lang, status(reason), reason)
        }
    }
}

async fn nothing(headers: HeaderMap) -> Response {
    page::refused(
        lang::asked(&headers),
        StatusCode::NOT_FOUND,
        Reason::TokenMalformed,
    )
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

/// Unknown 404, expired 410, withdrawn 451, away 503.
fn status(reason: Reason) -> StatusCode {
    use Reason::*;
    match reason {
        TokenMalformed | TokenForged | PlacementNotFound | LinkNotFound => StatusCode::NOT_FOUND,
        TokenExpired => StatusCode::GONE,
        StoreUnavailable | Overloaded | DeadlineExceeded | TransactionConflict => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
    }
}
