use proptest::{collection::vec, prelude::*};

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
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
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

fn any_token() -> impl Strategy<Value = TapToken> {
    let origin = prop_oneof![
        (any::<u64>(), any::<u8>()).prop_map(|(viewer, arm)| Origin::Served { viewer, arm }),
        (0..i64::MAX).prop_map(|no| Origin::Link { no }),
    ];
    let kind = (1u8..=3).prop_map(|kind| ContactKind::from_number(kind).unwrap());
    let rest = any::<(u32, [u8; 8])>();
    (0..1i64 << 48, kind, origin, rest).prop_map(|(placement_no, kind, origin, (issued, nonce))| {
        TapToken {
            placement_no,
            kind,
            issued,
            origin,
            nonce,
        }
    })
}

proptest! {
    /// Against the library, which opens them.
    #[test]
    fn tokens_are_sealed_as_rfc_5297_says(
        secret in any::<[u8; 64]>(),
        tokens in vec(any_token(), 0..9),
    ) {
        let ring = KeyRing::new(&KeyFile::new(secret)).unwrap();
        let sealed = ring.seal_tokens(tokens.iter().copied());
        prop_assert_eq!(sealed.len(), tokens.len());
        for (sealed, token) in sealed.iter().zip(tokens) {
            let bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap();
            let expected = encrypt(&ring.active().tokens, &[&[ring.active]], &token.encode());
            prop_assert_eq!(bytes[0], ring.active);
            prop_assert_eq!(&bytes[1..], &expected);
            let text = std::str::from_utf8(sealed).unwrap();
            prop_assert_eq!(ring.open_token(text).unwrap(), token);
        }
    }

    #[test]
    fn random_bytes_are_never_a_token(text in ".{0,80}", bytes in any::<[u8; 48]>()) {
        prop_assert!(ring().open_token(&text).is_err());
        let forged = ring().open_token(&URL_SAFE_NO_PAD.encode(bytes)).unwrap_err();
        prop_assert_eq!(forged.reason, Reason::TokenForged);
        prop_assert!(ring().open_cursor("cards", &text).is_err());
    }
}

#[test]
fn merchants_know_a_viewer_by_names_of_their_own() {
    let viewer = ring().viewer_hash("v-1");
    let of = |merchant| ring().viewer_of(merchant, viewer);
    assert_eq!(of("klook"), of("klook"));
    assert_ne!(of("klook"), of("kkday"));
    assert_ne!(of("klook"), viewer);
    assert_ne!(of("klook"), ring().viewer_of("klook", viewer + 1));
    let other = KeyRing::new(&KeyFile::new([8; 64])).unwrap();
    assert_ne!(of("klook"), other.viewer_of("klook", viewer));
}

#[test]
fn two_merchants_know_a_contact_by_different_keys() {
    let contact = [7; 16];
    let of = |merchant| ring().contact_of(merchant, &contact);
    assert_eq!(of("klook"), of("klook"));
    assert_ne!(of("klook"), of("other"));
    assert_ne!(of("klook"), contact);
    assert_ne!(of("klook"), ring().contact_of("klook", &[8; 16]));
}
