//! The product's files that read what anybody may send, by themselves: a fuzzer rebuilds and
//! instruments everything that it links, and the whole product takes many minutes.
#![allow(dead_code, unexpected_cfgs)]

pub mod domain;
#[path = "../../../src/wecom/envelope.rs"]
pub mod envelope;
#[path = "../../../src/wecom/events.rs"]
pub mod events;
#[path = "../../../src/screening/mod.rs"]
pub mod screening;
#[path = "../../../src/wecom/xml.rs"]
pub mod xml;

use envelope::{Envelope, Signed, Unreadable};

pub const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
pub const CORP_ID: &str = "wx5823bf96d3bd56c7";

/// The envelope of WeCom's own example.
pub fn example() -> Envelope {
    Envelope::new("QDG6eK".into(), &KEY.into()).expect("a key of WeCom's")
}

/// Opens a ciphertext that is rightly signed.
pub fn open(envelope: &Envelope, encrypt: &str) -> Result<Vec<u8>, Unreadable> {
    let signature = envelope.sign("1", "2", encrypt);
    let signed = Signed {
        signature: &signature,
        timestamp: "1",
        nonce: "2",
    };
    Ok(envelope.open(&signed, encrypt, CORP_ID)?.to_vec())
}
