use proptest::prelude::*;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    envelope: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    token: String,
    key: String,
    receive_id: String,
    timestamp: String,
    nonce: String,
    encrypt: String,
    signature: Option<String>,
    random: Option<String>,
    message: String,
}

impl Vector {
    fn envelope(&self) -> Envelope {
        Envelope::new(self.token.clone().into(), &self.key.clone().into()).unwrap()
    }

    fn signed<'a>(&'a self, signature: &'a str) -> Signed<'a> {
        Signed {
            signature,
            timestamp: &self.timestamp,
            nonce: &self.nonce,
        }
    }
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../tests/data/wecom/vectors.toml");
    toml::from_str::<Vectors>(text).unwrap().envelope
}

/// The token and the key of WeCom's own example.
fn envelope() -> Envelope {
    let key = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
    Envelope::new("QDG6eK".into(), &key.into()).unwrap()
}

fn opened(envelope: &Envelope, encrypt: &str, receive_id: &str) -> Result<Vec<u8>, Unreadable> {
    let signature = envelope.sign("1700000000", "n0nce", encrypt);
    let signed = Signed {
        signature: &signature,
        timestamp: "1700000000",
        nonce: "n0nce",
    };
    Ok(envelope.open(&signed, encrypt, receive_id)?.to_vec())
}

/// Encrypts blocks as they are.
fn encrypted(envelope: &Envelope, plain: &[u8]) -> String {
    let cipher = cbc::Encryptor::<Aes256>::new((&*envelope.key).into(), &envelope.iv().into());
    STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(plain))
}

const CORP: &str = "ww1234567890abcdef";

/// 32 bytes a block: random, length, message, receiver, padding.
fn plain(length: u32, padding: &[u8]) -> Vec<u8> {
    let mut plain = [0; RANDOM].to_vec();
    plain.extend(length.to_be_bytes());
    plain.extend(b"message");
    plain.extend(CORP.as_bytes());
    plain.extend(padding);
    plain
}

#[test]
fn published_envelopes_open_and_seal() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 8);
    for vector in &vectors {
        let (envelope, name) = (vector.envelope(), &vector.name);
        let signature = envelope.sign(&vector.timestamp, &vector.nonce, &vector.encrypt);
        if let Some(known) = &vector.signature {
            assert_eq!(&signature, known, "{name}");
        }
        let signed = vector.signed(&signature);
        let message = envelope.open(&signed, &vector.encrypt, &vector.receive_id);
        assert_eq!(*message.unwrap(), vector.message.as_bytes(), "{name}");
        if let Some(random) = &vector.random {
            let random = random.as_bytes().try_into().unwrap();
            let sealed = envelope.seal(vector.message.as_bytes(), &vector.receive_id, random);
            assert_eq!(sealed, vector.encrypt, "{name}");
        }
    }
}

#[test]
fn what_is_signed_otherwise_does_not_open() {
    for vector in vectors().iter().filter(|v| v.signature.is_some()) {
        let (envelope, right) = (vector.envelope(), vector.signature.clone().unwrap());
        let open = |signed: &Signed<'_>, encrypt: &str| {
            envelope.open(signed, encrypt, &vector.receive_id).is_ok()
        };
        assert!(open(&vector.signed(&right), &vector.encrypt));
        let mut other = right.clone();
        other.replace_range(39.., if right.ends_with('0') { "1" } else { "0" });
        for wrong in ["", &right[..39], &other, &format!("{right}0")] {
            assert!(!open(&vector.signed(wrong), &vector.encrypt), "{wrong}");
        }
        let later = format!("{}0", vector.timestamp);
        for signed in [
            Signed {
                timestamp: &later,
                ..vector.signed(&right)
            },
            Signed {
                nonce: "437374424",
                ..vector.signed(&right)
            },
        ] {
            assert!(!open(&signed, &vector.encrypt));
        }
        let swapped: String = vector.encrypt.chars().rev().collect();
        assert!(!open(&vector.signed(&right), &swapped));
    }
}

#[test]
fn a_key_is_43_characters_of_base64() {
    let good = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
    let padded = format!("{good}=");
    for bad in ["", &good[1..], padded.as_str(), &good.replace('j', "-")] {
        assert!(Envelope::new("t".into(), &bad.into()).is_none(), "{bad}");
    }
    assert_eq!(format!("{:?}", envelope()), "Envelope");
}

#[test]
fn an_envelope_is_for_its_receiver() {
    let envelope = envelope();
    for (sealed_for, ours, same) in [
        (CORP, CORP, true),
        (CORP, "WW1234567890ABCDEF", true),
        ("WX1234567890ABCDEF", "wx1234567890abcdef", true),
        (CORP, "ww1234567890abcdee", false),
        (CORP, "", false),
        ("", CORP, false),
        ("wpAbc", "wpAbc", true),
        ("wpAbc", "wpabc", false),
        ("ww1234567890abcdef0", CORP, false),
    ] {
        let sealed = envelope.seal(b"m", sealed_for, [1; 16]);
        assert_eq!(
            opened(&envelope, &sealed, ours).is_ok(),
            same,
            "{sealed_for} {ours}"
        );
    }
}

#[test]
fn padding_is_whole_and_even() {
    let envelope = envelope();
    // 16 + 4 + 7 + 18 bytes leave 19 of two times 32.
    let ok = encrypted(&envelope, &plain(7, &[19; 19]));
    assert_eq!(opened(&envelope, &ok, CORP).unwrap(), b"message");
    let mut one_odd = [19; 19];
    one_odd[0] = 18;
    let too_long = [&[51_u8; 18][..], &[33; 33]].concat();
    for bad in [&one_odd[..], &[0; 19], &[20; 19], &[3; 3], &too_long] {
        let sealed = encrypted(&envelope, &plain(7, bad));
        assert_eq!(opened(&envelope, &sealed, CORP), Err(Unreadable), "{bad:?}");
    }
}

#[test]
fn a_length_beyond_the_end_is_no_envelope() {
    let envelope = envelope();
    for (length, fits) in [
        (7, true),
        (0, false),
        (26, false),
        (44, false),
        (u32::MAX, false),
    ] {
        let sealed = encrypted(&envelope, &plain(length, &[19; 19]));
        assert_eq!(opened(&envelope, &sealed, CORP).is_ok(), fits, "{length}");
    }
    for short in [
        "",
        "AAAA",
        &encrypted(&envelope, &[32; 32]),
        &encrypted(&envelope, &[16; 16]),
    ] {
        assert!(opened(&envelope, short, "").is_err(), "{short}");
    }
}

#[test]
fn a_posted_body_names_its_ciphertext() {
    assert_eq!(
        posted(to_post(CORP, "abc+/=").as_bytes()).unwrap(),
        "abc+/="
    );
    let spaced =
        b"<xml>\n\t<Encrypt>\n<![CDATA[abc]]>\n</Encrypt><Later><Field/></Later>\n</xml>\n";
    assert_eq!(posted(spaced).unwrap(), "abc");
    for bad in [
        "",
        "abc",
        "<xml></xml>",
        "<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>",
    ] {
        assert!(posted(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens(
        message in prop::collection::vec(any::<u8>(), 0..200),
        random in any::<[u8; 16]>(),
        receive_id in "[0-9A-Za-z_-]{0,40}",
    ) {
        let envelope = envelope();
        let sealed = envelope.seal(&message, &receive_id, random);
        prop_assert_eq!(opened(&envelope, &sealed, &receive_id).unwrap(), message);
    }
}
