//! WeCom's callbacks. Nobody reads the answers but WeCom, which looks at the status alone and
//! sends what is not answered with 200 within 5 s twice more; so they are empty.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, Request, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, Version, header::CONNECTION},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    body::{Read, Room, Unread},
    metrics::Metrics,
    status,
};
use crate::{
    app::{App, Received, Untaken},
    wecom::envelope::{self, Signed},
};

/// After this WeCom does not listen any more.
const PATIENCE: Duration = Duration::from_secs(5);
/// A body of WeCom's comes with its head; who dawdles over one keeps nobody else waiting.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// Room for callbacks that are read, or wait for their turn, in bytes.
const ROOM: usize = 256 * 1024 * 1024;
/// Callbacks that were read and wait for their turn, or have it, at the least.
const PLACES: usize = 512;
/// Callbacks that are worked on at once, whatever the taps do. The others wait for their turn.
const AT_ONCE: usize = 64;
/// The longest query, in bytes.
const MAX_QUERY: usize = 4096;

#[derive(Clone)]
struct Inbox {
    app: App,
    deadline: Duration,
    room: Room,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    metrics: Metrics,
}

/// `GET` and `POST` of `/wecom/callback/{corp}`. So many callbacks that were read are there at
/// once, or [`PLACES`] where that is more; the rest is shed.
pub(super) fn routes(app: App, at_once: usize, deadline: Duration, metrics: Metrics) -> Router {
    Router::new()
        .route("/wecom/callback/{corp}", get(verify).post(receive))
        .with_state(Inbox {
            app,
            deadline: deadline.min(PATIENCE),
            room: Room::of(ROOM),
            places: Arc::new(Semaphore::new(at_once.max(PLACES))),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
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
    match inbox.echo(corp, &query.unwrap_or_default()).await {
        Ok(echo) => {
            inbox.count(&Ending::of("VERIFICATION", "verified", StatusCode::OK));
            Body::from(echo.to_vec()).into_response()
        }
        Err(ending) => inbox.answer(&ending),
    }
}

async fn receive(
    State(inbox): State<Inbox>,
    corp: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let query = query.unwrap_or_default();
    let version = request.version();
    match inbox.take(corp, &query, request.into_body()).await {
        Ok(received) => inbox.answer(&Ending::received(received)),
        Err(ending) => {
            let mut response = inbox.answer(&ending);
            // What was not read of its body ends the connection: nobody shall use it again.
            if version < Version::HTTP_2 {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

fn named(corp: Result<Path<String>, PathRejection>) -> Result<String, Untaken> {
    corp.map(|Path(corp)| corp).map_err(|_| Untaken::Forged)
}

impl Inbox {
    /// Waits for nobody's body, and so asks for no place.
    async fn echo(
        &self,
        corp: Result<Path<String>, PathRejection>,
        query: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Ending> {
        let until = Instant::now() + self.deadline;
        let (corp, query) = (named(corp)?, Query::read(query)?);
        let signed = query.signed();
        let work = self.app.verify_callback(&corp, &signed, &query.echo);
        Ok(self.in_turn(until, work).await??)
    }

    /// What cannot be WeCom's is not read; and who is slow to send has no place yet.
    async fn take(
        &self,
        corp: Result<Path<String>, PathRejection>,
        query: &str,
        body: Body,
    ) -> Result<Received, Ending> {
        let until = Instant::now() + self.deadline;
        let (corp, query) = (named(corp)?, Query::read(query)?);
        let body = self.read(body).await?;
        let _place = self.places.try_acquire().map_err(|_| Ending::shed())?;
        let signed = query.signed();
        let work = self
            .app
            .receive_callback(&corp, &signed, &body.bytes, until);
        Ok(self.in_turn(until, work).await??)
    }

    async fn read(&self, body: Body) -> Result<Read, Ending> {
        let patience = BODY_PATIENCE.min(self.deadline);
        let read = timeout(patience, self.room.read(body)).await;
        read.map_err(|_| Ending::late())?.map_err(Ending::unread)
    }

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
    /// With a signature that may be one.
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
        if !envelope::may_sign(&query.signature) {
            return Err(Untaken::Forged);
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

    fn unread(why: Unread) -> Self {
        match why {
            Unread::Oversize => Self::of("UNREAD", "oversize", StatusCode::PAYLOAD_TOO_LARGE),
            Unread::Broken => Self::of("UNREAD", "broken", StatusCode::BAD_REQUEST),
            Unread::Shed => Self::shed(),
        }
    }

    const fn late() -> Self {
        Self::of("UNREAD", "late", StatusCode::SERVICE_UNAVAILABLE)
    }

    const fn shed() -> Self {
        Self::of("UNREAD", "shed", StatusCode::SERVICE_UNAVAILABLE)
    }
}

impl From<Untaken> for Ending {
    fn from(untaken: Untaken) -> Self {
        match untaken {
            Untaken::Malformed => Self::of("UNREAD", "malformed", StatusCode::BAD_REQUEST),
            Untaken::Forged => Self::of("UNREAD", "forged", StatusCode::FORBIDDEN),
            Untaken::Untimely(kind) => Self::of(kind.as_str(), "untimely", StatusCode::FORBIDDEN),
            Untaken::Failed(error) => {
                Self::of("UNREAD", "failed", status(error.into_refusal().reason))
            }
        }
    }
}
