//! The pull: WeCom calls back three times at most, so whoever was added while nobody here
//! answered is in a link's listing only.

use super::{App, Error, EventKind, Recorder, Result, Tally};
use crate::{
    domain::{AcquisitionLink, Corp, CorpName, contact_event::History},
    wecom::{Credentials, Customer},
};

/// Corps and links looked up at once.
const PAGE: u64 = 100;
/// Contacts looked up, and at most written, at once.
const CONTACTS: usize = 200;

/// Whether the lease is still one's own: without it there is nothing more to do.
type Leads = bool;

impl App {
    /// Asks WeCom for everybody who was added by a link that it has, and adds to `tally` what
    /// was new; `false`: another replica does. A corp or a link that does not go is left for the
    /// next time.
    pub async fn pull_contacts(&self, holder: &str, tally: &mut Tally) -> Result<Leads> {
        if !self.lead_contacts(holder).await? {
            return Ok(false);
        }
        let mut after = String::new();
        loop {
            let corps = self.store.reads().corp_ids_page(&after, PAGE).await?;
            let Some(last) = corps.last() else {
                return Ok(true);
            };
            after.clone_from(last);
            for id in &corps {
                match self.pull_corp(holder, id, tally).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => {
                        tracing::error!(corp = id, %error, "its contacts cannot be pulled");
                    }
                }
            }
        }
    }

    async fn pull_corp(&self, holder: &str, id: &str, tally: &mut Tally) -> Result<Leads> {
        let Ok(name) = CorpName::new(id) else {
            return Err(Error::bug("a corp's id is none"));
        };
        // It may have been deleted meanwhile.
        let Some(corp) = self.store.reads().corp(&name).await? else {
            return Ok(true);
        };
        let credentials = self.credentials(&corp)?;
        let mut after = String::new();
        loop {
            let reads = self.store.reads();
            let links = reads.acquisition_links_page(&corp, &after, PAGE).await?;
            let Some(last) = links.last() else {
                return Ok(true);
            };
            after = last.name.id().to_owned();
            for link in &links {
                match self
                    .pull_link(holder, &corp, &credentials, link, tally)
                    .await
                {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => {
                        tracing::error!(link = %link.name, %error, "its contacts cannot be pulled");
                    }
                }
            }
        }
    }

    /// Also of one that is not served any more: who was added while it was is there.
    async fn pull_link(
        &self,
        holder: &str,
        corp: &Corp,
        credentials: &Credentials,
        link: &AcquisitionLink,
        tally: &mut Tally,
    ) -> Result<Leads> {
        let Some(made) = &link.made else {
            return Ok(true);
        };
        let mut cursor = None;
        loop {
            // Renewed, for a long pull takes longer than the lease.
            if !self.lead_contacts(holder).await? {
                return Ok(false);
            }
            let asked = self
                .wecom
                .customers(credentials, &made.link_id, cursor.as_deref());
            let page = match asked.await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(link = %link.name, %error, "pull of contacts put off");
                    return Ok(true);
                }
            };
            for customers in page.items.chunks(CONTACTS) {
                if !self.record_pulled(holder, corp, customers, tally).await? {
                    return Ok(false);
                }
            }
            // A cursor that leads nowhere new would never end.
            if page.next.is_none() || page.next == cursor {
                return Ok(true);
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
    ) -> Result<Leads> {
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
        if new.is_empty() {
            return Ok(true);
        }
        let Some(tx) = self.begin_contacts(holder).await? else {
            return Ok(false);
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
        Ok(true)
    }

    fn is_news(&self, history: Option<&History>, customer: &Customer) -> bool {
        let Some(history) = history else { return true };
        let state = (!customer.state.is_empty()).then(|| self.keys.tap_id(&customer.state));
        let opened = customer.chatted == Some(true);
        !history.knows(EventKind::Added, state)
            || opened && !history.knows(EventKind::WecomOpening, None)
    }
}
