//! `WecomService`.

use tonic::{Request, Response, Status};

use super::{
    contact_events,
    pb::{self, wecom_service_server::WecomService},
};
use crate::app::App;

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Wecom(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[allow(clippy::todo, unused_variables)]
#[tonic::async_trait]
impl WecomService for Wecom {
    async fn create_corp(&self, request: Request<pb::CreateCorpRequest>) -> Answer<pb::Corp> {
        todo!()
    }

    async fn get_corp(&self, request: Request<pb::GetCorpRequest>) -> Answer<pb::Corp> {
        todo!()
    }

    async fn list_corps(
        &self,
        request: Request<pb::ListCorpsRequest>,
    ) -> Answer<pb::ListCorpsResponse> {
        todo!()
    }

    async fn update_corp(&self, request: Request<pb::UpdateCorpRequest>) -> Answer<pb::Corp> {
        todo!()
    }

    async fn delete_corp(&self, request: Request<pb::DeleteCorpRequest>) -> Answer<()> {
        todo!()
    }

    async fn create_acquisition_link(
        &self,
        request: Request<pb::CreateAcquisitionLinkRequest>,
    ) -> Answer<pb::AcquisitionLink> {
        todo!()
    }

    async fn list_acquisition_links(
        &self,
        request: Request<pb::ListAcquisitionLinksRequest>,
    ) -> Answer<pb::ListAcquisitionLinksResponse> {
        todo!()
    }

    async fn update_acquisition_link(
        &self,
        request: Request<pb::UpdateAcquisitionLinkRequest>,
    ) -> Answer<pb::AcquisitionLink> {
        todo!()
    }

    async fn delete_acquisition_link(
        &self,
        request: Request<pb::DeleteAcquisitionLinkRequest>,
    ) -> Answer<()> {
        todo!()
    }

    async fn get_acquisition_quota(
        &self,
        request: Request<pb::GetAcquisitionQuotaRequest>,
    ) -> Answer<pb::AcquisitionQuota> {
        todo!()
    }

    async fn list_contact_events(
        &self,
        request: Request<pb::ListContactEventsRequest>,
    ) -> Answer<pb::ListContactEventsResponse> {
        contact_events::list(&self.0, request).await
    }
}
