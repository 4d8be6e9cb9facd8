//! WeCom's callbacks. Nobody reads the answers but WeCom, which looks at the status alone and
//! sends what is not answered with 200 within 5 s twice more; so they are empty.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, FromRequest, Path, RawQuery, Request, State,
        rejection::{BytesRejection, FailedToBufferBody, PathRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use url::form_urlencoded;

use super::{metrics::Metrics, status};
use crate::{
    app::{App, Received, Untaken},
    wecom::{envelope::Signed, xml::MAX_XML},
};

/// After this WeCom does not listen any more.
const PATIENCE: Duration = Duration::from_secs(5);
/// A body of WeCom's comes with its head; who dawdles over one keeps nobody else waiting.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// Callbacks that are worked on at once, whatever the taps do. The others wait for their turn.
const AT_ONCE: usize = 64;
/// The longest query, in bytes.
const MAX_QUERY: usize = 4096;

#[derive(Clone)]
struct Inbox {
    app: App,
    deadline: Duration,
    turns: Arc<Semaphore>,
    metrics: Metrics,
}

/// `GET` and `POST` of `/wecom/callback/{corp}`.
pub(super) fn routes(app: App, deadline: Duration, metrics: Metrics) -> Router {
    Router::new()
        .route("/wecom/callback/{corp}", get(verify).post(receive))
        .with_state(Inbox {
            app,
            deadline: deadline.min(PATIENCE),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            metrics,
        })
        .layer(DefaultBodyLimit::max(MAX_XML))
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
    match inbox.in_turn(Instant::now() + inbox.deadline, work).await {
        Ok(Ok(echo)) => {
            inbox.count(&Ending::of("VERIFICATION", "verified", StatusCode::OK));
            Body::from(echo.to_vec()).into_response()
        }
        Ok(Err(untaken)) => inbox.answer(&Ending::untaken(untaken)),
        Err(late) => inbox.answer(&late),
    }
}

async fn receive(
    State(inbox): State<Inbox>,
    corp: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let (query, until) = (query.unwrap_or_default(), Instant::now() + inbox.deadline);
    let body = match body(request, inbox.deadline).await {
        Ok(body) => body,
        Err(ending) => return inbox.answer(&ending),
    };
    let work = async {
        let query = Query::read(&query)?;
        let (corp, signed) = (named(corp)?, query.signed());
        inbox.app.receive_callback(&corp, &signed, &body).await
    };
    let ending = match inbox.in_turn(until, work).await {
        Ok(Ok(received)) => Ending::received(received),
        Ok(Err(untaken)) => Ending::untaken(untaken),
        Err(late) => late,
    };
    inbox.answer(&ending)
}

/// The whole body. It is read before its turn: who is slow to send has none yet.
async fn body(request: Request, deadline: Duration) -> Result<Bytes, Ending> {
    let read = Bytes::from_request(request, &());
    match timeout(BODY_PATIENCE.min(deadline), read).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(Ending::of("UNREAD", "oversize", status))
        }
        Ok(Err(_)) => Err(Ending::of("UNREAD", "broken", StatusCode::BAD_REQUEST)),
        Err(_) => Err(Ending::late()),
    }
}

fn named(corp: Result<Path<String>, PathRejection>) -> Result<String, Untaken> {
    corp.map(|Path(corp)| corp).map_err(|_| Untaken::Forged)
}

impl Inbox {
    /// What came of the work, once there was a turn for it, unless it was too late by then.
    async fn in_turn<T>(&self, until: Instant, work: impl Future<Output = T>) -> Result<T, Ending> {
        let work = async {
            // Nobody closes it.
            let _turn = self.turns.acquire().await;
            work.await
        };
        timeout_at(until, work).await.map_err(|_| Ending::late())
    }

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
            Received::Ignored(kind) => (kind.as_str(), "ignored"),
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
