//! `MeasurementService`.

mod events;
mod experiments;
mod funnel;
mod reported;
mod reports;

use tonic::{Request, Response, Status};

use super::{
    call::{self, open, respond},
    pb::{self, measurement_service_server::MeasurementService},
};
use crate::{
    app::App,
    domain::{ExperimentName, ProgramName, Refusal},
};

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

    async fn create_experiment(
        &self,
        request: Request<pb::CreateExperimentRequest>,
    ) -> Answer<pb::Experiment> {
        respond(async {
            let (caller, r) = open(request)?;
            experiments::create(&self.0, caller, r).await
        })
        .await
    }

    async fn get_experiment(
        &self,
        request: Request<pb::GetExperimentRequest>,
    ) -> Answer<pb::Experiment> {
        respond(async {
            let (caller, r) = open(request)?;
            let name: ExperimentName = call::name(&caller, "name", &r.name)?;
            Ok(self.0.experiment(&name).await?.into())
        })
        .await
    }

    async fn list_experiments(
        &self,
        request: Request<pb::ListExperimentsRequest>,
    ) -> Answer<pb::ListExperimentsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            experiments::list(&self.0, &caller, r).await
        })
        .await
    }

    async fn stop_experiment(
        &self,
        request: Request<pb::StopExperimentRequest>,
    ) -> Answer<pb::Experiment> {
        respond(async {
            let (caller, r) = open(request)?;
            experiments::stop(&self.0, caller, r).await
        })
        .await
    }

    async fn get_experiment_report(
        &self,
        request: Request<pb::GetExperimentReportRequest>,
    ) -> Answer<pb::Report> {
        respond(async {
            let (caller, r) = open(request)?;
            let name: ExperimentName = call::name(&caller, "name", &r.name)?;
            let report = self.0.experiment_report(&name).await?;
            Ok(reports::report(report))
        })
        .await
    }

    async fn get_program_report(
        &self,
        request: Request<pb::GetProgramReportRequest>,
    ) -> Answer<pb::ProgramReport> {
        respond(async {
            let (caller, r) = open(request)?;
            caller.permit_platform()?;
            let name = ProgramName::parse(&r.name);
            let name = name.map_err(|rule| Refusal::field("name", rule))?;
            let report = self.0.program_report(&name).await?;
            Ok(reports::program_report(&name, report))
        })
        .await
    }

    async fn import_reported_adds(
        &self,
        request: Request<pb::ImportReportedAddsRequest>,
    ) -> Answer<pb::ImportReportedAddsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            reported::import(&self.0, caller, r).await
        })
        .await
    }

    async fn query_reconciliation(
        &self,
        request: Request<pb::QueryReconciliationRequest>,
    ) -> Answer<pb::QueryReconciliationResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            reported::reconcile(&self.0, &caller, r).await
        })
        .await
    }
}
