//! What happens and in what order.

mod error;

pub use error::{Error, Result, bug};
