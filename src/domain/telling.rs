//! What is told outward of what happened, for warehouses and other services. Fields are named as
//! in the contract's JSON. Nothing in them is anybody's: viewers and contacts by the merchant's
//! pseudonyms, and no text of a merchant's or viewer's.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ContactEvent, CorpName, Enrollment, Event, EventKind, Micros, Money, Placement, Program,
    Sanction, contact_event::Tapped, money::CURRENCY,
};

macro_rules! numbered {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $word:literal),* $(,)?) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TellingKind { $($(#[$doc])* $variant = $number),* }

        impl TellingKind {
            /// `None` for a number that this version does not know.
            pub fn from_number(number: i16) -> Option<Self> {
                [$(Self::$variant),*].into_iter().find(|kind| *kind as i16 == number)
            }

            /// What the event's type, and its subject at NATS, end with.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

// The numbers are those of the store.
numbered! {
    AddRequested = 1 "contact.add_requested",
    Added = 2 "contact.added",
    WecomOpening = 3 "contact.wecom_opening",
    Removed = 4 "contact.removed",
    /// An event that turned out to be another: what was told of it never happened.
    Withdrawn = 5 "contact.withdrawn",
    Tapped = 6 "tap.recorded",
    Sanction = 7 "sanction.changed",
    Program = 8 "program.changed",
    Enrollment = 9 "enrollment.changed",
    Opened = 10 "eligibility.opened",
    Closed = 11 "eligibility.closed",
}

/// One thing to tell. The latest of a subject is how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    pub kind: TellingKind,
    /// The name of what it is about.
    pub subject: String,
    /// When it became known.
    pub time: Micros,
    pub data: Value,
}

/// Somebody as one merchant is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pseudonyms {
    pub viewer: Option<u64>,
    pub contact: Option<u128>,
}

impl Pseudonyms {
    fn viewer(self) -> Option<String> {
        self.viewer.map(|viewer| format!("{viewer:016x}"))
    }

    fn contact(self) -> Option<String> {
        self.contact.map(|contact| format!("{contact:032x}"))
    }
}

impl Telling {
    /// What happened at WeCom, as it is known now.
    pub fn contact(told: &ContactEvent, who: Pseudonyms, now: Micros) -> Self {
        let event = &told.event;
        let kind = match event.kind {
            EventKind::AddRequested => TellingKind::AddRequested,
            EventKind::Added => TellingKind::Added,
            EventKind::WecomOpening => TellingKind::WecomOpening,
            EventKind::Removed => TellingKind::Removed,
        };
        let mut data = json!({
            "eventId": told.id,
            "corp": told.corp.to_string(),
            "contact": who.contact(),
            "eventTime": event.time.to_string(),
            "source": event.source.as_str(),
            "unattributed": event.credit.as_ref().err().map(|why| why.as_str()),
        });
        if let Ok(credit) = &event.credit {
            data["merchant"] = credit.merchant.to_string().into();
            data["kind"] = credit.kind.as_str().into();
            data["viewer"] = who.viewer().into();
            if let Tapped::Item { tap, .. } = credit.tapped {
                data["tapEventId"] = tap.to_string().into();
            }
        }
        if let Some(place) = &told.place {
            data["placement"] = place.placement.to_string().into();
            data["note"] = place.note.as_ref().map(|id| format!("notes/{id}")).into();
            if let Some((link, channel)) = &place.link {
                data["link"] = link.to_string().into();
                data["channel"] = channel.as_str().into();
            }
        }
        Self {
            kind,
            subject: format!("{}/contactEvents/{}", told.corp, told.id),
            time: now,
            data: without_nulls(data),
        }
    }

    /// That an event at WeCom turned out to be another.
    pub fn withdrawn(corp: &CorpName, id: Uuid, now: Micros) -> Self {
        Self {
            kind: TellingKind::Withdrawn,
            subject: format!("{corp}/contactEvents/{id}"),
            time: now,
            data: json!({"eventId": id, "corp": corp.to_string()}),
        }
    }

    pub fn tap(tap: &Event, placement: &Placement, who: Pseudonyms) -> Self {
        let note = Some(&tap.touch.note).filter(|id| !id.is_empty());
        let channel = Some(&tap.touch.channel).filter(|channel| !channel.is_empty());
        let data = json!({
            "eventId": tap.id,
            "merchant": tap.merchant.to_string(),
            "placement": placement.name.to_string(),
            "note": note.map(|id| format!("notes/{id}")),
            "channel": channel,
            "viewer": who.viewer(),
            "eventTime": tap.time.to_string(),
            "bot": tap.bot,
        });
        Self {
            kind: TellingKind::Tapped,
            subject: format!("{}/taps/{}", placement.name, tap.id),
            time: tap.time,
            data: without_nulls(data),
        }
    }

    /// Reasons and proofs are for the merchant to read, not for the world.
    pub fn sanction(sanction: &Sanction) -> Self {
        let time = |time: Option<Micros>| time.map(|time| time.to_string());
        let data = json!({
            "name": sanction.name.to_string(),
            "merchant": sanction.merchant().to_string(),
            "kind": sanction.kind.as_str(),
            "itemIds": sanction.item_ids,
            "channels": sanction.channels,
            "amount": sanction.amount.map(money),
            "startTime": sanction.start_time.to_string(),
            "endTime": time(sanction.end_time),
            "liftTime": time(sanction.lift.as_ref().map(|lift| lift.time)),
            "rule": sanction.rule,
            "violation": sanction.violation.as_ref().map(ToString::to_string),
            "version": sanction.version,
        });
        Self {
            kind: TellingKind::Sanction,
            subject: sanction.name.to_string(),
            time: sanction.update_time,
            data: without_nulls(data),
        }
    }

    pub fn program(program: &Program) -> Self {
        let surfaces = program.surfaces.iter().map(|surface| surface.as_str());
        let kinds = program.kinds.iter().map(|kind| kind.as_str());
        let time = |time: Option<Micros>| time.map(|time| time.to_string());
        let data = json!({
            "name": program.name.to_string(),
            "displayName": program.display_name,
            "state": program.state.as_str(),
            "surfaces": surfaces.collect::<Vec<_>>(),
            "kinds": kinds.collect::<Vec<_>>(),
            "threshold": money(program.threshold),
            "windowDays": program.window_days,
            "servingGraceDays": program.serving_grace_days,
            "configurationGraceDays": program.configuration_grace_days,
            "startTime": time(program.start_time),
            "endTime": time(program.end_time),
            "sharePermille": program.share_permille,
            "version": program.version,
        });
        Self {
            kind: TellingKind::Program,
            subject: program.name.to_string(),
            time: program.update_time,
            data: without_nulls(data),
        }
    }

    pub fn enrollment(enrollment: &Enrollment) -> Self {
        let name = enrollment.name().to_string();
        let data = json!({
            "name": name,
            "merchant": enrollment.merchant.to_string(),
            "program": enrollment.program.to_string(),
            "list": enrollment.list,
            "deleted": enrollment.deleted,
            "version": enrollment.version,
        });
        Self {
            kind: TellingKind::Enrollment,
            subject: name,
            time: enrollment.update_time,
            data,
        }
    }
}

fn money(amount: Money) -> Value {
    let (units, nanos) = amount.parts();
    json!({"currencyCode": CURRENCY, "units": units.to_string(), "nanos": nanos})
}

/// What is not known is left out.
fn without_nulls(mut data: Value) -> Value {
    if let Value::Object(fields) = &mut data {
        fields.retain(|_, value| !value.is_null());
    }
    data
}
