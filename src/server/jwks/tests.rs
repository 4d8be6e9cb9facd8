#![allow(clippy::disallowed_methods)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use axum::{Router, http::StatusCode as Answer, response::Redirect, routing::get};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::app::Scope;

const NOW: i64 = 1_800_000_000;

/// A key pair of the issuer's.
struct Signer {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Vec<u8>,
    jwk: Value,
}

fn ed25519(kid: &str) -> Signer {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8.as_ref()).unwrap();
    let public = pair.public_key().as_ref().to_vec();
    Signer {
        algorithm: Algorithm::EdDSA,
        private: EncodingKey::from_ed_der(pkcs8.as_ref()),
        jwk: json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": B64.encode(&public)}),
        public,
    }
}

fn es256(kid: &str) -> Signer {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = pair.public_key().as_ref().to_vec();
    let (x, y) = public[1..].split_at(32);
    Signer {
        algorithm: Algorithm::ES256,
        private: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()),
        jwk: json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": B64.encode(x), "y": B64.encode(y)}),
        public,
    }
}

impl Signer {
    fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(ToOwned::to_owned);
        encode(&header, claims, &self.private).unwrap()
    }
}

/// The claims of a good token, with `changes` on top; a null takes a claim away.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example.com", "aud": ["other", "mingpian"], "sub": "bff",
        "exp": NOW + 600, "scope": "cards.read openid serving.read",
    });
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(key),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(key.clone(), value.clone()),
        };
    }
    claims
}

fn auth(source: (&str, &str)) -> config::Auth {
    let mut auth = toml::toml! {
        mode = "jwt"
        issuer = "https://id.example.com"
        audience = "mingpian"
        jwks_file = ""
        jwks_url = ""
        leeway_seconds = 60
        jwks_refresh_seconds = 300
    };
    auth.insert(source.0.to_owned(), source.1.into());
    auth.try_into().unwrap()
}

async fn load(keys: &[&Value]) -> Result<Jwks, LoadError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), json!({ "keys": keys }).to_string()).unwrap();
    Jwks::load(&auth(("jwks_file", file.path().to_str().unwrap()))).await
}

async fn verify(signer: &Signer, changes: Value) -> Result<Principal, Rejected> {
    let jwks = load(&[&signer.jwk]).await.unwrap();
    let token = signer.sign(Some("k1"), &claims(changes));
    jwks.verify(&token, Micros::from_seconds(NOW))
        .map(Arc::unwrap_or_clone)
}

#[tokio::test]
async fn good_tokens_say_who_calls() {
    for signer in [ed25519("k1"), es256("k1")] {
        let principal = verify(&signer, json!({})).await.unwrap();
        assert_eq!(principal.subject, "bff");
        assert_eq!(
            principal.scopes,
            [Scope::CardsRead, Scope::ServingRead].into()
        );
        assert_eq!(principal.merchants, None);
        // `exp`, and the leeway.
        assert_eq!(principal.ends, Some(Micros::from_seconds(NOW + 660)));
    }
    let signer = ed25519("k1");
    let listed = json!({"scope": ["cards.write"], "aud": "mingpian", "merchants": ["m1"]});
    let principal = verify(&signer, listed).await.unwrap();
    assert_eq!(principal.scopes, [Scope::CardsWrite].into());
    assert!(principal.may("m1") && !principal.may("m2"));
    let principal = verify(&signer, json!({"merchants": [], "scope": null}))
        .await
        .unwrap();
    assert!(principal.limited() && !principal.may("m1") && principal.scopes.is_empty());
}

#[tokio::test]
async fn a_remembered_bearer_ends_with_the_token_and_with_the_key() {
    let (signer, other) = (ed25519("k1"), ed25519("k1"));
    let jwks = load(&[&signer.jwk]).await.unwrap();
    let token = signer.sign(Some("k1"), &claims(json!({})));
    let at = |seconds| jwks.verify(&token, Micros::from_seconds(NOW + seconds));
    assert_eq!(at(0).unwrap().subject, "bff");
    assert!(Arc::ptr_eq(&at(0).unwrap(), &at(1).unwrap()), "remembered");
    assert_eq!(at(660).unwrap_err(), Rejected::Expired);
    let text = json!({ "keys": [other.jwk] }).to_string();
    let keys = Keys::parse(text.as_bytes(), &jwks.issuer, &jwks.audience).unwrap();
    jwks.force.store(Arc::new(keys.into()));
    assert!(matches!(at(0), Err(Rejected::Invalid(_))));
}

