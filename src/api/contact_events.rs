//! `WecomService.ListContactEvents`.

use tonic::{Request, Response, Status};

use super::{
    call::{Page, open, respond},
    pb,
    wire::{kind, timestamp},
};
use crate::{
    app::{App, Principal, Result},
    domain::{
        ContactEvent, Corp, CorpName, Merchant, Refusal,
        contact_event::{ContactKey, EventKind, Place, Source, Tapped, Unattributed},
    },
    keys::KeyRing,
    store::Of,
};

/// Whose events are asked for.
enum Parent {
    Merchant(Merchant),
    Corp(Corp),
}

pub async fn list(
    app: &App,
    request: Request<pb::ListContactEventsRequest>,
) -> Result<Response<pb::ListContactEventsResponse>, Status> {
    respond(async {
        let (caller, r) = open(request)?;
        let parent = parent(app, &caller, &r.parent).await?;
        let listing = format!("contact events of {}", r.parent);
        let page = Page::new(&app.keys, listing, r.page_size, &r.page_token)?;
        let events = app
            .contact_events(parent.of(), page.before(), page.limit())
            .await?;
        let key = |event: &ContactEvent| event.no.to_string();
        let wire = |event| Ok(wire(&app.keys, &parent, event));
        let (contact_events, next_page_token) = page.cut_by(events, key, wire)?;
        Ok(pb::ListContactEventsResponse {
            contact_events,
            next_page_token,
        })
    })
    .await
}

async fn parent(app: &App, caller: &Principal, name: &str) -> Result<Parent> {
    if let Ok(merchant) = Merchant::parse(name) {
        caller.permit(&merchant)?;
        return Ok(Parent::Merchant(merchant));
    }
    let rule = "must be merchants/{merchant} or corps/{corp}";
    let corp = CorpName::parse(name).map_err(|_| Refusal::field("parent", rule))?;
    caller.permit_platform()?;
    Ok(Parent::Corp(app.corp(&corp).await?))
}

impl Parent {
    fn of(&self) -> Of<'_> {
        match self {
            Self::Merchant(merchant) => Of::Merchant(merchant),
            Self::Corp(corp) => Of::Corp { no: corp.no },
        }
    }

    /// A contact as it is known there: the corp's own key tells contacts of several merchants, so
    /// no merchant is told it.
    fn contact(&self, keys: &KeyRing, contact: &ContactKey) -> ContactKey {
        match self {
            Self::Merchant(merchant) => keys.contact_of(merchant.id(), contact),
            Self::Corp(_) => *contact,
        }
    }
}

/// Viewers are named as the merchant knows them, whoever asks.
fn wire(keys: &KeyRing, parent: &Parent, event: ContactEvent) -> pb::ContactEvent {
    let contact = event.contact.map(|key| hex(&parent.contact(keys, &key)));
    let happened = event.event;
    let mut wire = pb::ContactEvent {
        event_id: event.id.to_string(),
        r#type: type_of(happened.kind).into(),
        corp: event.corp.to_string(),
        contact: contact.unwrap_or_default(),
        event_time: Some(timestamp(happened.time)),
        source: source(happened.source).into(),
        ..Default::default()
    };
    match (happened.credit, event.place) {
        (Err(why), _) => wire.unattributed = unattributed(why).into(),
        (Ok(credit), place) => {
            wire.merchant = credit.merchant.to_string();
            wire.kind = kind(credit.kind).into();
            if let Tapped::Item { viewer, tap } = credit.tapped {
                let viewer = keys.viewer_of(credit.merchant.id(), viewer);
                wire.viewer = hex(&viewer.to_be_bytes());
                wire.tap_event_id = tap.to_string();
            }
            if let Some(place) = place {
                wire.place(place);
            }
        }
    }
    wire
}

impl pb::ContactEvent {
    fn place(&mut self, place: Place) {
        self.placement = place.placement.to_string();
        self.note = place
            .note
            .map(|id| format!("notes/{id}"))
            .unwrap_or_default();
        if let Some((link, channel)) = place.link {
            (self.link, self.channel) = (link.to_string(), channel);
        }
    }
}

fn type_of(kind: EventKind) -> pb::contact_event::Type {
    use pb::contact_event::Type as Wire;
    match kind {
        EventKind::AddRequested => Wire::AddRequested,
        EventKind::Added => Wire::Added,
        EventKind::WecomOpening => Wire::WecomOpening,
        EventKind::Removed => Wire::Removed,
    }
}

fn source(source: Source) -> pb::contact_event::Source {
    use pb::contact_event::Source as Wire;
    match source {
        Source::Callback => Wire::Callback,
        Source::Pull => Wire::Pull,
    }
}

fn unattributed(why: Unattributed) -> pb::contact_event::Unattributed {
    use pb::contact_event::Unattributed as Wire;
    match why {
        Unattributed::NoState => Wire::NoState,
        Unattributed::StateMalformed => Wire::StateMalformed,
        Unattributed::StateForged => Wire::StateForged,
        Unattributed::StateExpired => Wire::StateExpired,
        Unattributed::PlacementGone => Wire::PlacementGone,
        Unattributed::CorpMismatch => Wire::CorpMismatch,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
