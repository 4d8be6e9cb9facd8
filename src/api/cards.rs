//! `CardService`.

mod wire;

use std::mem::take;

use tonic::{Request, Response, Status};

use super::{
    call::{self, Page, open, respond},
    pb::{self, card_service_server::CardService},
    wire::{KIND_RULE, kind_of},
};
use crate::{
    app::App,
    domain::{CardName, Check, text},
};

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Cards(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl CardService for Cards {
    async fn create_card(&self, request: Request<pb::CreateCardRequest>) -> Answer<pb::Card> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreateCard", &id, &r, r.validate_only)?;
            let mut check = Check::default();
            let name = check.field(
                "card_id",
                call::new_name::<CardName>(&self.0, parent, &r.card_id),
            );
            let draft = wire::draft(&mut check, r.card.unwrap_or_default());
            let (name, draft) = check.done(name.zip(draft))?;
            Ok(self.0.create_card(&call, name, draft).await?.into())
        })
        .await
    }

    async fn get_card(&self, request: Request<pb::GetCardRequest>) -> Answer<pb::Card> {
        respond(async {
            let (caller, r) = open(request)?;
            let name = call::name::<CardName>(&caller, "name", &r.name)?;
            let suspended = self.0.suspended(name.merchant()).await?;
            Ok(wire::seen(self.0.card(&name).await?, suspended))
        })
        .await
    }

    async fn list_cards(
        &self,
        request: Request<pb::ListCardsRequest>,
    ) -> Answer<pb::ListCardsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let listing = format!("cards of {parent} {}", r.show_deleted);
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let cards = self
                .0
                .cards(&parent, &page.after, page.limit(), r.show_deleted)
                .await?;
            let suspended = self.0.suspended(&parent).await?;
            let seen = |card| wire::seen(card, suspended);
            let (cards, next_page_token) = page.cut(cards, |card| card.name.id(), seen)?;
            Ok(pb::ListCardsResponse {
                cards,
                next_page_token,
            })
        })
        .await
    }

    async fn update_card(&self, request: Request<pb::UpdateCardRequest>) -> Answer<pb::Card> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let name = r.card.as_ref().map_or("", |c| &c.name);
            let name = call::name::<CardName>(&caller, "card.name", name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "UpdateCard", &id, &r, r.validate_only)?;
            let card = r.card.unwrap_or_default();
            let etag = card.etag.clone();
            let changes = wire::changes(card, r.update_mask.as_ref())?;
            Ok(self
                .0
                .update_card(&call, &name, &etag, changes)
                .await?
                .into())
        })
        .await
    }

    async fn delete_card(&self, request: Request<pb::DeleteCardRequest>) -> Answer<pb::Card> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let name = call::name::<CardName>(&caller, "name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "DeleteCard", &id, &r, false)?;
            Ok(self.0.delete_card(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn undelete_card(&self, request: Request<pb::UndeleteCardRequest>) -> Answer<pb::Card> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let name = call::name::<CardName>(&caller, "name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "UndeleteCard", &id, &r, r.validate_only)?;
            Ok(self.0.undelete_card(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn reveal_contact(
        &self,
        request: Request<pb::RevealContactRequest>,
    ) -> Answer<pb::RevealContactResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let name = call::name::<CardName>(&caller, "name", &r.name)?;
            let call = call::write(caller, "RevealContact", "", &r, false)?;
            let mut check = Check::default();
            let named = kind_of(r.kind).and_then(|kind| kind.ok_or(KIND_RULE));
            let kind = check.field("kind", named);
            let purpose = check.field("purpose", text(&r.purpose, 0..=200));
            let (kind, purpose) = check.done(kind.zip(purpose))?;
            let opened = self.0.reveal_contact(&call, &name, kind, &purpose).await?;
            Ok(pb::RevealContactResponse {
                kind: r.kind,
                value: opened.value().to_owned(),
            })
        })
        .await
    }
}
