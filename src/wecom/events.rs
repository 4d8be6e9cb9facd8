//! What WeCom's events say, in our words.

use serde::Deserialize;

use super::xml::{self, Malformed};
use crate::domain::{
    Micros,
    notice::{Notice, NoticeKind},
};

/// The longest id of WeCom's that is taken, in bytes; its own go to 64.
const MAX_ID: usize = 256;
/// What is kept of a State, in bytes. WeCom cuts it at 64, and none of ours is longer: one that
/// is cut here stays what it is, another's.
const MAX_STATE: usize = 128;

/// An event, and what tells it from all others.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub notice: Notice,
    /// Equal when WeCom sends the same event again, however it encrypts it; holds personal data.
    pub identity: Vec<u8>,
}

/// As WeCom writes it. What an event has not is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Told {
    to_user_name: String,
    create_time: String,
    event: String,
    change_type: String,
    #[serde(rename = "UserID")]
    user_id: String,
    #[serde(rename = "ExternalUserID")]
    external_user_id: String,
    link_id: String,
    state: String,
    welcome_code: String,
}

/// Reads a message as it came out of its envelope. One that this version does not know, or that
/// is no event, is of [`NoticeKind::Unknown`].
pub fn read(message: &[u8]) -> Result<Event, Malformed> {
    let mut told = xml::read::<Told>(message)?.trimmed();
    let identity = told.identity();
    let kind = kind(&told.event, &told.change_type);
    for id in [&told.user_id, &told.external_user_id, &told.link_id] {
        if id.len() > MAX_ID {
            return Err(Malformed);
        }
    }
    let mut state = told.state;
    state.truncate(state.floor_char_boundary(MAX_STATE));
    let notice = Notice {
        kind,
        event_time: event_time(&told.create_time)?,
        user_id: told.user_id,
        external_user_id: told.external_user_id,
        link_id: told.link_id,
        state,
    };
    Ok(Event { notice, identity })
}

impl Told {
    fn fields(&mut self) -> [&mut String; 9] {
        [
            &mut self.to_user_name,
            &mut self.event,
            &mut self.change_type,
            &mut self.user_id,
            &mut self.external_user_id,
            &mut self.link_id,
            &mut self.state,
            &mut self.welcome_code,
            &mut self.create_time,
        ]
    }

    fn trimmed(mut self) -> Self {
        for field in self.fields() {
            *field = field.trim().to_owned();
        }
        self
    }

    /// Every field behind its length, so that no two events can be read as one.
    fn identity(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in self.fields() {
            bytes.extend(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend(field.as_bytes());
        }
        bytes
    }
}

/// Seconds since the epoch, to the end of time.
fn event_time(seconds: &str) -> Result<Micros, Malformed> {
    seconds
        .parse()
        .ok()
        .filter(|seconds| (0..=Micros::MAX.seconds()).contains(seconds))
        .map(Micros::from_seconds)
        .ok_or(Malformed)
}

fn kind(event: &str, change_type: &str) -> NoticeKind {
    use NoticeKind::*;
    match (event, change_type) {
        ("change_external_contact", "add_external_contact") => Added,
        ("change_external_contact", "add_half_external_contact") => HalfAdded,
        ("change_external_contact", "edit_external_contact") => Edited,
        ("change_external_contact", "del_external_contact") => RemovedByMember,
        ("change_external_contact", "del_follow_user") => RemovedByUser,
        ("change_external_contact", "transfer_fail") => TransferFailed,
        ("customer_acquisition", "open_profile") => ProfileOpened,
        ("customer_acquisition", "friend_request") => FriendRequested,
        ("customer_acquisition", "customer_start_chat") => ChatStarted,
        ("customer_acquisition", "message_from_customer") => MessageReceived,
        ("customer_acquisition", "del_follow_user") => RemovedByUser,
        ("customer_acquisition", "balance_low") => BalanceLow,
        ("customer_acquisition", "balance_exhausted") => BalanceExhausted,
        ("customer_acquisition", "balance_increased") => BalanceIncreased,
        ("customer_acquisition", "quota_expire_soon") => QuotaExpiresSoon,
        ("customer_acquisition", "link_unavailable") => LinkUnavailable,
        ("customer_acquisition", "delete_link") => LinkDeleted,
        _ => Unknown,
    }
}

#[cfg(test)]
mod tests;
