//! `[compliance]`: what broken rules cost and lead to, and how long things take.

use std::{fs, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Error, path, value::Whole};
use crate::domain::Conduct;

const DAY: u64 = 24 * 60 * 60;
/// The largest table that is read, in bytes.
const MAX_TABLE: u64 = 1024 * 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compliance {
    conduct: String,
    /// What `conduct` leads to.
    #[serde(skip, default = "Conduct::built_in")]
    table: Conduct,
    points_return_days: Whole<0, 3650>,
    appeal_days: Whole<1, 365>,
    decide_days: Whole<1, 365>,
    reported_per_merchant: Whole<1, 100_000>,
    sanctions_per_merchant: Whole<1, 1000>,
}

impl Compliance {
    /// What broken rules cost, and what the balance leads to.
    pub fn conduct(&self) -> &Conduct {
        &self.table
    }
    /// When lost points come back by themselves; `None` for never.
    pub fn points_return(&self) -> Option<Duration> {
        let days = self.points_return_days.get();
        (days > 0).then(|| Duration::from_secs(days * DAY))
    }
    /// How long an appeal is possible.
    pub fn appeal_window(&self) -> Duration {
        Duration::from_secs(self.appeal_days.get() * DAY)
    }
    /// How long deciding an appeal should take.
    pub fn decide_within(&self) -> Duration {
        Duration::from_secs(self.decide_days.get() * DAY)
    }
    /// Violations of a merchant that nobody decided on.
    pub fn reported_per_merchant(&self) -> u64 {
        self.reported_per_merchant.get()
    }
    /// Sanctions of a merchant that are not over.
    pub fn sanctions_per_merchant(&self) -> u64 {
        self.sanctions_per_merchant.get()
    }

    pub(super) fn read_table(&mut self) -> Result<(), Error> {
        let refused = |why: String| Error::refused("compliance.conduct", why);
        let Some(file) = path(&self.conduct) else {
            return Ok(());
        };
        let cannot = |e| refused(format!("cannot read the file: {e}"));
        if fs::metadata(file).map_err(cannot)?.len() > MAX_TABLE {
            return Err(refused(format!("must be at most {MAX_TABLE} bytes")));
        }
        let text = fs::read_to_string(file).map_err(cannot)?;
        self.table = Conduct::parse(&text).map_err(refused)?;
        Ok(())
    }
}
