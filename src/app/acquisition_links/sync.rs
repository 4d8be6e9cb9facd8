//! What WeCom did without our asking: links that are gone or read otherwise, links made twice,
//! and what is left of the quota.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{confirm::said, look::tag_of};
use crate::{
    app::{App, Error as Failed, Result},
    domain::{AcquisitionLink, Corp, LinkState, Micros, acquisition::Made},
    store::{Tx, WECOM},
    wecom::{Credentials, Error, LinkDetail},
};

/// The lease's name.
const LEASE: &str = "wecom_sync";
/// Corps looked up at once.
const BATCH: u64 = 20;
/// Corps asked about at once.
const AT_ONCE: usize = 8;
/// How soon WeCom is asked again after it did not answer, at most.
const RETRY: Duration = Duration::from_secs(5 * 60);

impl App {
    /// Asks WeCom about the corps whose turn it is, if no other replica does; how many there
    /// were.
    pub async fn run_sync(&self, holder: &str) -> Result<usize> {
        let mut run = 0;
        loop {
            let now = self.ambient.now();
            let due = self.store.reads().corps_to_sync(now, BATCH).await?;
            if due.is_empty() || !self.lead_sync(holder).await? {
                return Ok(run);
            }
            run += due.len();
            // One for which WeCom is away keeps no other waiting.
            stream::iter(due)
                .map(|corp| async move {
                    if self.lead_sync(holder).await? {
                        self.sync_corp(&corp).await?;
                    }
                    Ok::<_, Failed>(())
                })
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
    }

    /// Takes the lease, or renews it.
    async fn lead_sync(&self, holder: &str) -> Result<bool> {
        let now = self.ambient.now();
        let until = now + self.rules.lease;
        Ok(self.store.take_lease(LEASE, holder, now, until).await?)
    }

    /// Leaves that to another replica.
    pub async fn leave_sync(&self, holder: &str) -> Result<()> {
        Ok(self.store.release_lease(LEASE, holder).await?)
    }

    async fn sync_corp(&self, corp: &Corp) -> Result<()> {
        // Set first: news that comes meanwhile brings the next turn forward.
        let tx = self.store.begin().await?;
        tx.sync_at(corp.no, self.ambient.now() + self.rules.sync)
            .await?;
        tx.commit().await?;
        let credentials = match self.credentials(corp) {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::error!(corp = corp.no, %error, "nobody can ask WeCom for this corp");
                return Ok(());
            }
        };
        let mut ended = self.ask_quota(&credentials, None).await?.map(|_| ());
        if ended.is_ok() {
            ended = self.sync_links(corp, &credentials).await?;
        }
        if let Err(error) = ended {
            tracing::debug!(corp = corp.no, %error, "WeCom is asked again soon");
            let tx = self.store.begin().await?;
            tx.sync_by(corp.no, self.ambient.now() + RETRY).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn sync_links(
        &self,
        corp: &Corp,
        credentials: &Credentials,
    ) -> Result<Result<(), Error>> {
        let asked = self.ambient.now();
        let look = match self.look(corp, credentials).await? {
            Ok(look) => look,
            Err(error) => return Ok(Err(error)),
        };
        let links = self.store.reads().every_acquisition_link(corp).await?;
        for link in &links {
            let Some(made) = &link.made else { continue };
            // What waits for WeCom is the errands' affair; what is newer than the look is none
            // of its.
            if link.delete_time.is_some() || link.pending.is_some() || link.update_time >= asked {
                continue;
            }
            // Whatever the listing says: only a link that is asked for and not known is gone.
            let detail = self.wecom.link(credentials, &made.link_id);
            let detail = match self.patiently(detail).await {
                Ok(detail) => detail,
                // Of this one nothing is known; the others go on.
                Err(Error::Refused { code }) => {
                    tracing::debug!(link = link.no, code, "WeCom does not say how a link is");
                    continue;
                }
                Err(error) => return Ok(Err(error)),
            };
            self.sync_link(link, detail, asked).await?;
        }
        for stray in &look.strays {
            if is_extra(stray, &links) {
                self.remove_extra(credentials, &stray.made).await;
            }
        }
        Ok(Ok(()))
    }

    /// Takes WeCom's word for a link, where it differs.
    async fn sync_link(
        &self,
        link: &AcquisitionLink,
        detail: Option<LinkDetail>,
        asked: Micros,
    ) -> Result<()> {
        let changed = match &detail {
            None => link.state != LinkState::Unavailable,
            Some(detail) => link.gone || said(link, detail) != *link,
        };
        if changed {
            self.as_wecom_has_it(link, detail, asked).await?;
        }
        Ok(())
    }

    /// What WeCom tells of a link and when: that it works, by an add, or that it fails or is
    /// gone. Kept where that is news; what is pending stays so.
    pub(in crate::app) async fn hear_of_link(
        &self,
        tx: &Tx,
        corp: &Corp,
        link_id: &str,
        state: LinkState,
        at: Micros,
    ) -> Result<()> {
        let Some((link, errand)) = tx.lock_acquisition_link_of(corp, link_id).await? else {
            return Ok(());
        };
        let known = link.state_time.seconds();
        // Known to the second: of what was said in one, the bad news may have come last.
        let news = match (link.state, state) {
            (LinkState::Active, LinkState::Unavailable) => at.seconds() >= known,
            (LinkState::Active | LinkState::Unavailable, _) => at.seconds() > known,
            _ => false,
        };
        if !news {
            return Ok(());
        }
        if link.state == state && !link.gone {
            return Ok(tx.save_state_time(link.no, at).await?);
        }
        let next = link.to(state, at, self.ambient.now());
        Ok(tx.save_acquisition_link(&next, errand, WECOM).await?)
    }
}

/// Whether a link that we do not know by its id carries the tag of one that is in use under
/// another id, or of one that is deleted.
fn is_extra(stray: &LinkDetail, links: &[AcquisitionLink]) -> bool {
    let Some(tag) = tag_of(stray) else {
        return false;
    };
    let other = |made: &Made| made.link_id != stray.made.link_id;
    links.iter().any(|link| {
        let settled = match &link.made {
            Some(made) => other(made),
            None => link.delete_time.is_some(),
        };
        link.tag == tag && settled && link.pending.is_none()
    })
}
