//! The rules: pure, synchronous, ignorant of wire and store.

pub mod card;
mod check;
pub mod gate;
mod lang;
pub mod launch;
pub mod link;
mod name;
mod phone;
pub mod placement;
mod reason;
mod refusal;
pub mod serving;
mod text;
pub mod time;
pub mod token;
mod wechat_id;
mod wecom_uri;

pub use card::{
    Card, CardDraft, CardState, Contact, ContactDraft, ContactKind, Detail, DetailDraft, Sealed,
    Wecom, WecomTarget,
};
pub use check::Check;
pub use gate::{Clearance, Door, Facts};
pub use lang::Lang;
pub use link::Link;
pub use name::{
    CardName, ID_RULE, LinkName, Merchant, PlacementName, ResourceName, foreign_id, is_id,
};
pub use phone::Phone;
pub use placement::{Placement, PlacementState, Surface};
pub use reason::Reason;
pub use refusal::{Refusal, Violation};
pub use text::text;
pub use time::Micros;
pub use token::{Origin, TapToken};
pub use wechat_id::WechatId;
pub use wecom_uri::{AcquisitionUri, KfUri, is_wecom_link};
