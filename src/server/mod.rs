//! The composition root.

pub mod jwks;

use crate::config::Settings;

/// STAND-IN
pub async fn run(_settings: Settings, _demo: bool) -> anyhow::Result<()> {
    anyhow::bail!("stand-in: server::run")
}
