//! WeCom, the one remote: what we ask of it, in our words. A call waits for its corp's turn,
//! fetches or renews the corp's access token, and is repeated where that is safe.

mod ask;
mod client;
mod corps;
pub mod envelope;
mod error;
pub mod events;
pub mod fake;
mod http;
mod metrics;
mod token;
mod turns;
mod wire;
pub mod xml;

pub use client::{Client, Options};
pub use error::Error;

use secrecy::SecretString;

use crate::domain::{
    Micros,
    acquisition::{Batch, Made, Range},
};

pub type Result<T> = std::result::Result<T, Error>;

/// Who asks: a corp's self-built app.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The store's number of the corp.
    pub corp_no: i64,
    /// WeCom's id of the company.
    pub corp_id: String,
    pub secret: SecretString,
}

/// A link as it should be at WeCom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// At most 30 code points.
    pub name: String,
    pub range: Range,
    pub skip_verify: bool,
}

/// A link as it is at WeCom; `None` where WeCom does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkDetail {
    pub made: Made,
    pub name: Option<String>,
    pub range: Option<Range>,
    pub skip_verify: Option<bool>,
    pub create_time: Micros,
}

/// Somebody who was added by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    pub user_id: String,
    pub external_user_id: String,
    /// What the tapped link carried; may be empty.
    pub state: String,
    /// Whether the user wrote; `None`: WeCom does not say.
    pub chatted: Option<bool>,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// For the next page; `None` at the end.
    pub next: Option<String>,
}

/// What WeCom says of a corp's adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    pub total: i64,
    pub balance: i64,
    pub batches: Vec<Batch>,
}
