//! What experiments show: one by itself, or those of a program's merchants together.

use std::collections::HashMap;

use super::{App, Result, experiments::not_found};
use crate::{
    domain::{
        Experiment, ExperimentName, Micros, ProgramName, Stage,
        lift::{self, Arms, Plan, Reading, Verdict, Withheld},
    },
    store::{COMPARED, Outcome},
};

/// Merchants whose experiments are looked through for a program's.
const SEARCHED: u64 = 5000;
/// Experiments of one report over a program.
const POOLED: usize = 500;

/// One stage's comparison.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How it is judged.
    pub plan: Plan,
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
        let (now, zone) = (self.ambient.now(), self.rules.calendar.zone);
        let reads = self.store.reads();
        let experiment = reads.experiment(name).await?;
        let experiment = experiment.ok_or_else(|| not_found(name))?;
        let mut outcomes = reads.outcomes(&[experiment.no], zone, now).await?;
        let outcome = outcomes.remove(&experiment.no).unwrap_or_default();
        let met = Met {
            all_adds: self.reports_all_adds(&experiment, now).await?,
            experiment: &experiment,
            outcome,
        };
        Ok(Report {
            comparisons: compared(experiment.plan(), &[met], now),
            experiment,
            outcome,
            as_of: now,
        })
    }

    /// Of each merchant that the program lets in, the latest experiment: one viewer is in none
    /// twice.
    pub async fn program_report(&self, name: &ProgramName) -> Result<ProgramReport> {
        let (now, zone) = (self.ambient.now(), self.rules.calendar.zone);
        let program = self.program(name).await?;
        let reads = self.store.reads();
        let latest = reads.latest_experiments(SEARCHED).await?;
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
            .take(POOLED)
            .collect();
        let nos: Vec<_> = inside.iter().map(|experiment| experiment.no).collect();
        let outcomes = reads.outcomes(&nos, zone, now).await?;
        let mut met = Vec::new();
        for experiment in inside {
            if let Some(outcome) = outcomes.get(&experiment.no) {
                met.push(Met {
                    all_adds: self.reports_all_adds(experiment, now).await?,
                    experiment,
                    outcome: *outcome,
                });
            }
        }
        let (crooked, sound): (Vec<_>, Vec<_>) = met.into_iter().partition(Met::split_alarm);
        Ok(ProgramReport {
            experiments: sound.len(),
            left_out: crooked.len(),
            comparisons: compared(
                Plan::of_percent(self.rules.minimal_lift_percent),
                &sound,
                now,
            ),
            as_of: now,
        })
    }

    /// Whether the merchant has said by viewer who added, on every day since the start.
    async fn reports_all_adds(&self, experiment: &Experiment, now: Micros) -> Result<bool> {
        let zone = self.rules.calendar.zone;
        let first = zone.day(experiment.start_time);
        let end = experiment.stop_time.map_or(now, |stop| stop.min(now));
        let last = zone.day(end).min(zone.day(now) - 1);
        let reads = self.store.reads();
        let said = reads.reported(experiment.merchant(), (first, last)).await?;
        let days = usize::try_from(last.0 - first.0 + 1).unwrap_or(0);
        Ok(days > 0 && said.len() == days && said.values().all(|day| day.complete))
    }
}

fn compared(plan: Plan, experiments: &[Met<'_>], now: Micros) -> Vec<Comparison> {
    let compared = COMPARED.iter().enumerate();
    compared
        .map(|(i, stage)| {
            let judged = experiments.iter().filter(|met| met.has(*stage));
            let strata: Vec<_> = judged.clone().map(|met| met.stratum(i)).collect();
            let daily = judged.map(|met| met.daily(now)).sum();
            let mut reading = lift::read(&plan, &strata, daily);
            if strata.is_empty() && *stage == Stage::Added {
                reading.verdict = Verdict::Withheld(Withheld::AddsNotReported);
            }
            Comparison {
                plan,
                stage: *stage,
                matured: matured(&strata),
                reading,
            }
        })
        .collect()
}

/// An experiment that somebody met.
struct Met<'a> {
    experiment: &'a Experiment,
    outcome: Outcome,
    /// The merchant reports all of its adds by viewer.
    all_adds: bool,
}

impl Met<'_> {
    fn has(&self, stage: Stage) -> bool {
        stage != Stage::Added || self.all_adds
    }

    fn stratum(&self, stage: usize) -> lift::Experiment {
        lift::Experiment {
            hold_out_permille: self.experiment.hold_out,
            exposed: self.outcome.exposed,
            matured: self.outcome.matured[stage],
        }
    }

    fn split_alarm(&self) -> bool {
        let reading = lift::read(&Plan::default(), &[self.stratum(0)], 0.0);
        reading.split.alarm()
    }

    /// Viewers a day over the last week, or since the start; none once it has stopped.
    fn daily(&self, now: Micros) -> f64 {
        const WEEK: f64 = 7.0;
        if self.experiment.stop_time.is_some() {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "rates, not counts")]
        let (age, recent) = (
            (now.0 - self.experiment.start_time.0) as f64 / 86_400e6,
            self.outcome.recent as f64,
        );
        recent / age.clamp(1.0, WEEK)
    }
}

fn matured(strata: &[lift::Experiment]) -> Arms<lift::Arm> {
    let sum = |arm: fn(&Arms<lift::Arm>) -> lift::Arm| lift::Arm {
        viewers: strata.iter().map(|s| arm(&s.matured).viewers).sum(),
        conversions: strata.iter().map(|s| arm(&s.matured).conversions).sum(),
    };
    Arms {
        served: sum(|arms| arms.served),
        held_out: sum(|arms| arms.held_out),
    }
}
