//! The links a card may carry into WeCom. Each is parsed once, with the parser by which it
//! is later used, and must come out of it unchanged: what was checked is what is opened.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;

const HOST: &str = "work.weixin.qq.com";
/// At most this long, in bytes.
const MAX_LEN: usize = 512;
/// WeCom cuts a longer `customer_channel` without a word.
const MAX_CHANNEL: usize = 64;
const CHANNEL: &str = "customer_channel";

const OWN_CHANNEL: &str =
    "must not carry a customer_channel: the service adds its own with each tap";

/// An acquisition link (获客链接) as the merchant has it:
/// `https://work.weixin.qq.com/ca/<id>`, with `?comp_scene=…` where a component made it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AcquisitionUri(Url);

/// A customer service link (微信客服): `https://work.weixin.qq.com/kf/<id>` or `/kfid/<id>`.
/// Its parameters are signed by WeCom, so it is opened exactly as given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KfUri(Url);

/// A key of the query, with what its value must be.
type Key = (&'static str, fn(&str) -> bool);

/// What a link must look like.
struct Form {
    folders: &'static [&'static str],
    /// The query's keys, each at most once.
    keys: &'static [Key],
    max_len: usize,
    rule: &'static str,
}

const ACQUISITION: Form = Form {
    folders: &["ca"],
    keys: &[("comp_scene", is_scene)],
    max_len: MAX_LEN,
    rule: "must be an acquisition link, https://work.weixin.qq.com/ca/<id>, with no other \
           query than the comp_scene a component gave it",
};

/// As [`AcquisitionUri::with_channel`] makes it.
const CHANNELED: Form = Form {
    keys: &[("comp_scene", is_scene), (CHANNEL, is_channel)],
    max_len: MAX_LEN + "?=".len() + CHANNEL.len() + MAX_CHANNEL,
    ..ACQUISITION
};

const KF: Form = Form {
    folders: &["kf", "kfid"],
    keys: &[
        ("enc_scene", is_scene),
        ("encScene", is_scene),
        ("scene_param", is_scene_param),
    ],
    max_len: MAX_LEN,
    rule: "must be a customer service link, https://work.weixin.qq.com/kf/<id> or /kfid/<id>, \
           with no other query than enc_scene and scene_param",
};

impl AcquisitionUri {
    /// Errors: one sentence that says what the link must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        ACQUISITION.parse(text).map(Self).map_err(|rule| {
            if text.contains(CHANNEL) && CHANNELED.parse(text).is_ok() {
                OWN_CHANNEL
            } else {
                rule
            }
        })
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// As WeCom gave it out, without what a component adds.
    pub fn without_scene(&self) -> &str {
        let text = self.0.as_str();
        text.split_once('?').map_or(text, |(link, _)| link)
    }

    /// The link of one tap: `token`, at most 64 of `[0-9A-Za-z_-]`, comes back as `State`.
    pub fn with_channel(&self, token: &str) -> Url {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair(CHANNEL, token);
        url
    }
}

impl KfUri {
    /// Errors: one sentence that says what the link must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        KF.parse(text).map(Self)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether this is a link that a tap may be redirected to: an acquisition link, with or
/// without a channel, or a customer service link.
pub fn is_wecom_link(text: &str) -> bool {
    CHANNELED.parse(text).is_ok() || KF.parse(text).is_ok()
}

impl Form {
    fn parse(&self, text: &str) -> Result<Url, &'static str> {
        if text.len() > self.max_len {
            return Err("must be at most 512 bytes long");
        }
        // The parser repairs what it reads (case, tabs, backslashes, dots, default ports);
        // a link that needed repair is not one that WeCom gave out.
        Url::parse(text)
            .ok()
            .filter(|url| url.as_str() == text && self.fits(url))
            .ok_or(self.rule)
    }

    fn fits(&self, url: &Url) -> bool {
        url.scheme() == "https"
            && url.authority() == HOST
            && url.fragment().is_none()
            && url.path_segments().is_some_and(|path| self.has_path(path))
            && url.query().is_none_or(|query| self.has_query(query))
    }

    fn has_path<'a>(&self, mut path: impl Iterator<Item = &'a str>) -> bool {
        path.next().is_some_and(|f| self.folders.contains(&f))
            && path.next().is_some_and(is_id)
            && path.next().is_none()
    }

    /// Reads the raw query: a key spelled with escapes is no key of ours.
    fn has_query(&self, query: &str) -> bool {
        let mut seen = Vec::new();
        query.split('&').all(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let known = self.keys.iter().find(|(k, _)| *k == key);
            // `enc_scene` and the older `encScene` are one key in two spellings.
            let name = key.replace("encScene", "enc_scene");
            let fresh = !seen.contains(&name);
            seen.push(name);
            fresh && known.is_some_and(|(_, fits)| fits(value))
        })
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn is_channel(value: &str) -> bool {
    value.len() <= MAX_CHANNEL && is_id(value)
}

/// WeCom's sealed scene: base64 of one alphabet or the other, perhaps percent-encoded, once.
fn is_scene(value: &str) -> bool {
    decoded(value).is_some_and(|bytes| {
        bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.=+/".contains(b))
    })
}

/// The merchant's own words, percent-encoded once: at most 128 bytes of text.
fn is_scene_param(value: &str) -> bool {
    decoded(value).is_some_and(|bytes| {
        bytes.len() <= 128
            && String::from_utf8(bytes).is_ok_and(|text| !text.chars().any(char::is_control))
    })
}

/// The bytes of a value that is not empty and written in `[0-9A-Za-z_%.=+-]`, `%` only with
/// two hexadecimal digits behind it.
fn decoded(value: &str) -> Option<Vec<u8>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_%.=+-".contains(&b);
    let escapes_are_whole = value
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit()));
    (!value.is_empty() && value.bytes().all(plain) && escapes_are_whole)
        .then(|| percent_decode_str(value).collect())
}

impl TryFrom<String> for AcquisitionUri {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<AcquisitionUri> for String {
    fn from(uri: AcquisitionUri) -> Self {
        uri.0.into()
    }
}

impl TryFrom<String> for KfUri {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<KfUri> for String {
    fn from(uri: KfUri) -> Self {
        uri.0.into()
    }
}

#[cfg(test)]
mod tests;
