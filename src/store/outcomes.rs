//! What came of experiments: viewers by the side on which they met one, and who did what after.
//! Made of raw events, so it says the same however late they came.

use std::{collections::BTreeMap, time::Duration};

use sea_orm::{ConnectionTrait, QueryResult, Statement};

use super::{Db, Error, Result, reconciliation::day_in};
use crate::domain::{
    Arm, Micros, Stage, Zone,
    day::MICROS_A_DAY,
    event::SKEW,
    lift::{self, Arms},
};

/// What is compared, each within its own window.
/// Adds are those that merchants report by viewer: held-out viewers have none by the card.
pub const COMPARED: [Stage; 4] = [Stage::Inbound, Stage::Opening, Stage::Lead, Stage::Added];

/// One experiment's figures. Who was seen in both arms is in none but `quarantined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub exposed: Arms<u64>,
    pub quarantined: u64,
    /// Who met it within the last 7 days.
    pub recent: u64,
    /// In the order of [`COMPARED`]: viewers whose window has closed, and who did it within.
    pub matured: [Arms<lift::Arm>; COMPARED.len()],
}

impl<C: ConnectionTrait> Db<C> {
    /// Of these experiments, by number; none of those that nobody met. Of viewers whose
    /// events are no longer kept nothing is said.
    pub async fn outcomes(
        &self,
        experiments: &[i64],
        zone: Zone,
        now: Micros,
    ) -> Result<BTreeMap<i64, Outcome>> {
        if experiments.is_empty() {
            return Ok(BTreeMap::new());
        }
        let kept = self.events_kept_from().await?;
        let db = self.0.get_database_backend();
        let statement = Statement::from_string(db, query(experiments, zone, kept, now));
        let mut outcomes: BTreeMap<i64, Outcome> = BTreeMap::new();
        for row in self.0.query_all_raw(statement).await? {
            let outcome = outcomes.entry(row.try_get_by_index(0)?).or_default();
            let viewers = count(&row, 2)?;
            match Arm::from_number(row.try_get_by_index(1)?) {
                None => outcome.quarantined = viewers,
                Some(arm) => {
                    *side(&mut outcome.exposed, arm) = viewers;
                    outcome.recent += count(&row, 3)?;
                    for (i, matured) in outcome.matured.iter_mut().enumerate() {
                        *side(matured, arm) = lift::Arm {
                            viewers: count(&row, 4 + 2 * i)?,
                            conversions: count(&row, 5 + 2 * i)?,
                        };
                    }
                }
            }
        }
        Ok(outcomes)
    }
}

fn count(row: &QueryResult, index: usize) -> Result<u64> {
    Ok(row
        .try_get_by_index::<i64>(index)
        .map_err(Error::from)?
        .unsigned_abs())
}

fn side<T>(arms: &mut Arms<T>, arm: Arm) -> &mut T {
    match arm {
        Arm::Treated => &mut arms.served,
        Arm::HeldOut => &mut arms.held_out,
    }
}

/// A row for each experiment and arm, and one with arm 0 for those seen in both: exposed, recent,
/// and of each stage matured and converted. The clocks of two services may differ, so a stage
/// counts from a little before the exposure: in both arms alike.
fn query(experiments: &[i64], zone: Zone, kept: Micros, now: Micros) -> String {
    let nos: Vec<_> = experiments.iter().map(i64::to_string).collect();
    let stages: String = COMPARED
        .iter()
        .map(|stage| counts(*stage, zone, now))
        .collect();
    format!(
        "WITH met AS (SELECT experiment_no, viewer, min(time) AS time, \
                             CASE WHEN min(arm) = max(arm) THEN min(arm) ELSE 0 END AS arm \
                      FROM exposures WHERE experiment_no IN ({}) AND time >= {} \
                      GROUP BY experiment_no, viewer) \
         SELECT m.experiment_no, CAST(m.arm AS smallint), count(*), \
                count(CASE WHEN m.time > {} THEN 1 END){stages} \
         FROM met m JOIN experiments x ON x.no = m.experiment_no \
         GROUP BY m.experiment_no, m.arm",
        nos.join(","),
        kept.0,
        now.0 - 7 * MICROS_A_DAY,
    )
}

fn counts(stage: Stage, zone: Zone, now: Micros) -> String {
    let window = micros(stage.window());
    // Once the hold-out has ended, the held out are shown cards like everybody.
    let closed = format!(
        "m.arm <> 0 AND m.time <= {} AND (x.stop_time IS NULL OR m.time + {window} <= x.stop_time)",
        now.0.saturating_sub(window)
    );
    let done = match stage {
        Stage::Added => reported(zone, window),
        _ => told(stage, window),
    };
    format!(
        ", count(CASE WHEN {closed} THEN 1 END), \
         count(CASE WHEN {closed} AND {done} THEN 1 END)"
    )
}

/// By days, as merchants report.
fn reported(zone: Zone, window: i64) -> String {
    format!(
        "EXISTS (SELECT 1 FROM reported_viewers r WHERE r.merchant = x.merchant \
         AND r.viewer = m.viewer AND r.day >= {} AND r.day <= {})",
        day_in(zone, "m.time"),
        day_in(zone, &format!("m.time + {window}")),
    )
}

fn told(stage: Stage, window: i64) -> String {
    let skew = micros(SKEW);
    format!(
        "EXISTS (SELECT 1 FROM events e WHERE e.merchant = x.merchant AND e.viewer = m.viewer \
         AND e.event_time >= m.time - {skew} AND e.event_time < m.time + {window} \
         AND e.day >= (m.time - {skew}) / {MICROS_A_DAY} \
         AND e.day <= (m.time + {window}) / {MICROS_A_DAY} \
         AND e.stage = {} AND NOT e.bot)",
        stage as i16
    )
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
