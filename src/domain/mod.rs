//! The rules: pure, synchronous, ignorant of wire and store.

pub mod acquisition;
pub mod admission;
pub mod appeal;
pub mod card;
mod check;
pub mod conduct;
pub mod contact_event;
pub mod corp;
pub mod credit;
pub mod day;
pub mod eligibility;
pub mod event;
pub mod experiment;
pub mod explain;
pub mod funnel;
pub mod gate;
mod lang;
pub mod launch;
pub mod ledger;
pub mod lift;
pub mod link;
pub mod metric;
pub mod money;
mod name;
pub mod notice;
mod phone;
pub mod placement;
pub mod program;
mod reason;
mod refusal;
pub mod reported;
pub mod sanction;
pub mod serving;
pub mod spend;
pub mod telling;
mod text;
pub mod time;
pub mod token;
pub mod violation;
mod wechat_id;
mod wecom_uri;

pub use acquisition::{AcquisitionLink, LinkHealth, LinkState, Quota, Route};
pub use admission::{Asked, Chance, Finding, Gate, Standing};
pub use appeal::{Appeal, AppealState};
pub use card::{
    Card, CardDraft, CardState, Contact, ContactDraft, ContactKind, Detail, DetailDraft, Sealed,
    Wecom, WecomTarget,
};
pub use check::Check;
pub use conduct::Conduct;
pub use contact_event::{ContactEvent, ContactKey, EventKind, Unattributed};
pub use corp::Corp;
pub use day::{Day, Zone};
pub use eligibility::{Calendar, Decision};
pub use event::{Event, Stage, Touch};
pub use experiment::{Arm, Experiment, Split};
pub use gate::{Clearance, Door, Facts};
pub use lang::Lang;
pub use ledger::{Change, Said, Source, Sources, Spend};
pub use link::Link;
pub use money::Money;
pub use name::{
    AcquisitionLinkName, AppealName, CardName, CorpName, EnrollmentName, ExperimentName, ID_RULE,
    LinkName, Merchant, PlacementName, ProgramName, ResourceName, SanctionName, ViolationName,
    foreign_id, is_foreign_id, is_id, is_viewer_id,
};
pub use notice::{Notice, NoticeKind};
pub use phone::Phone;
pub use placement::{Placement, PlacementState, Surface};
pub use program::{Enrollment, List, Membership, Program, ProgramDraft, ProgramState, SurfaceKind};
pub use reason::Reason;
pub use refusal::{FieldViolation, Refusal};
pub use sanction::{Sanction, SanctionKind, SanctionState};
pub use serving::Candidate;
pub use spend::{SourceNames, SourceRoom, SpendCounts, SpendDay, SpendEntry};
pub use telling::{Telling, TellingKind};
pub use text::text;
pub use time::Micros;
pub use token::{Origin, TapToken};
pub use violation::{Violation, ViolationState};
pub use wechat_id::WechatId;
pub use wecom_uri::{AcquisitionUri, KfUri, is_wecom_link};
