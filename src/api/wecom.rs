//! `WecomService`. Corps are the platform's; who is limited to some merchants reads what came of
//! taps on their cards, and nothing else.

mod wire;

use std::mem::take;

use tonic::{Request, Response, Status};

use super::{
    call::{self, Page, open, respond},
    contact_events,
    layers::deadline,
    pb::{self, wecom_service_server::WecomService},
};
use crate::{
    app::App,
    domain::{AcquisitionLinkName, Check, CorpName, Refusal},
};

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Wecom(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl WecomService for Wecom {
    async fn create_corp(&self, request: Request<pb::CreateCorpRequest>) -> Answer<pb::Corp> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreateCorp", &id, &r, false)?;
            let mut check = Check::default();
            let name = check.field("corp_id", CorpName::new(&self.id(&r.corp_id)));
            let draft = wire::draft(&mut check, r.corp.unwrap_or_default());
            let (name, draft) = check.done(name.zip(draft))?;
            let corp = self.0.create_corp(&call, name, draft).await?;
            Ok(wire::corp(&self.0, corp))
        })
        .await
    }

    async fn get_corp(&self, request: Request<pb::GetCorpRequest>) -> Answer<pb::Corp> {
        respond(async {
            let (caller, r) = open(request)?;
            caller.permit_platform()?;
            let corp = self.0.corp(&corp_name("name", &r.name)?).await?;
            Ok(wire::corp(&self.0, corp))
        })
        .await
    }

    async fn list_corps(
        &self,
        request: Request<pb::ListCorpsRequest>,
    ) -> Answer<pb::ListCorpsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            caller.permit_platform()?;
            let listing = "corps".to_owned();
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let rows = self.0.corps(&page.after, page.limit()).await?;
            let wire = |corp| wire::corp(&self.0, corp);
            let (corps, next_page_token) = page.cut(rows, |corp| corp.name.id(), wire)?;
            Ok(pb::ListCorpsResponse {
                corps,
                next_page_token,
            })
        })
        .await
    }

    async fn update_corp(&self, request: Request<pb::UpdateCorpRequest>) -> Answer<pb::Corp> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let name = r.corp.as_ref().map_or("", |c| &c.name);
            let name = corp_name("corp.name", name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "UpdateCorp", &id, &r, false)?;
            let corp = r.corp.unwrap_or_default();
            let etag = corp.etag.clone();
            let mut changes = wire::changes(corp, r.update_mask.as_ref())?;
            changes.drop_previous_secrets = r.drop_previous_secrets;
            let corp = self.0.update_corp(&call, &name, &etag, changes).await?;
            Ok(wire::corp(&self.0, corp))
        })
        .await
    }

    async fn delete_corp(&self, request: Request<pb::DeleteCorpRequest>) -> Answer<()> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let name = corp_name("name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "DeleteCorp", &id, &r, false)?;
            self.0.delete_corp(&call, &name, &r.etag).await
        })
        .await
    }

    async fn create_acquisition_link(
        &self,
        request: Request<pb::CreateAcquisitionLinkRequest>,
    ) -> Answer<pb::AcquisitionLink> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreateAcquisitionLink", &id, &r, false)?;
            let mut check = Check::default();
            let parent = check.field("parent", CorpName::parse(&r.parent));
            let id = self.id(&r.acquisition_link_id);
            let name = parent.and_then(|parent| {
                let name = AcquisitionLinkName::new(parent, &id);
                check.field("acquisition_link_id", name)
            });
            let link = r.acquisition_link.unwrap_or_default();
            let draft = wire::link_draft(&mut check, link, self.0.rules.members_per_link);
            let (name, draft) = check.done(name.zip(draft))?;
            let made = self.0.create_acquisition_link(&call, name, draft);
            Ok(made.await?.into())
        })
        .await
    }

    async fn list_acquisition_links(
        &self,
        request: Request<pb::ListAcquisitionLinksRequest>,
    ) -> Answer<pb::ListAcquisitionLinksResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            caller.permit_platform()?;
            let parent = corp_name("parent", &r.parent)?;
            let listing = format!("acquisition links of {parent}");
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let rows = self.0.acquisition_links(&parent, &page.after, page.limit());
            let (acquisition_links, next_page_token) =
                page.cut(rows.await?, |link| link.name.id(), Into::into)?;
            Ok(pb::ListAcquisitionLinksResponse {
                acquisition_links,
                next_page_token,
            })
        })
        .await
    }

    async fn update_acquisition_link(
        &self,
        request: Request<pb::UpdateAcquisitionLinkRequest>,
    ) -> Answer<pb::AcquisitionLink> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let name = r.acquisition_link.as_ref().map_or("", |link| &link.name);
            let name = link_name("acquisition_link.name", name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "UpdateAcquisitionLink", &id, &r, false)?;
            let link = r.acquisition_link.unwrap_or_default();
            let etag = link.etag.clone();
            let members = self.0.rules.members_per_link;
            let changes = wire::link_changes(link, r.update_mask.as_ref(), members)?;
            let changed = self.0.update_acquisition_link(&call, &name, &etag, changes);
            Ok(changed.await?.into())
        })
        .await
    }

    async fn delete_acquisition_link(
        &self,
        request: Request<pb::DeleteAcquisitionLinkRequest>,
    ) -> Answer<()> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let name = link_name("name", &r.name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "DeleteAcquisitionLink", &id, &r, false)?;
            self.0.delete_acquisition_link(&call, &name, &r.etag).await
        })
        .await
    }

    async fn get_acquisition_quota(
        &self,
        request: Request<pb::GetAcquisitionQuotaRequest>,
    ) -> Answer<pb::AcquisitionQuota> {
        respond(async {
            let (caller, r) = open(request)?;
            caller.permit_platform()?;
            let corp = wire::quota_name(&r.name)?;
            Ok(wire::quota(
                &corp,
                self.0.quota(&corp, deadline::end()).await?,
            ))
        })
        .await
    }

    async fn list_contact_events(
        &self,
        request: Request<pb::ListContactEventsRequest>,
    ) -> Answer<pb::ListContactEventsResponse> {
        contact_events::list(&self.0, request).await
    }
}

impl Wecom {
    /// The id that the caller chose, or one of ours.
    fn id(&self, chosen: &str) -> String {
        if chosen.is_empty() {
            return self.0.ambient.uuid().to_string();
        }
        chosen.to_owned()
    }
}

fn corp_name(field: &str, name: &str) -> Result<CorpName, Refusal> {
    CorpName::parse(name).map_err(|rule| Refusal::field(field, rule))
}

fn link_name(field: &str, name: &str) -> Result<AcquisitionLinkName, Refusal> {
    AcquisitionLinkName::parse(name).map_err(|rule| Refusal::field(field, rule))
}
