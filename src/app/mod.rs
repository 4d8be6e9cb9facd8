//! What happens and in what order.

mod error;
mod principal;

pub use error::{Error, Result, bug};
pub use principal::{Principal, Scope};
