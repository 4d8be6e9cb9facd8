//! What every answer of the public door carries: a page that names a contact is kept by
//! nobody, framed by nobody, indexed by nobody, and runs nothing but its own script.

use axum::response::Response;
use http::{
    HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, SET_COOKIE,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

/// For what is not a page; a page brings a policy that names its own script and style.
const NOTHING: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    // The token is in the address.
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex"),
    ),
];

/// Sets the headers, whatever the answer; cookies are taken out.
pub fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    headers.remove(SET_COOKIE);
    response
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::StatusCode;

    use super::*;

    #[test]
    fn every_answer_carries_them() {
        let loose = [
            ("cache-control", "public, max-age=60"),
            ("x-frame-options", "SAMEORIGIN"),
            ("content-security-policy", "default-src 'self'"),
            ("set-cookie", "a=b"),
        ];
        for (answer, policy) in [
            (loose.into_response(), "default-src 'self'"),
            (
                StatusCode::NOT_FOUND.into_response(),
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
        ] {
            let answer = harden(answer);
            for (name, value) in [
                ("cache-control", "no-store"),
                ("referrer-policy", "no-referrer"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("x-robots-tag", "noindex"),
                ("content-security-policy", policy),
            ] {
                let values: Vec<_> = answer.headers().get_all(name).iter().collect();
                assert_eq!(values, [value], "{name}");
            }
            assert!(!answer.headers().contains_key("set-cookie"));
        }
    }
}
