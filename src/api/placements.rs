//! `PlacementService`.

mod wire;

use std::mem::take;

use tonic::{Request, Response, Status};

use super::{
    call::{self, Page, open, respond},
    pb::{self, placement_service_server::PlacementService},
    wire::kinds,
};
use crate::{
    app::{App, PlacementDraft, Principal},
    domain::{CardName, Check, PlacementName, Reason, Refusal, Surface, foreign_id},
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
            let draft = wire::draft(&mut check, &parent, placement);
            let name = check.field(
                "placement_id",
                call::new_name::<PlacementName>(&self.0, parent, &r.placement_id),
            );
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
            let name = call::name::<PlacementName>(&caller, "name", &r.name)?;
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
            let (placements, next_page_token) =
                page.cut(rows, |placement| placement.name.id(), Into::into)?;
            Ok(pb::ListPlacementsResponse {
                placements,
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
            let name = call::name::<PlacementName>(&caller, "placement.name", name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "UpdatePlacement", &id, &r, r.validate_only)?;
            let placement = r.placement.unwrap_or_default();
            let changes = wire::changes(&placement, r.update_mask.as_ref())?;
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
            let name = call::name::<PlacementName>(&caller, "name", &r.name)?;
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
            let name = call::name::<PlacementName>(&caller, "name", &r.name)?;
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
            let name = call::name::<PlacementName>(&caller, "name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "DeletePlacement", &id, &r, false)?;
            Ok(self.0.delete_placement(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn send_card(&self, request: Request<pb::SendCardRequest>) -> Answer<pb::Placement> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let card = call::name::<CardName>(&caller, "card", &r.card)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "SendCard", &id, &r, r.validate_only)?;
            let mut check = Check::default();
            let name =
                call::new_name::<PlacementName>(&self.0, card.merchant().clone(), &r.placement_id);
            let name = check.field("placement_id", name);
            let conversation = foreign_id(&r.conversation, "conversations").map(str::to_owned);
            let conversation = check.field("conversation", conversation);
            let kinds = kinds(&mut check, "contact_kinds", &r.contact_kinds);
            let end_time = wire::time(&mut check, "end_time", r.end_time.as_ref());
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
