//! Who calls, and may they call this method: authentication, then the right. What comes
//! through carries its `Principal` in the request's extensions.

use std::{
    fmt,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use tower::{Layer, Service};

use crate::{
    api::{rights, status},
    app::Principal,
    domain::{Reason, Refusal},
};

/// Longer tokens are refused unread.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Services that say nothing about merchants; reflection is served or not by a setting.
const OPEN: &[&str] = &[
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// Why a token was refused: for the debug log, never for the caller.
pub type Cause = Box<dyn fmt::Display>;

type Verify = Arc<dyn Fn(&str) -> Result<Arc<Principal>, Cause> + Send + Sync>;

/// Lets through who may.
#[derive(Clone)]
pub struct AuthLayer {
    /// `None`: everybody is [`Principal::anonymous`].
    verify: Option<Verify>,
}

impl AuthLayer {
    /// Authentication off: every caller has every right.
    pub fn off() -> Self {
        Self { verify: None }
    }

    /// Callers bring a bearer token; `verify` says whose it is.
    pub fn bearer<E: fmt::Display + 'static>(
        verify: impl Fn(&str) -> Result<Arc<Principal>, E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            verify: Some(Arc::new(move |token| {
                verify(token).map_err(|e| Box::new(e) as Cause)
            })),
        }
    }

    fn admit(&self, headers: &HeaderMap, path: &str) -> Result<Arc<Principal>, Refusal> {
        let principal = match &self.verify {
            None => Arc::new(Principal::anonymous()),
            Some(verify) => verify(bearer(headers)?).map_err(|cause| {
                tracing::debug!(%cause, "token refused");
                invalid()
            })?,
        };
        match rights::required(path) {
            Some(scope) if principal.scopes.contains(&scope) => Ok(principal),
            Some(scope) => Err(Refusal::new(
                Reason::PermissionDenied,
                format!("the caller lacks the scope {}", scope.as_str()),
            )
            .with("scope", scope.as_str())),
            None => Err(Refusal::new(Reason::MethodUnknown, "no such method")),
        }
    }
}

/// The one bearer token of a call (RFC 6750).
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let missing = || {
        Refusal::new(
            Reason::CredentialsMissing,
            "send `authorization: Bearer <token>`",
        )
    };
    let value = values.next().ok_or_else(missing)?;
    // Of two tokens a proxy before us may have checked the other one.
    if values.next().is_some() || value.len() > MAX_TOKEN_BYTES + "Bearer ".len() {
        return Err(invalid());
    }
    match value.to_str().map_err(|_| invalid())?.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
            Ok(token)
        }
        _ => Err(invalid()),
    }
}

/// One text for every cause: which one it was would help only who forges.
fn invalid() -> Refusal {
    Refusal::new(
        Reason::CredentialsInvalid,
        "the bearer token is not accepted; fetch a new one",
    )
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of [`AuthLayer`].
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, B, R> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<R>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        if OPEN.iter().any(|prefix| path.starts_with(prefix)) {
            return Either::Left(self.inner.call(request));
        }
        match self.layer.admit(request.headers(), path) {
            Ok(principal) => {
                // Nobody further in needs the token, so nobody can leak it.
                request.headers_mut().remove(AUTHORIZATION);
                request.extensions_mut().insert(principal);
                Either::Left(self.inner.call(request))
            }
            Err(refusal) => Either::Right(ready(Ok(status::refusal(&refusal).into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic::{Code, Status};
    use tonic_types::StatusExt;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::app::Scope;

    const GET: &str = "/mingpian.v1.CardService/GetCard";
    const CREATE: &str = "/mingpian.v1.CardService/CreateCard";

    fn reader() -> AuthLayer {
        AuthLayer::bearer(|token| match token {
            "good" => Ok(Arc::new(Principal {
                subject: "bff".to_owned(),
                scopes: [Scope::CardsRead].into(),
                merchants: None,
                ends: None,
            })),
            _ => Err("forged"),
        })
    }

    /// The subject that the service behind the layer sees, or the refusal.
    async fn call(layer: AuthLayer, path: &str, tokens: &[&str]) -> Result<String, Status> {
        let behind = service_fn(|request: Request<()>| async move {
            assert!(!request.headers().contains_key(AUTHORIZATION));
            let principal = request.extensions().get::<Arc<Principal>>();
            let subject = principal.map_or("nobody", |p| &p.subject).to_owned();
            Ok::<_, Infallible>(Response::new(subject))
        });
        let mut request = Request::builder().uri(path);
        for token in tokens {
            request = request.header(AUTHORIZATION, *token);
        }
        let service = layer.layer(behind);
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        match Status::from_header_map(response.headers()) {
            Some(status) => Err(status),
            None => Ok(response.into_body()),
        }
    }

    #[track_caller]
    fn reason(answer: Result<String, Status>) -> (Code, String, String) {
        let status = answer.expect_err("must be refused");
        let info = status.get_details_error_info().unwrap();
        let scope = info.metadata.get("scope").cloned().unwrap_or_default();
        (status.code(), info.reason, scope)
    }

    #[tokio::test]
    async fn a_good_token_brings_its_principal_along() {
        for token in ["Bearer good", "bearer good"] {
            let subject = call(reader(), GET, &[token]).await.unwrap();
            assert_eq!(subject, "bff");
        }
    }

    #[tokio::test]
    async fn no_token_is_missing_and_a_bad_one_invalid_with_one_text() {
        let (code, word, _) = reason(call(reader(), GET, &[]).await);
        assert_eq!(
            (code, word.as_str()),
            (Code::Unauthenticated, "CREDENTIALS_MISSING")
        );

        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_BYTES + 1));
        let mut texts = std::collections::BTreeSet::new();
        for tokens in [
            &["Bearer bad"] as &[&str],
            &["Basic good"],
            &["Bearer "],
            &["Bearer"],
            &["good"],
            &[&long],
            &["Bearer good", "Bearer good"],
        ] {
            let status = call(reader(), GET, tokens).await.unwrap_err();
            texts.insert(status.message().to_owned());
            let (code, word, _) = reason(Err(status));
            assert_eq!(
                (code, word.as_str()),
                (Code::Unauthenticated, "CREDENTIALS_INVALID")
            );
        }
        assert_eq!(texts.len(), 1);
    }

    #[tokio::test]
    async fn a_method_needs_its_scope_and_one_without_a_rule_is_nobodys() {
        let refused = reason(call(reader(), CREATE, &["Bearer good"]).await);
        let expected = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
        assert_eq!(refused, (expected.0, expected.1, "cards.write".to_owned()));
        for layer in [reader(), AuthLayer::off()] {
            let path = "/mingpian.v1.CardService/DropCards";
            let refused = reason(call(layer, path, &["Bearer good"]).await);
            let expected = (Code::Unimplemented, "METHOD_UNKNOWN".to_owned());
            assert_eq!(refused, (expected.0, expected.1, String::new()));
        }
    }

    #[tokio::test]
    async fn off_everybody_is_anonymous() {
        let layer = AuthLayer::off();
        assert_eq!(
            call(layer, CREATE, &["Bearer x"]).await.unwrap(),
            "anonymous"
        );
    }

    #[tokio::test]
    async fn health_and_reflection_are_open_and_nothing_like_them() {
        for path in [
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(call(reader(), path, &[]).await.unwrap(), "nobody");
        }
        let refused = reason(call(reader(), "/grpc.health.v1.HealthX/Check", &[]).await);
        assert_eq!(refused.0, Code::Unauthenticated);
    }
}
