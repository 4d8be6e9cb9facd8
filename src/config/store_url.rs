//! `store_url`: which stores there are, and what of the URL may be printed.

use std::{borrow::Cow, path::PathBuf};

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;
use url::Url;

/// Whether it names a store; the reason never quotes it.
pub(super) fn check(url: &str) -> Result<(), &'static str> {
    if let Some(path) = sqlite_path(url) {
        // The readers and the writer are two pools: they would see two databases in memory.
        let in_memory = path.as_os_str().is_empty()
            || path.as_os_str() == ":memory:"
            || url.contains("mode=memory");
        return if in_memory {
            Err("must name a file: a database in memory is not supported")
        } else {
            Ok(())
        };
    }
    match Url::parse(url) {
        Ok(url) if is_postgres(&url) && url.has_host() => parameters(&url),
        _ => Err("must be sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
    }
}

/// The driver would log what it does not know, which may be a password that is spelled wrong.
fn parameters(url: &Url) -> Result<(), &'static str> {
    const TLS: [&str; 6] = [
        "disable",
        "allow",
        "prefer",
        "require",
        "verify-ca",
        "verify-full",
    ];
    let known = |(key, value): (Cow<str>, Cow<str>)| match &*key {
        "sslmode" => TLS.contains(&&*value),
        "statement-cache-capacity" => value.parse::<u32>().is_ok(),
        "sslrootcert" | "sslcert" | "sslkey" | "host" | "port" | "dbname" | "user" | "password"
        | "application_name" | "options" => true,
        _ => false,
    };
    if url.query_pairs().all(known) {
        Ok(())
    } else {
        Err(
            "its parameters may be sslmode (disable, allow, prefer, require, verify-ca or \
             verify-full), sslrootcert, sslcert, sslkey, statement-cache-capacity, host, port, \
             dbname, user, password, application_name and options",
        )
    }
}

/// The database file of a SQLite URL; `None`: another store.
pub(super) fn sqlite_path(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    Some(percent_decode_str(path).decode_utf8_lossy().as_ref().into())
}

/// Prints host and database, but no password: neither the URL's own nor one in its query.
pub(super) fn redacted<S: Serializer>(url: &SecretString, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&redact(url.expose_secret()))
}

fn redact(text: &str) -> String {
    if sqlite_path(text).is_some() {
        return text.to_owned();
    }
    let Ok(mut url) = Url::parse(text) else {
        return "[redacted]".to_owned();
    };
    if url.password().is_some() {
        let _ = url.set_password(Some("redacted"));
    }
    if url.query().is_some() {
        url.set_query(Some("redacted"));
    }
    url.into()
}

fn is_postgres(url: &Url) -> bool {
    matches!(url.scheme(), "postgres" | "postgresql")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        let text = redact("postgres://ming:hunter2@db:5432/cards?password=hunter2");
        assert_eq!(text, "postgres://ming:redacted@db:5432/cards?redacted");
    }

    #[test]
    fn stores_are_sqlite_files_and_postgres() {
        for good in [
            "sqlite://data/a.db",
            "sqlite:a.db?mode=rwc",
            "postgres://u:p@h/d",
            "postgresql://h/d",
            "postgres://h/d?sslmode=verify-full&sslrootcert=%2Fca.pem&password=p",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "mysql://h/d",
            "sqlite::memory:",
            "sqlite://",
            "postgres:d",
            "postgres://u@h/d?pasword=hunter2",
            "postgres://u@h/d?sslmode=hunter2",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(
            sqlite_path("sqlite://my%20data/a.db?mode=rwc"),
            Some("my data/a.db".into())
        );
    }
}
