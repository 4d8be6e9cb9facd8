//! The key ring that fits the store: made for an empty one, and for no other.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{
    app::Ambient,
    config::Settings,
    keys::{self, KeyRing, Problem},
    store::Store,
};

/// The ring of the file that is there, or that the settings name; `None`: it may be made.
/// Comes before the store, so that a bad file leaves no database behind.
pub fn read(settings: &Settings) -> Result<Option<KeyRing>> {
    let path = settings.keys_path();
    if settings.keys_may_be_made() && !path.exists() {
        return Ok(None);
    }
    load(&path).map(Some)
}

/// The ring, once it is known that the store is sealed under it.
pub async fn fit(
    ring: Option<KeyRing>,
    store: &Store,
    settings: &Settings,
    ambient: &Ambient,
) -> Result<KeyRing> {
    let path = settings.keys_path();
    let ring = match ring {
        Some(ring) => ring,
        None => make(&path, store, ambient).await?,
    };
    let sealed = ring.seal_check(ambient.random());
    let kept = store.keep_key_check(sealed).await?;
    if ring.knows_check(&kept) {
        Ok(ring)
    } else {
        Err(Problem::Other(path)).context(KEY)
    }
}

/// A file comes before the check that it seals: where there is a check and then no file, the
/// file was lost.
async fn make(path: &Path, store: &Store, ambient: &Ambient) -> Result<KeyRing> {
    if store.key_check().await?.is_none() {
        return keys::load_or_make(path, ambient.random()).context(KEY);
    }
    if path.exists() {
        return load(path);
    }
    Err(Problem::Lost(path.into())).context(KEY)
}

fn load(path: &Path) -> Result<KeyRing> {
    if let Some(mode) = keys::exposed(path) {
        let (file, mode) = (path.display(), format!("{mode:04o}"));
        tracing::warn!(%file, mode, "keys_file: others than its owner may read or change it");
    }
    keys::load(path).context(KEY)
}

/// The setting to look at.
const KEY: &str = "keys_file";
