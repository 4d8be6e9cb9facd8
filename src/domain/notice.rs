//! What WeCom tells us in a callback, in our words.

use serde::{Deserialize, Serialize};

use super::Micros;

/// One event, as WeCom tells it. What it has not is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub kind: NoticeKind,
    /// When it happened, to the second.
    pub event_time: Micros,
    /// WeCom's id of the member.
    pub user_id: String,
    /// WeCom's id of the user outside.
    pub external_user_id: String,
    /// WeCom's id of the acquisition link.
    pub link_id: String,
    /// What the tapped link carried as `customer_channel`.
    pub state: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NoticeKind {
    /// The user opened the member's profile by a link.
    ProfileOpened,
    /// The user asked to be added.
    FriendRequested,
    /// The user added a member who has not confirmed.
    HalfAdded,
    Added,
    /// The contact's remarks changed.
    Edited,
    /// The user wrote for the first time.
    ChatStarted,
    /// The user wrote for the third, fifth or tenth time.
    MessageReceived,
    /// The user ended the contact.
    RemovedByUser,
    /// The member did.
    RemovedByMember,
    TransferFailed,
    BalanceLow,
    BalanceExhausted,
    BalanceIncreased,
    QuotaExpiresSoon,
    LinkUnavailable,
    LinkDeleted,
    /// One that this version does not know: counted and acknowledged.
    Unknown,
}

impl NoticeKind {
    /// Whether anything follows from it. What nothing follows from is not kept: it says who
    /// looked at whom.
    pub const fn matters(self) -> bool {
        !matches!(
            self,
            Self::ProfileOpened
                | Self::Edited
                | Self::MessageReceived
                | Self::TransferFailed
                | Self::Unknown
        )
    }

    /// As it is kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProfileOpened => "PROFILE_OPENED",
            Self::FriendRequested => "FRIEND_REQUESTED",
            Self::HalfAdded => "HALF_ADDED",
            Self::Added => "ADDED",
            Self::Edited => "EDITED",
            Self::ChatStarted => "CHAT_STARTED",
            Self::MessageReceived => "MESSAGE_RECEIVED",
            Self::RemovedByUser => "REMOVED_BY_USER",
            Self::RemovedByMember => "REMOVED_BY_MEMBER",
            Self::TransferFailed => "TRANSFER_FAILED",
            Self::BalanceLow => "BALANCE_LOW",
            Self::BalanceExhausted => "BALANCE_EXHAUSTED",
            Self::BalanceIncreased => "BALANCE_INCREASED",
            Self::QuotaExpiresSoon => "QUOTA_EXPIRES_SOON",
            Self::LinkUnavailable => "LINK_UNAVAILABLE",
            Self::LinkDeleted => "LINK_DELETED",
            Self::Unknown => "UNKNOWN",
        }
    }
}
