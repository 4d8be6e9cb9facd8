//! The operators' listener: metrics, and whether the process lives and is ready.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Admin {
    metrics: Arc<Registry>,
    ready: watch::Receiver<bool>,
    token: Option<SecretString>,
}

/// `/metrics` (with the bearer token, where there is one), `/livez` (200 while the process
/// runs) and `/readyz` (200 while `ready`, else 503).
pub fn router(
    metrics: Arc<Registry>,
    ready: watch::Receiver<bool>,
    token: Option<SecretString>,
) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .fallback(|| async { Problem::of(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(|| async { Problem::of(StatusCode::METHOD_NOT_ALLOWED) })
        .with_state(Admin {
            metrics,
            ready,
            token,
        })
}

async fn show_metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    if !admin.admits(&headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (challenge, Problem::of(StatusCode::UNAUTHORIZED)).into_response();
    }
    let mut text = String::new();
    match encode(&mut text, &admin.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => Problem::of(StatusCode::INTERNAL_SERVER_ERROR).into_response(),
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if *admin.ready.borrow() {
        "ready\n".into_response()
    } else {
        Problem::of(StatusCode::SERVICE_UNAVAILABLE).into_response()
    }
}

impl Admin {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.as_bytes().split_at_checked("Bearer ".len()))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
            .map(|(_, given)| given);
        given.is_some_and(|given| given.ct_eq(token.expose_secret().as_bytes()).into())
    }
}

/// An error as RFC 9457 writes it.
#[derive(Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
}

impl Problem {
    fn of(status: StatusCode) -> Response {
        let body = Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
        };
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    struct Door(Router, watch::Sender<bool>);

    fn door(token: Option<&str>) -> Door {
        let mut metrics = Registry::default();
        metrics.register("taps", "Taps so far", Counter::<u64>::default());
        let (ready, watched) = watch::channel(false);
        Door(
            router(metrics.into(), watched, token.map(Into::into)),
            ready,
        )
    }

    impl Door {
        async fn get(&self, path: &str, token: &str) -> (u16, String, String) {
            let request = Request::get(path).header("authorization", token);
            let request = request.body(Body::empty()).unwrap();
            let response = self.0.clone().oneshot(request).await.unwrap();
            let kind = response.headers()["content-type"]
                .to_str()
                .unwrap()
                .to_owned();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, kind, String::from_utf8(body.to_vec()).unwrap())
        }
    }

    #[tokio::test]
    async fn metrics_ask_for_the_token_where_there_is_one() {
        let open = door(None);
        let (status, kind, text) = open.get("/metrics", "").await;
        assert_eq!((status, kind.as_str()), (200, OPEN_METRICS));
        assert!(text.contains("taps_total 0") && text.ends_with("# EOF\n"));

        let closed = door(Some(TOKEN));
        for bad in [
            "",
            "Bearer ",
            "Bearer 0123456789abcdeg",
            "Basic 0123456789abcdef",
            TOKEN,
        ] {
            let (status, kind, text) = closed.get("/metrics", bad).await;
            assert_eq!(
                (status, kind.as_str()),
                (401, "application/problem+json"),
                "{bad}"
            );
            assert!(!text.contains("taps"));
        }
        let (status, ..) = closed.get("/metrics", &format!("Bearer {TOKEN}")).await;
        assert_eq!(status, 200);
    }

    #[tokio::test]
    async fn live_always_ready_when_told_and_open_to_all() {
        let door = door(Some(TOKEN));
        assert_eq!(door.get("/livez", "").await.0, 200);
        assert_eq!(door.get("/readyz", "").await.0, 503);
        door.1.send_replace(true);
        assert_eq!(door.get("/readyz", "").await.0, 200);
        door.1.send_replace(false);
        assert_eq!(door.get("/readyz", "").await.0, 503);
        assert_eq!(door.get("/livez", "").await.0, 200);
    }

    #[tokio::test]
    async fn anything_else_is_a_problem() {
        let (status, kind, text) = door(None).get("/nothing", "").await;
        assert_eq!((status, kind.as_str()), (404, "application/problem+json"));
        assert_eq!(
            text,
            r#"{"type":"about:blank","title":"Not Found","status":404}"#
        );
    }
}
