//! What the keys do.

use std::{collections::BTreeMap, fmt};

use aes_siv::{KeyInit, siv::Aes256Siv};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use uuid::{Builder, Uuid};
use zeroize::Zeroizing;

use super::{
    KeyFile,
    sealer::{Sealer, Token},
};
use crate::domain::{Reason, Refusal, TapToken, contact_event::ContactKey, token};

type SivKey = Zeroizing<[u8; 64]>;

/// The keys, each derived for its use.
pub struct KeyRing {
    active: u8,
    sealer: Sealer,
    /// With its key.
    index: Hmac<Sha256>,
    keys: BTreeMap<u8, Derived>,
}

struct Derived {
    tokens: SivKey,
    rest: SivKey,
    pages: SivKey,
}

/// Bytes that no key of the ring sealed for this place.
#[derive(Debug, thiserror::Error)]
#[error("does not open: sealed with a key that is not in the ring, for another place, or damaged")]
pub struct Unsealable;

const NONCE: usize = 16;
const TAG: usize = 16;

/// Where a store's check value stands.
const CHECK: &str = "store/check";

impl KeyRing {
    /// The ring of a checked file.
    pub fn new(file: &KeyFile) -> Option<Self> {
        let keys: Option<BTreeMap<_, _>> = file
            .secrets()
            .map(|(id, secret)| Some((id, Derived::new(secret?.expose_secret()))))
            .collect();
        let keys = keys?;
        Some(Self {
            active: file.active,
            sealer: Sealer::new(file.active, &keys.get(&file.active)?.tokens),
            index: keyed(file.index()?.expose_secret()),
            keys,
        })
    }

    /// A token of 64 characters.
    pub fn seal_token(&self, token: &TapToken) -> String {
        let sealed = self.seal_tokens([*token].into_iter());
        String::from_utf8_lossy(&sealed.concat()).into_owned()
    }

    /// Seals many tokens.
    pub fn seal_tokens(&self, tokens: impl Iterator<Item = TapToken>) -> Vec<Token> {
        self.sealer.seal(tokens)
    }

    /// Reads a token: `TOKEN_MALFORMED`, `TOKEN_FORGED`, or what it says.
    pub fn open_token(&self, text: &str) -> Result<TapToken, Refusal> {
        let bytes = Some(text)
            .filter(|t| t.len() == token::TEXT_LEN)
            .and_then(|t| URL_SAFE_NO_PAD.decode(t).ok())
            .ok_or_else(|| {
                Refusal::new(Reason::TokenMalformed, "a tap token is 64 of [0-9A-Za-z_-]")
            })?;
        self.decode_token(&bytes).ok_or_else(|| {
            Refusal::new(Reason::TokenForged, "this service did not make that token")
        })
    }

    fn decode_token(&self, bytes: &[u8]) -> Option<TapToken> {
        let (id, sealed) = bytes.split_first()?;
        let key = &self.keys.get(id)?.tokens;
        let plain = decrypt(key, &[&[*id]], sealed).ok()?;
        TapToken::decode(plain.as_slice().try_into().ok()?)
    }

