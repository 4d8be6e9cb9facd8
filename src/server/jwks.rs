//! Bearer tokens against the issuer's keys. The key set comes from a file or an address, is
//! read again now and then, and is kept when a reading fails.

mod claims;
mod keys;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use jsonwebtoken::{decode, decode_header, errors::ErrorKind};
use quick_cache::sync::Cache;
use reqwest::{Client, StatusCode, redirect::Policy};
use sha2::{Digest, Sha256};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    app::Principal,
    config::{self, KeySource},
    domain::Micros,
};
use claims::Claims;
use keys::Keys;

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 256 * 1024;

/// The least time between two readings, however many tokens name unknown keys.
const PAUSE: Duration = Duration::from_secs(10);

/// The keys of one issuer, and what a token of its must say.
pub struct Jwks {
    source: Source,
    issuer: String,
    audience: String,
    leeway: Duration,
    every: Duration,
    force: ArcSwap<Force>,
    /// A token named a key that is not in the set.
    wanted: Notify,
}

/// Tokens whose bearers are remembered.
const REMEMBERED: usize = 10_000;

/// The keys in force, and the bearers of tokens that they have checked: a signature costs more
/// than all else of a call from memory. By a digest, so that no token lies about.
struct Force {
    keys: Keys,
    bearers: Cache<[u8; 32], Arc<Principal>>,
}

impl From<Keys> for Force {
    fn from(keys: Keys) -> Self {
        Self {
            keys,
            bearers: Cache::new(REMEMBERED),
        }
    }
}

enum Source {
    File(PathBuf),
    Url(Client, Url),
}

/// Why a key set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Settings(#[from] config::Error),
    #[error("cannot read the key set")]
    Read(#[from] std::io::Error),
    #[error("cannot fetch the key set")]
    Fetch(#[source] reqwest::Error),
    #[error("the key set's address answers {0}")]
    Answer(StatusCode),
    #[error("the key set is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the key set is of no use: {0}")]
    Keys(&'static str),
}

impl From<reqwest::Error> for LoadError {
    fn from(e: reqwest::Error) -> Self {
        Self::Fetch(e.without_url())
    }
}

/// Why a token is refused: for a debug log. Says nothing of the token's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("malformed")]
    Malformed,
    #[error("critical header parameters are not understood")]
    Critical,
    #[error("signed by a key that is not in the set")]
    UnknownKey,
    #[error("{0:?}")]
    Invalid(ErrorKind),
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYet,
}

impl From<jsonwebtoken::errors::Error> for Rejected {
    fn from(e: jsonwebtoken::errors::Error) -> Self {
        match e.into_kind() {
            // These quote what they could not read.
            ErrorKind::Json(_) | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => Self::Malformed,
            kind => Self::Invalid(kind),
        }
    }
}

impl Jwks {
    /// Reads the key set for the first time.
    ///
    /// # Errors
    /// The set cannot be had, holds a symmetric key, or no key that can check a signature.
    pub async fn load(auth: &config::Auth) -> Result<Self, LoadError> {
        let source = match auth.key_source()? {
            KeySource::File(path) => Source::File(path.to_owned()),
            KeySource::Url(url) => Source::Url(client(&url)?, url),
        };
        let keys = Keys::parse(&source.read().await?, &auth.issuer, &auth.audience)?;
        Ok(Self {
            source,
            issuer: auth.issuer.clone(),
            audience: auth.audience.clone(),
            leeway: auth.leeway(),
            every: auth.jwks_refresh(),
            force: ArcSwap::from_pointee(keys.into()),
            wanted: Notify::new(),
        })
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// It is not the issuer's, not for this audience, not for this moment, or malformed. An
    /// unknown key is refused too, and makes [`Self::refresh`] look for it.
    pub fn verify(&self, token: &str, now: Micros) -> Result<Arc<Principal>, Rejected> {
        let force = self.force.load();
        let digest = Sha256::digest(token).into();
        let known = force.bearers.get(&digest);
        if let Some(known) = known.filter(|known| known.ends.is_some_and(|ends| now < ends)) {
            return Ok(known);
        }
        let principal = Arc::new(self.check(&force.keys, token, now)?);
        force.bearers.insert(digest, principal.clone());
        Ok(principal)
    }

    fn check(&self, keys: &Keys, token: &str, now: Micros) -> Result<Principal, Rejected> {
        let header = decode_header(token)?;
        if header.crit.is_some() {
            return Err(Rejected::Critical);
        }
        let Some(key) = keys.find(header.kid.as_deref()) else {
            self.wanted.notify_one();
            return Err(Rejected::UnknownKey);
        };
        // The key's own list of algorithms is in `key.validation`.
        let claims: Claims = decode(token, &key.key, &key.validation)?.claims;
        claims.check_time(now, self.leeway)?;
        Ok(claims.into_principal(self.leeway))
    }

    /// Reads the set again, for as long as the server runs.
    pub async fn refresh(&self, stop: CancellationToken) {
        let forever = async {
            loop {
                tokio::select! {
                    () = sleep(self.every) => {}
                    () = self.wanted.notified() => {}
                }
                self.read_again().await;
                sleep(PAUSE).await;
            }
        };
        stop.run_until_cancelled(forever).await;
    }

    async fn read_again(&self) {
        let read = self.source.read().await;
        match read.and_then(|text| Keys::parse(&text, &self.issuer, &self.audience)) {
            Ok(keys) => self.force.store(Arc::new(keys.into())),
            Err(e) => {
                let cause = std::error::Error::source(&e).map(ToString::to_string);
                tracing::warn!(error = %e, cause, "the key set stays as it was");
            }
        }
    }
}

impl Source {
    async fn read(&self) -> Result<Vec<u8>, LoadError> {
        match self {
            // Small, local and seldom: not worth a thread of its own.
            Self::File(path) => Ok(fs::read(path)?),
            Self::Url(client, url) => fetch(client, url).await,
        }
    }
}

fn client(url: &Url) -> Result<Client, LoadError> {
    let builder = Client::builder()
        .timeout(FETCH_TIMEOUT)
        .redirect(Policy::none());
    let builder = match url.scheme() {
        // Loopback: no proxy could reach it.
        "http" => builder.no_proxy(),
        _ => builder.https_only(true),
    };
    Ok(builder.build()?)
}

async fn fetch(client: &Client, url: &Url) -> Result<Vec<u8>, LoadError> {
    let mut response = client.get(url.clone()).send().await?;
    if response.status() != StatusCode::OK {
        return Err(LoadError::Answer(response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(LoadError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
