//! Acquisition links (获客链接) as they are managed here, how many adds are left, and what of
//! that a card's WeCom contact can be served by.

use serde::{Deserialize, Serialize};

use super::{
    AcquisitionLinkName, AcquisitionUri, KfUri, Micros, Wecom, WecomTarget, card::etag, text,
    time::after,
};

/// A managed link as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquisitionLink {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub corp_no: i64,
    pub name: AcquisitionLinkName,
    pub display_name: String,
    /// What tells this link from all others at WeCom, behind the display name: WeCom takes no
    /// key of ours with a new link.
    pub tag: String,
    pub range: Range,
    pub skip_verify: bool,
    /// What WeCom called it; none while it is being made.
    pub made: Option<Made>,
    pub state: LinkState,
    /// When WeCom said what `state` says; what it says of a time before no longer counts.
    pub state_time: Micros,
    /// Whether it is unavailable because WeCom knew it no more: found again, it works.
    #[serde(default)]
    pub gone: bool,
    /// What WeCom has not confirmed yet.
    pub pending: Option<Pending>,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
    pub delete_time: Option<Micros>,
}

/// Whom a link adds, by WeCom's ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub users: Vec<String>,
    pub departments: Vec<i64>,
}

/// A link as WeCom made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub link_id: String,
    pub uri: AcquisitionUri,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LinkState {
    Creating = 1,
    Active = 2,
    Unavailable = 3,
    Refused = 4,
}

impl LinkState {
    pub const ALL: [Self; 4] = [
        Self::Creating,
        Self::Active,
        Self::Unavailable,
        Self::Refused,
    ];

    /// The numbers are those of the proto and of the store.
    pub fn from_number(n: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == n)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Unavailable => "UNAVAILABLE",
            Self::Refused => "REFUSED",
        }
    }
}

/// A call to WeCom that is still to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Pending {
    Create = 1,
    Update = 2,
    Delete = 3,
}

impl Pending {
    /// The store's numbers.
    pub fn from_number(n: i16) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete]
            .into_iter()
            .find(|pending| *pending as i16 == n)
    }
}

/// The longest display name, in code points.
const MAX_NAME: usize = 20;
/// WeCom's limit for a link's name, in code points: a display name, a space and a tag fit.
const MAX_WECOM_NAME: usize = 30;
/// Characters of a tag.
pub const TAG: usize = 8;
/// 32 that are not mistaken for each other.
const TAG_LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Departments that one link may name.
pub const MAX_DEPARTMENTS: usize = 100;

/// What a range must be, for the caller.
pub const SOMEBODY: &str = "must name a user, or department_ids a department";

/// A tag out of random bytes.
pub fn tag(random: [u8; TAG]) -> String {
    let letter = |byte: u8| char::from(TAG_LETTERS[usize::from(byte) % TAG_LETTERS.len()]);
    random.map(letter).iter().collect()
}

/// The display name and the tag of a link's name at WeCom; no tag where it carries none.
pub fn untagged(wecom_name: &str) -> (String, Option<&str>) {
    let tagged = wecom_name
        .rsplit_once(' ')
        .filter(|(_, tag)| tag.len() == TAG && tag.bytes().all(|b| TAG_LETTERS.contains(&b)));
    let (name, tag) = match tagged {
        Some((name, tag)) => (name, Some(tag)),
        None => (wecom_name, None),
    };
    (name.chars().take(MAX_NAME).collect(), tag)
}

/// A link's display name.
pub fn display_name(input: &str) -> Result<String, String> {
    text(input, 1..=MAX_NAME)
}

/// WeCom's id of a member.
pub fn user_id(input: &str) -> Result<String, &'static str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.@-".contains(&b);
    if (1..=64).contains(&input.len()) && input.bytes().all(fits) {
        Ok(input.to_owned())
    } else {
        Err("must be 1 to 64 of [0-9A-Za-z_.@-]")
    }
}

impl Range {
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.departments.is_empty()
    }

    /// Whether it adds the same members, in whatever order.
    pub fn same(&self, other: &Self) -> bool {
        let sorted = |range: &Self| {
            let mut range = range.clone();
            range.users.sort_unstable();
            range.departments.sort_unstable();
            range
        };
        sorted(self) == sorted(other)
    }
}

impl AcquisitionLink {
    /// What it is called at WeCom.
    pub fn wecom_name(&self) -> String {
        let name = format!("{} {}", self.display_name, self.tag);
        debug_assert!(name.chars().count() <= MAX_WECOM_NAME);
        name
    }

