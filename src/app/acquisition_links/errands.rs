//! What WeCom has not confirmed yet, finished: nothing is lost, and nothing is made twice.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{confirm::pause_of, look::Look, spec};
use crate::{
    app::{App, Result},
    domain::{
        AcquisitionLink, Micros,
        acquisition::{Made, Pending},
    },
    store::Errand,
    wecom::{Credentials, Error},
};

/// The lease's name.
const LEASE: &str = "errands";
/// Links looked up at once.
const BATCH: u64 = 100;
/// Corps worked for at once.
const AT_ONCE: usize = 8;

/// Nobody may make again, or give up, what may be there unseen.
const UNSEEN: Error = Error::Unknown {
    why: "not all links could be looked at",
};

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
        let mut look = Look::none(self.ambient.now());
        if links.iter().any(lost) {
            match self.look(&corp, &credentials).await? {
                Ok(found) => look = found,
                Err(error) => stopped = Some(error),
            }
        }
        for (link, errand) in links {
            let ended = match &stopped {
                Some(error) => Err(error.clone()),
                None => self.run_errand(&credentials, &link, errand, &look).await?,
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
        look: &Look,
    ) -> Ended {
        match (link.pending, &link.made) {
            (Some(Pending::Create), None) => self.run_creation(corp, link, errand, look).await,
            (Some(Pending::Update), Some(made)) => self.run_update(corp, link, errand, made).await,
            (Some(Pending::Delete), Some(made)) => self.run_deletion(corp, link, made).await,
            (Some(Pending::Delete), None) => {
                self.run_blind_deletion(corp, link, errand, look).await
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
        look: &Look,
    ) -> Ended {
        let now = self.ambient.now();
        let found = look.tagged(link);
        if let Some(first) = found.first() {
            let kept = self
                .made(link.clone(), first.made.clone(), look.time)
                .await?;
            self.remove_extras(corp, &kept, &found).await;
            return Ok(Ok(()));
        }
        if let Some(again) = self.unsettled(errand, look.time) {
            return Ok(Ok(self.save_errand(link, again).await?));
        }
        if errand.asked.is_some() && !look.whole {
            return Ok(Err(UNSEEN));
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

    /// Tells WeCom the latest, when nothing told before can come after it.
    async fn run_update(
        &self,
        corp: &Credentials,
        link: &AcquisitionLink,
        errand: Errand,
        made: &Made,
    ) -> Ended {
        let now = self.ambient.now();
        if let Some(again) = self.unsettled(errand, now) {
            return Ok(Ok(self.save_errand(link, again).await?));
        }
        let asking = Errand {
            attempts: errand.attempts.saturating_add(1),
            ..self.under_way(now, Some(now))
        };
        if !self.claim_errand(link, errand, asking).await? {
            return Ok(Ok(()));
        }
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
                    Err(error) => return self.untold(link, asking, error).await,
                }
            }
            Err(Error::Unknown { .. }) => {}
            Err(error) => return self.untold(link, asking, error).await,
        }
        Ok(Ok(()))
    }

    /// The call had no effect: it is made again before long.
    async fn untold(&self, link: &AcquisitionLink, asking: Errand, error: Error) -> Ended {
        let errand = self.later(asking.attempts, pause_of(&error));
        self.claim_errand(link, asking, errand).await?;
        Ok(Err(error))
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
        look: &Look,
    ) -> Ended {
        for found in look.tagged(link) {
            let deleting = self.wecom.delete_link(corp, &found.made.link_id);
            if let Err(error) = self.patiently(deleting).await {
                return Ok(Err(error));
            }
        }
        match self.unsettled(errand, look.time) {
            None if !look.whole => return Ok(Err(UNSEEN)),
            None => self.finished(link).await?,
            Some(again) => self.save_errand(link, again).await?,
        }
        Ok(Ok(()))
    }

    /// When to go on, where what was asked may yet have had no effect at `time`.
    fn unsettled(&self, errand: Errand, time: Micros) -> Option<Errand> {
        let settled = self.effect_ends(errand.asked?);
        (time < settled).then_some(Errand {
            next: Some(settled),
            ..errand
        })
    }
}
