//! Personal WeChat IDs.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// `^[A-Za-z][A-Za-z0-9_-]{5,19}$`; `Debug` does not show it.
#[derive(Clone)]
pub struct WechatId(SecretString);

impl WechatId {
    pub fn parse(input: &str) -> Result<Self, &'static str> {
        let bytes = input.as_bytes();
        let fits = (6..=20).contains(&bytes.len())
            && bytes[0].is_ascii_alphabetic()
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if fits {
            Ok(Self(input.into()))
        } else {
            Err("must be a WeChat ID: 6 to 20 of [A-Za-z0-9_-], beginning with a letter")
        }
    }

    /// An ID that was parsed before.
    pub fn trusted(id: SecretString) -> Self {
        Self(id)
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// `kl***88`
    pub fn mask(&self) -> String {
        let id = self.expose();
        format!("{}***{}", &id[..2], &id[id.len() - 2..])
    }
}

impl fmt::Debug for WechatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WechatId(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_wechats_own() {
        assert_eq!(WechatId::parse("klook_hk88").unwrap().mask(), "kl***88");
        for bad in [
            "",
            "abcde",
            "1abcdef",
            "_abcdef",
            "abc def",
            "名片名片名片",
            &"a".repeat(21),
        ] {
            assert!(WechatId::parse(bad).is_err(), "{bad}");
        }
    }
}
