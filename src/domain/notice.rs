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
