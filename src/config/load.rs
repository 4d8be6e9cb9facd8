//! The layers of settings, laid over one another: defaults, file, environment, flags.

use std::{
    collections::HashMap,
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use config::{
    Config, ConfigError, Environment, File, FileFormat, FileSourceString, Source, Value, ValueKind,
};

use super::Settings;

/// The defaults, which are the manual too.
pub const DEFAULTS: &str = include_str!("default.toml");

const PREFIX: &str = "MINGPIAN_";

/// What the command line says; it outranks the other layers.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// A file of settings.
    pub config: Option<PathBuf>,
    pub grpc_listen: Option<String>,
    pub http_listen: Option<String>,
    pub admin_listen: Option<String>,
    pub store_url: Option<String>,
    pub events_url: Option<String>,
    pub roles: Option<String>,
}

/// Why the settings are refused: the key, the reason, and where the value came from when that
/// is known. Never the value of a secret.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct Error {
    key: Option<String>,
    why: String,
    source_name: Option<String>,
}

impl Error {
    /// A rule of a key, broken.
    pub(super) fn refused(key: &str, why: impl Into<String>) -> Self {
        Self {
            key: Some(key.to_owned()),
            why: why.into(),
            source_name: None,
        }
    }

    fn text(&self) -> String {
        let mut text = String::from("settings: ");
        if let Some(key) = &self.key {
            let _ = write!(text, "{key}: ");
        }
        text.push_str(&self.why);
        if let Some(name) = &self.source_name {
            let _ = write!(text, " (from {name})");
        }
        text
    }

    fn from_layers(error: ConfigError) -> Self {
        match error {
            ConfigError::At { error, origin, key } => Self {
                key,
                why: error.to_string(),
                source_name: origin,
            },
            // The value itself stays out of the text: it may be a misplaced secret.
            ConfigError::Type {
                expected,
                key,
                origin,
                ..
            } => Self {
                key,
                why: format!("must be {expected}"),
                source_name: origin,
            },
            ConfigError::NotFound(key) => Self::refused(&key, "missing"),
            other => Self {
                key: None,
                why: other.to_string(),
                source_name: None,
            },
        }
    }

    /// Looks up which layer the key's value came from.
    fn locate(mut self, layers: &Config) -> Self {
        if let (None, Some(key)) = (&self.source_name, &self.key) {
            self.source_name = origin(layers, key);
        }
        self
    }
}

/// Reads all layers and checks every rule.
///
/// # Errors
/// The first key that is unknown, malformed or against a rule.
pub fn load(flags: &Flags) -> Result<Settings, Error> {
    load_with(flags, environment()?)
}

pub(super) fn load_with(
    flags: &Flags,
    environment: HashMap<String, String>,
) -> Result<Settings, Error> {
    let layers = layers(flags, environment).map_err(Error::from_layers)?;
    check_keys(&layers).map_err(|e| e.locate(&layers))?;
    let mut settings: Settings = layers
        .clone()
        .try_deserialize()
        .map_err(|e| Error::from_layers(e).locate(&layers))?;
    settings
        .read_files()
        .and_then(|()| settings.check())
        .map_err(|e| e.locate(&layers))?;
    Ok(settings)
}

fn defaults() -> File<FileSourceString, FileFormat> {
    File::from_str(DEFAULTS, FileFormat::Toml)
}

fn layers(flags: &Flags, environment: HashMap<String, String>) -> Result<Config, ConfigError> {
    let mut builder = Config::builder().add_source(defaults());
    if let Some(path) = &flags.config {
        check_syntax(path)?;
        builder = builder.add_source(File::from(path.as_path()).format(FileFormat::Toml));
    }
    let environment = Environment::with_prefix(PREFIX.trim_end_matches('_'))
        .prefix_separator("_")
        .separator("__")
        .source(Some(environment));
    builder
        .add_source(environment)
        .set_override_option("grpc_listen", flags.grpc_listen.clone())?
        .set_override_option("http_listen", flags.http_listen.clone())?
        .set_override_option("admin_listen", flags.admin_listen.clone())?
        .set_override_option("store_url", flags.store_url.clone())?
        .set_override_option("events_url", flags.events_url.clone())?
        .set_override_option("roles", flags.roles.clone())?
        .build()
}

