//! `LinkService`.

use std::{mem::take, time::Duration};

use tonic::{Request, Response, Status};

use super::{
    call::{self, Page, open, respond},
    pb::{self, link_service_server::LinkService, verify_provenance_response},
    wire::{kind, kind_of, micros, reason, timestamp},
};
use crate::{
    app::{App, Evidence, LinkDraft, Provenance, Verdict},
    domain::{Check, Link, LinkName, Merchant, Micros, PlacementName, link},
};

/// Code points of a text to verify at most.
const MAX_TEXT: usize = 10_000;

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Links(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl LinkService for Links {
    async fn create_link(&self, request: Request<pb::CreateLinkRequest>) -> Answer<pb::Link> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreateLink", &id, &r, r.validate_only)?;
            let mut check = Check::default();
            let draft = draft(&mut check, &parent, r.link.unwrap_or_default());
            let name = check.field(
                "link_id",
                call::new_name::<LinkName>(&self.0, parent, &r.link_id),
            );
            let (name, draft) = check.done(name.zip(draft))?;
            let link = self.0.create_link(&call, name, draft).await?;
            let then = link.create_time;
            Ok(self.wire(link, then))
        })
        .await
    }

    async fn get_link(&self, request: Request<pb::GetLinkRequest>) -> Answer<pb::Link> {
        respond(async {
            let (caller, r) = open(request)?;
            let name = call::name::<LinkName>(&caller, "name", &r.name)?;
            let link = self.0.link(&name).await?;
            Ok(self.wire(link, self.0.ambient.now()))
        })
        .await
    }

    async fn list_links(
        &self,
        request: Request<pb::ListLinksRequest>,
    ) -> Answer<pb::ListLinksResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let listing = format!("links of {parent}");
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let links = self.0.links(&parent, &page.after, page.limit()).await?;
            let now = self.0.ambient.now();
            let wire = |link| self.wire(link, now);
            let (links, next_page_token) = page.cut(links, |link| link.name.id(), wire)?;
            Ok(pb::ListLinksResponse {
                links,
                next_page_token,
            })
        })
        .await
    }

    async fn revoke_link(&self, request: Request<pb::RevokeLinkRequest>) -> Answer<pb::Link> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let name = call::name::<LinkName>(&caller, "name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "RevokeLink", &id, &r, false)?;
            let link = self.0.revoke_link(&call, &name, &r.etag).await?;
            let then = link.revoke_time.unwrap_or(link.create_time);
            Ok(self.wire(link, then))
        })
        .await
    }

    async fn verify_provenance(
        &self,
        request: Request<pb::VerifyProvenanceRequest>,
    ) -> Answer<pb::VerifyProvenanceResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let mut check = Check::default();
            let evidence = evidence(&mut check, r.evidence);
            let at = r.at.and_then(|at| check.field("at", micros(&at)));
            let evidence = check.done(evidence)?;
            Ok(self.0.provenance(&caller, &evidence, at).await?.into())
        })
        .await
    }
}

impl Links {
    /// The link as it was at that moment: for a write that of the write, or the answer to a
    /// repeated request would be another.
    fn wire(&self, link: Link, at: Micros) -> pb::Link {
        pb::Link {
            name: link.name.to_string(),
            placement: link.placement.to_string(),
            kind: kind(link.kind).into(),
            ttl: None,
            uri: self.0.link_uri(&link),
            create_time: Some(timestamp(link.create_time)),
            expire_time: Some(timestamp(link.expire_time)),
            revoke_time: link.revoke_time.map(timestamp),
            state: state(&link, at).into(),
            etag: link.etag(),
            channel: link.channel,
            token: link.token,
        }
    }
}

fn state(link: &Link, at: Micros) -> pb::link::State {
    if link.revoke_time.is_some() {
        pb::link::State::Revoked
    } else if link.expired(at) {
        pb::link::State::Expired
    } else {
        pb::link::State::Active
    }
}

fn draft(check: &mut Check, parent: &Merchant, link: pb::Link) -> Option<LinkDraft> {
    let placement = check.field(
        "link.placement",
        PlacementName::parse(&link.placement).and_then(|placement| {
            if placement.merchant() == parent {
                Ok(placement)
            } else {
                Err("must be a placement of the parent".to_owned())
            }
        }),
    );
    let kind = check.field("link.kind", kind_of(link.kind));
    let channel = check.field("link.channel", link::channel(&link.channel));
    let ttl = match link.ttl {
        None => Some(None),
        Some(ttl) => check.field("link.ttl", self::ttl(ttl)).map(Some),
    };
    Some(LinkDraft {
        placement: placement?,
        kind: kind?,
        channel: channel?,
        ttl: ttl?,
    })
}

fn ttl(ttl: prost_types::Duration) -> Result<Duration, &'static str> {
    // The conversion negates the seconds, which overflows on the least of them.
    Some(ttl)
        .filter(|ttl| ttl.seconds >= 0 && (0..1_000_000_000).contains(&ttl.nanos))
        .and_then(|ttl| Duration::try_from(ttl).ok())
        .filter(|ttl| (Duration::from_secs(1)..=link::MAX_TTL).contains(ttl))
        .ok_or("must be 1 second to 30 days")
}

fn evidence(
    check: &mut Check,
    evidence: Option<pb::verify_provenance_request::Evidence>,
) -> Option<Evidence> {
    use pb::verify_provenance_request::Evidence as Wire;
    match evidence {
        Some(Wire::Token(token)) => Some(Evidence::Token(token)),
        Some(Wire::Text(text)) => {
            let fits = text.chars().take(MAX_TEXT + 1).count() <= MAX_TEXT;
            check.require(fits, "text", "must have at most 10,000 code points");
            Some(Evidence::Text(text))
        }
        None => {
            check.violation("evidence", "must have one of token, text");
            None
        }
    }
}

impl From<Provenance> for pb::VerifyProvenanceResponse {
    fn from(provenance: Provenance) -> Self {
        use verify_provenance_response::Verdict as Wire;
        let verdict = match provenance.verdict {
            Verdict::Official => Wire::Official,
            Verdict::Expired => Wire::Expired,
            Verdict::Revoked => Wire::Revoked,
            Verdict::Forged => Wire::Forged,
            Verdict::None => Wire::None,
        };
        let Some(found) = provenance.origin else {
            return Self {
                verdict: verdict.into(),
                ..Self::default()
            };
        };
        Self {
            verdict: verdict.into(),
            merchant: found.placement.merchant().to_string(),
            placement: found.placement.to_string(),
            entitled_at: found.refusal.is_none(),
            refusal: found.refusal.map_or(0, |r| reason(r).into()),
            link: found.link.map(|link| link.to_string()).unwrap_or_default(),
            kind: kind(found.kind).into(),
            issue_time: Some(timestamp(found.issue_time)),
        }
    }
}
