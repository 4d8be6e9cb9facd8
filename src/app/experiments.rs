//! Experiments: start, read, stop.

use super::{
    App, Call, Result,
    write::{Begin, etag_matches, no_transition, quota},
};
use crate::domain::{Experiment, ExperimentName, Merchant, Micros, Reason, Refusal, time::after};

/// Experiments that a merchant may make, over time.
const MOST: u64 = 1000;

/// An experiment as a caller wants it.
#[derive(Clone, Debug)]
pub struct ExperimentDraft {
    pub display_name: String,
    pub hold_out: u16,
    /// One of ours where it is empty.
    pub salt: String,
}

impl App {
    pub async fn create_experiment(
        &self,
        call: &Call,
        name: ExperimentName,
        draft: ExperimentDraft,
    ) -> Result<Experiment> {
        let write = match self.begin(call).await? {
            Begin::Answered(experiment) => return Ok(experiment),
            Begin::Fresh(write) => write,
        };
        // One at a time: of two that start at once the second sees the first.
        write.tx.lock_merchant(name.merchant().id()).await?;
        if write.tx.experiment(&name).await?.is_some() {
            return Err(exists(&name).into());
        }
        // That is not stopped, by whatever clock.
        let running = write
            .tx
            .running_experiments([name.merchant()], Micros::MAX)
            .await?;
        if let Some(running) = running.get(name.merchant()) {
            return Err(is_running(&running.name).into());
        }
        let made = write.tx.count_experiments(name.merchant()).await?;
        if made >= MOST {
            let instead = "the latest goes on until it is stopped";
            return Err(quota(name.merchant(), "experiments", MOST, instead).into());
        }
        let salt = match draft.salt {
            salt if salt.is_empty() => self.ambient.uuid().to_string(),
            salt => salt,
        };
        let taken = exists(&name);
        let experiment = Experiment {
            no: 0,
            name,
            display_name: draft.display_name,
            hold_out: draft.hold_out,
            salt,
            minimal_lift_percent: self.rules.minimal_lift_percent,
            version: 1,
            start_time: write.now,
            stop_time: None,
            update_time: write.now,
        };
        let made = write.tx.insert_experiment(experiment, write.author).await?;
        write.finish(made.ok_or(taken)?).await
    }

    pub async fn experiment(&self, name: &ExperimentName) -> Result<Experiment> {
        let experiment = self.store.reads().experiment(name).await?;
        Ok(experiment.ok_or_else(|| not_found(name))?)
    }

    /// The latest first, from before this number.
    pub async fn experiments(
        &self,
        merchant: &Merchant,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Experiment>> {
        let reads = self.store.reads();
        Ok(reads.experiments_page(merchant, before, limit).await?)
    }

    pub async fn stop_experiment(
        &self,
        call: &Call,
        name: &ExperimentName,
        etag: &str,
    ) -> Result<Experiment> {
        let write = match self.begin(call).await? {
            Begin::Answered(experiment) => return Ok(experiment),
            Begin::Fresh(write) => write,
        };
        let old = write.tx.lock_experiment(name).await?;
        let old = old.ok_or_else(|| not_found(name))?;
        etag_matches(etag, &old.etag())?;
        if old.stop_time.is_some() {
            return Err(no_transition(name, "STOPPED").into());
        }
        let now = after(old.update_time, write.now);
        let stopped = Experiment {
            version: old.version + 1,
            stop_time: Some(now),
            update_time: now,
            ..old
        };
        write.tx.save_experiment(&stopped, write.author).await?;
        write.finish(stopped).await
    }
}

pub(super) fn not_found(name: &ExperimentName) -> Refusal {
    Refusal::new(Reason::ExperimentNotFound, "no such experiment").about(name)
}

fn exists(name: &ExperimentName) -> Refusal {
    let message = "an experiment of this name exists; choose another id";
    Refusal::new(Reason::ExperimentExists, message).about(name)
}

fn is_running(name: &ExperimentName) -> Refusal {
    let message = "another experiment holds viewers of this merchant out; stop it first";
    Refusal::new(Reason::ExperimentRunning, message)
        .about(name)
        .with("experiment", name.to_string())
}
