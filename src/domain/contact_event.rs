//! What happened at WeCom with a user who came, or may have come, by a card; and whom it is
//! credited to.
//!
//! WeCom tells one thing several times, late, in any order, or never. So what it says is kept
//! as facts, and the events of a contact are always those that all its facts together give.

mod fold;
mod history;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ContactKind, CorpName, Link, LinkName, Merchant, Micros, Notice, NoticeKind, Origin,
    PlacementName, Stage, TapToken,
};

pub use history::{Changes, History};

/// What WeCom's clock and ours may differ by.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// A keyed hash of corp, member and user.
pub type ContactKey = [u8; 16];

/// One event, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactEvent {
    /// The store's number.
    pub no: i64,
    pub id: Uuid,
    pub corp: CorpName,
    /// None where WeCom names nobody.
    pub contact: Option<ContactKey>,
    pub event: Event,
    /// Of a credited one.
    pub place: Option<Place>,
}

/// What was tapped, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub placement: PlacementName,
    /// The note's id, of a capsule.
    pub note: Option<String>,
    /// The link that was published, and its channel.
    pub link: Option<(LinkName, String)>,
}

/// What happened, and whom it is credited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// When it happened; of what a pull found, when it was found.
    pub time: Micros,
    pub source: Source,
    pub credit: Verdict,
}

/// One thing that WeCom said of a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub kind: EventKind,
    pub time: Micros,
    pub source: Source,
    pub state: Option<State>,
}

/// What a tapped link carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// A keyed hash: equal for equal ones.
    pub id: Uuid,
    /// Whom it credits, by itself.
    pub verdict: Verdict,
}

pub type Verdict = Result<Credit, Unattributed>;

/// Whom an event is credited to: what was tapped, by the store's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    pub merchant: Merchant,
    pub placement_no: i64,
    pub kind: ContactKind,
    pub tapped: Tapped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tapped {
    /// An item, by the viewer with this keyed hash. One token is one tap.
    Item { viewer: u64, tap: Uuid },
    /// A published link.
    Link { no: i64 },
}

macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $number:literal $word:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$of])* $variant = $number),* }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// `None` for a number that this version does not know.
            pub fn from_number(number: i16) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| *v as i16 == number)
            }

            /// The word of the contract.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    )*};
}

// The numbers are those of the proto and of the store.
numbered! {
    EventKind {
        AddRequested = 1 "ADD_REQUESTED",
        Added = 2 "ADDED",
        WecomOpening = 3 "WECOM_OPENING",
        Removed = 4 "REMOVED",
    }
    /// How the service learned of it.
    Source {
        Callback = 1 "CALLBACK",
        Pull = 2 "PULL",
    }
    /// Why nobody is credited.
    Unattributed {
        NoState = 1 "NO_STATE",
        StateMalformed = 2 "STATE_MALFORMED",
        StateForged = 3 "STATE_FORGED",
        StateExpired = 4 "STATE_EXPIRED",
        PlacementGone = 5 "PLACEMENT_GONE",
        CorpMismatch = 6 "CORP_MISMATCH",
    }
}

impl EventKind {
    /// The stage of the funnel that it is.
    pub const fn stage(self) -> Stage {
        match self {
            Self::AddRequested => Stage::AddRequested,
            Self::Added => Stage::Added,
            Self::WecomOpening => Stage::WecomOpening,
            Self::Removed => Stage::Removed,
        }
    }

    /// What a notice tells of; `None`: nothing that is counted.
    pub fn of(notice: NoticeKind) -> Option<Self> {
        use NoticeKind as N;
        match notice {
            N::FriendRequested => Some(Self::AddRequested),
            N::HalfAdded | N::Added => Some(Self::Added),
            N::ChatStarted => Some(Self::WecomOpening),
            N::RemovedByUser | N::RemovedByMember => Some(Self::Removed),
            N::ProfileOpened
            | N::Edited
            | N::MessageReceived
            | N::TransferFailed
            | N::BalanceLow
            | N::BalanceExhausted
            | N::BalanceIncreased
            | N::QuotaExpiresSoon
            | N::LinkUnavailable
            | N::LinkDeleted
            | N::Unknown => None,
        }
    }
}

impl Notice {
    /// Whether it says whom it is about: a request to add does not.
    pub fn names_contact(&self) -> bool {
        !self.user_id.is_empty() && !self.external_user_id.is_empty()
    }
}

/// What is known here of a token that came back as State.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whose placement it names, if it is there.
    pub merchant: Option<Merchant>,
    /// The published link it names, if it is one's and there.
    pub link: Option<Link>,
    /// Whether what was tapped named the corp, at the token's issue or at the event.
    pub names_corp: bool,
}

/// Whom a token credits with something that happened `at`. Only its age counts, not whether it
/// still opens: a user may think it over.
pub fn judge(token: &TapToken, tap: Uuid, known: Known, at: Micros, window: Duration) -> Verdict {
    let (tapped, from, until) = match (token.origin, &known.link) {
        (Origin::Served { viewer, .. }, _) => {
            let issued = token.issue_time();
            (Tapped::Item { viewer, tap }, issued, issued)
        }
        (Origin::Link { no }, Some(link)) => {
            // The last tap may have come just before it was revoked.
            let until = link.revoke_time.unwrap_or(Micros::MAX);
            let until = until.min(link.expire_time);
            (Tapped::Link { no }, link.create_time, until)
        }
        (Origin::Link { .. }, None) => return Err(Unattributed::PlacementGone),
    };
    if at + SKEW < from || until + window < at {
        return Err(Unattributed::StateExpired);
    }
    let merchant = known.merchant.ok_or(Unattributed::PlacementGone)?;
    if !known.names_corp || token.kind != ContactKind::Wecom {
        return Err(Unattributed::CorpMismatch);
    }
    Ok(Credit {
        merchant,
        placement_no: token.placement_no,
        kind: token.kind,
        tapped,
    })
}

#[cfg(test)]
mod tests;
