//! The sections that are called after a noun of the contract: `[cards]` to `[requests]`.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use url::Url;

use super::{
    Error, leads_to_loopback, on_loopback,
    value::{self, Whole},
};
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
pub struct Wecom {
    base_url: String,
    timeout_millis: Whole<100, 60_000>,
    calls_per_minute: Whole<1, 10_000>,
    corps: Whole<1, 100_000>,
    links_per_corp: Whole<1, 10_000>,
    members_per_link: Whole<1, 500>,
    callback_max_age_minutes: Whole<5, 1440>,
    attribution_days: Whole<1, 30>,
    sync_minutes: Whole<1, 1440>,
    pub demo_listen: SocketAddr,
}

impl Wecom {
    /// Where WeCom's API is, without a slash at the end.
    pub fn base_url(&self) -> &str {
        self.base_url.trim_end_matches('/')
    }
    /// Asks there from now on; for the demo's own.
    pub fn ask(&mut self, base_url: String) {
        self.base_url = base_url;
    }
    /// How long one call to it may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_millis.get())
    }
    /// Of each corp.
    pub fn calls_per_minute(&self) -> u64 {
        self.calls_per_minute.get()
    }
    /// Corps that are not deleted.
    pub fn corps(&self) -> u64 {
        self.corps.get()
    }
    /// Acquisition links a corp may have.
    pub fn links_per_corp(&self) -> u64 {
        self.links_per_corp.get()
    }
    /// Members that one link may add.
    pub fn members_per_link(&self) -> u64 {
        self.members_per_link.get()
    }
    /// How old what a callback tells of may be.
    pub fn callback_max_age(&self) -> Duration {
        Duration::from_secs(self.callback_max_age_minutes.get() * 60)
    }
    /// How long after a token was made its State is credited.
    pub fn attribution(&self) -> Duration {
        Duration::from_secs(self.attribution_days.get() * DAY)
    }
    /// Between two looks at WeCom.
    pub fn sync(&self) -> Duration {
        Duration::from_secs(self.sync_minutes.get() * 60)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        const RULE: &str = "must be https, or http to a loopback address, with no path";
        let url = Url::parse(&self.base_url).map_err(|_| Error::refused("wecom.base_url", RULE))?;
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let known = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => leads_to_loopback(&url),
            _ => false,
        };
        if !plain || !known || !url.username().is_empty() || url.password().is_some() {
            return Err(Error::refused("wecom.base_url", RULE));
        }
        if !on_loopback(self.demo_listen) {
            let why = "must be on loopback";
            return Err(Error::refused("wecom.demo_listen", why));
        }
        Ok(())
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
    memory_megabytes: Whole<1, 1_000_000>,
    store_away_seconds: Whole<0, 300>,
    extra_work_micros: Whole<0, 1_000_000>,
}

impl Serving {
    /// The longest `valid_until`.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age_seconds.get())
    }
    /// Bytes for answers in memory.
    pub fn memory(&self) -> u64 {
        self.memory_megabytes.get() << 20
    }
    /// How long menus and capsules go on while the store is away.
    pub fn store_away(&self) -> Duration {
        Duration::from_secs(self.store_away_seconds.get())
    }
    /// Spun in each menu, capsule and message call.
    pub fn extra_work(&self) -> Duration {
        Duration::from_micros(self.extra_work_micros.get())
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
