//! What a corp's app has at WeCom that no row of ours knows.

use crate::{
    app::{App, Result},
    domain::{
        AcquisitionLink, Corp, Micros,
        acquisition::{Made, untagged},
    },
    wecom::{Credentials, Error, LinkDetail},
};

/// Links that no row knows, looked at in one look: there are none unless another system has
/// the app's secret, too.
const STRAYS: usize = 1000;

/// One look.
pub(super) struct Look {
    /// Before WeCom was asked: what took effect since may be missing.
    pub time: Micros,
    /// Links that no row knows by their id, the oldest first.
    pub strays: Vec<LinkDetail>,
    /// Whether it saw all.
    pub whole: bool,
}

impl Look {
    /// Nobody looked.
    pub(super) const fn none(time: Micros) -> Self {
        Self {
            time,
            strays: Vec::new(),
            whole: true,
        }
    }

    /// Those that carry the link's tag.
    pub(super) fn tagged(&self, link: &AcquisitionLink) -> Vec<&LinkDetail> {
        let tag = Some(link.tag.as_str());
        self.strays.iter().filter(|s| tag_of(s) == tag).collect()
    }
}

/// What a link at WeCom is told by.
pub(super) fn tag_of(detail: &LinkDetail) -> Option<&str> {
    untagged(detail.name.as_deref()?).1
}

impl App {
    /// Rows are read last: a link that is made meanwhile has one.
    pub(super) async fn look(
        &self,
        corp: &Corp,
        credentials: &Credentials,
    ) -> Result<Result<Look, Error>> {
        let time = self.ambient.now();
        let ids = match self.wecom.every_link(credentials).await {
            Ok(ids) => ids,
            Err(error) => return Ok(Err(error)),
        };
        let ours = self.store.reads().every_acquisition_link(corp).await?;
        let known = |id: &String| {
            let mut made = ours.iter().filter_map(|link| link.made.as_ref());
            made.any(|made| made.link_id == *id)
        };
        let mut strays = Vec::new();
        let mut unknown = ids.iter().filter(|id| !known(id));
        let mut whole = true;
        for id in unknown.by_ref().take(STRAYS) {
            match self.patiently(self.wecom.link(credentials, id)).await {
                Ok(detail) => strays.extend(detail),
                // Of this one nothing is known.
                Err(Error::Refused { .. }) => whole = false,
                Err(error) => return Ok(Err(error)),
            }
        }
        whole &= unknown.next().is_none();
        if !whole {
            let (corp, links) = (corp.no, ids.len());
            tracing::warn!(corp, links, "not all links at WeCom can be looked at");
        }
        strays.sort_by_key(|stray| stray.create_time);
        Ok(Ok(Look {
            time,
            strays,
            whole,
        }))
    }

    /// Deletes those found that are not the one that was kept. Where none was, the link's
    /// deletion looks after them.
    pub(super) async fn remove_extras(
        &self,
        corp: &Credentials,
        kept: &AcquisitionLink,
        found: &[&LinkDetail],
    ) {
        let Some(made) = kept.made.as_ref().filter(|_| kept.delete_time.is_none()) else {
            return;
        };
        for extra in found.iter().filter(|f| f.made.link_id != made.link_id) {
            self.remove_extra(corp, &extra.made).await;
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
}
