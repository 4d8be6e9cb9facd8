//! Acquisition links (获客链接) as they are managed here, how many adds are left, and what of
//! that a card's WeCom contact can be served by.

use serde::{Deserialize, Serialize};

use super::{
    AcquisitionLinkName, AcquisitionUri, KfUri, Micros, Wecom, WecomTarget, card::etag, time::after,
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
    const ALL: [Self; 4] = [
        Self::Creating,
        Self::Active,
        Self::Unavailable,
        Self::Refused,
    ];

    /// The numbers are those of the proto and of the store.
    pub fn from_number(n: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == n)
    }
}

/// A call to WeCom that is still to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Pending {
    Create,
    Update,
    Delete,
}

impl AcquisitionLink {
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
