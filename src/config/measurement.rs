//! `[measurement]`: how long events are kept, and what is told of few.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::Whole;

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
    /// What a new experiment is to show, in percent.
    pub fn minimal_lift_percent(&self) -> u8 {
        u8::try_from(self.minimal_lift_percent.get()).unwrap_or(u8::MAX)
    }
}
