//! STAND-IN: the whole file.

use std::path::Path;

pub fn add(_file: &Path) -> anyhow::Result<String> {
    anyhow::bail!("stand-in: keys::add")
}

pub fn activate(_file: &Path, _id: &str) -> anyhow::Result<()> {
    anyhow::bail!("stand-in: keys::activate")
}
