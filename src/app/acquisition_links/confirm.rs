//! What WeCom said of a link, written down; and when to ask it again.

use std::time::Duration;

use crate::{
    app::{App, Result},
    domain::{
        AcquisitionLink, LinkState, Micros,
        acquisition::{Made, Pending},
    },
    store::{Errand, WECOM},
    wecom::{Error, LinkDetail},
};

/// Until the second try; twice as long until the third.
const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);

impl App {
    /// WeCom made it, as it said to who asked at `asked`.
    pub(super) async fn made(
        &self,
        link: AcquisitionLink,
        made: Made,
        asked: Micros,
    ) -> Result<AcquisitionLink> {
        let tx = self.store.begin().await?;
        let now = self.ambient.now();
        let Some((present, _)) = tx.lock_acquisition_link_by_no(link.no).await? else {
            return Ok(link);
        };
        let (next, errand) = match (present.pending, &present.made) {
            (Some(Pending::Create), None) => {
                let next = AcquisitionLink {
                    made: Some(made),
                    pending: None,
                    ..present.to(LinkState::Active, asked, now)
                };
                (next, Errand::default())
            }
            // Deleted while it was made: now it is known what to delete.
            (Some(Pending::Delete), None) => {
                let next = AcquisitionLink {
                    made: Some(made),
                    ..present.next(now)
                };
                let errand = Errand {
                    next: Some(now),
                    ..Errand::default()
                };
                (next, errand)
            }
            // Another look was faster; if this one is an extra, it is found as such.
            _ => return Ok(present),
        };
        tx.save_acquisition_link(&next, errand, WECOM).await?;
        tx.commit().await?;
        Ok(next)
    }

    /// WeCom took the change; whoever changed it meanwhile is to be told to it yet.
    pub(super) async fn updated(
        &self,
        link: AcquisitionLink,
        asked: Micros,
    ) -> Result<AcquisitionLink> {
        let now = self.ambient.now();
        let change = |present: &AcquisitionLink| AcquisitionLink {
            pending: None,
            ..present.to(LinkState::Active, asked, now)
        };
        self.confirm(&link, change).await
    }

    /// Nothing is pending any more.
    pub(super) async fn finished(&self, link: &AcquisitionLink) -> Result<()> {
        let now = self.ambient.now();
        let change = |present: &AcquisitionLink| AcquisitionLink {
            pending: None,
            ..present.next(now)
        };
        self.confirm(link, change).await?;
        Ok(())
    }

    pub(super) async fn refused(&self, link: &AcquisitionLink) -> Result<()> {
        let now = self.ambient.now();
        let change = |present: &AcquisitionLink| AcquisitionLink {
            pending: None,
            ..present.to(LinkState::Refused, now, now)
        };
        self.confirm(link, change).await?;
        Ok(())
    }

    /// As WeCom has it, who was asked at `asked`; `None`: it has it no more.
    pub(super) async fn as_wecom_has_it(
        &self,
        link: &AcquisitionLink,
        detail: Option<LinkDetail>,
        asked: Micros,
    ) -> Result<()> {
        let now = self.ambient.now();
        let change = |present: &AcquisitionLink| {
            let next = match &detail {
                None => present.lost(asked, now),
                Some(detail) if present.gone => {
                    said(present, detail).to(LinkState::Active, asked, now)
                }
                Some(detail) => said(present, detail).next(now),
            };
            AcquisitionLink {
                pending: None,
                ..next
            }
        };
        self.confirm(link, change).await?;
        Ok(())
    }

    /// The next version in WeCom's words, if the link is still as it was; else it stays as it
    /// is, and what is pending then stays pending. Returns the link as it is.
    async fn confirm(
        &self,
        link: &AcquisitionLink,
        change: impl FnOnce(&AcquisitionLink) -> AcquisitionLink + Send,
    ) -> Result<AcquisitionLink> {
        let tx = self.store.begin().await?;
        let Some((present, _)) = tx.lock_acquisition_link_by_no(link.no).await? else {
            return Ok(link.clone());
        };
        if present.version != link.version {
            return Ok(present);
        }
        let next = change(&present);
        tx.save_acquisition_link(&next, Errand::default(), WECOM)
            .await?;
        tx.commit().await?;
        Ok(next)
    }

    /// Whether this errand was as it was seen, and is now as it is to be.
    pub(super) async fn claim_errand(
        &self,
        link: &AcquisitionLink,
        seen: Errand,
        errand: Errand,
    ) -> Result<bool> {
        let tx = self.store.begin().await?;
        let present = tx.lock_acquisition_link_by_no(link.no).await?;
        let same =
            present.is_some_and(|(present, now)| present.version == link.version && now == seen);
        if same {
            tx.save_errand(link.no, errand).await?;
            tx.commit().await?;
        }
        Ok(same)
    }

    /// As [`Self::claim_errand`], whatever it was, while the link is as it was.
    pub(super) async fn save_errand(&self, link: &AcquisitionLink, errand: Errand) -> Result<()> {
        let tx = self.store.begin().await?;
        let present = tx.lock_acquisition_link_by_no(link.no).await?;
        if present.is_some_and(|(present, _)| present.version == link.version) {
            tx.save_errand(link.no, errand).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    pub(super) async fn put_off(
        &self,
        link: &AcquisitionLink,
        errand: Errand,
        error: &Error,
    ) -> Result<()> {
        let later = Errand {
            asked: errand.asked,
            ..self.later(errand.attempts.saturating_add(1), pause_of(error))
        };
        self.claim_errand(link, errand, later).await?;
        Ok(())
    }

    /// After so many attempts, with so long a pause at least: half of it to one and a half, so
    /// that what failed together does not come together.
    pub(super) fn later(&self, attempts: i32, least: Option<Duration>) -> Errand {
        let doublings = u32::try_from(attempts).unwrap_or(0).min(16);
        let pause = (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE);
        let pause = pause.max(least.unwrap_or_default());
        let share = f64::from(u16::from_be_bytes(self.ambient.random())) / f64::from(u16::MAX);
        Errand {
            attempts,
            next: Some(self.ambient.now() + pause.mul_f64(0.5 + share)),
            asked: None,
        }
    }
}

/// In WeCom's words.
pub(super) fn said(link: &AcquisitionLink, detail: &LinkDetail) -> AcquisitionLink {
    let name = detail.name.as_deref();
    link.said(name, detail.range.as_ref(), detail.skip_verify)
}

/// What somebody has to set right takes a while.
pub(super) fn pause_of(error: &Error) -> Option<Duration> {
    match error {
        Error::Refused { .. } | Error::Misconfigured { .. } => Some(LONGEST_PAUSE),
        Error::Away { .. } | Error::Unknown { .. } => None,
    }
}
