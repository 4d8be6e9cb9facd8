//! Answers as WeCom gives them: HTTP 200 whatever happened, and a code in the body.

use axum::{
    Json,
    http::HeaderValue,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::domain::Micros;

/// What an endpoint has to say beyond `errcode`, or the code of its refusal.
pub(super) type Outcome = Result<Value, i64>;

pub(super) const INVALID_SECRET: i64 = 40001;
pub(super) const INVALID_CORP: i64 = 40013;
pub(super) const INVALID_TOKEN: i64 = 40014;
pub(super) const INVALID_PARAMETER: i64 = 40058;
pub(super) const MALFORMED_SECRET: i64 = 40091;
pub(super) const NO_TOKEN: i64 = 41001;
pub(super) const NO_CORP: i64 = 41002;
pub(super) const NO_SECRET: i64 = 41004;
pub(super) const TOO_MANY_LINKS: i64 = 41095;
pub(super) const EXPIRED_TOKEN: i64 = 42001;
pub(super) const INVALID_SPAN: i64 = 600_018;

pub(super) fn answer(outcome: Outcome, now: Micros) -> Response {
    match outcome {
        Ok(Value::Object(mut body)) => {
            body.insert("errcode".into(), 0.into());
            body.insert("errmsg".into(), "ok".into());
            Json(body).into_response()
        }
        Ok(_) => Json(json!({"errcode": 0, "errmsg": "ok"})).into_response(),
        Err(code) => refusal(code, now),
    }
}

/// A refusal with the text that goes with it; nobody should read it, or let others.
pub(super) fn refusal(code: i64, now: Micros) -> Response {
    let hint = format!("{}_28_e0fa1b5d3c", now.seconds());
    let text = format!(
        "refused by the fake, hint: [{hint}], from ip: 127.0.0.1, more info at \
         https://open.work.weixin.qq.com/devtool/query?e={code}"
    );
    let mut response = Json(json!({"errcode": code, "errmsg": text})).into_response();
    response
        .headers_mut()
        .insert("error-code", HeaderValue::from(code));
    response
}
