//! `[log]` and `[telemetry]`: what operators see.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{Error, value::word};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    #[serde(deserialize_with = "word")]
    pub format: Format,
    /// Directives of `EnvFilter`; known to parse.
    pub filter: String,
}

impl Log {
    pub(super) fn check(&self) -> Result<(), Error> {
        EnvFilter::try_new(&self.filter)
            .map(drop)
            .map_err(|e| Error::refused("log.filter", e.to_string()))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    otlp_endpoint: String,
}

impl Telemetry {
    /// Where traces go; `None`: nowhere.
    pub fn otlp_endpoint(&self) -> Option<&str> {
        (!self.otlp_endpoint.is_empty()).then_some(self.otlp_endpoint.as_str())
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let good = |text: &str| {
            Url::parse(text).is_ok_and(|url| {
                let anonymous = url.username().is_empty() && url.password().is_none();
                matches!(url.scheme(), "http" | "https") && url.has_host() && anonymous
            })
        };
        match self.otlp_endpoint() {
            Some(text) if !good(text) => Err(Error::refused(
                "telemetry.otlp_endpoint",
                "must be an http or https URL without user or password",
            )),
            _ => Ok(()),
        }
    }
}
