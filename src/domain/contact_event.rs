//! What happened at WeCom with a user who came, or may have come, by a card; and whom it is
//! credited to.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ContactKind, CorpName, LinkName, Micros, PlacementName};

/// One event, credited or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactEvent {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub id: Uuid,
    pub corp: CorpName,
    pub kind: EventKind,
    /// A keyed hash of corp, member and user.
    pub contact: [u8; 16],
    pub event_time: Micros,
    pub source: Source,
    pub credit: Result<Credit, Unattributed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    AddRequested = 1,
    Added = 2,
    WecomOpening = 3,
    Removed = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    Callback = 1,
    Pull = 2,
}

/// Whom an event is credited to: what was tapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    pub placement: PlacementName,
    pub kind: ContactKind,
    /// The note's id, of a capsule.
    pub note: Option<String>,
    pub tapped: Tapped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tapped {
    /// An item, by the viewer with this keyed hash. One token is one tap.
    Item { viewer: u64, tap: Uuid },
    /// A published link.
    Link { name: LinkName, channel: String },
}

/// Why nobody is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unattributed {
    NoState = 1,
    StateMalformed = 2,
    StateForged = 3,
    StateExpired = 4,
    PlacementGone = 5,
    CorpMismatch = 6,
}
