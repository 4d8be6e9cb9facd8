//! The tap: the gate's second look, at what holds now, and where it leads.
//!
//! It looks at the feed of changes first, so what is in memory is what stands in the store at
//! that moment; where the store is away the tap is refused.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{Span, record_all};
use uuid::Uuid;

use super::{App, Error, Principal, Result, events};
use crate::domain::{
    Card, ContactKind, Door, Event, Micros, Origin, Placement, Reason, Refusal, Stage, TapToken,
    Touch,
    launch::{self, Environment, Step},
    serving::{self, Candidate},
};

/// How long a tap waits for its record.
const RECORDING: Duration = Duration::from_millis(500);

/// Who taps.
#[derive(Clone, Copy, Debug)]
pub enum Tapper<'a> {
    /// By the platform's pseudonym.
    Viewer { id: &'a str },
    /// On the public door.
    Somebody,
    /// A machine, on the public door: its tap is kept apart.
    Bot,
}

/// Where a tap leads.
#[derive(Debug)]
pub struct Tap {
    pub steps: Vec<Step>,
    /// Do not keep the steps longer.
    pub expire_time: Micros,
    pub event_id: Uuid,
    pub kind: ContactKind,
    /// The card that was tapped.
    pub card: Card,
}

impl App {
    /// Opens a token. `caller` is nobody on the public door, where the token is the right.
    pub async fn tap(
        &self,
        caller: Option<&Principal>,
        token: &str,
        tapper: Tapper<'_>,
        environment: Environment,
    ) -> Result<Tap> {
        let said = self.keys.open_token(token)?;
        self.count_tap(&said, tapper)?;
        self.serving.feed.look().await?;
        let now = self.ambient.now();
        let known = self.serving.candidate(said.placement_no, now).await?;
        let Some(candidate) = &known.value else {
            let message = "the token's placement is gone";
            return Err(Refusal::new(Reason::PlacementNotFound, message).into());
        };
        if let Some(caller) = caller {
            caller.permit(candidate.placement.name.merchant())?;
        }
        let (until, channel) = self.opens_until(&said, now).await?;
        let clearance = serving::judge(Door::Tap, candidate, &[said.kind], now)?;
        let edge = known.until;
        let Candidate {
            placement,
            card,
            health,
            ..
        } = candidate;
        let card = card.as_ref();
        let card = card.ok_or_else(|| Error::bug("cleared without its card"))?;
        let opened = self.open_contact(&clearance, card, said.kind, health.as_ref())?;
        let event_id = self.event_id(&said, token, tapper);
        let event = Event {
            id: event_id,
            stage: Stage::Tap,
            merchant: placement.name.merchant().clone(),
            viewer: self.tapped_by(&said, tapper),
            time: now,
            touch: Touch {
                placement: placement.name.id().to_owned(),
                note: events::note(placement),
                channel,
            },
            kind: Some(said.kind),
            conversation: String::new(),
            bot: matches!(tapper, Tapper::Bot),
            attributes: String::new(),
        };
        self.record(event, placement).await?;
        // Of the request's span, whose closing line tells of the tap.
        record_all!(
            Span::current(),
            event_id = %event_id,
            placement = %placement.name,
            kind = said.kind.as_str()
        );
        Ok(Tap {
            steps: launch::plan(opened.target(), token, environment),
            expire_time: edge.map_or(until, |edge| edge.min(until)),
            event_id,
            kind: said.kind,
            card: card.clone(),
        })
    }

    /// Before the store is asked anything. On the public door it is the token that names a viewer;
    /// a published link names none, and is tapped by many.
    fn count_tap(&self, said: &TapToken, tapper: Tapper<'_>) -> Result<(), Refusal> {
        let Some(rates) = &self.tap_rates else {
            return Ok(());
        };
        let viewer = match (tapper, said.origin) {
            (Tapper::Viewer { id }, _) => self.keys.viewer_hash(id),
            (Tapper::Somebody | Tapper::Bot, Origin::Served { viewer, .. }) => viewer,
            (Tapper::Somebody | Tapper::Bot, Origin::Link { .. }) => return Ok(()),
        };
        rates.count(&viewer, "taps of this viewer")
    }

    /// Who taps does not stand behind who writes: attribution needs the token alone.
    async fn record(&self, tap: Event, placement: &Placement) -> Result<()> {
        let event_id = tap.id;
        match timeout(RECORDING, self.record_tap(tap, placement)).await {
            Err(_) => tracing::warn!(%event_id, "a tap is not recorded: others write"),
            Ok(Err(Error::Store(error))) if error.is_conflict() || error.is_unavailable() => {
                tracing::warn!(%event_id, %error, "a tap is not recorded");
            }
            Ok(recorded) => recorded?,
        }
        Ok(())
    }

    /// One served token is one tap, so that an add which brings the token back meets its tap. A
    /// published link is tapped by many; and a machine takes nobody's tap.
    fn event_id(&self, said: &TapToken, token: &str, tapper: Tapper<'_>) -> Uuid {
        match (said.origin, tapper) {
            (Origin::Served { .. }, Tapper::Viewer { .. } | Tapper::Somebody) => {
                self.keys.tap_id(token)
            }
            _ => self.ambient.uuid(),
        }
    }

    /// A served token names its viewer, whoever opens it.
    fn tapped_by(&self, said: &TapToken, tapper: Tapper<'_>) -> Option<u64> {
        match (said.origin, tapper) {
            (Origin::Served { viewer, .. }, _) => Some(viewer),
            (Origin::Link { .. }, Tapper::Viewer { id }) => Some(self.keys.viewer_hash(id)),
            (Origin::Link { .. }, Tapper::Somebody | Tapper::Bot) => None,
        }
    }

    /// Until when a token opens, or why it does not; and the channel of a link.
    async fn opens_until(&self, token: &TapToken, now: Micros) -> Result<(Micros, String)> {
        let (until, channel) = match token.origin {
            Origin::Served { .. } => (token.served_until(self.rules.served_ttl), String::new()),
            Origin::Link { no } => {
                let link = self.store.reads().link_by_no(no).await?.ok_or_else(|| {
                    Refusal::new(Reason::LinkNotFound, "the token's link is gone")
                })?;
                if link.revoke_time.is_some() {
                    return Err(Refusal::new(Reason::TokenRevoked, "the link was revoked")
                        .about(&link.name)
                        .with("link", link.name.to_string())
                        .into());
                }
                (link.expire_time, link.channel)
            }
        };
        if until <= now {
            return Err(Refusal::new(
                Reason::TokenExpired,
                "the token's time has passed; fetch the menu, capsule or message again",
            )
            .with("expireTime", until.to_string())
            .into());
        }
        Ok((until, channel))
    }
}