    /// As WeCom says that it reads; what it does not say stays. A name that was changed there may
    /// have lost the tag: the link's id tells it from others then.
    pub fn said(
        &self,
        name: Option<&str>,
        range: Option<&Range>,
        skip_verify: Option<bool>,
    ) -> Self {
        let mut said = self.clone();
        if let Some(name) = name {
            said.display_name = untagged(name).0;
        }
        if let Some(range) = range.filter(|range| !range.same(&self.range)) {
            said.range = range.clone();
        }
        said.skip_verify = skip_verify.unwrap_or(said.skip_verify);
        said
    }

    /// The next version, of which WeCom says this by then.
    pub fn to(&self, state: LinkState, said: Micros, now: Micros) -> Self {
        Self {
            state,
            state_time: said,
            gone: false,
            ..self.next(now)
        }
    }

    /// The next version, which WeCom knew no more by then.
    pub fn lost(&self, said: Micros, now: Micros) -> Self {
        Self {
            gone: true,
            ..self.to(LinkState::Unavailable, said, now)
        }
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

/// How many adds a corp has left, as WeCom last said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    pub total: i64,
    pub balance: i64,
    pub batches: Vec<Batch>,
    /// When the figures were true; none where only a callback spoke.
    pub as_of: Option<Micros>,
    pub level: Level,
    /// When what `level` says was said.
    pub level_time: Micros,
}

/// Fewer adds than this are few.
const FEW: i64 = 20;

impl Level {
    pub const ALL: [Self; 3] = [Self::Sufficient, Self::Low, Self::Exhausted];

    /// The numbers are those of the proto and of the store.
    pub fn from_number(n: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|level| *level as i16 == n)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sufficient => "SUFFICIENT",
            Self::Low => "LOW",
            Self::Exhausted => "EXHAUSTED",
        }
    }

    /// What follows from so many adds.
    pub const fn of(balance: i64) -> Self {
        match balance {
            ..=0 => Self::Exhausted,
            1..FEW => Self::Low,
            _ => Self::Sufficient,
        }
    }
}

impl Quota {
    /// As WeCom answers, who was asked at `asked`. What was said of a time after stays.
    pub fn answered(&self, total: i64, balance: i64, batches: Vec<Batch>, asked: Micros) -> Self {
        let news = asked >= self.level_time;
        Self {
            total,
            balance,
            batches,
            as_of: Some(asked),
            level: if news { Level::of(balance) } else { self.level },
            level_time: asked.max(self.level_time),
        }
    }

    /// As a callback says of this time, known to the second; `None` where something newer is
    /// known. Of what was said of one second nobody knows which came last.
    pub fn told(&self, level: Level, then: Micros) -> Option<Self> {
        (then.seconds() > self.level_time.seconds()).then(|| Self {
            level,
            level_time: then,
            ..self.clone()
        })
    }

    /// Whether all but the times is the same.
    pub fn same(&self, other: &Self) -> bool {
        let timeless = |quota: &Self| Self {
            as_of: None,
            level_time: Micros(0),
            ..quota.clone()
        };
        timeless(self) == timeless(other)
    }
}

/// Adds that expire together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub expires: Micros,
    pub balance: i64,
}

/// What follows for serving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    #[default]
    Sufficient = 1,
    Low = 2,
    Exhausted = 3,
}

/// What is known of the link behind a card's WeCom contact, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkHealth {
    /// It leads there. A link that nobody manages is taken to work.
    Works(AcquisitionUri),
    /// It does not, for this reason.
    Fails(Cause),
}

/// Why a link does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Creating,
    Refused,
    Unavailable,
    Deleted,
    /// No adds are left.
    Exhausted,
    /// The corp is gone, or does not name the merchant any more.
    Closed,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Refused => "REFUSED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Deleted => "DELETED",
            Self::Exhausted => "EXHAUSTED",
            Self::Closed => "CLOSED",
        }
    }
}

/// Where a card's WeCom contact leads now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A link that adds; the tap's token comes back with it.
    Acquisition(AcquisitionUri),
    /// A customer-service chat; what comes of it is not attributed.
    Kf(KfUri),
}

impl Wecom {
    /// Where it leads while its link is so: while that fails, to the customer-service chat to
    /// fall back on, if it names one.
    pub fn route(&self, health: &LinkHealth) -> Result<Route, Cause> {
        match (&self.target, health, &self.fallback) {
            (WecomTarget::Kf(uri), _, _) => Ok(Route::Kf(uri.clone())),
            (_, LinkHealth::Works(uri), _) => Ok(Route::Acquisition(uri.clone())),
            (_, LinkHealth::Fails(_), Some(kf)) => Ok(Route::Kf(kf.clone())),
            (_, LinkHealth::Fails(cause), None) => Err(*cause),
        }
    }
}

#[cfg(test)]
mod tests;
