//! Placements: wire ⇄ domain.

use prost_types::{FieldMask, Timestamp};

use crate::{
    api::{
        pb::{self, placement::Surface as Wire},
        wire::{kind, kinds, masked, micros, timestamp},
    },
    app::{PlacementChanges, PlacementDraft},
    domain::{
        CardName, Check, Merchant, Micros, Placement, PlacementState, Refusal, Surface, foreign_id,
        placement::MENU_POSITIONS,
    },
};

pub fn draft(check: &mut Check, parent: &Merchant, p: pb::Placement) -> Option<PlacementDraft> {
    let card = check.field(
        "placement.card",
        CardName::parse(&p.card).and_then(|card| {
            if card.merchant() == parent {
                Ok(card)
            } else {
                Err("must be a card of the parent".to_owned())
            }
        }),
    );
    let kinds = kinds(check, "placement.contact_kinds", &p.contact_kinds);
    let surface = placed(check, p.surface.as_ref());
    let start_time = time(check, "placement.start_time", p.start_time.as_ref());
    let end_time = time(check, "placement.end_time", p.end_time.as_ref());
    let ordered = start_time
        .zip(end_time)
        .is_none_or(|(start, end)| start < end);
    check.require(ordered, "placement.end_time", "must be after start_time");
    Some(PlacementDraft {
        card: card?,
        kinds,
        surface: surface?,
        start_time,
        end_time,
    })
}

/// What SendCard makes is not for others to make.
fn placed(check: &mut Check, surface: Option<&Wire>) -> Option<Surface> {
    match surface {
        Some(Wire::CardMessage(_)) => {
            check.violation("placement.card_message", "is made by SendCard only");
            None
        }
        Some(said) => surface_of(check, said),
        None => {
            check.violation("placement", "must have one of chat_menu, note_capsule");
            None
        }
    }
}

fn surface_of(check: &mut Check, surface: &Wire) -> Option<Surface> {
    match surface {
        Wire::ChatMenu(menu) => {
            let fits = MENU_POSITIONS.contains(&menu.position);
            check.require(fits, "placement.chat_menu.position", "must be 1 to 3");
            fits.then_some(Surface::ChatMenu {
                position: menu.position,
            })
        }
        Wire::NoteCapsule(capsule) => check
            .field(
                "placement.note_capsule.note",
                foreign_id(&capsule.note, "notes").map(str::to_owned),
            )
            .map(|note| Surface::NoteCapsule { note }),
        Wire::CardMessage(message) => check
            .field(
                "placement.card_message.conversation",
                foreign_id(&message.conversation, "conversations").map(str::to_owned),
            )
            .map(|conversation| Surface::CardMessage { conversation }),
    }
}

pub fn time(check: &mut Check, field: &str, time: Option<&Timestamp>) -> Option<Micros> {
    time.and_then(|time| check.field(field, micros(time)))
}

const FIELDS: &[&str] = &["contact_kinds", "start_time", "end_time", "chat_menu"];

/// Where the mask names no paths the whole body counts: what does not change must be unset,
/// or what it is (AIP-203).
pub fn changes(p: &pb::Placement, mask: Option<&FieldMask>) -> Result<PlacementChanges, Refusal> {
    let mut check = Check::default();
    let whole = mask.is_none_or(|m| m.paths.is_empty() || m.paths == ["*"]);
    let menu = matches!(p.surface, Some(Wire::ChatMenu(_)));
    let fields = masked(&mut check, mask, FIELDS, |field| match field {
        "contact_kinds" => !p.contact_kinds.is_empty(),
        "start_time" => p.start_time.is_some(),
        "end_time" => p.end_time.is_some(),
        _ => menu,
    });
    let mut changes = PlacementChanges::default();
    for field in &fields {
        match *field {
            "contact_kinds" => {
                let field = "placement.contact_kinds";
                changes.kinds = Some(kinds(&mut check, field, &p.contact_kinds));
            }
            "start_time" => {
                let field = "placement.start_time";
                changes.start_time = Some(time(&mut check, field, p.start_time.as_ref()));
            }
            "end_time" => {
                let field = "placement.end_time";
                changes.end_time = Some(time(&mut check, field, p.end_time.as_ref()));
            }
            _ => {
                let rule = "must be set where update_mask names it";
                check.require(menu || whole, "placement.chat_menu", rule);
            }
        }
    }
    if whole || (menu && fields.contains(&"chat_menu")) {
        let said = p.surface.as_ref();
        changes.surface = said.and_then(|surface| surface_of(&mut check, surface));
    }
    if whole && !p.card.is_empty() {
        changes.card = check.field("placement.card", CardName::parse(&p.card));
    }
    check.done(Some(changes))
}

impl From<Placement> for pb::Placement {
    fn from(p: Placement) -> Self {
        let state = match p.state {
            PlacementState::Live => pb::placement::State::Live,
            PlacementState::Paused => pb::placement::State::Paused,
            PlacementState::Deleted => pb::placement::State::Deleted,
        };
        Self {
            name: p.name.to_string(),
            card: p.card.to_string(),
            contact_kinds: p.kinds.iter().map(|k| kind(*k).into()).collect(),
            start_time: p.start_time.map(timestamp),
            end_time: p.end_time.map(timestamp),
            state: state.into(),
            etag: p.etag(),
            create_time: Some(timestamp(p.create_time)),
            update_time: Some(timestamp(p.update_time)),
            delete_time: p.delete_time.map(timestamp),
            surface: Some(p.surface.into()),
        }
    }
}

impl From<Surface> for pb::placement::Surface {
    fn from(surface: Surface) -> Self {
        match surface {
            Surface::ChatMenu { position } => Self::ChatMenu(pb::placement::ChatMenu { position }),
            Surface::NoteCapsule { note } => Self::NoteCapsule(pb::placement::NoteCapsule {
                note: format!("notes/{note}"),
            }),
            Surface::CardMessage { conversation } => {
                Self::CardMessage(pb::placement::CardMessage {
                    conversation: format!("conversations/{conversation}"),
                })
            }
        }
    }
}
