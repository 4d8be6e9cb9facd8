//! A JSON Web Key Set (RFC 7517), and which algorithms each of its keys may be used with.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse},
};

use super::LoadError;

/// The keys of a set that check signatures.
pub(super) struct Keys(Vec<Key>);

pub(super) struct Key {
    id: Option<String>,
    pub(super) key: DecodingKey,
    /// Algorithms, issuer and audience. Time is checked elsewhere, against our clock.
    pub(super) validation: Validation,
}

impl Keys {
    /// Keys of unknown types and for other uses are left out, as RFC 7517 asks.
    pub(super) fn parse(json: &[u8], issuer: &str, audience: &str) -> Result<Self, LoadError> {
        let set: JwkSet =
            serde_json::from_slice(json).map_err(|_| LoadError::Keys("not a JWK set"))?;
        let mut keys: Vec<Key> = Vec::new();
        for jwk in &set.keys {
            if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
                return Err(LoadError::Keys("it holds a symmetric key"));
            }
            let algorithms = algorithms(jwk);
            if algorithms.is_empty() {
                continue;
            }
            let id = jwk.common.key_id.clone();
            if keys.iter().any(|k| k.id == id) {
                return Err(LoadError::Keys("two keys share a key id"));
            }
            keys.push(Key {
                id,
                key: DecodingKey::from_jwk(jwk)
                    .map_err(|_| LoadError::Keys("a key is malformed"))?,
                validation: validation(algorithms, issuer, audience),
            });
        }
        if keys.is_empty() {
            return Err(LoadError::Keys("no key in it can check a signature"));
        }
        Ok(Self(keys))
    }

    /// The key of this id. A token without one is fine where there is no choice.
    pub(super) fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.0.as_slice()) {
            (Some(_), keys) => keys.iter().find(|k| k.id.as_deref() == id),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

/// What a key of this type may be used with: never more than its own `alg` where it names
/// one, and nothing when it is not for signatures.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    let common = &jwk.common;
    let for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature))
        && common
            .key_operations
            .as_ref()
            .is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    if !for_signatures {
        return Vec::new();
    }
    let by_type: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(p) if p.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        AlgorithmParameters::EllipticCurve(p) => match p.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
        _ => &[],
    };
    let named = |a: &Algorithm| {
        common
            .key_algorithm
            .is_none_or(|named| named == (*a).into())
    };
    by_type.iter().copied().filter(named).collect()
}

fn validation(algorithms: Vec<Algorithm>, issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation {
        algorithms,
        validate_exp: false,
        ..Validation::default()
    };
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}
