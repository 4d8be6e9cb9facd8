//! What experiments show: one by itself, or those of a program's merchants together.

use std::collections::HashMap;

use super::{App, Result, experiments::not_found};
use crate::{
    domain::{
        Experiment, ExperimentName, Micros, ProgramName, Stage,
        lift::{self, Arms, Plan, Reading},
    },
    store::{COMPARED, Outcome},
};

/// Experiments of one report over a program.
const POOLED: u64 = 500;

/// One stage's comparison.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub stage: Stage,
    pub matured: Arms<lift::Arm>,
    pub reading: Reading,
}

/// What an experiment shows.
#[derive(Clone, Debug)]
pub struct Report {
    pub experiment: Experiment,
    pub outcome: Outcome,
    pub comparisons: Vec<Comparison>,
    pub as_of: Micros,
}

/// What the experiments of a program's merchants show together.
#[derive(Clone, Debug)]
pub struct ProgramReport {
    /// How many are in the figures.
    pub experiments: usize,
    /// How many are not, as their viewers are not split as declared.
    pub left_out: usize,
    pub comparisons: Vec<Comparison>,
    pub as_of: Micros,
}

impl App {
    pub async fn experiment_report(&self, name: &ExperimentName) -> Result<Report> {
        let now = self.ambient.now();
        let reads = self.store.reads();
        let experiment = reads.experiment(name).await?;
        let experiment = experiment.ok_or_else(|| not_found(name))?;
        let mut outcomes = reads.outcomes(&[experiment.no], now).await?;
        let outcome = outcomes.remove(&experiment.no).unwrap_or_default();
        Ok(Report {
            comparisons: self.compared(&[(&experiment, outcome)], now),
            experiment,
            outcome,
            as_of: now,
        })
    }

    /// Of the latest experiments of merchants that the program lets in.
    pub async fn program_report(&self, name: &ProgramName) -> Result<ProgramReport> {
        let now = self.ambient.now();
        let program = self.program(name).await?;
        let reads = self.store.reads();
        let latest = reads.latest_experiments(POOLED).await?;
        let merchants: Vec<_> = latest.iter().map(|e| e.merchant().id()).collect();
        let lists = reads.lists(&merchants).await?.into_iter();
        let lists: HashMap<_, _> = lists
            .filter(|(no, ..)| *no == program.no)
            .map(|(_, merchant, list)| (merchant, list))
            .collect();
        let inside: Vec<_> = latest
            .iter()
            .filter(|e| {
                let list = lists.get(e.merchant()).copied();
                program.membership(e.merchant(), list).is_in()
            })
            .collect();
        let nos: Vec<_> = inside.iter().map(|experiment| experiment.no).collect();
        let outcomes = reads.outcomes(&nos, now).await?;
        let met = inside.into_iter().filter_map(|experiment| {
            let outcome = outcomes.get(&experiment.no)?;
            Some((experiment, *outcome))
        });
        let (sound, crooked): (Vec<_>, Vec<_>) =
            met.partition(|(experiment, outcome)| !split_alarm(experiment, outcome));
        Ok(ProgramReport {
            experiments: sound.len(),
            left_out: crooked.len(),
            comparisons: self.compared(&sound, now),
            as_of: now,
        })
    }

    fn compared(&self, experiments: &[(&Experiment, Outcome)], now: Micros) -> Vec<Comparison> {
        COMPARED
            .iter()
            .enumerate()
            .map(|(i, stage)| {
                let strata: Vec<_> = experiments
                    .iter()
                    .map(|(experiment, outcome)| stratum(experiment, outcome, i))
                    .collect();
                let mut matured = Arms::<lift::Arm>::default();
                for stratum in &strata {
                    add(&mut matured.served, stratum.matured.served);
                    add(&mut matured.held_out, stratum.matured.held_out);
                }
                let daily = experiments.iter().map(|(e, outcome)| daily(e, outcome, now));
                Comparison {
                    stage: *stage,
                    matured,
                    reading: lift::read(&self.rules.lift, &strata, daily.sum()),
                }
            })
            .collect()
    }

    /// How experiments are judged.
    pub fn lift_plan(&self) -> &Plan {
        &self.rules.lift
    }
}

fn stratum(experiment: &Experiment, outcome: &Outcome, stage: usize) -> lift::Experiment {
    lift::Experiment {
        hold_out_permille: experiment.hold_out,
        exposed: outcome.exposed,
        matured: outcome.matured[stage],
    }
}

fn split_alarm(experiment: &Experiment, outcome: &Outcome) -> bool {
    let stratum = stratum(experiment, outcome, 0);
    lift::read(&Plan::default(), &[stratum], 0.0).split.alarm()
}

fn add(sum: &mut lift::Arm, arm: lift::Arm) {
    sum.viewers += arm.viewers;
    sum.conversions += arm.conversions;
}

/// Viewers a day over the last week, or since the start; none once it has stopped.
fn daily(experiment: &Experiment, outcome: &Outcome, now: Micros) -> f64 {
    const WEEK: f64 = 7.0;
    if experiment.stop_time.is_some() {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "rates, not counts")]
    let (age, recent) = (
        (now.0 - experiment.start_time.0) as f64 / 86_400e6,
        outcome.recent as f64,
    );
    recent / age.clamp(1.0, WEEK)
}
