//! Links: create, read, revoke.

use std::{sync::Arc, time::Duration};

use super::{
    App, Call, Result, placements,
    write::{Begin, Write, etag_matches, no_transition, quota},
};
use crate::domain::{
    ContactKind, Door, Link, LinkName, Merchant, Origin, PlacementName, Reason, Refusal, TapToken,
    gate,
    serving::{self, Candidate},
    token,
};

/// A link as a caller wants it.
#[derive(Clone, Debug)]
pub struct LinkDraft {
    pub placement: PlacementName,
    /// `None` for the first that the placement shows.
    pub kind: Option<ContactKind>,
    pub channel: String,
    /// `None` for the usual.
    pub ttl: Option<Duration>,
}

impl App {
    pub async fn create_link(&self, call: &Call, name: LinkName, draft: LinkDraft) -> Result<Link> {
        let write = match self.begin(call).await? {
            Begin::Answered(link) => return Ok(link),
            Begin::Fresh(write) => write,
        };
        write.tx.lock_merchant(name.merchant().id()).await?;
        if write.tx.link(&name).await?.is_some() {
            return Err(exists(&name).into());
        }
        let shown = write.tx.shown(&draft.placement).await?;
        let (placement, card) = shown.ok_or_else(|| placements::not_found(&draft.placement))?;
        let standing = self.standing(&write, placement.name.merchant()).await?;
        let candidate = Candidate {
            placement,
            card,
            standing: Arc::new(standing),
            health: None,
        };
        let shown = serving::shown(Door::Configure, &candidate, write.now)?;
        let kind = draft.kind.or(shown.first().copied());
        let kind = kind
            .filter(|kind| shown.contains(kind))
            .ok_or_else(|| gate::not_shown(&candidate.placement, draft.kind))?;
        let clearance = serving::judge(Door::Configure, &candidate, &[kind], write.now)?;
        let placement = &candidate.placement;
        self.room_for_a_link(&write, name.merchant()).await?;
        let link = Link {
            no: 0,
            placement: draft.placement,
            kind,
            channel: draft.channel,
            token: String::new(),
            version: 1,
            create_time: write.now,
            expire_time: write.now + draft.ttl.unwrap_or(self.rules.link_ttl),
            revoke_time: None,
            name,
        };
        let taken = exists(&link.name);
        let link = write.tx.insert_link(&clearance, link).await?.ok_or(taken)?;
        if call.dry_run {
            // The number goes back: a token with it would one day open another link.
            return write.finish(link).await;
        }
        let link = Link {
            token: self.keys.seal_token(&TapToken {
                placement_no: placement.no,
                kind,
                issued: token::issued(write.now),
                origin: Origin::Link { no: link.no },
                nonce: self.ambient.random(),
            }),
            ..link
        };
        write.tx.save_link(&link).await?;
        let detail = format!(
            "placement={} kind={} expires={}",
            link.placement,
            kind.as_str(),
            link.expire_time
        );
        write.audit("CreateLink", &link.name, detail).await?;
        write.finish(link).await
    }

    pub async fn link(&self, name: &LinkName) -> Result<Link> {
        Ok(self
            .store
            .reads()
            .link(name)
            .await?
            .ok_or_else(|| not_found(name))?)
    }

    /// At most `limit` links after the id `after`.
    pub async fn links(&self, merchant: &Merchant, after: &str, limit: u64) -> Result<Vec<Link>> {
        Ok(self
            .store
            .reads()
            .links_page(merchant, after, limit)
            .await?)
    }

    pub async fn revoke_link(&self, call: &Call, name: &LinkName, etag: &str) -> Result<Link> {
        let write = match self.begin(call).await? {
            Begin::Answered(link) => return Ok(link),
            Begin::Fresh(write) => write,
        };
        let link = write
            .tx
            .lock_link(name)
            .await?
            .ok_or_else(|| not_found(name))?;
        etag_matches(etag, &link.etag())?;
        if link.revoke_time.is_some() {
            return Err(no_transition(name, "REVOKED").into());
        }
        let link = Link {
            version: link.version + 1,
            revoke_time: Some(write.now),
            ..link
        };
        write.tx.save_link(&link).await?;
        write.audit("RevokeLink", name, String::new()).await?;
        write.finish(link).await
    }

    /// Counted under the merchant's lock, or two writes would both be the last.
    async fn room_for_a_link(&self, write: &Write<'_>, merchant: &Merchant) -> Result<()> {
        let limit = self.rules.links_per_merchant;
        if write.tx.count_links(merchant, write.now).await? >= limit {
            return Err(quota(merchant, "links", limit, "withdraw one first").into());
        }
        Ok(())
    }

    /// The address to publish; none where there is no token.
    pub fn link_uri(&self, link: &Link) -> String {
        if link.token.is_empty() {
            return String::new();
        }
        self.open_uri(&link.token)
    }
}

fn not_found(name: &LinkName) -> Refusal {
    Refusal::new(Reason::LinkNotFound, "no such link").about(name)
}

fn exists(name: &LinkName) -> Refusal {
    Refusal::new(Reason::LinkExists, "a link has this name").about(name)
}
