//! The sections that are called after a noun of the contract: `[cards]` to `[requests]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::value::{self, Whole};
use crate::domain::{Calendar, SourceNames, Zone};

const DAY: u64 = 24 * 60 * 60;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cards {
    per_merchant: Whole<1, 1000>,
    purge_after_days: Whole<1, 365>,
}

impl Cards {
    /// Cards a merchant may have.
    pub fn per_merchant(&self) -> u64 {
        self.per_merchant.get()
    }
    /// From deletion to purge.
    pub fn purge_after(&self) -> Duration {
        Duration::from_secs(self.purge_after_days.get() * DAY)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placements {
    per_merchant: Whole<1, 100_000>,
}

impl Placements {
    /// Placements a merchant may have.
    pub fn per_merchant(&self) -> u64 {
        self.per_merchant.get()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    per_merchant: Whole<1, 1_000_000>,
    default_ttl_days: Whole<1, 30>,
}

impl Links {
    /// Links that open at once, for one merchant.
    pub fn per_merchant(&self) -> u64 {
        self.per_merchant.get()
    }
    /// How long a link opens when its maker does not say.
    pub fn default_ttl(&self) -> Duration {
        Duration::from_secs(self.default_ttl_days.get() * DAY)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    served_ttl_seconds: Whole<1, 3600>,
}

impl Tokens {
    /// How long a served tap token opens.
    pub fn served_ttl(&self) -> Duration {
        Duration::from_secs(self.served_ttl_seconds.get())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    max_age_seconds: Whole<1, 3600>,
}

impl Serving {
    /// The longest `valid_until`.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age_seconds.get())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    keep_days: Whole<7, 90>,
}

impl Requests {
    /// How long the answer to a `request_id` is kept.
    pub fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_days.get() * DAY)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programs {
    most: Whole<1, 500>,
}

impl Programs {
    /// Programs that have not ended.
    pub fn most(&self) -> u64 {
        self.most.get()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    utc_offset_minutes: Whole<0, 840>,
    closing_wait_hours: Whole<0, 240>,
    rerun_minutes: Whole<1, 1440>,
    lease_seconds: Whole<2, 3600>,
    #[serde(deserialize_with = "sources")]
    sources: SourceNames,
    most_sources: Whole<1, 1000>,
}

fn sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SourceNames, D::Error> {
    let names = value::words(deserializer)?;
    SourceNames::new(names).map_err(|rule| D::Error::custom(format!("each name {rule}")))
}

impl Spend {
    /// Between two runs of T+1 on one day.
    pub fn rerun(&self) -> Duration {
        Duration::from_secs(self.rerun_minutes.get() * 60)
    }
    /// How long the replica that makes the runs may be silent.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.get())
    }
    /// When days begin, and how long closing waits for whose figures.
    pub fn calendar(&self) -> Calendar {
        Calendar {
            zone: Zone::east_of_utc(self.utc_offset_minutes.get().cast_signed()),
            closing_wait: Duration::from_secs(self.closing_wait_hours.get() * 60 * 60),
            sources: self.sources.clone().at_most(self.most_sources.count()),
        }
    }
}
