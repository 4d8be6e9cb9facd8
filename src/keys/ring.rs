//! What the keys do.

use std::{collections::BTreeMap, fmt};

use aes_siv::{KeyInit, siv::Aes256Siv};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;
use uuid::{Builder, Uuid};
use zeroize::Zeroizing;

use super::KeyFile;
use crate::domain::{Reason, Refusal, TapToken, token};

type SivKey = Zeroizing<[u8; 64]>;

/// The keys, each derived for its use.
pub struct KeyRing {
    active: u8,
    index: SecretSlice<u8>,
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
        let keys: Option<_> = file
            .secrets()
            .map(|(id, secret)| Some((id, Derived::new(secret?.expose_secret()))))
            .collect();
        Some(Self {
            active: file.active,
            index: file.index()?,
            keys: keys?,
        })
    }

    /// A token's 64 characters.
    pub fn seal_token(&self, token: &TapToken) -> String {
        let mut bytes = Vec::with_capacity(1 + TAG + token::LEN);
        bytes.push(self.active);
        bytes.extend(encrypt(
            &self.active().tokens,
            &[&[self.active]],
            &token.encode(),
        ));
        URL_SAFE_NO_PAD.encode(bytes)
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
        let hash = self.index_of("viewer", viewer_id.as_bytes());
        u64::from_be_bytes([
            hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7],
        ])
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
        let mut mac = keyed(self.index.expose_secret());
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{ContactKind, Origin};

    fn file() -> KeyFile {
        KeyFile::new([7; 64])
    }

    fn ring() -> KeyRing {
        KeyRing::new(&file()).unwrap()
    }

    fn token() -> TapToken {
        TapToken {
            placement_no: 42,
            kind: ContactKind::Wecom,
            issued: 1_800_000_000,
            origin: Origin::Served { viewer: 7, arm: 0 },
            nonce: [9; 8],
        }
    }

    #[test]
    fn a_token_is_64_safe_characters_and_opens() {
        let text = ring().seal_token(&token());
        assert_eq!(text.len(), 64);
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        );
        assert_eq!(ring().open_token(&text).unwrap(), token());
    }

    #[test]
    fn every_flipped_bit_is_a_forgery() {
        let bytes = URL_SAFE_NO_PAD.decode(ring().seal_token(&token())).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refusal = ring()
                .open_token(&URL_SAFE_NO_PAD.encode(bytes))
                .unwrap_err();
            assert_eq!(refusal.reason, Reason::TokenForged, "bit {bit}");
        }
    }

    /// `TEST_MUTATIONS=1000000 tests/run mutated` is the long run.
    #[test]
    fn no_mutated_token_opens() {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let wanted = std::env::var("TEST_MUTATIONS").map_or(20_000, |n| n.parse().unwrap());
        let mut file = file();
        file.add([8; 32]).unwrap();
        let ring = KeyRing::new(&file).unwrap();
        let made = |n: u8| TapToken {
            nonce: [n; 8],
            ..token()
        };
        let made: Vec<_> = (0..16).map(|n| ring.seal_token(&made(n))).collect();
        let mut draw = 1_u64;
        let mut below = |n: usize| {
            // Knuth's; the same mutations each time.
            draw = draw
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (draw >> 33) as usize % n
        };
        let (mut tried, mut opened) = (0, 0);
        while tried < wanted {
            let mut text = made[below(16)].clone().into_bytes();
            let (at, to) = (below(64), below(64));
            match below(8) {
                0..3 => {
                    for _ in 0..=below(3) {
                        text[below(64)] = ALPHABET[below(64)];
                    }
                }
                3 => text.swap(at, to),
                4 => text[at..].copy_from_slice(&made[below(16)].as_bytes()[at..]),
                5 => text[at..].rotate_left(1),
                6 => text[at] = b"+/= %.\n\0"[below(8)],
                _ => {
                    text.truncate(at);
                    text.extend(vec![ALPHABET[to]; below(80)]);
                }
            }
            let text = String::from_utf8(text).unwrap();
            if !made.contains(&text) {
                tried += 1;
                opened += usize::from(ring.open_token(&text).is_ok());
            }
        }
        assert_eq!(opened, 0, "of {tried}");
    }

    #[test]
    fn what_an_older_key_sealed_still_opens() {
        let mut file = file();
        let old = KeyRing::new(&file).unwrap();
        let (text, sealed) = (
            old.seal_token(&token()),
            old.seal("here", b"secret", [1; 16]),
        );

        let id = file.add([8; 32]).unwrap();
        assert!(file.activate(id));
        let new = KeyRing::new(&file).unwrap();
        assert_eq!(new.open_token(&text).unwrap(), token());
        assert_eq!(&**new.open("here", &sealed).unwrap(), b"secret");
        assert_eq!(new.viewer_hash("v"), old.viewer_hash("v"));
        assert_eq!(new.tap_id(&text), old.tap_id(&text));
        assert_ne!(new.seal_token(&token()), text);
        assert_eq!(
            old.open_token(&new.seal_token(&token()))
                .unwrap_err()
                .reason,
            Reason::TokenForged
        );
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_place() {
        let sealed = ring().seal("here", b"secret", [1; 16]);
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
        assert!(ring().open("there", &sealed).is_err());
        assert!(ring().open("here", &sealed[1..]).is_err());
        assert!(ring().open("here", &[]).is_err());

        let page = ring().seal_cursor("cards of a", "card-1");
        assert_eq!(ring().open_cursor("cards of a", &page).unwrap(), "card-1");
        assert!(ring().open_cursor("cards of b", &page).is_err());
    }

    #[test]
    fn a_token_is_one_tap_and_its_id_says_nothing_without_the_key() {
        let text = ring().seal_token(&token());
        let other = TapToken {
            nonce: [8; 8],
            ..token()
        };
        let id = ring().tap_id(&text);
        assert_eq!(id, ring().tap_id(&text));
        assert_eq!(id.get_version_num(), 8);
        assert_ne!(id, ring().tap_id(&ring().seal_token(&other)));
        assert_ne!(
            id,
            KeyRing::new(&KeyFile::new([8; 64])).unwrap().tap_id(&text)
        );
    }

    #[test]
    fn a_check_is_known_to_its_keys_alone_and_outlives_rotation() {
        let mut rotated = file();
        let sealed = KeyRing::new(&rotated).unwrap().seal_check([1; 16]);
        assert!(ring().knows_check(&sealed));
        let id = rotated.add([8; 32]).unwrap();
        assert!(rotated.activate(id));
        assert!(KeyRing::new(&rotated).unwrap().knows_check(&sealed));

        let (mut other_key, mut other_index) = ([7; 64], [7; 64]);
        (other_key[63], other_index[0]) = (8, 8);
        for random in [other_key, other_index] {
            let other = KeyRing::new(&KeyFile::new(random)).unwrap();
            assert!(!other.knows_check(&sealed));
        }
    }

    #[test]
    fn a_key_file_reads_back_and_shows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        let mut written = file();
        written.add([8; 32]);
        written.write(&path).unwrap();
        let read = KeyFile::read(&path).unwrap();
        assert_eq!(read.text(), written.text());
        let index = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        assert!(written.text().contains(&index));
        assert!(!format!("{read:?}").contains(&index));

        std::fs::write(&path, "active = 1\nindex = \"c2VjcmV0\"\nkeys = []\n").unwrap();
        let problem = KeyFile::read(&path).unwrap_err().to_string();
        assert!(!problem.contains("c2VjcmV0"), "{problem}");
    }

    proptest! {
        #[test]
        fn random_bytes_are_never_a_token(text in ".{0,80}", bytes in any::<[u8; 48]>()) {
            prop_assert!(ring().open_token(&text).is_err());
            let forged = ring().open_token(&URL_SAFE_NO_PAD.encode(bytes)).unwrap_err();
            prop_assert_eq!(forged.reason, Reason::TokenForged);
            prop_assert!(ring().open_cursor("cards", &text).is_err());
        }
    }
}
