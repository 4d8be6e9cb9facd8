//! A company at WeCom whose acquisition links cards may carry.

use serde::{Deserialize, Serialize};

use super::{CorpName, Merchant, Micros, card::etag, time::after};

/// A corp as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corp {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub name: CorpName,
    pub display_name: String,
    /// Who may use it, by id.
    pub merchants: Vec<Merchant>,
    /// WeCom's own id of the company.
    pub corp_id: String,
    /// The app's secret and the callback's, sealed (`app/corps.rs`); no part of the history, and
    /// empty once it is deleted.
    #[serde(skip)]
    pub secrets: Vec<u8>,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
    pub delete_time: Option<Micros>,
}

impl Corp {
    /// Whether this merchant's cards may use it.
    pub fn serves(&self, merchant: &Merchant) -> bool {
        self.delete_time.is_none() && self.merchants.contains(merchant)
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
