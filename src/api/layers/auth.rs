//! Who calls, and may they call this method: authentication, then the right. What comes
//! through carries its `Principal` in the request's extensions.

use std::{fmt, sync::Arc};

use http::{HeaderMap, Request, header::AUTHORIZATION};

use crate::{
    api::rights,
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

pub type Verify = Box<dyn Fn(&str) -> Result<Arc<Principal>, Cause> + Send + Sync>;

/// Lets through who may.
pub enum Auth {
    /// Every caller is this one, who has every right.
    Off(Arc<Principal>),
    /// Callers bring a bearer token.
    Bearer(Verify),
}

impl Auth {
    pub fn off() -> Self {
        Self::Off(Arc::new(Principal::anonymous()))
    }

    /// `verify` says whose token it is.
    pub fn bearer<E: fmt::Display + 'static>(
        verify: impl Fn(&str) -> Result<Arc<Principal>, E> + Send + Sync + 'static,
    ) -> Self {
        Self::Bearer(Box::new(move |token| {
            verify(token).map_err(|e| Box::new(e) as Cause)
        }))
    }

    /// Puts the caller into the request, in place of the token: nobody further in needs it, so
    /// nobody can leak it.
    pub fn admit<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let principal = match self {
            Self::Off(anonymous) => anonymous.clone(),
            Self::Bearer(verify) => verify(bearer(request.headers())?).map_err(|cause| {
                tracing::debug!(%cause, "token refused");
                invalid()
            })?,
        };
        match rights::required(request.uri().path()) {
            Some(scope) if principal.scopes.contains(&scope) => {}
            Some(scope) => {
                let text = format!("the caller lacks the scope {}", scope.as_str());
                let refusal = Refusal::new(Reason::PermissionDenied, text);
                return Err(refusal.with("scope", scope.as_str()));
            }
            None => return Err(Refusal::new(Reason::MethodUnknown, "no such method")),
        }
        request.headers_mut().remove(AUTHORIZATION);
        request.extensions_mut().insert(principal);
        Ok(())
    }
}

/// Whether it is everybody's.
pub fn is_open(path: &str) -> bool {
    OPEN.iter().any(|prefix| path.starts_with(prefix))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Scope;

    const GET: &str = "/mingpian.v1.CardService/GetCard";
    const CREATE: &str = "/mingpian.v1.CardService/CreateCard";

    fn reader() -> Auth {
        Auth::bearer(|token| match token {
            "good" => Ok(Arc::new(Principal {
                subject: "bff".to_owned(),
                scopes: [Scope::CardsRead].into(),
                merchants: None,
                ends: None,
            })),
            _ => Err("forged"),
        })
    }

    /// The subject that those behind see, or the refusal.
    fn admit(auth: &Auth, path: &str, tokens: &[&str]) -> Result<String, Refusal> {
        let mut request = Request::builder().uri(path);
        for token in tokens {
            request = request.header(AUTHORIZATION, *token);
        }
        let mut request = request.body(()).unwrap();
        auth.admit(&mut request)?;
        assert!(!request.headers().contains_key(AUTHORIZATION));
        let principal = request.extensions().get::<Arc<Principal>>();
        Ok(principal.unwrap().subject.clone())
    }

    #[test]
    fn a_good_token_brings_its_principal_along() {
        for token in ["Bearer good", "bearer good"] {
            assert_eq!(admit(&reader(), GET, &[token]).unwrap(), "bff");
        }
    }

    #[test]
    fn no_token_is_missing_and_a_bad_one_invalid_with_one_text() {
        let missing = admit(&reader(), GET, &[]).unwrap_err();
        assert_eq!(missing.reason, Reason::CredentialsMissing);

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
            let invalid = admit(&reader(), GET, tokens).unwrap_err();
            assert_eq!(invalid.reason, Reason::CredentialsInvalid);
            texts.insert(invalid.to_string());
        }
        assert_eq!(texts.len(), 1);
    }

    #[test]
    fn a_method_needs_its_scope_and_one_without_a_rule_is_nobodys() {
        let denied = admit(&reader(), CREATE, &["Bearer good"]).unwrap_err();
        let lacking = Refusal::new(Reason::PermissionDenied, denied.message.clone());
        assert_eq!(denied, lacking.with("scope", "cards.write"));
        for auth in [reader(), Auth::off()] {
            let path = "/mingpian.v1.CardService/DropCards";
            let unknown = admit(&auth, path, &["Bearer good"]).unwrap_err();
            assert_eq!(unknown.reason, Reason::MethodUnknown);
        }
    }

    #[test]
    fn off_everybody_is_anonymous() {
        let caller = admit(&Auth::off(), CREATE, &["Bearer x"]);
        assert_eq!(caller.unwrap(), "anonymous");
    }

    #[test]
    fn health_and_reflection_are_open_and_nothing_like_them() {
        for path in [
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(is_open(path));
        }
        assert!(!is_open("/grpc.health.v1.HealthX/Check"));
    }
}
