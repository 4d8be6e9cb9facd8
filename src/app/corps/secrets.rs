//! Corps' secrets, which come out of here only to WeCom, and their rotation.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::{App, Error, Result};
use crate::{
    domain::{Corp, CorpName, Micros},
    wecom::Credentials,
};

/// How long a callback's token and key are still taken after others replaced them.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// Pairs before that are kept: each is tried on what opens with none.
const MOST: usize = 4;

/// A corp's secrets, opened.
#[derive(Clone, Debug, Deserialize)]
pub(in super::super) struct Secrets {
    pub app_secret: SecretString,
    pub callback_token: SecretString,
    pub encoding_aes_key: SecretString,
    /// What the callback had before, the latest first. WeCom has one of these as long as not
    /// all steps of a rotation were taken there.
    pub previous: Vec<Previous>,
}

/// A token and a key that belonged together.
#[derive(Clone, Debug, Deserialize)]
pub(in super::super) struct Previous {
    pub token: SecretString,
    pub key: SecretString,
    /// Taken until then.
    pub until: Micros,
}

impl Secrets {
    /// The tokens and keys that callbacks are taken under, the corp's own first.
    pub fn pairs(&self, now: Micros) -> impl Iterator<Item = (&SecretString, &SecretString)> {
        let before = self.previous.iter().filter(move |pair| now < pair.until);
        let before = before.map(|pair| (&pair.token, &pair.key));
        std::iter::once((&self.callback_token, &self.encoding_aes_key)).chain(before)
    }
}

impl App {
    /// The secrets of a corp that is not deleted.
    pub(in super::super) fn secrets(&self, corp: &Corp) -> Result<Secrets> {
        let plain = self.keys.open(&place(&corp.name), &corp.secrets);
        let plain = plain.map_err(Error::bug)?;
        // serde_json's message may quote them.
        serde_json::from_slice(&plain).map_err(|_| Error::bug("a corp's secrets do not read"))
    }

    /// With what WeCom is asked in the name of a corp that is not deleted.
    pub(in super::super) fn credentials(&self, corp: &Corp) -> Result<Credentials> {
        Ok(Credentials {
            corp_no: corp.no,
            corp_id: corp.corp_id.clone(),
            secret: self.secrets(corp)?.app_secret,
        })
    }

    pub(super) fn seal_secrets(&self, corp: &CorpName, secrets: &Secrets) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(&Plain::from(secrets)).map_err(Error::bug)?;
        let plain = Zeroizing::new(plain);
        Ok(self.keys.seal(&place(corp), &plain, self.ambient.random()))
    }
}

/// Secrets that replace those before.
pub(super) struct Rotation {
    pub app_secret: Option<SecretString>,
    pub token: Option<SecretString>,
    pub key: Option<SecretString>,
    /// Nothing is taken under what the callback had before.
    pub drop_previous: bool,
}

impl Rotation {
    pub fn is_none(&self) -> bool {
        let secrets = [&self.app_secret, &self.token, &self.key];
        secrets.iter().all(|secret| secret.is_none()) && !self.drop_previous
    }

    /// Which ones, for the audit trail.
    pub fn detail(&self) -> String {
        let named = [
            ("app_secret", &self.app_secret),
            ("callback_token", &self.token),
            ("encoding_aes_key", &self.key),
        ];
        let named = named.iter().filter(|(_, secret)| secret.is_some());
        let named: Vec<_> = named.map(|(name, _)| *name).collect();
        let dropped = if self.drop_previous {
            " previous=dropped"
        } else {
            ""
        };
        format!("secrets={}{dropped}", named.join(","))
    }

    pub fn of(self, old: Secrets, now: Micros) -> Secrets {
        let (token, key) = (old.callback_token, old.encoding_aes_key);
        let mut new = Secrets {
            app_secret: self.app_secret.unwrap_or(old.app_secret),
            callback_token: self.token.unwrap_or_else(|| token.clone()),
            encoding_aes_key: self.key.unwrap_or_else(|| key.clone()),
            previous: old.previous,
        };
        new.previous.retain(|pair| now < pair.until);
        if !same(&token, &new.callback_token) || !same(&key, &new.encoding_aes_key) {
            let until = now + OVERLAP;
            new.previous.insert(0, Previous { token, key, until });
            new.previous.truncate(MOST);
        }
        if self.drop_previous {
            new.previous.clear();
        }
        new
    }
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// [`Secrets`] as they are sealed: `secrecy` does not write any.
#[derive(Serialize)]
struct Plain<'a> {
    app_secret: &'a str,
    callback_token: &'a str,
    encoding_aes_key: &'a str,
    previous: Vec<PlainPrevious<'a>>,
}

#[derive(Serialize)]
struct PlainPrevious<'a> {
    token: &'a str,
    key: &'a str,
    until: Micros,
}

impl<'a> From<&'a Secrets> for Plain<'a> {
    fn from(secrets: &'a Secrets) -> Self {
        let previous = secrets.previous.iter().map(|pair| PlainPrevious {
            token: pair.token.expose_secret(),
            key: pair.key.expose_secret(),
            until: pair.until,
        });
        Self {
            app_secret: secrets.app_secret.expose_secret(),
            callback_token: secrets.callback_token.expose_secret(),
            encoding_aes_key: secrets.encoding_aes_key.expose_secret(),
            previous: previous.collect(),
        }
    }
}

/// Where a corp's secrets are sealed. Its name stays taken, so it is nobody else's.
fn place(corp: &CorpName) -> String {
    format!("corp/{}", corp.id())
}
