//! `PlacementService`.

use std::mem::take;

use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    call::{self, Page, open, respond},
    pb::{self, placement_service_server::PlacementService},
    wire::{kind, kinds, masked, micros, timestamp},
};
use crate::{
    app::{App, PlacementChanges, PlacementDraft, Principal},
    domain::{
        CardName, Check, Merchant, Micros, Placement, PlacementName, PlacementState, Reason,
        Refusal, Surface, foreign_id, placement::MENU_POSITIONS,
    },
};

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Placements(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PlacementService for Placements {
    async fn create_placement(
        &self,
        request: Request<pb::CreatePlacementRequest>,
    ) -> Answer<pb::Placement> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let placement = r.placement.clone().unwrap_or_default();
            vouches(&caller, &placement)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreatePlacement", &id, &r, r.validate_only)?;
            let mut check = Check::default();
            let draft = draft(&mut check, &parent, placement);
            let name = check.field("placement_id", self.new_name(parent, &r.placement_id));
            let (name, draft) = check.done(name.zip(draft))?;
            Ok(self.0.create_placement(&call, name, draft).await?.into())
        })
        .await
    }

    async fn get_placement(
        &self,
        request: Request<pb::GetPlacementRequest>,
    ) -> Answer<pb::Placement> {
        respond(async {
            let (caller, r) = open(request)?;
            let name = named(&caller, "name", &r.name)?;
            Ok(self.0.placement(&name).await?.into())
        })
        .await
    }

    async fn list_placements(
        &self,
        request: Request<pb::ListPlacementsRequest>,
    ) -> Answer<pb::ListPlacementsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let listing = format!("placements of {parent} {}", r.show_deleted);
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let rows = self
                .0
                .placements(&parent, &page.after, page.limit(), r.show_deleted)
                .await?;
            let (rows, next_page_token) = page.cut(rows, |placement| placement.name.id());
            Ok(pb::ListPlacementsResponse {
                placements: rows.into_iter().map(Into::into).collect(),
                next_page_token,
            })
        })
        .await
    }

    async fn update_placement(
        &self,
        request: Request<pb::UpdatePlacementRequest>,
    ) -> Answer<pb::Placement> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let name = r.placement.as_ref().map_or("", |p| &p.name);
            let name = named(&caller, "placement.name", name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "UpdatePlacement", &id, &r, r.validate_only)?;
            let placement = r.placement.unwrap_or_default();
            let changes = changes(&placement, r.update_mask.as_ref())?;
            let etag = &placement.etag;
            Ok(self
                .0
                .update_placement(&call, &name, etag, changes)
                .await?
                .into())
        })
        .await
    }

    async fn pause_placement(
        &self,
        request: Request<pb::PausePlacementRequest>,
    ) -> Answer<pb::Placement> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let name = named(&caller, "name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "PausePlacement", &id, &r, false)?;
            Ok(self.0.pause_placement(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn resume_placement(
        &self,
        request: Request<pb::ResumePlacementRequest>,
    ) -> Answer<pb::Placement> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let name = named(&caller, "name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "ResumePlacement", &id, &r, r.validate_only)?;
            Ok(self.0.resume_placement(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn delete_placement(
        &self,
        request: Request<pb::DeletePlacementRequest>,
    ) -> Answer<pb::Placement> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let name = named(&caller, "name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "DeletePlacement", &id, &r, false)?;
            Ok(self.0.delete_placement(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn send_card(&self, request: Request<pb::SendCardRequest>) -> Answer<pb::Placement> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let card = call::name(
                &caller,
                "card",
                CardName::parse(&r.card),
                CardName::merchant,
            )?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "SendCard", &id, &r, r.validate_only)?;
            let mut check = Check::default();
            let name = self.new_name(card.merchant().clone(), &r.placement_id);
            let name = check.field("placement_id", name);
            let conversation = foreign_id(&r.conversation, "conversations");
            let conversation = check.field("conversation", conversation);
            let kinds = kinds(&mut check, "contact_kinds", &r.contact_kinds);
            let end_time = time(&mut check, "end_time", r.end_time.as_ref());
            let (name, conversation) = check.done(name.zip(conversation))?;
            let draft = PlacementDraft {
                card,
                kinds,
                surface: Surface::CardMessage { conversation },
                start_time: None,
                end_time,
            };
            Ok(self.0.create_placement(&call, name, draft).await?.into())
        })
        .await
    }
}

impl Placements {
    fn new_name(&self, parent: Merchant, id: &str) -> Result<PlacementName, &'static str> {
        if id.is_empty() {
            return PlacementName::new(parent, &self.0.ambient.uuid().to_string());
        }
        PlacementName::new(parent, id)
    }
}

fn named(caller: &Principal, field: &str, name: &str) -> Result<PlacementName, Refusal> {
    call::name(
        caller,
        field,
        PlacementName::parse(name),
        PlacementName::merchant,
    )
}

/// Who places on a note vouches for it, and a merchant cannot vouch for itself.
fn vouches(caller: &Principal, placement: &pb::Placement) -> Result<(), Refusal> {
    let on_note = matches!(
        placement.surface,
        Some(pb::placement::Surface::NoteCapsule(_))
    );
    if on_note && caller.limited() {
        return Err(Refusal::new(
            Reason::PermissionDenied,
            "a caller limited to some merchants may not place on notes",
        ));
    }
    Ok(())
}

fn draft(check: &mut Check, parent: &Merchant, p: pb::Placement) -> Option<PlacementDraft> {
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
    let surface = surface(check, p.surface);
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

fn surface(check: &mut Check, surface: Option<pb::placement::Surface>) -> Option<Surface> {
    use pb::placement::Surface as Wire;
    match surface {
        Some(Wire::ChatMenu(menu)) => {
            position(check, &menu).map(|position| Surface::ChatMenu { position })
        }
        Some(Wire::NoteCapsule(capsule)) => check
            .field(
                "placement.note_capsule.note",
                foreign_id(&capsule.note, "notes"),
            )
            .map(|note| Surface::NoteCapsule { note }),
        Some(Wire::CardMessage(_)) => {
            check.violation("placement.card_message", "is made by SendCard only");
            None
        }
        None => {
            check.violation("placement", "must have one of chat_menu, note_capsule");
            None
        }
    }
}

fn position(check: &mut Check, menu: &pb::placement::ChatMenu) -> Option<i32> {
    let fits = MENU_POSITIONS.contains(&menu.position);
    check.require(fits, "placement.chat_menu.position", "must be 1 to 3");
    fits.then_some(menu.position)
}

fn time(check: &mut Check, field: &str, time: Option<&Timestamp>) -> Option<Micros> {
    time.and_then(|time| check.field(field, micros(time)))
}

const FIELDS: &[&str] = &["contact_kinds", "start_time", "end_time", "chat_menu"];

fn changes(
    p: &pb::Placement,
    mask: Option<&prost_types::FieldMask>,
) -> Result<PlacementChanges, Refusal> {
    let mut check = Check::default();
    let menu = match &p.surface {
        Some(pb::placement::Surface::ChatMenu(menu)) => Some(menu),
        _ => None,
    };
    let fields = masked(&mut check, mask, FIELDS, |field| match field {
        "contact_kinds" => !p.contact_kinds.is_empty(),
        "start_time" => p.start_time.is_some(),
        "end_time" => p.end_time.is_some(),
        _ => menu.is_some(),
    });
    let mut changes = PlacementChanges::default();
    for field in fields {
        match field {
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
            // With `*` a capsule or a message has no menu to move in.
            _ => changes.position = menu.and_then(|menu| position(&mut check, menu)),
        }
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
