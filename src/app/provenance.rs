//! Whether a token, or a text with one in it, came from a merchant's official card.

use percent_encoding::percent_decode_str;

use super::{App, Principal, Result};
use crate::domain::{
    ContactKind, Door, LinkName, Micros, Origin, PlacementName, Reason, Refusal, TapToken, serving,
    token,
};

/// What is to be judged.
#[derive(Clone, Debug)]
pub enum Evidence {
    Token(String),
    Text(String),
}

/// What the evidence shows; see the proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Official,
    Expired,
    Revoked,
    Forged,
    None,
}

/// A verdict, and what the token says if it is ours.
#[derive(Clone, Debug)]
pub struct Provenance {
    pub verdict: Verdict,
    pub origin: Option<Found>,
}

/// What an authentic token says.
#[derive(Clone, Debug)]
pub struct Found {
    pub placement: PlacementName,
    pub kind: ContactKind,
    pub link: Option<LinkName>,
    pub issue_time: Micros,
    /// What the gate would have said at that moment.
    pub refusal: Option<Reason>,
}

impl App {
    /// Judges as of `at`, or now.
    pub async fn provenance(
        &self,
        caller: &Principal,
        evidence: &Evidence,
        at: Option<Micros>,
    ) -> Result<Provenance> {
        let now = self.ambient.now();
        let at = at.unwrap_or(now);
        if at > now {
            return Err(Refusal::field("at", "must not be in the future").into());
        }
        let token = match self.read(evidence) {
            Ok(token) => token,
            // Else who may see nothing of others could tell their tokens from forged ones.
            Err(Verdict::Forged) if caller.limited() => return Ok(Verdict::None.into()),
            Err(verdict) => return Ok(verdict.into()),
        };
        let Some(current) = self.store.reads().shown_by_no(token.placement_no).await? else {
            return Ok(Verdict::None.into());
        };
        let placement = current.0.name;
        if !caller.may(placement.merchant().id()) {
            return Ok(Verdict::None.into());
        }
        let (verdict, link) = self.verdict(&token, at).await?;
        Ok(Provenance {
            verdict,
            origin: Some(Found {
                refusal: self.refusal_at(&token, at).await?,
                placement,
                kind: token.kind,
                link,
                issue_time: token.issue_time(),
            }),
        })
    }

    /// The token in the evidence: the first that is ours. A run of 64 characters in a text
    /// is a forgery only where it stands as one of our addresses; else it is just text.
    fn read(&self, evidence: &Evidence) -> Result<TapToken, Verdict> {
        let text = match evidence {
            Evidence::Token(token) => {
                return self.keys.open_token(token).map_err(|r| match r.reason {
                    Reason::TokenForged => Verdict::Forged,
                    _ => Verdict::None,
                });
            }
            Evidence::Text(text) => text,
        };
        let mut verdict = Verdict::None;
        // A link within a link, as in WeCom's scheme, is percent-encoded.
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        for text in [text.as_str(), &decoded] {
            for (_, run) in token::runs(text) {
                if let Ok(token) = self.keys.open_token(run) {
                    return Ok(token);
                }
                if text.contains(&self.open_uri(run)) {
                    verdict = Verdict::Forged;
                }
            }
        }
        Err(verdict)
    }

    /// Whether the token opened at that moment, as far as it goes itself.
    async fn verdict(&self, token: &TapToken, at: Micros) -> Result<(Verdict, Option<LinkName>)> {
        let (link, revoked, until) = match token.origin {
            Origin::Served { .. } => (None, false, token.served_until(self.rules.served_ttl)),
            Origin::Link { no } => match self.store.reads().link_by_no(no).await? {
                Some(link) => (
                    Some(link.name.clone()),
                    link.revoked_by(at),
                    link.expire_time,
                ),
                None => return Ok((Verdict::None, None)),
            },
        };
        let verdict = if revoked {
            Verdict::Revoked
        } else if at < token.issue_time() || until <= at {
            Verdict::Expired
        } else {
            Verdict::Official
        };
        Ok((verdict, link))
    }

    /// What the gate would have said then, of what stood then.
    async fn refusal_at(&self, token: &TapToken, at: Micros) -> Result<Option<Reason>> {
        let stood = self.store.reads().shown_at(token.placement_no, at).await?;
        let Some((placement, card)) = stood else {
            return Ok(Some(Reason::PlacementNotFound));
        };
        let candidate = self.candidate_at(placement, Some(card), at).await?;
        let judged = serving::judge(Door::Serve, &candidate, &[token.kind], at);
        Ok(judged.err().map(|refusal| refusal.reason))
    }
}

impl From<Verdict> for Provenance {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            origin: None,
        }
    }
}
