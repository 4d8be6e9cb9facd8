//! A company at WeCom whose acquisition links cards may carry.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{CorpName, Merchant, Micros, card::etag, time::after};

/// Merchants that one corp may name.
pub const MAX_MERCHANTS: usize = 1000;

/// A corp as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corp {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub name: CorpName,
    pub display_name: String,
    /// Who may use it, by id.
    pub merchants: Vec<Merchant>,
    /// WeCom's own id of the company.
    pub corp_id: String,
    /// The app's secret and the callback's, sealed (`app/corps.rs`); no part of the history, and
    /// empty once it is deleted.
    #[serde(skip)]
    pub secrets: Vec<u8>,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
    pub delete_time: Option<Micros>,
}

impl Corp {
    /// Whether this merchant's cards may use it.
    pub fn serves(&self, merchant: &Merchant) -> bool {
        self.delete_time.is_none() && self.merchants.contains(merchant)
    }

    /// The next version, which others fill in.
    pub fn next(&self, now: Micros) -> Self {
        Self {
            version: self.version + 1,
            update_time: after(self.update_time, now),
            ..self.clone()
        }
    }

    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }
}

/// WeCom's id of a company; its letters and digits are WeCom's affair.
pub fn corp_id(input: &str) -> Result<String, &'static str> {
    word(input, 1..=64, url_safe).ok_or("must be 1 to 64 of [0-9A-Za-z_-]")
}

/// An app's secret.
pub fn app_secret(input: &str) -> Result<String, &'static str> {
    word(input, 1..=128, url_safe).ok_or("must be 1 to 128 of [0-9A-Za-z_-]")
}

/// A callback's token.
pub fn callback_token(input: &str) -> Result<String, &'static str> {
    let plain = |b: &u8| b.is_ascii_alphanumeric();
    word(input, 1..=32, plain).ok_or("must be 1 to 32 of [0-9A-Za-z]")
}

/// A callback's EncodingAESKey: 32 bytes in base64, without its padding.
pub fn encoding_aes_key(input: &str) -> Result<String, &'static str> {
    let plain = |b: &u8| b.is_ascii_alphanumeric();
    word(input, 43..=43, plain).ok_or("must be 43 of [0-9A-Za-z]")
}

fn word(input: &str, length: RangeInclusive<usize>, fits: impl Fn(&u8) -> bool) -> Option<String> {
    (length.contains(&input.len()) && input.as_bytes().iter().all(fits)).then(|| input.to_owned())
}

fn url_safe(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}
