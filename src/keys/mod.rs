//! The key ring: seals contacts and tokens, hashes viewers and requests.
//!
//! Every key has an id that what it sealed carries, so a new key can be added everywhere,
//! then made active, while what older keys sealed still opens. From one secret a key for
//! each use is derived (HKDF-SHA256), and all sealing is AES-256-SIV (RFC 5297): a repeated
//! nonce costs it nothing but equality.

mod file;
mod ring;

use std::path::Path;

pub use file::{KeyFile, Problem};
pub use ring::{KeyRing, Unsealable};

/// Makes the file with a first, active key, or adds one that waits to be activated; the
/// new key's id.
pub fn add(path: &Path, random: [u8; 64]) -> Result<u8, Problem> {
    if !path.exists() {
        let file = KeyFile::new(random);
        file.write(path)?;
        return Ok(file.active);
    }
    let mut file = KeyFile::read(path)?;
    let mut secret = [0; 32];
    secret.copy_from_slice(&random[..32]);
    let id = file.add(secret).ok_or(Problem::Full(path.into()))?;
    file.write(path)?;
    Ok(id)
}

/// Makes a key the one that seals.
pub fn activate(path: &Path, id: u8) -> Result<(), Problem> {
    let mut file = KeyFile::read(path)?;
    if !file.activate(id) {
        return Err(Problem::Unknown(path.into(), id));
    }
    file.write(path)
}
