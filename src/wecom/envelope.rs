//! The envelope of WeCom's callbacks: who has the callback's token signs, who has its
//! EncodingAESKey reads. Everything that is wrong with one is one error, so that nobody learns
//! by asking what a forged one was missing.

use aes::{
    Aes256,
    cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::NoPadding},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::xml::{self, Malformed};

/// The last of a key's 43 characters carries bits that are no part of it, in real keys as well.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Characters of an EncodingAESKey.
const KEY_TEXT: usize = 43;
const KEY: usize = 32;
const IV: usize = 16;
/// Random bytes before the message, and its length in bytes behind them.
const RANDOM: usize = 16;
const LENGTH: usize = 4;
/// Digits of a signature.
const SIGNATURE: usize = 40;
/// What padding fills up to, in bytes; AES itself would do with 16.
const PADDED: usize = 32;

/// The token and the key that a callback was set up with.
pub struct Envelope {
    token: SecretString,
    key: Zeroizing<[u8; KEY]>,
}

/// What stands in a callback's address.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// 40 hexadecimal digits.
    pub signature: &'a str,
    /// Seconds since the epoch.
    pub timestamp: &'a str,
    pub nonce: &'a str,
}

/// Not signed with this token, not encrypted with this key, damaged, or for another receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an envelope for this receiver")]
pub struct Unreadable;

#[derive(Deserialize)]
struct Posted {
    #[serde(rename = "Encrypt")]
    encrypt: String,
}

impl Envelope {
    /// `None` where `encoding_aes_key` is not 43 characters of base64.
    pub fn new(token: SecretString, encoding_aes_key: &SecretString) -> Option<Self> {
        let text = encoding_aes_key.expose_secret();
        let bytes = Zeroizing::new(LENIENT.decode(text).ok()?);
        let key = bytes.as_slice().try_into().ok()?;
        (text.len() == KEY_TEXT).then(|| Self {
            token,
            key: Zeroizing::new(key),
        })
    }

    /// What was sealed: the message, if this token signed it and it is for `receive_id`.
    pub fn open(
        &self,
        signed: &Signed<'_>,
        encrypt: &str,
        receive_id: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let due = self.sign(signed.timestamp, signed.nonce, encrypt);
        if !bool::from(due.as_bytes().ct_eq(signed.signature.as_bytes())) {
            return Err(Unreadable);
        }
        let plain = self.decrypt(encrypt).ok_or(Unreadable)?;
        let (message, receiver) = unpack(&plain).ok_or(Unreadable)?;
        if !same_receiver(receiver, receive_id.as_bytes()) {
            return Err(Unreadable);
        }
        Ok(Zeroizing::new(message.to_vec()))
    }

    /// Encrypts a message for a receiver, as base64.
    pub fn seal(&self, message: &[u8], receive_id: &str, random: [u8; RANDOM]) -> String {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut plain = Zeroizing::new(random.to_vec());
        plain.extend(length.to_be_bytes());
        plain.extend(message);
        plain.extend(receive_id.as_bytes());
        let pad = PADDED - plain.len() % PADDED;
        let padded = plain.len() + pad;
        plain.resize(padded, u8::try_from(pad).unwrap_or_default());
        let cipher = cbc::Encryptor::<Aes256>::new((&*self.key).into(), &self.iv().into());
        STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(&plain))
    }

    /// The signature over a ciphertext: 40 hexadecimal digits.
    pub fn sign(&self, timestamp: &str, nonce: &str, encrypt: &str) -> String {
        let mut parts = [self.token.expose_secret(), timestamp, nonce, encrypt];
        parts.sort_unstable();
        let mut hash = Sha1::new();
        for part in parts {
            hash.update(part);
        }
        let digest = hash.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn decrypt(&self, encrypt: &str) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = LENIENT.decode(encrypt).ok()?;
        let cipher = cbc::Decryptor::<Aes256>::new((&*self.key).into(), &self.iv().into());
        let plain = cipher.decrypt_padded_vec::<NoPadding>(&sealed).ok()?;
        Some(Zeroizing::new(plain))
    }

    /// WeCom's choice: the beginning of the key.
    fn iv(&self) -> [u8; IV] {
        let mut iv = [0; IV];
        iv.copy_from_slice(&self.key[..IV]);
        iv
    }
}

/// Whether this has the form of a signature: 40 hexadecimal digits.
pub fn may_sign(signature: &str) -> bool {
    signature.len() == SIGNATURE && signature.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The ciphertext in a posted body.
pub fn posted(body: &[u8]) -> Result<String, Malformed> {
    let posted: Posted = xml::read(body)?;
    Ok(posted.encrypt.trim().to_owned())
}

/// A body to post, as WeCom writes it; `corp_id` and `encrypt` need no escaping.
pub fn to_post(corp_id: &str, encrypt: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[{corp_id}]]></ToUserName><AgentID></AgentID>\
         <Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"
    )
}

/// The message and the receiver.
fn unpack(padded: &[u8]) -> Option<(&[u8], &[u8])> {
    let plain = unpad(padded)?;
    let (_random, rest) = plain.split_at_checked(RANDOM)?;
    let (length, rest) = rest.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

/// PKCS#7 to 32 bytes, all of it looked at.
fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let pad = usize::from(*padded.last()?);
    let whole = padded.len().is_multiple_of(PADDED) && (1..=PADDED).contains(&pad);
    let (plain, padding) = padded.split_at_checked(padded.len().checked_sub(pad)?)?;
    let even = padding
        .iter()
        .fold(0, |odd, b| odd | (usize::from(*b) ^ pad))
        == 0;
    (whole && even).then_some(plain)
}

/// A company's plain id has no case; ids of other forms do.
fn same_receiver(sealed: &[u8], ours: &[u8]) -> bool {
    sealed == ours || is_plain_id(ours) && sealed.eq_ignore_ascii_case(ours)
}

/// `ww` or `wx` and 16 hexadecimal digits.
fn is_plain_id(id: &[u8]) -> bool {
    let Some((prefix, digits)) = id.split_at_checked(2) else {
        return false;
    };
    (prefix.eq_ignore_ascii_case(b"ww") || prefix.eq_ignore_ascii_case(b"wx"))
        && digits.len() == 16
        && digits.iter().all(u8::is_ascii_hexdigit)
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Envelope")
    }
}

#[cfg(test)]
mod tests;