#[tokio::test]
async fn issuer_audience_and_required_claims_must_fit() {
    let signer = ed25519("k1");
    for changes in [
        json!({"iss": "https://evil.example.com"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"sub": null}),
    ] {
        assert!(verify(&signer, changes.clone()).await.is_err(), "{changes}");
    }
}

#[tokio::test]
async fn time_is_checked_with_leeway() {
    let signer = es256("k1");
    for (changes, expected) in [
        (json!({"exp": NOW - 59}), Ok(())),
        (json!({"exp": NOW - 60}), Err(Rejected::Expired)),
        (json!({"exp": 0}), Err(Rejected::Expired)),
        (json!({"nbf": NOW + 60}), Ok(())),
        (json!({"nbf": NOW + 61}), Err(Rejected::NotYet)),
        (json!({"nbf": "soon"}), Err(Rejected::Malformed)),
    ] {
        let answer = verify(&signer, changes.clone()).await.map(drop);
        assert_eq!(answer, expected, "{changes}");
    }
}

#[tokio::test]
async fn malformed_claims_fail_closed() {
    let signer = ed25519("k1");
    for changes in [
        json!({"merchants": "m1"}),
        json!({"merchants": [1]}),
        json!({"merchants": {"m1": true}}),
        json!({"merchants": false}),
        json!({"scope": 7}),
        json!({"scope": [7]}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "bff\u{0}"}),
        json!({"sub": "bff\nadmin"}),
        json!({"sub": "bff\u{85}"}),
        json!({"sub": "名".repeat(129)}),
    ] {
        let answer = verify(&signer, changes.clone()).await;
        assert_eq!(answer, Err(Rejected::Malformed), "{changes}");
    }
    let longest = "名".repeat(128);
    let principal = verify(&signer, json!({"sub": longest})).await.unwrap();
    assert_eq!(principal.subject, longest);
    let jwks = load(&[&signer.jwk]).await.unwrap();
    for claim in ["merchants", "scope"] {
        let mut claims = claims(json!({}));
        claims[claim] = Value::Null;
        let token = signer.sign(Some("k1"), &claims);
        let answer = jwks.verify(&token, Micros::from_seconds(NOW));
        assert_eq!(answer, Err(Rejected::Malformed), "{claim}: null");
    }
}

#[tokio::test]
async fn the_key_and_not_the_token_chooses_the_algorithm() {
    let signer = ed25519("k1");
    let jwks = load(&[&signer.jwk]).await.unwrap();
    let now = Micros::from_seconds(NOW);

    let part = |v: &Value| B64.encode(v.to_string());
    for alg in ["none", "None", "NONE"] {
        let header = part(&json!({"alg": alg, "kid": "k1"}));
        let none = format!("{header}.{}.", part(&claims(json!({}))));
        assert!(jwks.verify(&none, now).is_err(), "{alg}");
    }

    // The public key, which everybody has, as the secret of an HMAC.
    let forger = Signer {
        algorithm: Algorithm::HS256,
        private: EncodingKey::from_secret(&signer.public),
        ..ed25519("k1")
    };
    let forged = forger.sign(Some("k1"), &claims(json!({})));
    assert!(matches!(
        jwks.verify(&forged, now),
        Err(Rejected::Invalid(_))
    ));

    // Another key under the right id, of the same and of another type.
    for other in [ed25519("k1"), es256("k1")] {
        let forged = other.sign(Some("k1"), &claims(json!({})));
        assert!(matches!(
            jwks.verify(&forged, now),
            Err(Rejected::Invalid(_))
        ));
    }

    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("k1".to_owned());
    header.crit = Some(vec!["exp".to_owned()]);
    let critical = encode(&header, &claims(json!({})), &signer.private).unwrap();
    assert_eq!(jwks.verify(&critical, now), Err(Rejected::Critical));

    for garbage in ["", ".", "..", "a.b.c", "a.b.c.d", "名片"] {
        assert!(jwks.verify(garbage, now).is_err(), "{garbage}");
    }
}

#[tokio::test]
async fn the_key_id_must_match_unless_there_is_no_choice() {
    let (one, two) = (ed25519("k1"), es256("k2"));
    let now = Micros::from_seconds(NOW);
    let alone = load(&[&one.jwk]).await.unwrap();
    let both = load(&[&one.jwk, &two.jwk]).await.unwrap();
    let good = claims(json!({}));
    assert!(alone.verify(&one.sign(None, &good), now).is_ok());
    assert!(both.verify(&two.sign(Some("k2"), &good), now).is_ok());
    for (jwks, token) in [
        (&alone, one.sign(Some("k9"), &good)),
        (&both, one.sign(None, &good)),
        (&both, one.sign(Some("k9"), &good)),
    ] {
        assert_eq!(jwks.verify(&token, now), Err(Rejected::UnknownKey));
    }
}

