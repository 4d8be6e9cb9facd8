//! `EligibilityService`.

mod import;
mod wire;

use std::{mem::take, sync::Arc};

use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

pub use self::wire::day;
use self::wire::eligibility;
use super::{
    call::{self, Page, open, respond},
    pb::{self, eligibility_service_server::EligibilityService},
    status,
    wire::maybe_micros,
};
use crate::{
    app::App,
    domain::{Check, Merchant, ProgramName, Reason, Refusal, spend},
};

/// Streams at once: each holds a place among the calls for as long as it lasts.
const STREAMS: usize = 8;

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Eligibilities(App, Arc<Semaphore>);

impl Eligibilities {
    pub fn new(app: App) -> Self {
        Self(app, Arc::new(Semaphore::new(STREAMS)))
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl EligibilityService for Eligibilities {
    async fn import_spend(
        &self,
        request: Request<Streaming<pb::ImportSpendRequest>>,
    ) -> Answer<pb::ImportSpendResponse> {
        let _place = self.1.try_acquire().map_err(|_| {
            let message = "as many imports are under way as this replica takes; come again";
            status::refusal(&Refusal::new(Reason::Overloaded, message))
        })?;
        import::from_stream(&self.0, request)
            .await
            .map(Response::new)
    }

    async fn complete_spend_day(
        &self,
        request: Request<pb::CompleteSpendDayRequest>,
    ) -> Answer<pb::SpendDay> {
        respond(async {
            let (caller, mut r) = open(request)?;
            caller.permit_platform()?;
            let id = take(&mut r.request_id);
            let call = call::write(caller, "CompleteSpendDay", &id, &r, false)?;
            let mut check = Check::default();
            let source = check.field("source", self.0.sources().source(&r.source));
            let day = day(r.day).and_then(|day| spend::completed(day, self.0.today()));
            let day = check.field("day", day);
            let (source, day) = check.done(source.zip(day))?;
            let day = self.0.complete_spend_day(&call, &source, day).await?;
            Ok(day.into())
        })
        .await
    }

    async fn get_eligibility(
        &self,
        request: Request<pb::GetEligibilityRequest>,
    ) -> Answer<pb::Eligibility> {
        respond(async {
            let (caller, r) = open(request)?;
            let merchant = merchant(&r.name)?;
            caller.permit(&merchant)?;
            let mut check = Check::default();
            let program = match r.program.as_str() {
                "" => Some(None),
                name => check.field("program", ProgramName::parse(name)).map(Some),
            };
            let as_of = maybe_micros(&mut check, "as_of", r.as_of.as_ref());
            let (program, as_of) = check.done(program.zip(as_of))?;
            let (chance, at) = self
                .0
                .eligibility(&merchant, program.as_ref(), as_of)
                .await?;
            Ok(eligibility(&merchant, chance, at))
        })
        .await
    }

    async fn list_eligibilities(
        &self,
        request: Request<pb::ListEligibilitiesRequest>,
    ) -> Answer<pb::ListEligibilitiesResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let merchant = call::merchant(&caller, "parent", &r.parent)?;
            let mut check = Check::default();
            let as_of = maybe_micros(&mut check, "as_of", r.as_of.as_ref());
            let as_of = check.done(as_of)?;
            let listing = format!("eligibilities of {merchant} as of {as_of:?}");
            let page = Page::new(&self.0.keys, listing, r.page_size, &r.page_token)?;
            let (chances, at) = self
                .0
                .eligibilities(&merchant, &page.after, page.limit(), as_of)
                .await?;
            let wire = |chance| eligibility(&merchant, chance, at);
            let (eligibilities, next_page_token) =
                page.cut(chances, |c| c.program.name.id(), wire)?;
            Ok(pb::ListEligibilitiesResponse {
                eligibilities,
                next_page_token,
            })
        })
        .await
    }
}

/// Of `merchants/{merchant}/eligibility`.
fn merchant(name: &str) -> Result<Merchant, Refusal> {
    name.strip_suffix("/eligibility")
        .and_then(|merchant| Merchant::parse(merchant).ok())
        .ok_or_else(|| Refusal::field("name", "must be merchants/{merchant}/eligibility"))
}
