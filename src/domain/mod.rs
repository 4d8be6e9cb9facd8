//! The rules: pure, synchronous, ignorant of wire and store.

mod reason;
mod refusal;
mod time;

pub use reason::Reason;
pub use refusal::{Refusal, Violation};
pub use time::Micros;