    /// Seals for the store. `place` says where it stands; it opens nowhere else.
    pub fn seal(&self, place: &str, plain: &[u8], nonce: [u8; NONCE]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + NONCE + TAG + plain.len());
        bytes.push(self.active);
        bytes.extend(nonce);
        let head = [&[self.active][..], place.as_bytes(), &nonce];
        bytes.extend(encrypt(&self.active().rest, &head, plain));
        bytes
    }

    /// Opens what [`Self::seal`] sealed for this place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (id, rest) = sealed.split_first().ok_or(Unsealable)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(Unsealable)?;
        let key = &self.keys.get(id).ok_or(Unsealable)?.rest;
        decrypt(key, &[&[*id], place.as_bytes(), nonce], sealed)
    }

    /// As [`Self::seal`], as text.
    pub fn seal_text(&self, place: &str, plain: &str, nonce: [u8; NONCE]) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(place, plain.as_bytes(), nonce))
    }

    /// Opens what [`Self::seal_text`] sealed for this place.
    pub fn open_text(&self, place: &str, sealed: &str) -> Result<SecretString, Unsealable> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Unsealable)?;
        let plain = self.open(place, &sealed)?;
        Ok(std::str::from_utf8(&plain).map_err(|_| Unsealable)?.into())
    }

    /// A page token for the listing that `listing` describes.
    pub fn seal_cursor(&self, listing: &str, cursor: &str) -> String {
        let mut bytes = vec![self.active];
        let head = [&[self.active][..], listing.as_bytes()];
        bytes.extend(encrypt(&self.active().pages, &head, cursor.as_bytes()));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where a page token of this listing stopped.
    pub fn open_cursor(&self, listing: &str, token: &str) -> Result<String, Refusal> {
        self.decode_cursor(listing, token).ok_or_else(|| {
            Refusal::new(
                Reason::PageTokenInvalid,
                "this page_token is not of this listing; start again without one",
            )
        })
    }

    fn decode_cursor(&self, listing: &str, token: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, sealed) = bytes.split_first()?;
        let key = &self.keys.get(id)?.pages;
        let plain = decrypt(key, &[&[*id], listing.as_bytes()], sealed).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }

    /// The viewer as tokens carry it: the same for a viewer whatever key seals.
    pub fn viewer_hash(&self, viewer_id: &str) -> u64 {
        head(self.index_of("viewer", viewer_id.as_bytes()))
    }

    /// A viewer as one merchant is told: another is told otherwise, so that the two cannot find
    /// out whom they have in common.
    pub fn viewer_of(&self, merchant: &str, viewer: u64) -> u64 {
        let value = [&viewer.to_be_bytes()[..], merchant.as_bytes()].concat();
        head(self.index_of("merchant-viewer", &value))
    }

    /// A contact at WeCom as one merchant is told, likewise.
    pub fn contact_of(&self, merchant: &str, contact: &ContactKey) -> ContactKey {
        let value = [&contact[..], merchant.as_bytes()].concat();
        let hash = self.index_of("merchant-contact", &value);
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        key
    }

    /// What a tap of a served token is called, a UUIDv8: the add that brings the token back
    /// knows it without a stored row.
    pub fn tap_id(&self, token: &str) -> Uuid {
        let hash = self.index_of("tap", token.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// A blind index: equal for equal values of one use, and says nothing without the key.
    pub fn index_of(&self, usage: &str, value: &[u8]) -> [u8; 32] {
        let mut mac = self.index.clone();
        mac.update(usage.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        mac.finalize().into_bytes().into()
    }

    /// For the store to keep: only a ring with this one's active key and index key knows it.
    pub fn seal_check(&self, nonce: [u8; NONCE]) -> Vec<u8> {
        self.seal(CHECK, &self.index_of(CHECK, &[]), nonce)
    }

    /// Whether a ring with this one's keys sealed that check.
    pub fn knows_check(&self, sealed: &[u8]) -> bool {
        let known = self.index_of(CHECK, &[]);
        self.open(CHECK, sealed)
            .is_ok_and(|plain| plain.as_slice() == known)
    }

    fn active(&self) -> &Derived {
        &self.keys[&self.active]
    }
}

fn head(hash: [u8; 32]) -> u64 {
    let (head, _) = hash.split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*head)
}

impl Derived {
    fn new(secret: &[u8]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, secret);
        let derive = |usage: &str| {
            let mut key = Zeroizing::new([0; 64]);
            #[expect(
                clippy::expect_used,
                reason = "64 bytes are within what HKDF-SHA256 gives"
            )]
            hkdf.expand(usage.as_bytes(), &mut *key).expect("length");
            key
        };
        Self {
            tokens: derive("mingpian/tokens/1"),
            rest: derive("mingpian/rest/1"),
            pages: derive("mingpian/pages/1"),
        }
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length")
}

#[expect(clippy::expect_used, reason = "AES-SIV fails only beyond 126 headers")]
fn encrypt(key: &SivKey, head: &[&[u8]], plain: &[u8]) -> Vec<u8> {
    Aes256Siv::new((&**key).into())
        .encrypt(head, plain)
        .expect("few headers")
}

fn decrypt(key: &SivKey, head: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
    Aes256Siv::new((&**key).into())
        .decrypt(head, sealed)
        .map(Zeroizing::new)
        .map_err(|_| Unsealable)
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("active", &self.active)
            .field("ids", &self.keys.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
