//! What happens and in what order: transactions, replay by `request_id`, side effects. A
//! noun's methods stand in the file of that noun.

mod acquisition_links;
mod ambient;
mod appeals;
mod callbacks;
mod cards;
mod contact_events;
mod contacts;
mod corps;
mod credit;
mod eligibility;
mod error;
mod events;
mod experiments;
mod explain;
mod exposures;
mod funnel;
mod links;
mod openings;
mod outbox;
mod papers;
mod placements;
mod preview;
mod principal;
mod programs;
mod provenance;
mod quotas;
mod rates;
mod reported;
mod reports;
mod sanction_feed;
mod sanctions;
pub mod screening;
mod serving;
mod spend;
mod sweep;
mod tap;
mod tap_log;
mod violations;
mod write;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    domain::{Calendar, Conduct},
    keys::KeyRing,
    serving::Serving,
    store::Store,
    wecom,
};

pub use acquisition_links::{AcquisitionLinkChanges, AcquisitionLinkDraft};
pub use ambient::Ambient;
pub use appeals::AppealDraft;
pub use callbacks::{Received, Untaken};
pub use cards::{CardChanges, Creations};
pub use contact_events::{Tally, Worked};
pub use contacts::Opened;
pub use corps::{CorpChanges, CorpDraft};
pub use error::{Error, Result, bug};
pub use events::{About, EventDraft, Ingested};
pub use experiments::ExperimentDraft;
pub use explain::{Explanation, Line, Subject};
pub use exposures::Exposures;
pub use funnel::{Funnel, FunnelRow, RolledUp, rebuild_funnel};
pub use links::LinkDraft;
pub use outbox::{Outlet, Told, Untold};
pub use papers::Papers;
pub use placements::{PlacementChanges, PlacementDraft};
pub use preview::{Preview, Sample};
pub use principal::{Principal, Scope};
pub use provenance::{Evidence, Provenance, Verdict};
pub use rates::Rates;
pub use reported::{Imported, Reconciled};
pub use reports::{Comparison, ProgramReport, Report};
pub use sanction_feed::{Batch, SanctionFeed};
pub use sanctions::SanctionDraft;
pub use serving::{Menu, Served, Shown, Validity, Viewer};
pub use spend::{CHUNK_ROWS, SpendImport};
pub use sweep::Latest;
pub use tap::{Tap, Tapper};
pub use tap_log::TapLog;
pub use violations::ViolationDraft;
pub use write::{Call, RequestId};

/// The service, whichever door one comes in by.
#[derive(Clone, Debug)]
pub struct App {
    pub store: Store,
    /// What is served from memory.
    pub serving: Arc<Serving>,
    pub keys: Arc<KeyRing>,
    pub ambient: Ambient,
    pub wecom: wecom::Client,
    /// Says that WeCom called back, here.
    pub called_back: Arc<Notify>,
    /// The rules of screening.
    pub screener: Arc<screening::Screener>,
    /// For those that watch sanctions here.
    pub sanctions: Arc<SanctionFeed>,
    /// Who met an experiment here, and is yet to be written.
    pub exposures: Arc<Exposures>,
    /// Cards that are yet to be created.
    pub creations: Arc<Creations>,
    /// Taps that are yet to be recorded.
    pub taps: Arc<TapLog>,
    /// How often viewers, by their hash, tap here; `None` for no limit.
    pub tap_rates: Option<Arc<Rates<u64>>>,
    pub rules: Arc<Rules>,
}

/// The settings that rules read.
#[derive(Clone, Debug)]
pub struct Rules {
    pub cards_per_merchant: u64,
    pub placements_per_merchant: u64,
    /// Those that open.
    pub links_per_merchant: u64,
    /// From a card's deletion to its purge.
    pub purge_after: Duration,
    /// How long a link opens when nobody says.
    pub link_ttl: Duration,
    /// How long a served token opens.
    pub served_ttl: Duration,
    /// How long a served answer holds when nothing is to change before.
    pub max_age: Duration,
    /// Spun in each menu, capsule and message call: for load tests.
    pub extra_work: Duration,
    /// How long answers are kept by `request_id`.
    pub keep_answers: Duration,
    /// When days begin, and how long closing waits for figures.
    pub calendar: Calendar,
    /// How long the replica that makes the runs of T+1 may be silent before another does.
    pub lease: Duration,
    /// Between two runs of T+1 on one day.
    pub rerun: Duration,
    /// Programs that have not ended.
    pub programs: u64,
    /// Corps that are not deleted.
    pub corps: u64,
    /// Acquisition links of a corp that are not deleted.
    pub links_per_corp: u64,
    /// Members that one acquisition link may add.
    pub members_per_link: u64,
    /// How old what a callback tells of may be.
    pub callback_max_age: Duration,
    /// How long after a token was made its State is credited.
    pub attribution: Duration,
    /// Between two looks at WeCom.
    pub sync: Duration,
    /// How long one call to WeCom may take.
    pub wecom_timeout: Duration,
    /// What broken rules cost, and what the balance leads to.
    pub conduct: Conduct,
    /// When lost points come back by themselves; `None` for never.
    pub points_return: Option<Duration>,
    /// How long an appeal is possible.
    pub appeal_window: Duration,
    /// How long deciding an appeal should take.
    pub decide_within: Duration,
    /// Violations that nobody decided on.
    pub reported_per_merchant: u64,
    /// Sanctions that are not over.
    pub sanctions_per_merchant: u64,
    /// How long raw events are kept; the roll-ups stay.
    pub keep_events: Duration,
    /// Fewer viewers than this, but any, are not told.
    pub withheld_under: i64,
    /// What a new experiment is to show, in percent.
    pub minimal_lift_percent: u8,
    /// How long what was told outward is kept, to be told again.
    pub keep_outbox: Duration,
    /// Whether this replica takes events in.
    pub intake: bool,
    /// What links begin with, without a slash at the end.
    pub public_url: String,
    /// What comes before the token in a link that opens it.
    pub open_prefix: String,
}

impl App {
    /// The address that opens a token.
    fn open_uri(&self, token: &str) -> String {
        format!("{}{token}", self.rules.open_prefix)
    }
}
