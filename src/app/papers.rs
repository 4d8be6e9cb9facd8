//! What people wrote of violations, sanctions and appeals, and where they keep the proof: sealed
//! at rest, for it may name anybody.

use std::fmt::Display;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{App, Error, Result};

/// A text and the addresses of the proof. Never logged, so it does not print.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Papers {
    /// A violation's description or an appeal's statement; a sanction has none.
    pub text: String,
    pub evidence: Vec<String>,
}

impl App {
    /// What [`Self::seal_papers`] sealed for this resource.
    pub fn papers(&self, resource: impl Display, sealed: &str) -> Result<Papers> {
        if sealed.is_empty() {
            return Ok(Papers::default());
        }
        let plain = self.keys.open_text(&place(resource), sealed);
        let plain = plain.map_err(Error::bug)?;
        // serde_json's message may quote them.
        serde_json::from_str(plain.expose_secret())
            .map_err(|_| Error::bug("sealed papers do not read"))
    }

    /// Empty where there is nothing to seal.
    pub(super) fn seal_papers(&self, resource: impl Display, papers: &Papers) -> Result<String> {
        if *papers == Papers::default() {
            return Ok(String::new());
        }
        let plain = serde_json::to_string(papers).map_err(Error::bug)?;
        let random = self.ambient.random();
        Ok(self.keys.seal_text(&place(resource), &plain, random))
    }
}

/// Names are never taken twice, so it is no other's.
fn place(resource: impl Display) -> String {
    format!("papers/{resource}")
}
