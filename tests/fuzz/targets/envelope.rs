//! Rightly signed envelopes with anything inside. The first byte chooses: 0, the rest is the
//! base64 text; 1, the ciphertext; 2, the blocks before encryption; else, a message to seal.
#![no_main]

use aes::{
    Aes256,
    cipher::{BlockModeEncrypt, KeyIvInit, block_padding::NoPadding},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use libfuzzer_sys::fuzz_target;
use mingpian_fuzz::{CORP_ID, KEY, example, open};

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let envelope = example();
    let text = match choice {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => STANDARD.encode(rest),
        2 => encrypted(rest),
        _ => {
            let sealed = envelope.seal(rest, CORP_ID, [*choice; 16]);
            assert_eq!(open(&envelope, &sealed).as_deref(), Ok(rest));
            return;
        }
    };
    if let Ok(message) = open(&envelope, &text) {
        let sealed = envelope.seal(&message, CORP_ID, [0; 16]);
        assert_eq!(open(&envelope, &sealed), Ok(message));
    }
});

/// Whole blocks, encrypted as they are.
fn encrypted(plain: &[u8]) -> String {
    // The last character's lower bits are no part of the key.
    let key = STANDARD
        .decode([&KEY[..42], "A="].concat())
        .expect("base64");
    let iv: [u8; 16] = key[..16].try_into().expect("16 of 32");
    let key: [u8; 32] = key.try_into().expect("32");
    let whole = &plain[..plain.len() / 16 * 16];
    let cipher = cbc::Encryptor::<Aes256>::new(&key.into(), &iv.into());
    STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(whole))
}
