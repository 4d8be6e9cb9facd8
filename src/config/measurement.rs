//! `[measurement]`: how long events are kept, and what is told of few.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::Whole;
use crate::domain::lift::Plan;

const DAY: u64 = 24 * 60 * 60;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    keep_event_days: Whole<45, 3650>,
    withheld_under: Whole<1, 1000>,
    minimal_lift_percent: Whole<1, 100>,
}

impl Measurement {
    /// How long raw events are kept.
    pub fn keep_events(&self) -> Duration {
        Duration::from_secs(self.keep_event_days.get() * DAY)
    }
    /// Fewer viewers than this, but any, are not told.
    pub fn withheld_under(&self) -> i64 {
        self.withheld_under.get().cast_signed()
    }
    /// How experiments are judged.
    pub fn lift(&self) -> Plan {
        #[expect(clippy::cast_precision_loss, reason = "at most 100")]
        let percent = self.minimal_lift_percent.get() as f64;
        Plan {
            minimal_lift: percent / 100.0,
            ..Plan::default()
        }
    }
}
