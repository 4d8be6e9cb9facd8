//! `ComplianceService`. Who is limited to some merchants reads what is theirs, appeals, and
//! screens; the rest is the platform's.

mod appeals;
mod credit;
pub mod sanctions;
mod violations;
mod wire;

use std::mem::take;

use tonic::{Request, Response, Status};

use super::{
    call::{self, Page, open, respond},
    pb::{self, compliance_service_server::ComplianceService},
    sanction_feed, screening,
    wire::maybe_micros,
};
use crate::{
    app::App,
    domain::{AppealName, Check, SanctionName, ViolationName},
    store::Sought,
};

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Compliance(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ComplianceService for Compliance {
    type WatchSanctionsStream = sanction_feed::Changes;

    async fn screen_content(
        &self,
        request: Request<pb::ScreenContentRequest>,
    ) -> Answer<pb::ScreenContentResponse> {
        screening::screen(&self.0, request).await
    }

    async fn report_violation(
        &self,
        request: Request<pb::ReportViolationRequest>,
    ) -> Answer<pb::Violation> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "ReportViolation", &id, &r, false)?;
            let mut check = Check::default();
            let name = call::new_name::<ViolationName>(&self.0, parent, &r.violation_id);
            let name = check.field("violation_id", name);
            let violation = r.violation.unwrap_or_default();
            let draft = violations::draft(&mut check, &self.0.rules.conduct, violation);
            let (name, draft) = check.done(name.zip(draft))?;
            let violation = self.0.report_violation(&call, name, draft).await?;
            violations::wire(&self.0, violation)
        })
        .await
    }

    async fn get_violation(
        &self,
        request: Request<pb::GetViolationRequest>,
    ) -> Answer<pb::Violation> {
        respond(async {
            let (caller, r) = open(request)?;
            let name = call::name::<ViolationName>(&caller, "name", &r.name)?;
            violations::wire(&self.0, self.0.violation(&caller, &name).await?)
        })
        .await
    }

    async fn list_violations(
        &self,
        request: Request<pb::ListViolationsRequest>,
    ) -> Answer<pb::ListViolationsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let mut check = Check::default();
            let states = check.field("state", violations::states(r.state));
            let states = check.done(states)?;
            let listing = format!("violations of {parent} {states:?}");
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let rows = self
                .0
                .violations(&caller, &parent, &states, page.before(), page.limit());
            let wire = |v| violations::wire(&self.0, v);
            let (violations, next_page_token) =
                page.cut_by(rows.await?, |v| v.no.to_string(), wire)?;
            Ok(pb::ListViolationsResponse {
                violations,
                next_page_token,
            })
        })
        .await
    }

    async fn confirm_violation(
        &self,
        request: Request<pb::ConfirmViolationRequest>,
    ) -> Answer<pb::Violation> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let id = take(&mut r.request_id);
            let why = ("decision", &*r.decision);
            let decided =
                wire::decided::<ViolationName>(caller, "ConfirmViolation", &id, &r, &r.name, why);
            let (call, name, reason) = decided?;
            let confirmed = self.0.confirm_violation(&call, &name, &r.etag, reason);
            violations::wire(&self.0, confirmed.await?)
        })
        .await
    }

    async fn dismiss_violation(
        &self,
        request: Request<pb::DismissViolationRequest>,
    ) -> Answer<pb::Violation> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let id = take(&mut r.request_id);
            let why = ("decision", &*r.decision);
            let decided =
                wire::decided::<ViolationName>(caller, "DismissViolation", &id, &r, &r.name, why);
            let (call, name, reason) = decided?;
            let dismissed = self.0.dismiss_violation(&call, &name, &r.etag, reason);
            violations::wire(&self.0, dismissed.await?)
        })
        .await
    }

    async fn get_credit_account(
        &self,
        request: Request<pb::GetCreditAccountRequest>,
    ) -> Answer<pb::CreditAccount> {
        respond(async {
            let (caller, r) = open(request)?;
            let merchant = credit::merchant(&r.name)?;
            caller.permit(&merchant)?;
            let mut check = Check::default();
            let as_of = maybe_micros(&mut check, "as_of", r.as_of.as_ref());
            let as_of = check.done(as_of)?;
            let account = self.0.credit_account(&caller, &merchant, as_of).await?;
            credit::wire(&self.0, &merchant, account)
        })
        .await
    }

    async fn create_sanction(
        &self,
        request: Request<pb::CreateSanctionRequest>,
    ) -> Answer<pb::Sanction> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreateSanction", &id, &r, false)?;
            let mut check = Check::default();
            let sanction = r.sanction.unwrap_or_default();
            let conduct = &self.0.rules.conduct;
            let draft = sanctions::draft(&mut check, &parent, conduct, sanction);
            let name = call::new_name::<SanctionName>(&self.0, parent, &r.sanction_id);
            let name = check.field("sanction_id", name);
            let (name, draft) = check.done(name.zip(draft))?;
            let sanction = self.0.create_sanction(&call, name, draft).await?;
            let then = sanction.update_time;
            sanctions::wire(&self.0, sanction, then)
        })
        .await
    }

    async fn get_sanction(&self, request: Request<pb::GetSanctionRequest>) -> Answer<pb::Sanction> {
        respond(async {
            let (caller, r) = open(request)?;
            let name = call::name::<SanctionName>(&caller, "name", &r.name)?;
            let sanction = self.0.sanction(&caller, &name).await?;
            sanctions::wire(&self.0, sanction, self.0.ambient.now())
        })
        .await
    }

    async fn list_sanctions(
        &self,
        request: Request<pb::ListSanctionsRequest>,
    ) -> Answer<pb::ListSanctionsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let merchant = wire::whose(&caller, &r.parent)?;
            let mut check = Check::default();
            let kinds = sanctions::kinds(&mut check, &r.kinds);
            let in_force_at = maybe_micros(&mut check, "in_force_at", r.in_force_at.as_ref());
            let (kinds, in_force_at) = check.done(kinds.zip(in_force_at))?;
            let listing = format!("sanctions of {} {kinds:?} {in_force_at:?}", r.parent);
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let sought = Sought {
                merchant: merchant.as_ref(),
                kinds: &kinds,
                in_force_at,
            };
            let rows = self
                .0
                .sanctions(&caller, sought, page.before(), page.limit());
            let (rows, revision) = rows.await?;
            let at = in_force_at.unwrap_or_else(|| self.0.ambient.now());
            let wire = |s| sanctions::wire(&self.0, s, at);
            let (sanctions, next_page_token) = page.cut_by(rows, |s| s.no.to_string(), wire)?;
            Ok(pb::ListSanctionsResponse {
                sanctions,
                next_page_token,
                revision: revision.unwrap_or_default(),
            })
        })
        .await
    }

    async fn lift_sanction(
        &self,
        request: Request<pb::LiftSanctionRequest>,
    ) -> Answer<pb::Sanction> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let id = take(&mut r.request_id);
            let why = ("reason", &*r.reason);
            let decided =
                wire::decided::<SanctionName>(caller, "LiftSanction", &id, &r, &r.name, why);
            let (call, name, reason) = decided?;
            let lifted = self.0.lift_sanction(&call, &name, &r.etag, reason).await?;
            let then = lifted.update_time;
            sanctions::wire(&self.0, lifted, then)
        })
        .await
    }

    async fn watch_sanctions(
        &self,
        request: Request<pb::WatchSanctionsRequest>,
    ) -> Answer<Self::WatchSanctionsStream> {
        sanction_feed::watch(&self.0, request).await
    }

    async fn create_appeal(&self, request: Request<pb::CreateAppealRequest>) -> Answer<pb::Appeal> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let parent = call::merchant(&caller, "parent", &r.parent)?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CreateAppeal", &id, &r, false)?;
            let mut check = Check::default();
            let draft = appeals::draft(&mut check, &parent, r.appeal.unwrap_or_default());
            let name = call::new_name::<AppealName>(&self.0, parent, &r.appeal_id);
            let name = check.field("appeal_id", name);
            let (name, draft) = check.done(name.zip(draft))?;
            let appeal = self.0.create_appeal(&call, name, draft).await?;
            let then = appeal.update_time;
            appeals::wire(&self.0, appeal, then)
        })
        .await
    }

    async fn get_appeal(&self, request: Request<pb::GetAppealRequest>) -> Answer<pb::Appeal> {
        respond(async {
            let (caller, r) = open(request)?;
            let name = call::name::<AppealName>(&caller, "name", &r.name)?;
            let appeal = self.0.appeal(&caller, &name).await?;
            appeals::wire(&self.0, appeal, self.0.ambient.now())
        })
        .await
    }

    async fn list_appeals(
        &self,
        request: Request<pb::ListAppealsRequest>,
    ) -> Answer<pb::ListAppealsResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let merchant = wire::whose(&caller, &r.parent)?;
            let listing = format!("appeals of {} {}", r.parent, r.undecided);
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let (before, limit) = (page.before(), page.limit());
            let rows = self
                .0
                .appeals(&caller, merchant.as_ref(), r.undecided, before, limit);
            let now = self.0.ambient.now();
            let wire = |a| appeals::wire(&self.0, a, now);
            let (appeals, next_page_token) =
                page.cut_by(rows.await?, |a| a.no.to_string(), wire)?;
            Ok(pb::ListAppealsResponse {
                appeals,
                next_page_token,
            })
        })
        .await
    }

    async fn uphold_appeal(&self, request: Request<pb::UpholdAppealRequest>) -> Answer<pb::Appeal> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let id = take(&mut r.request_id);
            let why = ("decision", &*r.decision);
            let decided =
                wire::decided::<AppealName>(caller, "UpholdAppeal", &id, &r, &r.name, why);
            let (call, name, reason) = decided?;
            let upheld = self.0.uphold_appeal(&call, &name, &r.etag, reason).await?;
            let then = upheld.update_time;
            appeals::wire(&self.0, upheld, then)
        })
        .await
    }

    async fn reject_appeal(&self, request: Request<pb::RejectAppealRequest>) -> Answer<pb::Appeal> {
        respond(async {
            let (caller, mut r) = open(request)?;
            let id = take(&mut r.request_id);
            let why = ("decision", &*r.decision);
            let decided =
                wire::decided::<AppealName>(caller, "RejectAppeal", &id, &r, &r.name, why);
            let (call, name, reason) = decided?;
            let rejected = self.0.reject_appeal(&call, &name, &r.etag, reason).await?;
            let then = rejected.update_time;
            appeals::wire(&self.0, rejected, then)
        })
        .await
    }
}
