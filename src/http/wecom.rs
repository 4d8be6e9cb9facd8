//! WeCom's callbacks. Nobody reads the answers but WeCom, which looks at the status alone and
//! sends what is not answered with 200 within 5 s twice more; so they are empty.

use std::{borrow::Cow, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, RawQuery, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::timeout;
use url::form_urlencoded;

use super::{metrics::Metrics, status};
use crate::{
    app::{App, Received, Untaken},
    wecom::{envelope::Signed, xml::MAX_XML},
};

/// After this WeCom does not listen any more.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest query, in bytes.
const MAX_QUERY: usize = 4096;

#[derive(Clone)]
struct Inbox {
    app: App,
    deadline: Duration,
    metrics: Metrics,
}

/// `GET` and `POST` of `/wecom/callback/{corp}`.
pub(super) fn routes(app: App, deadline: Duration, metrics: Metrics) -> Router {
    Router::new()
        .route("/wecom/callback/{corp}", get(verify).post(receive))
        .with_state(Inbox {
            app,
            deadline: deadline.min(PATIENCE),
            metrics,
        })
}

/// What stands behind the address's question mark; what is not there is empty.
#[derive(Debug, Default)]
struct Query<'a> {
    signature: Cow<'a, str>,
    timestamp: Cow<'a, str>,
    nonce: Cow<'a, str>,
    echo: String,
}

/// How a callback ended, for the operator.
struct Ending {
    kind: &'static str,
    outcome: &'static str,
    status: StatusCode,
}

/// WeCom asks whether its messages are read here: the answer is what it has encrypted.
async fn verify(
    State(inbox): State<Inbox>,
    corp: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let work = async {
        let query = Query::read(&query)?;
        let (corp, signed) = (named(corp)?, query.signed());
        inbox.app.verify_callback(&corp, &signed, &query.echo).await
    };
    match timeout(inbox.deadline, work).await {
        Ok(Ok(echo)) => {
            inbox.count(&Ending::of("VERIFICATION", "verified", StatusCode::OK));
            Body::from(echo.to_vec()).into_response()
        }
        Ok(Err(untaken)) => inbox.answer(&Ending::untaken(untaken)),
        Err(_) => inbox.answer(&Ending::late()),
    }
}

async fn receive(
    State(inbox): State<Inbox>,
    corp: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let query = query.unwrap_or_default();
    let work = async {
        let Ok(body) = to_bytes(request.into_body(), MAX_XML).await else {
            return Ok(Err(()));
        };
        let query = Query::read(&query)?;
        let (corp, signed) = (named(corp)?, query.signed());
        let received = inbox.app.receive_callback(&corp, &signed, &body).await?;
        Ok::<_, Untaken>(Ok(received))
    };
    let ending = match timeout(inbox.deadline, work).await {
        Ok(Ok(Ok(received))) => Ending::received(received),
        Ok(Ok(Err(()))) => Ending::of("UNREAD", "oversize", StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(untaken)) => Ending::untaken(untaken),
        Err(_) => Ending::late(),
    };
    inbox.answer(&ending)
}

fn named(corp: Result<Path<String>, PathRejection>) -> Result<String, Untaken> {
    corp.map(|Path(corp)| corp).map_err(|_| Untaken::Forged)
}

impl Inbox {
    fn count(&self, ending: &Ending) {
        self.metrics.count_callback(ending.kind, ending.outcome);
    }

    fn answer(&self, ending: &Ending) -> Response {
        self.count(ending);
        ending.status.into_response()
    }
}

impl<'a> Query<'a> {
    fn read(text: &'a str) -> Result<Self, Untaken> {
        if text.len() > MAX_QUERY {
            return Err(Untaken::Malformed);
        }
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "msg_signature" => query.signature = value,
                "timestamp" => query.timestamp = value,
                "nonce" => query.nonce = value,
                // Base64 has no space: there was a plus that nobody had escaped.
                "echostr" => query.echo = value.replace(' ', "+"),
                _ => {}
            }
        }
        Ok(query)
    }

    fn signed(&self) -> Signed<'_> {
        Signed {
            signature: &self.signature,
            timestamp: &self.timestamp,
            nonce: &self.nonce,
        }
    }
}

impl Ending {
    const fn of(kind: &'static str, outcome: &'static str, status: StatusCode) -> Self {
        Self {
            kind,
            outcome,
            status,
        }
    }

    fn received(received: Received) -> Self {
        let (kind, outcome) = match received {
            Received::Kept(kind) => (kind.as_str(), "kept"),
            Received::Repeated(kind) => (kind.as_str(), "repeated"),
            Received::Unknown => ("UNKNOWN", "ignored"),
        };
        Self::of(kind, outcome, StatusCode::OK)
    }

    fn untaken(untaken: Untaken) -> Self {
        match untaken {
            Untaken::Malformed => Self::of("UNREAD", "malformed", StatusCode::BAD_REQUEST),
            Untaken::Forged => Self::of("UNREAD", "forged", StatusCode::FORBIDDEN),
            Untaken::Untimely(kind) => Self::of(kind.as_str(), "untimely", StatusCode::FORBIDDEN),
            Untaken::Failed(error) => {
                Self::of("UNREAD", "failed", status(error.into_refusal().reason))
            }
        }
    }

    const fn late() -> Self {
        Self::of("UNREAD", "late", StatusCode::SERVICE_UNAVAILABLE)
    }
}