#[tokio::test]
async fn key_sets_that_cannot_be_trusted_are_refused() {
    let good = ed25519("k1").jwk;
    let changed = |changes: Value| {
        let mut jwk = good.clone();
        for (key, value) in changes.as_object().unwrap() {
            jwk[key] = value.clone();
        }
        jwk
    };
    let symmetric = json!({"kty": "oct", "kid": "k2", "k": "c2VjcmV0"});
    assert!(matches!(
        load(&[&good, &symmetric]).await,
        Err(LoadError::Keys(_))
    ));
    assert!(load(&[]).await.is_err());
    assert!(load(&[&good, &es256("k1").jwk]).await.is_err());
    for useless in [
        json!({"use": "enc"}),
        json!({"key_ops": ["encrypt"]}),
        json!({"alg": "HS256"}),
        json!({"alg": "ES256"}),
        json!({"crv": "Ed448"}),
        json!({"kty": "AKP"}),
    ] {
        let jwk = changed(useless.clone());
        assert!(load(&[&jwk]).await.is_err(), "{useless}");
        // Beside a good key it is only left out.
        let other = es256("k2").jwk;
        assert!(load(&[&jwk, &other]).await.is_ok(), "{useless}");
    }
    let full = changed(json!({"alg": "EdDSA", "use": "sig", "key_ops": ["verify"]}));
    assert!(load(&[&full]).await.is_ok());
    let missing = Jwks::load(&auth(("jwks_file", "/nonexistent"))).await;
    assert!(matches!(missing, Err(LoadError::Read(_))));
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test]
async fn addresses_that_fail_redirect_or_flood_are_refused() {
    let set = json!({"keys": [ed25519("k1").jwk]}).to_string();
    let flood = set.clone() + &" ".repeat(MAX_BYTES);
    let router = Router::new()
        .route("/good", get(|| async { set }))
        .route("/flood", get(|| async { flood }))
        .route("/away", get(|| async { Answer::BAD_GATEWAY }))
        .route("/elsewhere", get(|| async { Redirect::temporary("/good") }));
    let base = serve(router).await;
    let load = async |path: &str| Jwks::load(&auth(("jwks_url", &format!("{base}{path}")))).await;
    assert!(load("/good").await.is_ok());
    assert!(matches!(load("/flood").await, Err(LoadError::TooLarge)));
    assert!(matches!(load("/away").await, Err(LoadError::Answer(_))));
    assert!(matches!(
        load("/elsewhere").await,
        Err(LoadError::Answer(_))
    ));
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once_and_a_failure_keeps_the_old_set() {
    let (old, new) = (ed25519("k1"), ed25519("k2"));
    let now = Micros::from_seconds(NOW);
    let sets = [
        json!({"keys": [old.jwk]}),
        json!({"keys": [old.jwk, new.jwk]}),
    ];
    let asked = Arc::new(AtomicUsize::new(0));
    let router = Router::new().route(
        "/",
        get({
            let asked = asked.clone();
            || async move { sets[asked.fetch_add(1, Ordering::SeqCst).min(1)].to_string() }
        }),
    );
    let url = serve(router).await;
    let jwks = Arc::new(Jwks::load(&auth(("jwks_url", &url))).await.unwrap());
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (jwks, stop) = (jwks.clone(), stop.clone());
        async move { jwks.refresh(stop).await }
    });

    let token = new.sign(Some("k2"), &claims(json!({})));
    assert_eq!(jwks.verify(&token, now), Err(Rejected::UnknownKey));
    tokio::time::timeout(Duration::from_secs(5), async {
        while jwks.verify(&token, now).is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the new key is found");

    let unknown = new.sign(Some("k9"), &claims(json!({})));
    for _ in 0..20 {
        assert!(jwks.verify(&unknown, now).is_err());
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    stop.cancel();
    task.await.unwrap();

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), json!({"keys": [old.jwk]}).to_string()).unwrap();
    let source = auth(("jwks_file", file.path().to_str().unwrap()));
    let jwks = Jwks::load(&source).await.unwrap();
    fs::write(file.path(), "{").unwrap();
    jwks.read_again().await;
    let token = old.sign(Some("k1"), &claims(json!({})));
    assert!(jwks.verify(&token, now).is_ok());
}
