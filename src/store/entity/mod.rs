//! The tables, one a file.

pub mod audit;
pub mod card;
pub mod card_version;
pub mod link;
pub mod placement;
pub mod placement_version;
pub mod request;