/// Every key must stand where the manual has it. (`deny_unknown_fields` alone would not say
/// which layer is wrong, and would quote a value that stands where a section belongs.)
fn check_keys(layers: &Config) -> Result<(), Error> {
    let tree = |config: &Config| config.collect().map_err(Error::from_layers);
    let manual = Config::builder().add_source(defaults()).build();
    let manual = tree(&manual.map_err(Error::from_layers)?)?;
    for (key, given) in tree(layers)? {
        let (key, why) = match (manual.get(&key).map(|v| &v.kind), given.kind) {
            (None, _) => (key, "no such key"),
            (Some(ValueKind::Table(known)), ValueKind::Table(given)) => {
                match given.keys().find(|k| !known.contains_key(*k)) {
                    Some(inner) => (format!("{key}.{inner}"), "no such key"),
                    None => continue,
                }
            }
            (Some(ValueKind::Table(_)), _) => (key, "is a section, not a value"),
            (Some(_), ValueKind::Table(_)) => (key, "is a value, not a section"),
            _ => continue,
        };
        return Err(Error::refused(&key, why));
    }
    Ok(())
}

/// A parser's own error quotes the line, and with it a secret that stands there; ours gives
/// its number.
fn check_syntax(path: &Path) -> Result<(), ConfigError> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|e| ConfigError::Message(format!("cannot read {name}: {e}")))?;
    text.parse::<toml::Table>().map(drop).map_err(|e| {
        let before = e.span().and_then(|s| text.get(..s.start)).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        ConfigError::Message(format!("{name}, line {line}: not TOML"))
    })
}

/// Our part of the process's environment.
fn environment() -> Result<HashMap<String, String>, Error> {
    let mut ours = HashMap::new();
    for (name, value) in env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        if !name.starts_with(PREFIX) || is_service_link(&name) {
            continue;
        }
        let value = value
            .into_string()
            .map_err(|_| Error::refused(&name, "is not UTF-8"))?;
        ours.insert(name, value);
    }
    Ok(ours)
}

/// Kubernetes tells every pod about services by such variables; for a service that is called
/// `mingpian…` they begin with our prefix, and are not settings.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST") || name.ends_with("_PORT") || name.contains("_PORT_")
}

fn origin(layers: &Config, key: &str) -> Option<String> {
    let mut table = layers.collect().ok()?;
    let (sections, last) = match key.rsplit_once('.') {
        Some((sections, last)) => (Some(sections), last),
        None => (None, key),
    };
    for section in sections.into_iter().flat_map(|s| s.split('.')) {
        match table.remove(section)?.kind {
            ValueKind::Table(inner) => table = inner,
            _ => return None,
        }
    }
    table
        .get(last)
        .and_then(Value::origin)
        .map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_of_kubernetes_are_not_settings() {
        for name in [
            "MINGPIAN_SERVICE_HOST",
            "MINGPIAN_SERVICE_PORT_GRPC",
            "MINGPIAN_PORT",
            "MINGPIAN_PORT_50051_TCP_ADDR",
            "MINGPIAN_GRPC_SERVICE_HOST",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        assert!(!is_service_link("MINGPIAN_SERVING__MAX_AGE_SECONDS"));
    }

    #[test]
    fn no_key_looks_like_a_service_link() {
        let defaults: toml::Table = DEFAULTS.parse().unwrap();
        for (key, value) in &defaults {
            let inner = value.as_table().into_iter().flat_map(toml::Table::keys);
            let names = inner.map(|k| format!("{key}__{k}")).chain([key.clone()]);
            for name in names {
                let name = format!("{PREFIX}{}", name.to_uppercase());
                assert!(!is_service_link(&name), "{name}");
            }
        }
    }
}
