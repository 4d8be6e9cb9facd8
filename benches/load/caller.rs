//! Who calls: an issuer of tokens, and the token of a BFF and back office in one.

use std::{fs, path::Path};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use mingpian::app::Ambient;
use serde_json::json;

pub const ISSUER: &str = "https://id.example.com";
pub const AUDIENCE: &str = "mingpian";

const SCOPES: &str = "cards.read cards.write serving.read spend.write programs.write \
                      measurement.write";

/// Writes the issuer's key set; a token of its for a day.
pub fn token(jwks: &Path) -> String {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8.as_ref()).unwrap();
    let public = B64.encode(pair.public_key().as_ref());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": public});
    fs::write(jwks, json!({"keys": [key]}).to_string()).unwrap();
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("k1".to_owned());
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "bff",
        "exp": Ambient::system().now().seconds() + 86_400, "scope": SCOPES,
    });
    encode(&header, &claims, &EncodingKey::from_ed_der(pkcs8.as_ref())).unwrap()
}
