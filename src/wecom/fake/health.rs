//! What changes in the console or by itself: adds bought and used up, links that end. The corp is
//! told of it; of what is done through the API it is not.

use std::time::Duration;

use super::{
    Console,
    event::Event,
    world::{Batch, Corp, World},
};
use crate::domain::Micros;

/// Fewer adds than this left are low.
const LOW: u64 = 20;
/// How long adds that are bought last.
const QUOTA_LASTS: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Console {
    /// The corp buys adds.
    pub fn top_up(&self, corp_id: &str, adds: u64) {
        let now = self.now();
        let event = self.world().top_up(corp_id, adds, now);
        self.send(corp_id, event.into_iter().collect());
    }

    /// The corp uses up all its adds.
    pub fn drain(&self, corp_id: &str) {
        let now = self.now();
        if let Some(corp) = self.world().corps.get_mut(corp_id) {
            corp.batches.clear();
        }
        let event = Event::acquisition("balance_exhausted", now);
        self.send(corp_id, vec![event]);
    }

    /// The corp is told that adds end soon.
    pub fn warn_of_expiry(&self, corp_id: &str) {
        let now = self.now();
        let batch = self.world().next_to_expire(corp_id, now);
        let event = batch.map(|(expires, balance)| {
            Event::acquisition("quota_expire_soon", now)
                .with("ExpireTime", expires.seconds())
                .with("ExpireQuotaNum", balance)
        });
        self.send(corp_id, event.into_iter().collect());
    }

    /// The link stops to work.
    pub fn break_link(&self, link_id: &str) {
        let found = self.world().any_link(link_id).map(|link| {
            link.available = false;
            link.corp_id.clone()
        });
        self.tell_of_link(found, "link_unavailable", link_id);
    }

    /// The link works again; nothing is told.
    pub fn mend_link(&self, link_id: &str) {
        if let Some(link) = self.world().any_link(link_id) {
            link.available = true;
        }
    }

    /// Somebody deletes the link in the console.
    pub fn delete_link(&self, link_id: &str) {
        let mut world = self.world();
        let found = world.any_link(link_id).map(|link| link.corp_id.clone());
        world.links.retain(|l| l.link_id != link_id);
        drop(world);
        self.tell_of_link(found, "delete_link", link_id);
    }

    fn tell_of_link(&self, corp_id: Option<String>, change_type: &'static str, link_id: &str) {
        if let Some(corp_id) = corp_id {
            let event = Event::acquisition(change_type, self.now()).with("LinkId", link_id);
            self.send(&corp_id, vec![event]);
        }
    }
}

impl World {
    fn top_up(&mut self, corp_id: &str, adds: u64, now: Micros) -> Option<Event> {
        let corp = self.corps.get_mut(corp_id)?;
        let was_empty = corp.balance(now) == 0;
        corp.total += adds;
        corp.batches.push(Batch {
            expires: now + QUOTA_LASTS,
            balance: adds,
        });
        corp.told_low &= corp.balance(now) < LOW;
        (was_empty && adds > 0).then(|| Event::acquisition("balance_increased", now))
    }

    fn next_to_expire(&self, corp_id: &str, now: Micros) -> Option<(Micros, u64)> {
        let batches = &self.corps.get(corp_id)?.batches;
        let left = batches.iter().filter(|b| b.expires > now && b.balance > 0);
        left.map(|b| (b.expires, b.balance)).min()
    }
}

impl Corp {
    /// Uses up one add, of those that end first.
    pub(super) fn take_one(&mut self, now: Micros) -> bool {
        let good = self.batches.iter_mut();
        let good = good.filter(|b| b.expires > now && b.balance > 0);
        match good.min_by_key(|b| b.expires) {
            Some(batch) => {
                batch.balance -= 1;
                true
            }
            None => false,
        }
    }

    /// What is told after an add was used up.
    pub(super) fn told_of_balance(&mut self, now: Micros) -> Option<Event> {
        match self.balance(now) {
            0 => Some(Event::acquisition("balance_exhausted", now)),
            left if left < LOW && !self.told_low => {
                self.told_low = true;
                Some(Event::acquisition("balance_low", now))
            }
            _ => None,
        }
    }
}
