//! `[admin]`: who may read the metrics.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Error, read_secret, value::redacted};

const MIN_LEN: usize = 16;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    #[serde(serialize_with = "redacted")]
    token: SecretString,
    token_file: String,
}

impl Admin {
    /// The bearer token that `/metrics` asks for; `None`: it asks for none.
    pub fn token(&self) -> Option<SecretString> {
        let set = !self.token.expose_secret().is_empty();
        set.then(|| self.token.clone())
    }

    pub(super) fn read_secret(&mut self) -> Result<(), Error> {
        if let Some(token) = read_secret("admin.token_file", &self.token_file)? {
            if self.token().is_some() {
                return Err(Error::refused(
                    "admin.token_file",
                    "only one of this and admin.token may be set",
                ));
            }
            self.token = token;
        }
        Ok(())
    }

    pub(super) fn check(&self, on_loopback: bool) -> Result<(), Error> {
        let token = self.token.expose_secret();
        if token.is_empty() {
            return if on_loopback {
                Ok(())
            } else {
                Err(Error::refused(
                    "admin.token",
                    "this or admin.token_file is required when admin_listen leaves loopback",
                ))
            };
        }
        if token.len() < MIN_LEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::refused(
                "admin.token",
                format!("must be at least {MIN_LEN} visible ASCII characters, without spaces"),
            ));
        }
        Ok(())
    }
}
