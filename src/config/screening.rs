//! `[screening]`: the rules that texts and pictures are judged by.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Error, path,
    value::{self, Whole},
};
use crate::screening::RuleFiles;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Screening {
    rules: String,
    #[serde(deserialize_with = "value::words")]
    platform_hosts: Vec<String>,
    at_once: Whole<1, 64>,
}

impl Screening {
    /// Where the rules are read from. `public_host`, where there is one, is the platform's too.
    pub fn rules(&self, public_host: Option<String>) -> RuleFiles {
        let hosts = self.platform_hosts.iter().cloned().chain(public_host);
        RuleFiles::new(self.folder(), hosts.collect())
    }

    /// Texts or pictures judged at once.
    pub fn at_once(&self) -> usize {
        self.at_once.count()
    }

    fn folder(&self) -> Option<PathBuf> {
        path(&self.rules).map(ToOwned::to_owned)
    }

    /// An operator's rules that cannot be gone by refuse to start.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.folder().is_none() {
            return Ok(());
        }
        match self.rules(None).read() {
            Ok(_) => Ok(()),
            Err(broken) => Err(Error::refused("screening.rules", broken.to_string())),
        }
    }
}
