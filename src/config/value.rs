//! Values as settings write them: whole numbers within bounds, words of a list, secrets.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, IntoDeserializer, SeqAccess, Visitor, value},
};

/// A whole number from `MIN` to `MAX`. The `config` crate by itself would read `1.5` as 2 and
/// `yes` as 1.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    pub(super) const fn get(self) -> u64 {
        self.0
    }

    /// The number as a count of things in memory.
    pub(super) fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Option<u64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
                Ok(Some(n))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
                Ok(u64::try_from(n).ok())
            }
            // The environment knows only text.
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(text.parse().ok())
            }
        }

        deserializer
            .deserialize_any(Number)?
            .filter(|n| (MIN..=MAX).contains(n))
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("must be a whole number, {MIN} to {MAX}")))
    }
}

/// A word of an enum. The `config` crate's own error would not list the others.
pub(super) fn word<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let word = String::deserialize(deserializer)?;
    T::deserialize(word.into_deserializer()).map_err(|e: value::Error| D::Error::custom(e))
}

/// A list of words; in the environment, which knows only text, with commas between them.
pub(super) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Words;

    impl<'de> Visitor<'de> for Words {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of words")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut words = Vec::new();
            while let Some(word) = list.next_element()? {
                words.push(word);
            }
            Ok(words)
        }
        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            let words = text
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty());
            Ok(words.map(ToOwned::to_owned).collect())
        }
    }

    deserializer.deserialize_any(Words)
}

/// Prints no more of a secret than whether there is one.
pub(super) fn redacted<S: Serializer>(
    secret: &SecretString,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let set = !secret.expose_secret().is_empty();
    serializer.serialize_str(if set { "[redacted]" } else { "" })
}
