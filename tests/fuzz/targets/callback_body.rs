//! What anybody may post: it is read or refused, and never opens without a signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mingpian_fuzz::{
    CORP_ID,
    envelope::{Signed, posted, to_post},
    example, open,
};

fuzz_target!(|body: &[u8]| {
    let Ok(encrypt) = posted(body) else { return };
    assert_eq!(encrypt, encrypt.trim());
    let signed = Signed {
        signature: "",
        timestamp: "1",
        nonce: "2",
    };
    assert!(example().open(&signed, &encrypt, CORP_ID).is_err());
    let _ = open(&example(), &encrypt);
    if encrypt.bytes().all(|b| b.is_ascii_alphanumeric()) {
        assert_eq!(posted(to_post(CORP_ID, &encrypt).as_bytes()), Ok(encrypt));
    }
});
