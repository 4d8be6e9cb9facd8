//! `ProgramService`. Programs are the platform's: who is limited to some merchants reads them,
//! and nothing else.

mod wire;

use std::{mem::take, sync::Arc};

use tonic::{Request, Response, Status};

use super::{
    call::{self, Page, open, respond},
    pb::{self, program_service_server::ProgramService},
};
use crate::{
    app::{App, Call, Principal},
    domain::{Check, EnrollmentName, Merchant, ProgramName, Refusal},
};

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Programs(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ProgramService for Programs {
    async fn create_program(
        &self,
        request: Request<pb::CreateProgramRequest>,
    ) -> Answer<pb::Program> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreateProgram", &id, &r, r.validate_only)?;
            let mut check = Check::default();
            let name = check.field("program_id", self.new_name(&r.program_id));
            let draft = wire::draft(&mut check, r.program.unwrap_or_default());
            let (name, draft) = check.done(name.zip(Some(draft)))?;
            Ok(self.0.create_program(&call, name, draft).await?.into())
        })
        .await
    }

    async fn get_program(&self, request: Request<pb::GetProgramRequest>) -> Answer<pb::Program> {
        respond(async {
            let (_, r) = open(request)?;
            Ok(self.0.program(&named("name", &r.name)?).await?.into())
        })
        .await
    }

    async fn list_programs(
        &self,
        request: Request<pb::ListProgramsRequest>,
    ) -> Answer<pb::ListProgramsResponse> {
        respond(async {
            let (_, r) = open(request)?;
            let listing = "programs".to_owned();
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let rows = self.0.programs(&page.after, page.limit()).await?;
            let (programs, next_page_token) =
                page.cut(rows, |program| program.name.id(), Into::into)?;
            Ok(pb::ListProgramsResponse {
                programs,
                next_page_token,
            })
        })
        .await
    }

    async fn update_program(
        &self,
        request: Request<pb::UpdateProgramRequest>,
    ) -> Answer<pb::Program> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let name = r.program.as_ref().map_or("", |p| &p.name);
            let name = named("program.name", name)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "UpdateProgram", &id, &r, r.validate_only)?;
            let program = r.program.unwrap_or_default();
            let etag = program.etag.clone();
            let draft = wire::changes(program, r.update_mask.as_ref())?;
            Ok(self
                .0
                .update_program(&call, &name, &etag, draft)
                .await?
                .into())
        })
        .await
    }

    async fn pause_program(
        &self,
        request: Request<pb::PauseProgramRequest>,
    ) -> Answer<pb::Program> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let id = take(&mut r.request_id);
            let (call, name) = verb(caller, "PauseProgram", &id, &r, &r.name)?;
            Ok(self.0.pause_program(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn resume_program(
        &self,
        request: Request<pb::ResumeProgramRequest>,
    ) -> Answer<pb::Program> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let id = take(&mut r.request_id);
            let (call, name) = verb(caller, "ResumeProgram", &id, &r, &r.name)?;
            Ok(self.0.resume_program(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn end_program(&self, request: Request<pb::EndProgramRequest>) -> Answer<pb::Program> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let id = take(&mut r.request_id);
            let (call, name) = verb(caller, "EndProgram", &id, &r, &r.name)?;
            Ok(self.0.end_program(&call, &name, &r.etag).await?.into())
        })
        .await
    }

    async fn create_enrollment(
        &self,
        request: Request<pb::CreateEnrollmentRequest>,
    ) -> Answer<pb::Enrollment> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreateEnrollment", &id, &r, false)?;
            let mut check = Check::default();
            let program = check.field("parent", ProgramName::parse(&r.parent));
            let merchant = check.field("merchant", Merchant::parse(&r.merchant));
            let list = wire::list(r.enrollment.unwrap_or_default().list);
            let list = check.field("enrollment.list", list);
            let name = program
                .zip(merchant)
                .map(|(program, merchant)| EnrollmentName { program, merchant });
            let (name, list) = check.done(name.zip(list))?;
            Ok(self.0.create_enrollment(&call, name, list).await?.into())
        })
        .await
    }

    async fn list_enrollments(
        &self,
        request: Request<pb::ListEnrollmentsRequest>,
    ) -> Answer<pb::ListEnrollmentsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            caller.permit_platform()?;
            let parent = named("parent", &r.parent)?;
            let listing = format!("enrollments of {parent}");
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let rows = self.0.enrollments(&parent, &page.after, page.limit());
            let (enrollments, next_page_token) =
                page.cut(rows.await?, |row| row.merchant.id(), Into::into)?;
            Ok(pb::ListEnrollmentsResponse {
                enrollments,
                next_page_token,
            })
        })
        .await
    }

    async fn delete_enrollment(
        &self,
        request: Request<pb::DeleteEnrollmentRequest>,
    ) -> Answer<pb::Enrollment> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let name = EnrollmentName::parse(&r.name).map_err(|rule| Refusal::field("name", rule));
            let name = name?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "DeleteEnrollment", &id, &r, false)?;
            let deleted = self.0.delete_enrollment(&call, &name, &r.etag);
            Ok(deleted.await?.into())
        })
        .await
    }

    async fn preview_program(
        &self,
        request: Request<pb::PreviewProgramRequest>,
    ) -> Answer<pb::PreviewProgramResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            caller.permit_platform()?;
            let program = r.program.unwrap_or_default();
            let mut check = Check::default();
            let name = check.field("program.name", ProgramName::parse(&program.name));
            let state = check.field("program.state", wire::state(program.state));
            let draft = wire::draft(&mut check, program);
            let (name, state) = check.done(name.zip(state))?;
            let program = self.0.program_as(name, draft, state).await?;
            Ok(self.0.preview_program(program).await?.into())
        })
        .await
    }
}

impl Programs {
    fn new_name(&self, id: &str) -> Result<ProgramName, &'static str> {
        if id.is_empty() {
            return ProgramName::new(&self.0.ambient.uuid().to_string());
        }
        ProgramName::new(id)
    }
}

fn named(field: &str, name: &str) -> Result<ProgramName, Refusal> {
    ProgramName::parse(name).map_err(|rule| Refusal::field(field, rule))
}

/// The call of a verb, and the program that it is about. `request_id` was taken out of
/// `message`.
fn verb(
    caller: Arc<Principal>,
    method: &str,
    request_id: &str,
    message: &impl prost::Message,
    name: &str,
) -> Result<(Call, ProgramName), Refusal> {
    caller.permit_platform()?;
    let name = named("name", name)?;
    let call = call::write(caller, method, request_id, message, false)?;
    Ok((call, name))
}
