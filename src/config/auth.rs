//! `[auth]`: who may call.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Error, leads_to_loopback,
    value::{Whole, word},
};

/// How callers prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Not at all: everybody has every right.
    Off,
    /// By a bearer token.
    Jwt,
}

/// Where the issuer's public keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource<'a> {
    File(&'a Path),
    Url(Url),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    #[serde(deserialize_with = "word")]
    pub mode: Mode,
    /// The required `iss`.
    pub issuer: String,
    /// The required `aud`.
    pub audience: String,
    jwks_file: String,
    jwks_url: String,
    leeway_seconds: Whole<0, 300>,
    jwks_refresh_seconds: Whole<10, 86_400>,
}

impl Auth {
    /// Tolerance on `exp` and `nbf`.
    pub fn leeway(&self) -> Duration {
        Duration::from_secs(self.leeway_seconds.get())
    }

    /// How often the key set is read again.
    pub fn jwks_refresh(&self) -> Duration {
        Duration::from_secs(self.jwks_refresh_seconds.get())
    }

    /// The one source of keys.
    ///
    /// # Errors
    /// None, both, or an address that is neither https nor http on loopback.
    pub fn key_source(&self) -> Result<KeySource<'_>, Error> {
        match (self.jwks_file.as_str(), self.jwks_url.as_str()) {
            ("", "") => Err(Error::refused(
                "auth.jwks_url",
                "this or auth.jwks_file is required when auth.mode is jwt",
            )),
            (file, "") => Ok(KeySource::File(Path::new(file))),
            ("", url) => parse_url(url)
                .map(KeySource::Url)
                .map_err(|why| Error::refused("auth.jwks_url", why)),
            _ => Err(Error::refused(
                "auth.jwks_file",
                "only one of this and auth.jwks_url may be set",
            )),
        }
    }

    pub(super) fn check(&self, grpc_on_loopback: bool) -> Result<(), Error> {
        if !self.jwks_url.is_empty() {
            // Also where it is not asked: it is printed.
            parse_url(&self.jwks_url).map_err(|why| Error::refused("auth.jwks_url", why))?;
        }
        match self.mode {
            Mode::Off if grpc_on_loopback => Ok(()),
            Mode::Off => Err(Error::refused(
                "auth.mode",
                "off is for loopback only; set jwt, or grpc_listen to a loopback address",
            )),
            Mode::Jwt => {
                for (key, value) in [
                    ("auth.issuer", &self.issuer),
                    ("auth.audience", &self.audience),
                ] {
                    if value.is_empty() {
                        return Err(Error::refused(key, "required when auth.mode is jwt"));
                    }
                }
                self.key_source().map(drop)
            }
        }
    }
}

fn parse_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be a URL")?;
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err("must not hold a user name or password")
        }
        "https" => Ok(url),
        "http" if leads_to_loopback(&url) => Ok(url),
        _ => Err("must be https, or http on loopback"),
    }
}
