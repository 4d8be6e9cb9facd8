//! What a token says of its caller. A claim of the wrong form refuses the whole token.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::Rejected;
use crate::{
    app::{Principal, Scope},
    domain::Micros,
};

/// Code points of a `sub` at most.
const MAX_SUBJECT: usize = 128;

/// Issuer and audience are checked before.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(deserialize_with = "subject")]
    sub: String,
    /// Seconds since the epoch; RFC 7519 allows fractions.
    exp: f64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<f64>,
    #[serde(default)]
    scope: Words,
    #[serde(default, deserialize_with = "present")]
    merchants: Option<Vec<String>>,
}

/// Words in one text, separated by spaces (RFC 8693), or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Text(String),
    List(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// Stands in every row that its bearer writes: something to tell callers apart by, and short.
fn subject<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let sub = String::deserialize(d)?;
    let fits = !sub.is_empty() && sub.chars().count() <= MAX_SUBJECT;
    if fits && !sub.contains(char::is_control) {
        Ok(sub)
    } else {
        Err(D::Error::custom("sub"))
    }
}

/// `null` is not "absent": an absent `merchants` means all of them.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

impl Claims {
    pub(super) fn check_time(&self, now: Micros, leeway: Duration) -> Result<(), Rejected> {
        let now = now.0 as f64 / 1e6;
        let leeway = leeway.as_secs_f64();
        if now >= self.exp + leeway {
            return Err(Rejected::Expired);
        }
        if self.nbf.is_some_and(|nbf| now + leeway < nbf) {
            return Err(Rejected::NotYet);
        }
        Ok(())
    }

    /// Scopes that are not ours are for other services.
    pub(super) fn into_principal(self, leeway: Duration) -> Principal {
        let scopes = match &self.scope {
            Words::Text(text) => text.split(' ').filter_map(Scope::parse).collect(),
            Words::List(words) => words.iter().filter_map(|w| Scope::parse(w)).collect(),
        };
        Principal {
            subject: self.sub,
            scopes,
            merchants: self.merchants.map(|m| m.into_iter().collect()),
            ends: Some(Micros((self.exp * 1e6) as i64) + leeway),
        }
    }
}
