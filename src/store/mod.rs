//! SeaORM's only home.

mod error;

pub use error::{Error, Result};

/// STAND-IN
pub async fn migrate(_settings: &crate::config::Settings) -> Result<()> {
    Err(Error::unavailable("stand-in: store::migrate"))
}
