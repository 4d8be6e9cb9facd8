//! `events_url` and `[events]`: whom changes are told to, and how.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::{Error, value::Whole};

const DAY: u64 = 24 * 60 * 60;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    stream: String,
    subject_prefix: String,
    keep_days: Whole<1, 365>,
    replicas: Whole<1, 5>,
}

impl Events {
    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }
    /// What subjects begin with, without a dot at the end.
    pub fn subject_prefix(&self) -> &str {
        &self.subject_prefix
    }
    /// How long what was told is kept, here and in a stream that is made.
    pub fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_days.get() * DAY)
    }
    /// Of a stream that is made.
    pub fn replicas(&self) -> usize {
        self.replicas.count()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if !is_token(&self.stream) {
            let rule = "must be letters, digits, - and _";
            return Err(Error::refused("events.stream", rule));
        }
        if !self.subject_prefix.split('.').all(is_token) {
            let rule = "must be words of letters, digits, - and _, with dots between";
            return Err(Error::refused("events.subject_prefix", rule));
        }
        Ok(())
    }
}

fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether it names NATS; the reason never quotes it.
pub(super) fn check(urls: &str) -> Result<(), &'static str> {
    let good = |url: Result<Url, _>| {
        url.is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.has_host())
    };
    if parts(urls).all(good) {
        Ok(())
    } else {
        Err("must be nats://USER:PASSWORD@HOST:PORT, or tls://…; several with commas between")
    }
}

/// Prints where, and no more of who than that somebody is named: a user alone is a token.
pub(super) fn redacted<S: Serializer>(urls: &SecretString, s: S) -> Result<S::Ok, S::Error> {
    let urls = urls.expose_secret();
    if urls.is_empty() {
        return s.serialize_str("");
    }
    let redacted = parts(urls).map(|url| match url {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            let _ = (url.set_username("redacted"), url.set_password(None));
            url.to_string()
        }
        Ok(url) => url.to_string(),
        Err(_) => "[redacted]".to_owned(),
    });
    s.serialize_str(&redacted.collect::<Vec<_>>().join(","))
}

fn parts(urls: &str) -> impl Iterator<Item = Result<Url, url::ParseError>> {
    urls.split(',').map(|url| Url::parse(url.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_passwords_nor_tokens_are_printed() {
        for (urls, printed) in [
            ("", "\"\""),
            ("nats://a:4222, tls://b", "\"nats://a:4222,tls://b\""),
            (
                "nats://me:hunter2@a,nats://hunter2@b",
                "\"nats://redacted@a,nats://redacted@b\"",
            ),
            ("hunter2", "\"[redacted]\""),
        ] {
            let mut json = serde_json::Serializer::new(Vec::new());
            redacted(&urls.into(), &mut json).unwrap();
            assert_eq!(String::from_utf8(json.into_inner()).unwrap(), printed);
        }
    }

    #[test]
    fn nats_is_named_by_urls() {
        for good in ["nats://a", "tls://u:p@a:1", "nats://a,nats://b"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["a:4222", "http://a", "nats:a", "nats://a,", "nats://"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
