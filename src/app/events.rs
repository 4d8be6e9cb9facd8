//! Events of the funnel come in: what the platform's services saw, of which what is acknowledged
//! is durable; and taps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::{App, Result};
use crate::{
    domain::{
        Event, Link, Merchant, Micros, Origin, Placement, PlacementName, Reason, Refusal, Stage,
        Surface, TapToken, Telling, Touch, telling::Pseudonyms,
    },
    store::{self, Touched, Tx},
};

/// An event as a caller tells it.
#[derive(Clone, Debug)]
pub struct EventDraft {
    pub event_id: String,
    pub stage: Stage,
    pub merchant: Merchant,
    pub viewer_id: String,
    pub about: Option<About>,
    pub time: Micros,
    /// A note's id; empty where none is named.
    pub note: String,
    /// A conversation's id; likewise.
    pub conversation: String,
    pub attributes: BTreeMap<String, String>,
}

/// What an event is about.
#[derive(Clone, Debug)]
pub enum About {
    Placement(PlacementName),
    Token(String),
}

impl About {
    /// Where the event says it.
    const fn field(&self) -> &'static str {
        match self {
            Self::Placement(_) => "placement",
            Self::Token(_) => "tap_token",
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    pub accepted: u64,
    pub duplicates: u64,
    /// By place in the batch, with the field that is wrong.
    pub rejected: BTreeMap<usize, (&'static str, Refusal)>,
}

/// What the drafts of a batch name.
#[derive(Default)]
struct Named {
    tokens: HashMap<String, Result<TapToken, Refusal>>,
    placements: HashMap<PlacementName, Placement>,
    by_no: HashMap<i64, PlacementName>,
    links: HashMap<i64, Link>,
}

impl App {
    /// Takes in a batch, by place. An event that names what is not there is rejected, the others
    /// go in.
    pub async fn ingest(&self, drafts: Vec<(usize, EventDraft)>) -> Result<Ingested> {
        if !self.rules.intake {
            return Err(not_here().into());
        }
        let named = self.named(&drafts).await?;
        let mut ingested = Ingested::default();
        let mut events = Vec::with_capacity(drafts.len());
        for (place, draft) in drafts {
            match named.touch(&draft) {
                Ok(touch) => events.push(self.event(draft, touch)),
                Err(refusal) => {
                    let field = draft.about.as_ref().map_or("", About::field);
                    ingested.rejected.insert(place, (field, refusal));
                }
            }
        }
        ingested.accepted = self.keep_events_once(&events).await?;
        ingested.duplicates = events.len() as u64 - ingested.accepted;
        Ok(ingested)
    }

    /// A tap, once however often it is told of.
    pub(super) async fn record_tap(&self, event: Event, placement: &Placement) -> Result<()> {
        let telling = self.store.tells().then(|| {
            let merchant = event.merchant.id();
            let viewer = event.viewer.map(|hash| self.keys.viewer_of(merchant, hash));
            let who = Pseudonyms {
                viewer,
                contact: None,
            };
            Telling::tap(&event, placement, who)
        });
        self.log_tap(event, telling).await
    }

    /// Keeps events; how many are new.
    async fn keep_events_once(&self, events: &[Event]) -> Result<u64> {
        if events.is_empty() {
            return Ok(0);
        }
        let now = self.ambient.now();
        let tx = self.store.begin().await?;
        let new = tx.insert_events(events, now).await?;
        if new > 0 {
            let mut touches = Touches::default();
            for event in events.iter().filter(|event| !event.bot) {
                if let Some(viewer) = event.viewer {
                    touches.add(&event.merchant, viewer, event.time);
                }
            }
            touches.queue(&tx, now).await?;
        }
        tx.commit().await?;
        Ok(new)
    }

    fn event(&self, draft: EventDraft, touch: Touch) -> Event {
        let attributes = &draft.attributes;
        Event {
            id: self.event_id_of(&draft.merchant, &draft.event_id),
            stage: draft.stage,
            viewer: Some(self.keys.viewer_hash(&draft.viewer_id)),
            time: draft.time,
            touch,
            kind: None,
            conversation: draft.conversation,
            bot: false,
            attributes: if attributes.is_empty() {
                String::new()
            } else {
                serde_json::json!(attributes).to_string()
            },
            merchant: draft.merchant,
        }
    }

    /// No merchant's ids meet another's.
    fn event_id_of(&self, merchant: &Merchant, id: &str) -> Uuid {
        let event = format!("{}|{id}", merchant.id());
        let hash = self.keys.index_of("event", event.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Uuid::from_bytes(bytes)
    }

    /// Looks up what a batch names, in at most three queries.
    async fn named(&self, drafts: &[(usize, EventDraft)]) -> Result<Named> {
        let mut named = Named::default();
        let mut names = HashSet::new();
        for (_, draft) in drafts {
            match &draft.about {
                Some(About::Placement(name)) => {
                    names.insert(name);
                }
                Some(About::Token(token)) if !named.tokens.contains_key(token) => {
                    let said = self.keys.open_token(token);
                    named.tokens.insert(token.clone(), said);
                }
                Some(About::Token(_)) | None => {}
            }
        }
        let said: Vec<_> = named.tokens.values().flatten().copied().collect();
        let reads = self.store.reads();
        let nos: BTreeSet<_> = said.iter().map(|token| token.placement_no).collect();
        for placement in reads.placements_by(&names, &nos).await? {
            named.by_no.insert(placement.no, placement.name.clone());
            named.placements.insert(placement.name.clone(), placement);
        }
        let links = said.iter().filter_map(|token| match token.origin {
            Origin::Link { no } => Some(no),
            Origin::Served { .. } => None,
        });
        for link in reads.links_by_nos(&links.collect()).await? {
            named.links.insert(link.no, link);
        }
        Ok(named)
    }
}

impl Named {
    /// What a draft is about, or why it is not.
    fn touch(&self, draft: &EventDraft) -> Result<Touch, Refusal> {
        let mut touch = Touch {
            note: draft.note.clone(),
            ..Touch::default()
        };
        let Some(about) = &draft.about else {
            return Ok(touch);
        };
        let not_there = || Refusal::new(Reason::PlacementNotFound, "no such placement");
        let name = match about {
            About::Placement(name) => name,
            About::Token(token) => {
                let said = self.tokens.get(token).ok_or_else(not_there)?;
                let said = said.as_ref().map_err(Clone::clone)?;
                if let Origin::Link { no } = said.origin {
                    let link = self.links.get(&no).ok_or_else(not_there)?;
                    touch.channel.clone_from(&link.channel);
                }
                self.by_no.get(&said.placement_no).ok_or_else(not_there)?
            }
        };
        if *name.merchant() != draft.merchant {
            // No word on whose it is: as of one that nobody made.
            let message = "this service did not make that token";
            return Err(Refusal::new(Reason::TokenForged, message));
        }
        let placement = self.placements.get(name).ok_or_else(not_there)?;
        if touch.note.is_empty() {
            touch.note = note(placement);
        }
        touch.placement = name.id().to_owned();
        Ok(touch)
    }
}

fn not_here() -> Refusal {
    let message = "this replica takes no events in; send them to one whose roles have intake";
    Refusal::new(Reason::RoleMissing, message).with("role", "intake")
}

/// Of a capsule, its note's id.
pub(super) fn note(placement: &Placement) -> String {
    match &placement.surface {
        Surface::NoteCapsule { note } => note.clone(),
        Surface::ChatMenu { .. } | Surface::CardMessage { .. } => String::new(),
    }
}

/// Whose funnels change, and from when on.
#[derive(Debug, Default)]
pub(super) struct Touches(BTreeMap<Merchant, BTreeMap<i64, Micros>>);

impl Touches {
    pub fn add(&mut self, merchant: &Merchant, viewer: u64, time: Micros) {
        let viewers = self.0.entry(merchant.clone()).or_default();
        let since = viewers.entry(viewer.cast_signed()).or_insert(time);
        *since = (*since).min(time);
    }

    /// Has them looked at again, once this transaction is committed.
    pub async fn queue(self, tx: &Tx, now: Micros) -> store::Result<()> {
        let touched = self.0.into_iter();
        let touched = touched.map(|(merchant, viewers)| Touched { merchant, viewers });
        tx.queue_funnel(&touched.collect::<Vec<_>>(), now).await
    }
}
