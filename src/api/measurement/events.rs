//! `IngestEvents`: each event is read by itself, so that one that is wrong keeps no other.

use std::collections::{BTreeMap, HashMap};

use super::super::{
    pb::{
        self,
        event::{Origin, Type},
        ingest_events_response::Rejection,
    },
    wire::{micros, reason},
};
use crate::{
    app::{About, App, EventDraft, Principal, Result},
    domain::{
        Check, Merchant, Micros, PlacementName, Refusal, Stage, event::timely, foreign_id,
        is_viewer_id, text,
    },
};

/// Events of one batch at most.
const MAX_EVENTS: usize = 1000;
/// What a batch may have: 1,000 events with the longest names and no attributes, and as much
/// again.
pub const REQUEST_BYTES: usize = 1024 * 1024;
/// Attributes of one event at most.
const MAX_ATTRIBUTES: usize = 16;

/// Takes in a batch. What the caller may not tell of is refused with all of it.
pub async fn ingest(
    app: &App,
    caller: &Principal,
    events: Vec<pb::Event>,
) -> Result<pb::IngestEventsResponse> {
    for event in &events {
        if let Ok(merchant) = Merchant::parse(&event.merchant) {
            caller.permit(&merchant)?;
        }
    }
    if !(1..=MAX_EVENTS).contains(&events.len()) {
        return Err(Refusal::field("events", "must be 1 to 1,000").into());
    }
    let (now, mut drafts, mut rejected) = (app.ambient.now(), Vec::new(), BTreeMap::new());
    for (place, event) in events.into_iter().enumerate() {
        match draft(event, now) {
            Ok(draft) => drafts.push((place, draft)),
            Err(refusal) => {
                rejected.insert(place, ("", refusal));
            }
        }
    }
    let ingested = app.ingest(drafts).await?;
    rejected.extend(ingested.rejected);
    let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    Ok(pb::IngestEventsResponse {
        accepted: count(ingested.accepted),
        duplicates: count(ingested.duplicates),
        rejected: rejected.into_iter().map(rejection).collect(),
    })
}

fn rejection((place, (field, refusal)): (usize, (&str, Refusal))) -> Rejection {
    let first = refusal.violations.into_iter().next();
    let (field, description) = first.map_or_else(
        || (field.to_owned(), refusal.message),
        |violation| (violation.field, violation.description),
    );
    Rejection {
        index: i32::try_from(place).unwrap_or(i32::MAX),
        reason: reason(refusal.reason).into(),
        field,
        description,
    }
}

fn draft(event: pb::Event, now: Micros) -> Result<EventDraft, Refusal> {
    let mut check = Check::default();
    let event_id = check.field("event_id", event_id(&event.event_id));
    let stage = check.field("type", stage(event.r#type));
    let merchant = check.field("merchant", Merchant::parse(&event.merchant));
    let rule = "must be 1 to 64 of [0-9A-Za-z_.:-]";
    check.require(is_viewer_id(&event.viewer_id), "viewer_id", rule);
    let about = match event.origin {
        None => Some(None),
        Some(Origin::Placement(name)) => {
            let name = check.field("placement", PlacementName::parse(&name));
            let own = name.filter(|name| merchant.as_ref().is_none_or(|m| m == name.merchant()));
            check.require(own.is_some(), "placement", "must be of the same merchant");
            own.map(|name| Some(About::Placement(name)))
        }
        Some(Origin::TapToken(token)) => Some(Some(About::Token(token))),
    };
    let time = event.event_time.as_ref().ok_or("must be set");
    let time = time
        .and_then(micros)
        .and_then(|t| timely(t, now).map(|()| t));
    let time = check.field("event_time", time);
    let note = check.field("note", elsewhere(&event.note, "notes"));
    let conversation = elsewhere(&event.conversation, "conversations");
    let conversation = check.field("conversation", conversation);
    let attributes = check.field("attributes", attributes(event.attributes));
    check.done((|| {
        Some(EventDraft {
            event_id: event_id?,
            stage: stage?,
            merchant: merchant?,
            viewer_id: event.viewer_id,
            about: about?,
            time: time?,
            note: note?,
            conversation: conversation?,
            attributes: attributes?,
        })
    })())
}

fn event_id(id: &str) -> Result<String, &'static str> {
    let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| id.to_owned())
        .ok_or("must be 1 to 64 visible ASCII characters")
}

fn stage(number: i32) -> Result<Stage, &'static str> {
    i16::try_from(number)
        .ok()
        .and_then(Stage::from_number)
        .filter(|stage| stage.is_reported())
        .ok_or("must be IMPRESSION, COPY, DIAL, INBOUND, OPENING or LEAD")
}

/// Empty, or the id of what is owned elsewhere.
fn elsewhere(name: &str, collection: &str) -> Result<String, String> {
    match name {
        "" => Ok(String::new()),
        name => foreign_id(name, collection).map(str::to_owned),
    }
}

fn attributes(given: HashMap<String, String>) -> Result<BTreeMap<String, String>, &'static str> {
    let named = |key: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
        (1..=32).contains(&key.len()) && key.bytes().all(plain)
    };
    if given.len() > MAX_ATTRIBUTES || !given.keys().all(|key| named(key)) {
        return Err("must be at most 16, with keys of 1 to 32 of [a-z0-9_.-]");
    }
    given
        .into_iter()
        .map(|(key, value)| Ok((key, text(&value, 0..=128)?)))
        .collect::<Result<_, String>>()
        .map_err(|_| "must have values of at most 128 code points, without control characters")
}

/// The stage on the wire.
pub fn type_of(stage: Stage) -> Type {
    Type::try_from(i32::from(stage as i16)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_its_word() {
        for stage in Stage::ALL {
            assert_eq!(type_of(*stage).as_str_name(), stage.as_str());
        }
        assert!(Stage::from_number(i16::try_from(Stage::ALL.len()).unwrap() + 1).is_none());
    }
}
