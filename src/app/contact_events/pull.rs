//! The pull: WeCom calls back three times at most, so whoever was added while nobody here
//! answered is in a link's listing only.

use super::{App, EventKind, Recorder, Result, Tally};
use crate::{
    domain::{AcquisitionLink, Corp, LinkState, contact_event::History},
    wecom::{Credentials, Customer},
};

/// Corps and links looked up at once.
const PAGE: u64 = 100;
/// Contacts looked up, and at most written, at once.
const CONTACTS: usize = 200;

impl App {
    /// Asks WeCom for everybody who was added by a link that is served; `None`: another replica
    /// does. A corp or a link that WeCom does not answer for is left for the next time.
    pub async fn pull_contacts(&self, holder: &str) -> Result<Option<Tally>> {
        if !self.lead_contacts(holder).await? {
            return Ok(None);
        }
        let (mut tally, mut after) = (Tally::new(), String::new());
        loop {
            let corps = self.store.reads().corps_page(&after, PAGE).await?;
            let Some(last) = corps.last() else {
                return Ok(Some(tally));
            };
            after = last.name.id().to_owned();
            for corp in &corps {
                self.pull_corp(holder, corp, &mut tally).await?;
            }
        }
    }

    async fn pull_corp(&self, holder: &str, corp: &Corp, tally: &mut Tally) -> Result<()> {
        let credentials = match self.credentials(corp) {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::error!(corp = %corp.name, %error, "its contacts cannot be pulled");
                return Ok(());
            }
        };
        let mut after = String::new();
        loop {
            let reads = self.store.reads();
            let links = reads.acquisition_links_page(corp, &after, PAGE).await?;
            let Some(last) = links.last() else {
                return Ok(());
            };
            after = last.name.id().to_owned();
            for link in links.iter().filter(|link| link.state == LinkState::Active) {
                self.pull_link(holder, corp, &credentials, link, tally)
                    .await?;
            }
        }
    }

    async fn pull_link(
        &self,
        holder: &str,
        corp: &Corp,
        credentials: &Credentials,
        link: &AcquisitionLink,
        tally: &mut Tally,
    ) -> Result<()> {
        let Some(made) = &link.made else {
            return Ok(());
        };
        let mut cursor = None;
        loop {
            let asked = self
                .wecom
                .customers(credentials, &made.link_id, cursor.as_deref());
            let page = match asked.await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(link = %link.name, %error, "pull of contacts put off");
                    return Ok(());
                }
            };
            for customers in page.items.chunks(CONTACTS) {
                self.record_pulled(holder, corp, customers, tally).await?;
            }
            // A cursor that leads nowhere new would never end.
            if page.next.is_none() || page.next == cursor {
                return Ok(());
            }
            cursor = page.next;
        }
    }

    /// Writes only where there is something that nobody called back about.
    async fn record_pulled(
        &self,
        holder: &str,
        corp: &Corp,
        customers: &[Customer],
        tally: &mut Tally,
    ) -> Result<()> {
        let customers: Vec<_> = customers
            .iter()
            .map(|customer| {
                let (user, external) = (&customer.user_id, &customer.external_user_id);
                (self.contact_key(corp.no, user, external), customer)
            })
            .collect();
        let keys = customers.iter().map(|(key, _)| *key);
        let histories = self.store.reads().contact_histories(keys).await?;
        let new: Vec<_> = customers
            .into_iter()
            .filter(|(key, customer)| self.is_news(histories.get(key), customer))
            .collect();
        // Renewed, for a long pull takes longer than the lease.
        if new.is_empty() || !self.lead_contacts(holder).await? {
            return Ok(());
        }
        let Some(tx) = self.begin_contacts(holder).await? else {
            return Ok(());
        };
        let mut recorder = Recorder::new(self, &tx, self.ambient.now());
        for (key, customer) in new {
            recorder.pulled(corp, key, customer).await?;
        }
        let events = recorder.finish().await?;
        tx.commit().await?;
        for (what, number) in events {
            *tally.entry(what).or_default() += number;
        }
        Ok(())
    }

    fn is_news(&self, history: Option<&History>, customer: &Customer) -> bool {
        let Some(history) = history else { return true };
        let state = (!customer.state.is_empty()).then(|| self.keys.tap_id(&customer.state));
        let opened = customer.chatted == Some(true);
        !history.knows(EventKind::Added, state)
            || opened && !history.knows(EventKind::WecomOpening, None)
    }
}
