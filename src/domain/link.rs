//! A stored, revocable link to one contact of a placement.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ContactKind, LinkName, Micros, PlacementName, card::etag, text};

/// The longest a link opens.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// A link as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The store's number, which its token carries; 0 before it has one.
    pub no: i64,
    pub name: LinkName,
    pub placement: PlacementName,
    pub kind: ContactKind,
    /// The campaign, 0 to 32 code points.
    pub channel: String,
    /// As published; kept, so that a rotation of keys does not change it.
    pub token: String,
    pub version: i64,
    pub create_time: Micros,
    pub expire_time: Micros,
    pub revoke_time: Option<Micros>,
}

impl Link {
    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }

    /// Whether it was revoked by then. A tap asks whether it is revoked at all: the replica
    /// that wrote the time may have another clock.
    pub fn revoked_by(&self, at: Micros) -> bool {
        self.revoke_time.is_some_and(|t| t <= at)
    }

    pub fn expired(&self, at: Micros) -> bool {
        self.expire_time <= at
    }
}

/// A channel: 0 to 32 code points.
pub fn channel(input: &str) -> Result<String, String> {
    text(input, 0..=32)
}
