//! Settings. `default.toml` is the manual: every key with its unit, default and meaning.

mod admin;
mod auth;
mod compliance;
mod events;
mod limits;
mod load;
mod log;
mod measurement;
mod nouns;
mod roles;
mod screening;
mod store_url;
mod tls;
mod value;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

pub use admin::Admin;
pub use auth::{Auth, KeySource, Mode};
pub use compliance::Compliance;
pub use events::Events;
pub use limits::{Limits, Store};
pub use load::{DEFAULTS, Error, Flags, load};
pub use log::{Format, Log, Telemetry};
pub use measurement::Measurement;
pub use nouns::{Cards, Links, Placements, Programs, Requests, Serving, Spend, Tokens, Wecom};
pub use roles::{Role, Roles};
pub use screening::Screening;
pub use tls::Tls;

/// The settings in force: every layer applied, every rule checked. Serializes with secrets
/// redacted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub grpc_listen: SocketAddr,
    pub http_listen: SocketAddr,
    pub admin_listen: SocketAddr,
    #[serde(serialize_with = "store_url::redacted")]
    store_url: SecretString,
    store_url_file: String,
    #[serde(serialize_with = "events::redacted")]
    events_url: SecretString,
    events_url_file: String,
    pub roles: Roles,
    public_url: String,
    keys_file: String,
    #[serde(deserialize_with = "value::word")]
    reflection: Reflection,
    pub auth: Auth,
    pub tls: Tls,
    pub admin: Admin,
    pub limits: Limits,
    pub log: Log,
    pub telemetry: Telemetry,
    pub store: Store,
    pub cards: Cards,
    pub placements: Placements,
    pub programs: Programs,
    pub spend: Spend,
    pub links: Links,
    pub compliance: Compliance,
    pub measurement: Measurement,
    pub events: Events,
    pub wecom: Wecom,
    pub tokens: Tokens,
    pub serving: Serving,
    pub screening: Screening,
    pub requests: Requests,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reflection {
    Auto,
    On,
    Off,
}

impl Settings {
    /// The store's URL; it may hold a password.
    pub fn store_url(&self) -> &SecretString {
        &self.store_url
    }

    /// Where NATS is, which is told what changes; `None`: nobody is. It may hold a password.
    pub fn events_url(&self) -> Option<&SecretString> {
        Some(&self.events_url).filter(|url| !url.expose_secret().is_empty())
    }

    /// What links to the public door begin with, without a slash at the end. `http_bound` is
    /// where that door listens in fact (port 0 takes a free one).
    pub fn public_url(&self, http_bound: SocketAddr) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{http_bound}"),
            url => url.to_owned(),
        }
    }

    /// The file of keys, whether it exists or not.
    pub fn keys_path(&self) -> PathBuf {
        path(&self.keys_file).map_or_else(
            || {
                store_url::sqlite_path(self.store_url.expose_secret())
                    .unwrap_or_default()
                    .with_file_name("mingpian-keys.toml")
            },
            Path::to_owned,
        )
    }

    /// Whether the file of keys may be made for an empty store: nobody named one.
    pub fn keys_may_be_made(&self) -> bool {
        self.keys_file.is_empty()
    }

    /// Whether bearer tokens come over the network in clear text, for anyone on the way to take.
    pub fn tokens_in_clear(&self) -> bool {
        self.auth.mode == Mode::Jwt
            && !on_loopback(self.grpc_listen)
            && self.tls.identity().is_none()
    }

    /// Whether reflection is served.
    pub fn reflection(&self) -> bool {
        match self.reflection {
            Reflection::Auto => on_loopback(self.grpc_listen),
            Reflection::On => true,
            Reflection::Off => false,
        }
    }

    /// Secrets, and the conduct table, that stand in files of their own.
    fn read_files(&mut self) -> Result<(), Error> {
        if let Some(url) = read_secret("store_url_file", &self.store_url_file)? {
            self.store_url = url;
        }
        if let Some(url) = read_secret("events_url_file", &self.events_url_file)? {
            self.events_url = url;
        }
        self.admin.read_secret()?;
        self.compliance.read_table()
    }

    fn check(&self) -> Result<(), Error> {
        let url = self.store_url.expose_secret();
        store_url::check(url).map_err(|why| Error::refused("store_url", why))?;
        self.check_public_url()?;
        if self.keys_file.is_empty()
            && !(self.all_on_loopback() && store_url::sqlite_path(url).is_some())
        {
            return Err(Error::refused(
                "keys_file",
                "required when a listener leaves loopback or the store is not SQLite",
            ));
        }
        self.auth.check(on_loopback(self.grpc_listen))?;
        self.tls.check()?;
        self.admin.check(on_loopback(self.admin_listen))?;
        self.wecom.check()?;
        if let Some(url) = self.events_url() {
            events::check(url.expose_secret()).map_err(|why| Error::refused("events_url", why))?;
        }
        self.events.check()?;
        self.screening.check()?;
        self.log.check()?;
        self.telemetry.check()
    }

    fn check_public_url(&self) -> Result<(), Error> {
        let refused = |why| Err(Error::refused("public_url", why));
        if self.public_url.is_empty() {
            return if self.all_on_loopback() {
                Ok(())
            } else {
                refused("required, with https, when a listener leaves loopback")
            };
        }
        let Ok(url) = Url::parse(&self.public_url) else {
            return refused("must be a URL such as https://card.example.com");
        };
        match url.scheme() {
            "https" => {}
            "http" if !self.all_on_loopback() => {
                return refused("must be https when a listener leaves loopback");
            }
            "http" if leads_to_loopback(&url) => {}
            _ => return refused("must be https, or http to localhost, 127.0.0.1 or ::1"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("must not hold a user name or password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refused("must not hold a query or fragment");
        }
        Ok(())
    }

    fn all_on_loopback(&self) -> bool {
        [self.grpc_listen, self.http_listen, self.admin_listen]
            .into_iter()
            .all(on_loopback)
    }
}

/// The built-in defaults, which keep every rule.
impl Default for Settings {
    fn default() -> Self {
        load::load_with(&Flags::default(), std::collections::HashMap::new())
            .expect("default.toml keeps its own rules; a test says so")
    }
}

fn on_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether only this machine can be meant by it.
fn leads_to_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn path(text: &str) -> Option<&Path> {
    (!text.is_empty()).then(|| Path::new(text))
}

/// The secret in a file, without the newline that editors leave; `None`: no file is named.
fn read_secret(key: &str, file: &str) -> Result<Option<SecretString>, Error> {
    if file.is_empty() {
        return Ok(None);
    }
    let text = fs::read_to_string(file)
        .map_err(|e| Error::refused(key, format!("cannot read the file: {e}")))?;
    match text.trim_end() {
        "" => Err(Error::refused(key, "the file is empty")),
        secret => Ok(Some(secret.into())),
    }
}

#[cfg(test)]
mod tests;
