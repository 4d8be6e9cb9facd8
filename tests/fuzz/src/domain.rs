#[path = "../../../src/domain/notice.rs"]
pub mod notice;
#[path = "../../../src/domain/time.rs"]
mod time;

pub use time::Micros;
