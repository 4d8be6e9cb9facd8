//! What the fake holds.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    answer::TOO_MANY_LINKS,
    fault::{Fault, Faults},
    post::{Receiver, Travel},
    taps::{Friends, Origin},
    tokens::Token,
};
use crate::domain::Micros;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) corps: BTreeMap<String, Corp>,
    /// Never fewer: an app is known by its place.
    pub(super) apps: Vec<App>,
    /// All that were ever given, by their text.
    pub(super) tokens: BTreeMap<String, Token>,
    /// By time of creation.
    pub(super) links: Vec<Link>,
    /// Names of those that were ever made.
    pub(super) ever_made: Vec<String>,
    pub(super) faults: Faults,
    pub(super) hits: BTreeMap<String, u64>,
    pub(super) shape: Shape,
    pub(super) travel: Travel,
    /// How far its clock is ahead.
    pub(super) ahead: Duration,
}

/// A company.
#[derive(Debug, Default)]
pub(super) struct Corp {
    /// Adds ever bought.
    pub(super) total: u64,
    pub(super) batches: Vec<Batch>,
    /// Whether it was told that few adds are left.
    pub(super) told_low: bool,
    pub(super) friends: BTreeMap<Friends, Origin>,
    pub(super) receiver: Option<Receiver>,
}

/// Adds that expire together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) expires: Micros,
    pub(super) balance: u64,
}

#[derive(Debug)]
pub(super) struct App {
    pub(super) corp_id: String,
    pub(super) secret: String,
}

/// An acquisition link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    pub link_id: String,
    pub name: String,
    pub url: String,
    pub corp_id: String,
    /// The app that made it: others do not see it.
    #[serde(skip)]
    pub(super) app: usize,
    pub users: Vec<String>,
    pub departments: Vec<i64>,
    pub skip_verify: bool,
    /// In seconds since 1970.
    pub create_time: i64,
    /// Whether it still works.
    pub available: bool,
    pub clicks: u64,
    pub customers: Vec<Customer>,
}

/// Somebody who was added by a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Customer {
    pub external_userid: String,
    pub userid: String,
    /// 0: did not write; 1: did; 2: unknown.
    pub chat_status: u8,
    pub state: String,
    /// When, in seconds since 1970.
    #[serde(skip)]
    pub(super) time: i64,
}

/// How answers look where WeCom's documents differ, and limits that it does not publish.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// `get` has `skip_verify` beside `link` instead of in it, as older documents say.
    pub skip_verify_outside: bool,
    /// `customer_start_chat` names neither link nor State, as in older documents.
    pub start_chat_is_bare: bool,
    /// Members that one link may have: 500, or 100 as in older documents.
    pub members_per_link: usize,
    pub links_per_corp: usize,
    /// How long a new token is good, in seconds.
    pub token_seconds: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            skip_verify_outside: false,
            start_chat_is_bare: false,
            members_per_link: 500,
            links_per_corp: 100_000,
            token_seconds: 7200,
        }
    }
}

/// Adds that a new company has.
const FIRST_QUOTA: u64 = 1000;

impl World {
    pub(super) fn add_app(&mut self, corp_id: &str, secret: &str) {
        let known = |a: &App| a.corp_id == corp_id && a.secret == secret;
        if self.apps.iter().any(known) {
            return;
        }
        self.apps.push(App {
            corp_id: corp_id.to_owned(),
            secret: secret.to_owned(),
        });
        self.corps
            .entry(corp_id.to_owned())
            .or_insert_with(|| Corp {
                total: FIRST_QUOTA,
                batches: vec![Batch {
                    expires: Micros::from_seconds(4_102_416_000),
                    balance: FIRST_QUOTA,
                }],
                ..Corp::default()
            });
    }

    pub(super) fn change_secret(&mut self, corp_id: &str, old: &str, new: &str) {
        let known = |a: &&mut App| a.corp_id == corp_id && a.secret == old;
        if let Some(app) = self.apps.iter_mut().find(known) {
            new.clone_into(&mut app.secret);
        }
    }

    /// Counts a call; what befalls it.
    pub(super) fn arrive(&mut self, endpoint: &str) -> Option<Fault> {
        *self.hits.entry(endpoint.to_owned()).or_default() += 1;
        self.faults.take(endpoint)
    }

    /// A link of this app.
    pub(super) fn link(&mut self, app: usize, link_id: &str) -> Option<&mut Link> {
        self.links
            .iter_mut()
            .find(|l| l.app == app && l.link_id == link_id)
    }

    pub(super) fn has_room(&self, corp_id: &str) -> Result<(), i64> {
        let links = self.links.iter().filter(|l| l.corp_id == corp_id).count();
        if links < self.shape.links_per_corp {
            Ok(())
        } else {
            Err(TOO_MANY_LINKS)
        }
    }
}

impl Corp {
    /// Adds left at `now`.
    pub(super) fn balance(&self, now: Micros) -> u64 {
        let good = self.batches.iter().filter(|b| b.expires > now);
        good.map(|b| b.balance).sum()
    }
}
