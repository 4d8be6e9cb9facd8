//! A merchant's card and the contacts on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    AcquisitionLinkName, AcquisitionUri, CardName, Check, CorpName, KfUri, Merchant, Micros, Phone,
    Refusal, WechatId, text, time::after,
};

/// At most this long, in bytes.
const MAX_AVATAR_URI: usize = 2048;

/// The ways to reach a merchant, in the order of the menu. The numbers are those of the
/// proto, of the store and of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContactKind {
    Wecom = 1,
    Phone = 2,
    WechatId = 3,
}

impl ContactKind {
    pub const ALL: [Self; 3] = [Self::Wecom, Self::Phone, Self::WechatId];

    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| *k as u8 == n)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wecom => "WECOM",
            Self::Phone => "PHONE",
            Self::WechatId => "WECHAT_ID",
        }
    }
}

/// SUSPENDED is derived from sanctions, never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CardState {
    Active,
    Deleted,
}

/// A card as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub name: CardName,
    pub display_name: String,
    pub headline: String,
    pub avatar_uri: String,
    /// 1 to 3, one per kind, by kind.
    pub contacts: Vec<Contact>,
    pub state: CardState,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
    pub delete_time: Option<Micros>,
    pub purge_time: Option<Micros>,
}

/// One contact as it is kept: what is personal is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub label: String,
    pub detail: Detail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Detail {
    Wecom(Wecom),
    Phone(Sealed),
    WechatId(Sealed),
}

/// A WeCom contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wecom {
    /// Where the link was made; what comes of taps is credited only where it is named.
    pub corp: Option<CorpName>,
    pub target: WecomTarget,
    pub fallback: Option<KfUri>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WecomTarget {
    /// One that is managed here; its corp is the contact's.
    Link(AcquisitionLinkName),
    Acquisition(AcquisitionUri),
    Kf(KfUri),
}

/// A phone number or WeChat ID at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Safe to show.
    pub mask: String,
    /// The ciphertext, in base64url; see `keys`.
    pub sealed: String,
}

/// A card as a caller wants it.
#[derive(Clone, Debug)]
pub struct CardDraft {
    pub display_name: String,
    pub headline: String,
    pub avatar_uri: String,
    pub contacts: Vec<ContactDraft>,
}

#[derive(Clone, Debug)]
pub struct ContactDraft {
    pub label: String,
    pub detail: DetailDraft,
}

/// `None` keeps the secret of a contact that stays.
#[derive(Clone, Debug)]
pub enum DetailDraft {
    Wecom(Wecom),
    Phone(Option<Phone>),
    WechatId(Option<WechatId>),
}

impl Card {
    pub fn merchant(&self) -> &Merchant {
        self.name.merchant()
    }

    pub fn contact(&self, kind: ContactKind) -> Option<&Contact> {
        self.contacts.iter().find(|c| c.kind() == kind)
    }

    pub fn wecom(&self) -> Option<&Wecom> {
        self.contacts.iter().find_map(|c| match &c.detail {
            Detail::Wecom(wecom) => Some(wecom),
            _ => None,
        })
    }

    /// The next version, which others fill in.
    pub fn next(&self, now: Micros) -> Self {
        Self {
            version: self.version + 1,
            update_time: after(self.update_time, now),
            ..self.clone()
        }
    }

    /// The next version, deleted.
    pub fn deleted(&self, now: Micros, purge_after: Duration) -> Self {
        let next = self.next(now);
        Self {
            state: CardState::Deleted,
            delete_time: Some(next.update_time),
            purge_time: Some(next.update_time + purge_after),
            ..next
        }
    }

    /// The next version, active again.
    pub fn undeleted(&self, now: Micros) -> Self {
        Self {
            state: CardState::Active,
            delete_time: None,
            purge_time: None,
            ..self.next(now)
        }
    }

    /// Past its purge time it is gone, whether or not a sweep has removed it.
    pub fn purged(&self, now: Micros) -> bool {
        self.purge_time.is_some_and(|at| at <= now)
    }

    /// Changes with every version; a purged card's name may be taken again, so the number
    /// of the row is in it.
    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }
}

/// The etag of a row's version.
pub fn etag(no: i64, version: i64) -> String {
    format!("{no:x}-{version:x}")
}

impl Contact {
    pub fn kind(&self) -> ContactKind {
        match self.detail {
            Detail::Wecom(_) => ContactKind::Wecom,
            Detail::Phone(_) => ContactKind::Phone,
            Detail::WechatId(_) => ContactKind::WechatId,
        }
    }
}

impl ContactDraft {
    pub fn kind(&self) -> ContactKind {
        match self.detail {
            DetailDraft::Wecom(_) => ContactKind::Wecom,
            DetailDraft::Phone(_) => ContactKind::Phone,
            DetailDraft::WechatId(_) => ContactKind::WechatId,
        }
    }
}

/// A display name: 1 to 20 code points.
pub fn display_name(input: &str) -> Result<String, String> {
    text(input, 1..=20)
}

/// A headline: 0 to 30 code points.
pub fn headline(input: &str) -> Result<String, String> {
    text(input, 0..=30)
}

/// A contact's label: 0 to 8 code points.
pub fn label(input: &str) -> Result<String, String> {
    text(input, 0..=8)
}

/// An https address, or nothing.
pub fn avatar_uri(input: &str) -> Result<String, &'static str> {
    const RULE: &str = "must be an https address of at most 2048 bytes, without user or password";
    if input.is_empty() {
        return Ok(String::new());
    }
    // What the parser would drop or turn round without a word.
    let repaired = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    let host = input.split_once("://").map(|(_, host)| host);
    let hosted = host.is_some_and(|host| !host.starts_with('/'));
    if input.len() > MAX_AVATAR_URI || input.contains(repaired) || !hosted {
        return Err(RULE);
    }
    let url = Url::parse(input).map_err(|_| RULE)?;
    let plain = url.scheme() == "https"
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none();
    // Measured as it is kept: the parser percent-encodes.
    if plain && url.as_str().len() <= MAX_AVATAR_URI {
        Ok(url.into())
    } else {
        Err(RULE)
    }
}

/// 1 to 3 contacts, one per kind; `None` for one that does not say its kind.
pub fn one_per_kind(check: &mut Check, kinds: &[Option<ContactKind>]) {
    check.require(
        (1..=ContactKind::ALL.len()).contains(&kinds.len()),
        "card.contacts",
        "must be 1 to 3",
    );
    // A long list is one mistake, made already.
    for (i, kind) in kinds.iter().enumerate().take(10) {
        let Some(named) = kind else { continue };
        check.require(
            !kinds[..i].contains(kind),
            format!("card.contacts[{i}]"),
            format!("must be the only {} contact", named.as_str()),
        );
    }
}

/// The contacts ordered by kind, each with its secret, save those of the kinds that are
/// `kept`.
pub fn contacts(
    mut drafts: Vec<ContactDraft>,
    kept: impl Fn(ContactKind) -> bool,
) -> Result<Vec<ContactDraft>, Refusal> {
    let mut check = Check::default();
    for (i, draft) in drafts.iter().enumerate() {
        let kind = draft.kind();
        let (missing, field) = match &draft.detail {
            DetailDraft::Phone(None) => (true, "phone.number"),
            DetailDraft::WechatId(None) => (true, "wechat.wechat_id"),
            _ => (false, ""),
        };
        check.require(
            !missing || kept(kind),
            format!("card.contacts[{i}].{field}"),
            "must be set for a contact that the card does not have yet",
        );
    }
    check.done(Some(()))?;
    drafts.sort_by_key(ContactDraft::kind);
    Ok(drafts)
}
