//! `MeasurementService`.

mod events;
mod funnel;

use tonic::{Request, Response, Status};

use super::{
    call::{open, respond},
    pb::{self, measurement_service_server::MeasurementService},
};
use crate::app::App;

pub use events::REQUEST_BYTES;

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Measurement(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl MeasurementService for Measurement {
    async fn ingest_events(
        &self,
        request: Request<pb::IngestEventsRequest>,
    ) -> Answer<pb::IngestEventsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            events::ingest(&self.0, &caller, r.events).await
        })
        .await
    }

    async fn query_funnel(
        &self,
        request: Request<pb::QueryFunnelRequest>,
    ) -> Answer<pb::QueryFunnelResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            funnel::query(&self.0, &caller, r).await
        })
        .await
    }

    async fn list_metrics(
        &self,
        request: Request<pb::ListMetricsRequest>,
    ) -> Answer<pb::ListMetricsResponse> {
        respond(async {
            open(request)?;
            Ok(funnel::registry())
        })
        .await
    }
}
