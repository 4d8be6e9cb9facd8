//! The key ring: seals contacts and tokens, hashes viewers and requests.
//!
//! Every key has an id that what it sealed carries, so a new key can be added everywhere,
//! then made active, while what older keys sealed still opens. From one secret a key for
//! each use is derived (HKDF-SHA256), and all sealing is AES-256-SIV (RFC 5297): a repeated
//! nonce costs it nothing but equality.

mod file;
mod ring;

pub use file::{KeyFile, Problem};
pub use ring::{KeyRing, Unsealable};
