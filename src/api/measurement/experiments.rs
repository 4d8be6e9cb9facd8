//! Experiments: wire ⇄ domain.

use std::{mem::take, sync::Arc};

use super::super::{
    call::{self, Page},
    pb::{self, experiment::State},
    wire::timestamp,
};
use crate::{
    app::{App, ExperimentDraft, Principal, Result},
    domain::{Check, Experiment, ExperimentName, experiment::MOST_HELD_OUT, text},
};

pub async fn create(
    app: &App,
    caller: Arc<Principal>,
    mut r: pb::CreateExperimentRequest,
) -> Result<pb::Experiment> {
    let parent = call::merchant(&caller, "parent", &r.parent)?;
    let id = take(&mut r.request_id);
    let call = call::write(caller, "CreateExperiment", &id, &r, false)?;
    let mut check = Check::default();
    let name = call::new_name(app, parent, &r.experiment_id);
    let name: Option<ExperimentName> = check.field("experiment_id", name);
    let draft = match r.experiment {
        Some(experiment) => draft(&mut check, experiment),
        None => {
            check.violation("experiment", "must be set");
            None
        }
    };
    let (name, draft) = check.done(name.zip(draft))?;
    Ok(app.create_experiment(&call, name, draft).await?.into())
}

pub async fn list(
    app: &App,
    caller: &Principal,
    r: pb::ListExperimentsRequest,
) -> Result<pb::ListExperimentsResponse> {
    let merchant = call::merchant(caller, "parent", &r.parent)?;
    let listing = format!("experiments of {merchant}");
    let page = Page::new(&app.keys, listing, r.page_size, &r.page_token)?;
    let found = app.experiments(&merchant, page.before(), page.limit());
    let (experiments, next_page_token) = page.cut_by(
        found.await?,
        |experiment| experiment.no.to_string(),
        |experiment| Ok(experiment.into()),
    )?;
    Ok(pb::ListExperimentsResponse {
        experiments,
        next_page_token,
    })
}

pub async fn stop(
    app: &App,
    caller: Arc<Principal>,
    mut r: pb::StopExperimentRequest,
) -> Result<pb::Experiment> {
    let name: ExperimentName = call::name(&caller, "name", &r.name)?;
    let id = take(&mut r.request_id);
    let call = call::write(caller, "StopExperiment", &id, &r, false)?;
    Ok(app.stop_experiment(&call, &name, &r.etag).await?.into())
}

fn draft(check: &mut Check, experiment: pb::Experiment) -> Option<ExperimentDraft> {
    let display_name = text(&experiment.display_name, 0..=60);
    let display_name = check.field("experiment.display_name", display_name);
    let hold_out = u16::try_from(experiment.hold_out_permille).ok();
    let hold_out = hold_out.filter(|share| (1..=MOST_HELD_OUT).contains(share));
    let hold_out = hold_out.ok_or("must be 1 to 900");
    let hold_out = check.field("experiment.hold_out_permille", hold_out);
    let salt = salt(experiment.salt);
    let salt = check.field("experiment.salt", salt);
    Some(ExperimentDraft {
        display_name: display_name?,
        hold_out: hold_out?,
        salt: salt?,
    })
}

fn salt(salt: String) -> Result<String, &'static str> {
    let fits = salt.len() <= 64 && salt.bytes().all(|b| b.is_ascii_graphic());
    fits.then_some(salt)
        .ok_or("must be at most 64 visible ASCII characters")
}

impl From<Experiment> for pb::Experiment {
    fn from(experiment: Experiment) -> Self {
        let state = match experiment.stop_time {
            None => State::Running,
            Some(_) => State::Stopped,
        };
        Self {
            name: experiment.name.to_string(),
            etag: experiment.etag(),
            display_name: experiment.display_name,
            hold_out_permille: experiment.hold_out.into(),
            salt: experiment.salt,
            state: state.into(),
            start_time: Some(timestamp(experiment.start_time)),
            stop_time: experiment.stop_time.map(timestamp),
        }
    }
}
