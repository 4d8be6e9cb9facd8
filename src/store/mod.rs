//! SeaORM's only home.

mod error;

pub use error::{Error, Result};
