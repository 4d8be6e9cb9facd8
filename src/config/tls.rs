//! `[tls]`: the gRPC listener's certificate, and whose clients it takes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, path};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    cert_file: String,
    key_file: String,
    client_ca_file: String,
}

impl Tls {
    /// Certificate chain and private key, PEM; `None`: plain text.
    pub fn identity(&self) -> Option<(&Path, &Path)> {
        path(&self.cert_file).zip(path(&self.key_file))
    }

    /// The authority whose clients alone may connect, PEM.
    pub fn client_ca(&self) -> Option<&Path> {
        path(&self.client_ca_file)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match (path(&self.cert_file), path(&self.key_file)) {
            (Some(_), None) => Err(Error::refused(
                "tls.key_file",
                "required with tls.cert_file",
            )),
            (None, Some(_)) => Err(Error::refused(
                "tls.cert_file",
                "required with tls.key_file",
            )),
            (None, None) if self.client_ca().is_some() => Err(Error::refused(
                "tls.client_ca_file",
                "needs tls.cert_file and tls.key_file",
            )),
            _ => Ok(()),
        }
    }
}
