//! The key ring: seals contacts and tokens, hashes viewers and requests.
//!
//! Every key has an id that what it sealed carries, so a new key can be added everywhere,
//! then made active, while what older keys sealed still opens. From one secret a key for
//! each use is derived (HKDF-SHA256), and all sealing is AES-256-SIV (RFC 5297): a repeated
//! nonce costs it nothing but equality.

mod file;
mod ring;
mod sealer;

use std::path::Path;

pub use file::{KeyFile, Problem};
pub use ring::{KeyRing, Unsealable};
pub use sealer::Token;

/// Makes the file with a first, active key, or adds one that waits to be activated; the
/// new key's id.
pub fn add(path: &Path, random: [u8; 64]) -> Result<u8, Problem> {
    let first = KeyFile::new(random);
    if first.create(path)? {
        return Ok(first.active);
    }
    let mut file = KeyFile::read(path)?;
    let mut secret = [0; 32];
    secret.copy_from_slice(&random[..32]);
    let id = file.add(secret).ok_or(Problem::Full(path.into()))?;
    file.write(path)?;
    Ok(id)
}

/// The ring of a file.
pub fn load(path: &Path) -> Result<KeyRing, Problem> {
    KeyRing::new(&KeyFile::read(path)?).ok_or_else(|| Problem::Form(path.into()))
}

/// The ring of a file, which is made where there is none. Only for a store that nothing was
/// sealed in.
pub fn load_or_make(path: &Path, random: [u8; 64]) -> Result<KeyRing, Problem> {
    if !path.exists() {
        KeyFile::new(random).create(path)?;
    }
    load(path)
}

/// The file's mode where others than its owner may read or change it.
#[cfg(unix)]
pub fn exposed(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Elsewhere there are no such modes.
#[cfg(not(unix))]
pub fn exposed(_: &Path) -> Option<u32> {
    None
}

/// Makes a key the one that seals.
pub fn activate(path: &Path, id: u8) -> Result<(), Problem> {
    let mut file = KeyFile::read(path)?;
    if !file.activate(id) {
        return Err(Problem::Unknown(path.into(), id));
    }
    file.write(path)
}
