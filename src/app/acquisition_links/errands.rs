//! What WeCom has not confirmed yet, finished: nothing is lost, and nothing is made twice.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{SETTLE, confirm::pause_of, spec};
use crate::{
    app::{App, Result},
    domain::{
        AcquisitionLink, Corp, Micros,
        acquisition::{Made, Pending, untagged},
    },
    store::Errand,
    wecom::{Credentials, Error, LinkDetail},
};

/// The lease's name.
const LEASE: &str = "errands";
/// Links looked up at once.
const BATCH: u64 = 100;
/// Corps worked for at once.
const AT_ONCE: usize = 8;

/// How an errand ended, if the store did not fail.
type Ended = Result<Result<(), Error>>;

impl App {
    /// Runs the errands that are due, if no other replica does; how many links there were.
    pub async fn run_errands(&self, holder: &str) -> Result<usize> {
        let mut run = 0;
        loop {
            let now = self.ambient.now();
            let due = self.store.reads().acquisition_links_due(now, BATCH).await?;
            let until = now + self.rules.lease;
            if due.is_empty() || !self.store.take_lease(LEASE, holder, now, until).await? {
                return Ok(run);
            }
            run += due.len();
            let mut corps: BTreeMap<i64, Vec<_>> = BTreeMap::new();
            for (link, errand) in due {
                corps.entry(link.corp_no).or_default().push((link, errand));
            }
            stream::iter(corps)
                .map(|(no, links)| self.run_errands_of(no, links))
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
    }

    /// Leaves the errands to another replica.
    pub async fn leave_errands(&self, holder: &str) -> Result<()> {
        Ok(self.store.release_lease(LEASE, holder).await?)
    }

    async fn run_errands_of(
        &self,
        corp_no: i64,
        links: Vec<(AcquisitionLink, Errand)>,
    ) -> Result<()> {
        let corp = self.store.reads().corp_by_no(corp_no).await?;
        let Some(corp) = corp.filter(|corp| corp.delete_time.is_none()) else {
            // Nobody can ask in its name any more.
            for (link, _) in links {
                self.finished(&link).await?;
            }
            return Ok(());
        };
        let credentials = match self.credentials(&corp) {
            Ok(credentials) => credentials,
            // It must not keep the other corps from their errands.
            Err(error) => {
                tracing::error!(corp = corp.no, %error, "nobody can ask WeCom for this corp");
                let error = Error::Misconfigured { code: 0 };
                for (link, errand) in links {
                    self.put_off(&link, errand, &error).await?;
                }
                return Ok(());
            }
        };
        let lost = |(link, errand): &(AcquisitionLink, Errand)| {
            link.made.is_none() && errand.asked.is_some()
        };
        let mut stopped = None;
        let mut strays = Vec::new();
        if links.iter().any(lost) {
            match self.strays(&corp, &credentials).await? {
                Ok(found) => strays = found.0,
                Err(error) => stopped = Some(error),
            }
        }
        for (link, errand) in links {
            let ended = match &stopped {
                Some(error) => Err(error.clone()),
                None => {
                    self.run_errand(&credentials, &link, errand, &strays)
                        .await?
                }
            };
            if let Err(error) = ended {
                tracing::debug!(link = link.no, %error, "an errand to WeCom is put off");
                self.put_off(&link, errand, &error).await?;
                // Who is away for one is away for all.
                if matches!(error, Error::Away { .. } | Error::Misconfigured { .. }) {
                    stopped = Some(error);
                }
            }
        }
        Ok(())
    }

    async fn run_errand(
        &self,
        corp: &Credentials,
        link: &AcquisitionLink,
        errand: Errand,
        strays: &[LinkDetail],
    ) -> Ended {
        match (link.pending, &link.made) {
            (Some(Pending::Create), None) => self.run_creation(corp, link, errand, strays).await,
            (Some(Pending::Update), Some(made)) => self.run_update(corp, link, made).await,
            (Some(Pending::Delete), Some(made)) => self.run_deletion(corp, link, made).await,
            (Some(Pending::Delete), None) => {
                self.run_blind_deletion(corp, link, errand, strays).await
            }
            _ => Ok(Ok(self.save_errand(link, Errand::default()).await?)),
        }
    }

    /// Makes the link, unless it turns out to be there.
    async fn run_creation(
        &self,
        corp: &Credentials,
        link: &AcquisitionLink,
        errand: Errand,
        strays: &[LinkDetail],
    ) -> Ended {
        let now = self.ambient.now();
        let mut found = tagged(strays, link).into_iter();
        if let Some(first) = found.next() {
            self.made(link.clone(), first.made.clone(), now).await?;
            for extra in found {
                self.remove_extra(corp, &extra.made).await;
            }
            return Ok(Ok(()));
        }
        if let Some(asked) = errand.asked.filter(|asked| now < self.effect_ends(*asked)) {
            let errand = Errand {
                next: Some(self.effect_ends(asked)),
                ..errand
            };
            return Ok(Ok(self.save_errand(link, errand).await?));
        }
        // From here on whoever else looks waits until this call has had its effect.
        let asking = Errand {
            attempts: errand.attempts.saturating_add(1),
            ..self.under_way(now, Some(now))
        };
        if !self.claim_errand(link, errand, asking).await? {
            return Ok(Ok(()));
        }
        let spec = spec(link);
        let making = self.wecom.create_link(corp, &spec);
        match self.patiently(making).await {
            Ok(made) => {
                self.made(link.clone(), made, now).await?;
            }
            Err(Error::Refused { code }) => {
                tracing::info!(link = link.no, code, "WeCom refuses to make a link");
                self.refused(link).await?;
            }
            // It is looked for before it is made again.
            Err(Error::Unknown { .. }) => {}
            Err(error) => {
                let errand = self.later(asking.attempts, pause_of(&error));
                self.save_errand(link, errand).await?;
            }
        }
        Ok(Ok(()))
    }

    async fn run_update(&self, corp: &Credentials, link: &AcquisitionLink, made: &Made) -> Ended {
        let now = self.ambient.now();
        let spec = spec(link);
        let changing = self.wecom.update_link(corp, &made.link_id, &spec);
        match self.patiently(changing).await {
            Ok(()) => {
                self.updated(link.clone(), now).await?;
            }
            Err(Error::Refused { code }) => {
                tracing::info!(link = link.no, code, "WeCom refuses to change a link");
                let reading = self.wecom.link(corp, &made.link_id);
                match self.patiently(reading).await {
                    Ok(detail) => self.as_wecom_has_it(link, detail, now).await?,
                    Err(error) => return Ok(Err(error)),
                }
            }
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    async fn run_deletion(&self, corp: &Credentials, link: &AcquisitionLink, made: &Made) -> Ended {
        let deleting = self.wecom.delete_link(corp, &made.link_id);
        match self.patiently(deleting).await {
            Ok(()) => Ok(Ok(self.finished(link).await?)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Deletes a link of which nobody knows whether it was made.
    async fn run_blind_deletion(
        &self,
        corp: &Credentials,
        link: &AcquisitionLink,
        errand: Errand,
        strays: &[LinkDetail],
    ) -> Ended {
        for found in tagged(strays, link) {
            let deleting = self.wecom.delete_link(corp, &found.made.link_id);
            if let Err(error) = self.patiently(deleting).await {
                return Ok(Err(error));
            }
        }
        let now = self.ambient.now();
        match errand.asked.filter(|asked| now < self.effect_ends(*asked)) {
            None => self.finished(link).await?,
            Some(asked) => {
                let errand = Errand {
                    next: Some(self.effect_ends(asked)),
                    ..errand
                };
                self.save_errand(link, errand).await?;
            }
        }
        Ok(Ok(()))
    }

    /// Links of this app at WeCom that no row of ours knows by their id, the oldest first; and
    /// the ids of all. Rows are read last: a link that is made meanwhile has one.
    pub(super) async fn strays(
        &self,
        corp: &Corp,
        credentials: &Credentials,
    ) -> Result<Result<(Vec<LinkDetail>, Vec<String>), Error>> {
        let ids = match self.link_ids(credentials).await {
            Ok(ids) => ids,
            Err(error) => return Ok(Err(error)),
        };
        let ours = self.store.reads().every_acquisition_link(corp).await?;
        let known = |id: &String| {
            let mut made = ours.iter().filter_map(|link| link.made.as_ref());
            made.any(|made| made.link_id == *id)
        };
        let mut strays = Vec::new();
        for id in ids.iter().filter(|id| !known(id)) {
            match self.patiently(self.wecom.link(credentials, id)).await {
                Ok(detail) => strays.extend(detail),
                Err(error) => return Ok(Err(error)),
            }
        }
        strays.sort_by_key(|stray| stray.create_time);
        Ok(Ok((strays, ids)))
    }

    async fn link_ids(&self, corp: &Credentials) -> Result<Vec<String>, Error> {
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.wecom.list_links(corp, cursor.as_deref());
            let page = self.patiently(page).await?;
            ids.extend(page.items);
            // WeCom never says so, but a cursor that stands still must not go round for ever.
            if page.next.is_none() || page.next == cursor {
                return Ok(ids);
            }
            cursor = page.next;
        }
    }

    /// Deletes what was made twice. Left behind, it is found again.
    pub(super) async fn remove_extra(&self, corp: &Credentials, extra: &Made) {
        let deleting = self.wecom.delete_link(corp, &extra.link_id);
        match self.patiently(deleting).await {
            Ok(()) => tracing::info!(corp = corp.corp_no, "a link made twice is deleted"),
            Err(error) => tracing::debug!(%error, "a link made twice is left for later"),
        }
    }

    /// When what WeCom was asked then has had all its effect.
    fn effect_ends(&self, asked: Micros) -> Micros {
        asked + self.patience() + SETTLE
    }
}

/// Those that carry the link's tag.
fn tagged<'a>(strays: &'a [LinkDetail], link: &AcquisitionLink) -> Vec<&'a LinkDetail> {
    let tag = Some(link.tag.as_str());
    let mine = |stray: &&LinkDetail| untagged(&stray.spec.name).1 == tag;
    strays.iter().filter(mine).collect()
}
