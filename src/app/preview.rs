//! What would change if a program read so.

use super::{App, Error, Result};
use crate::domain::Program;

/// What would change today, over all merchants.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    pub gained: Sample,
    pub lost: Sample,
    pub unchanged: Sample,
    pub placements_appearing: Sample,
    pub placements_vanishing: Sample,
}

/// How many there are, and the full names of the first 100.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub count: i64,
    pub sample: Vec<String>,
}

impl App {
    /// What would change if the program read so; `no` is 0 for one that is not there yet.
    #[expect(clippy::unused_async, reason = "its reads are yet to come")]
    pub async fn preview_program(&self, program: Program) -> Result<Preview> {
        Err(Error::bug(format!("no preview yet of {}", program.name)))
    }
}
