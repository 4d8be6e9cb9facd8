//! Faults to switch on, per endpoint, for the next calls or for good.

use std::{future::pending, time::Duration};

use axum::{
    Extension,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Console, answer::refusal, line::Line};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Answered with this code, without effect.
    Code(i64),
    /// Answered with this HTTP status, without effect.
    Status(u16),
    /// Never answered, without effect.
    Hang,
    /// Takes effect and is never answered.
    HangAfter,
    /// Never answered; takes effect when the console lets go of it.
    Late,
    /// The connection breaks, without effect.
    Reset,
    /// Takes effect, and the connection breaks.
    ResetAfter,
    /// Takes effect, and is answered with broken JSON.
    Malformed,
    /// Takes effect, and is answered with two MiB.
    TooLong,
    /// Works, with fields in the answer that nobody knows.
    ExtraFields,
    /// Works after so many milliseconds.
    Slow(u64),
}

/// A fault switched on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// The last part of the path, such as `create_link`; `*` is all.
    pub endpoint: String,
    pub fault: Fault,
    /// For so many calls; none: until switched off.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Switch {
    pub fn once(endpoint: &str, fault: Fault) -> Self {
        Self::times(endpoint, fault, 1)
    }

    pub fn times(endpoint: &str, fault: Fault, times: u32) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            fault,
            times: Some(times),
        }
    }

    pub fn for_good(endpoint: &str, fault: Fault) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            fault,
            times: None,
        }
    }
}

/// Those switched on, the first first.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Switch>);

impl Faults {
    pub(super) fn push(&mut self, switch: Switch) {
        self.0.push(switch);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What befalls a call that arrives at `endpoint`.
    pub(super) fn take(&mut self, endpoint: &str) -> Option<Fault> {
        self.0.retain(|s| s.times != Some(0));
        let meant = |s: &&mut Switch| s.endpoint == "*" || s.endpoint == endpoint;
        let switch = self.0.iter_mut().find(meant)?;
        switch.times = switch.times.map(|n| n - 1);
        Some(switch.fault)
    }
}

/// Counts a call, and lets it through or fail.
pub(super) async fn inject(
    State(console): State<Console>,
    Extension(line): Extension<Line>,
    request: Request,
    next: Next,
) -> Response {
    let endpoint = request.uri().path().rsplit('/').next().unwrap_or_default();
    let fault = console.world().arrive(endpoint);
    match fault {
        None => next.run(request).await,
        Some(Fault::Code(code)) => refusal(code, console.now()),
        Some(Fault::Status(status)) => StatusCode::from_u16(status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        Some(Fault::Hang) => pending().await,
        Some(Fault::Late) => console.late.hold(next.run(request)).await,
        Some(Fault::Reset) => line.reset().await,
        Some(Fault::HangAfter) => {
            next.run(request).await;
            pending().await
        }
        Some(Fault::ResetAfter) => {
            next.run(request).await;
            line.reset().await
        }
        Some(Fault::Malformed) => {
            next.run(request).await;
            r#"{"errcode":0,"errmsg":"ok","#.into_response()
        }
        Some(Fault::TooLong) => {
            next.run(request).await;
            let text = "x".repeat(2 * 1024 * 1024);
            format!(r#"{{"errcode":0,"errmsg":"{text}"}}"#).into_response()
        }
        Some(Fault::ExtraFields) => widened(next.run(request).await).await,
        Some(Fault::Slow(millis)) => {
            sleep(Duration::from_millis(millis)).await;
            next.run(request).await
        }
    }
}

/// The answer with fields in every object that no document names.
async fn widened(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    widen(&mut answer);
    parts.headers.remove("content-length");
    Response::from_parts(parts, Body::from(answer.to_string()))
}

fn widen(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(widen);
            fields.insert("new_in_this_version".into(), json!({"a": [1, null]}));
        }
        Value::Array(items) => items.iter_mut().for_each(widen),
        _ => {}
    }
}
