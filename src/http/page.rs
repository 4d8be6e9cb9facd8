//! The pages behind a tapped link, and the redirect inside WeChat. A page needs nothing
//! but itself (and the card's avatar), and works without its script.

use std::sync::LazyLock;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, LOCATION, RETRY_AFTER},
};
use qrcode::{EcLevel, QrCode, render::svg};
use sha2::{Digest, Sha256};
use url::Url;

use super::words::{Sorry, Words};
use crate::domain::{ContactKind, Lang, Reason, is_wecom_link, launch::Step};

const STYLE: &str = include_str!("templates/page.css");
const SCRIPT: &str = include_str!("templates/launch.js");

/// The one style and the one script, by their hashes, and pictures; nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; \
         img-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT),
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// What a card shows of itself.
#[derive(Clone, Copy, Debug)]
pub struct CardFace<'a> {
    pub display_name: &'a str,
    /// May be empty.
    pub headline: &'a str,
    /// https; may be empty.
    pub avatar_uri: &'a str,
}

#[derive(Template)]
#[template(path = "launch.html", config = ".askama.toml")]
struct LaunchPage<'a> {
    words: &'static Words,
    card: &'a CardFace<'a>,
    kind: ContactKind,
    avatar: Option<Url>,
    /// Stands in for an avatar.
    initial: String,
    /// Opened at once: a scheme, where it is what is best.
    launch: Option<&'a str>,
    actions: Vec<Action<'a>>,
    hint: &'static str,
}

#[derive(Template)]
#[template(path = "refused.html", config = ".askama.toml")]
struct RefusedPage {
    words: &'static Words,
    sorry: Sorry,
    /// Whether coming again may help.
    retry: bool,
}

/// What a viewer can do on the page.
enum Action<'a> {
    Open {
        uri: &'a str,
        label: &'static str,
    },
    Text {
        text: &'a str,
    },
    /// Copies the `Text`.
    Copy {
        label: &'static str,
    },
    Scan {
        svg: String,
    },
}

/// The page that carries out a plan: launches at once where it can, and offers each step.
pub fn launch(lang: Lang, card: &CardFace<'_>, kind: ContactKind, steps: &[Step]) -> Response {
    let words = Words::of(lang);
    let scan = matches!(steps.first(), Some(Step::ShowQr { .. }));
    let page = LaunchPage {
        words,
        card,
        kind,
        avatar: Url::parse(card.avatar_uri)
            .ok()
            .filter(|uri| uri.scheme() == "https"),
        initial: card.display_name.chars().take(1).collect(),
        launch: match steps.first() {
            Some(Step::UrlScheme { uri }) => Some(uri),
            _ => None,
        },
        actions: steps
            .iter()
            .enumerate()
            .flat_map(|(n, step)| actions(words, kind, step, n == 0))
            .collect(),
        hint: words.hint(kind, scan),
    };
    respond(StatusCode::OK, &page)
}

/// The page that says no, in words that help.
pub fn refused(lang: Lang, status: StatusCode, reason: Reason) -> Response {
    let words = Words::of(lang);
    let retry = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    let page = RefusedPage {
        words,
        sorry: words.sorry(status, reason),
        retry,
    };
    let mut response = respond(status, &page);
    if retry {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The way on inside WeChat: 302 to a link of WeCom's, or nothing where `uri` is not one.
pub fn redirect(uri: &str) -> Option<Response> {
    let to = HeaderValue::try_from(uri)
        .ok()
        .filter(|_| is_wecom_link(uri))?;
    Some((StatusCode::FOUND, [(LOCATION, to)]).into_response())
}

fn actions<'a>(words: &Words, kind: ContactKind, step: &'a Step, best: bool) -> Vec<Action<'a>> {
    let copy = Action::Copy {
        label: words.copy(kind),
    };
    match step {
        Step::UrlScheme { uri } => {
            let label = match kind {
                ContactKind::Wecom => words.launch,
                ContactKind::Phone | ContactKind::WechatId => words.open_wechat,
            };
            vec![Action::Open { uri, label }]
        }
        Step::Https { uri } if best => vec![Action::Open {
            uri,
            label: words.open_wechat,
        }],
        Step::Https { uri } => vec![Action::Open {
            uri,
            label: words.open_link,
        }],
        Step::CopyText { text } => vec![Action::Text { text }, copy],
        Step::Dial { uri } => {
            let text = uri.trim_start_matches("tel:");
            let label = words.dial;
            vec![Action::Text { text }, Action::Open { uri, label }, copy]
        }
        Step::ShowQr { uri } => vec![scan(words, uri)],
    }
}

/// A QR code; the plain link for what is too long for one.
fn scan<'a>(words: &Words, uri: &'a str) -> Action<'a> {
    let Ok(code) = QrCode::with_error_correction_level(uri, EcLevel::M) else {
        let label = words.open_link;
        return Action::Open { uri, label };
    };
    let drawn = code.render::<svg::Color<'_>>().build();
    // The XML declaration has no place inside HTML.
    let svg = drawn.find("<svg").map_or("", |at| &drawn[at..]).to_owned();
    Action::Scan { svg }
}

fn respond(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let policy = [(CONTENT_SECURITY_POLICY, POLICY.clone())];
            (status, policy, Html(html)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "page not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
