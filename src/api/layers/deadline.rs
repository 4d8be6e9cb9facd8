//! Holds a call to its deadline, and answers `DEADLINE_EXCEEDED` when it passes.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    response::Response,
};
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::Status;

use super::FREQUENT;
use crate::{
    api::status,
    domain::{Reason, Refusal},
};

tokio::task_local! {
    static END: Instant;
}

/// By when the answer to the call under way must begin.
pub fn end() -> Option<Instant> {
    END.try_with(|end| *end).ok()
}

const HEADER: &str = "grpc-timeout";

/// With less than this left the answer would come too late; no work is begun.
const LEAST: Duration = Duration::from_millis(5);

/// Calls that work for as long as their callers send: they answer at the end, and look after
/// silence themselves.
const FED: &[&str] = &["/mingpian.v1.EligibilityService/ImportSpend"];

/// How long such a call may take.
pub const FED_MAX: Duration = Duration::from_secs(60 * 60);

/// The answer must begin within the client's timeout and within `max`. A stream may go on
/// until the client's timeout, or for ever when it gave none: it was asked to watch.
pub async fn bound<A>(
    max: Duration,
    request: Request,
    within: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    let now = Instant::now();
    let asked = match asked(request.headers()) {
        Ok(asked) => asked,
        Err(refusal) => return status::refusal(&refusal).into_http(),
    };
    let max = if FED.contains(&request.uri().path()) {
        max.max(FED_MAX)
    } else {
        max
    };
    let left = asked.map_or(max, |asked| asked.min(max));
    if left < LEAST {
        return exceeded().into_http();
    }
    let end = now + left;
    let whole = FREQUENT.contains(&request.uri().path());
    match timeout_at(end, END.scope(end, within(request))).await {
        Err(_) => exceeded().into_http(),
        Ok(response) if whole => response,
        Ok(response) => match asked.and_then(|asked| now.checked_add(asked)) {
            Some(end) => response.map(|body| Body::new(Bounded::until(end, body))),
            None => response,
        },
    }
}

fn exceeded() -> Status {
    status::refusal(&Refusal::new(
        Reason::DeadlineExceeded,
        "the deadline passed before the answer was ready",
    ))
}

/// `grpc-timeout`: up to eight digits and a unit.
fn asked(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    parse(value)
        .map(Some)
        .ok_or_else(|| Refusal::field(HEADER, "must be one to eight digits and one of HMSmun"))
}

fn parse(value: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = value
        .to_str()
        .ok()?
        .split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// A body whose messages stop at `end`, with the status that says why.
struct Bounded {
    body: Body,
    end: Pin<Box<Sleep>>,
    cut: bool,
}

impl Bounded {
    fn until(end: Instant, body: Body) -> Self {
        Self {
            body,
            end: Box::pin(sleep_until(end)),
            cut: false,
        }
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.cut {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let late = match &polled {
            Poll::Pending => self.end.as_mut().poll(cx).is_ready(),
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                Instant::now() >= self.end.deadline()
            }
            Poll::Ready(_) => false,
        };
        if !late {
            return polled;
        }
        self.cut = true;
        // The work behind the stream ends with the stream.
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(
            exceeded()
                .add_header(&mut trailers)
                .map(|()| Frame::trailers(trailers))
                .map_err(axum::Error::new),
        ))
    }

    fn is_end_stream(&self) -> bool {
        self.cut || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let parse = |text| parse(&HeaderValue::from_static(text));
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse("1S"), Some(Duration::from_secs(1)));
        assert_eq!(parse("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("0n"), Some(Duration::ZERO));
        for malformed in [
            "",
            "S",
            "1",
            "1s",
            "+1S",
            "-1S",
            "1 S",
            "123456789S",
            "1.5S",
        ] {
            assert_eq!(parse(malformed), None, "{malformed:?}");
        }
    }
}
