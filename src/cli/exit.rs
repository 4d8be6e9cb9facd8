//! Exit codes of sysexits(3).

use std::{error::Error, io};

use mingpian::{
    config, keys,
    server::{demo, jwks, tls},
    store,
};

use super::{
    import_spend::{Busy, NoInput},
    spend_file::HeaderError,
};

pub const OK: u8 = 0;
/// EX_USAGE: the command line is wrong.
pub const USAGE: u8 = 64;
/// EX_DATAERR: what was given is not what it must be.
pub const DATA: u8 = 65;
/// EX_NOINPUT: the file that was given cannot be read.
pub const NO_INPUT: u8 = 66;
/// EX_UNAVAILABLE: something the service needs is away.
pub const UNAVAILABLE: u8 = 69;
/// EX_SOFTWARE: a bug.
pub const SOFTWARE: u8 = 70;
/// EX_IOERR: a file or socket.
pub const IO: u8 = 74;
/// EX_TEMPFAIL: another process came first; the same command may be given again.
pub const AGAIN: u8 = 75;
/// EX_CONFIG: the settings, or a file that they name, are refused.
pub const CONFIG: u8 = 78;

/// The code of the outermost cause that has one.
pub fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(SOFTWARE)
}

fn code_of(error: &(dyn Error + 'static)) -> Option<u8> {
    if error.is::<config::Error>() || error.is::<demo::NotADemo>() {
        Some(CONFIG)
    } else if let Some(e) = error.downcast_ref::<jwks::LoadError>() {
        Some(match e {
            jwks::LoadError::Fetch(_) | jwks::LoadError::Answer(_) => UNAVAILABLE,
            _ => CONFIG,
        })
    } else if let Some(e) = error.downcast_ref::<keys::Problem>() {
        Some(match e {
            keys::Problem::Io(_, e) if e.kind() != io::ErrorKind::NotFound => IO,
            _ => CONFIG,
        })
    } else if error.is::<tls::Error>() {
        Some(CONFIG)
    } else if let Some(e) = error.downcast_ref::<store::Error>() {
        if e.is_conflict() {
            Some(AGAIN)
        } else {
            e.is_unavailable().then_some(UNAVAILABLE)
        }
    } else if error.is::<Busy>() {
        Some(AGAIN)
    } else if error.is::<NoInput>() {
        Some(NO_INPUT)
    } else if error.is::<HeaderError>() || error.is::<csv::Error>() {
        Some(DATA)
    } else {
        error.is::<io::Error>().then_some(IO)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_keep_their_code_under_context() {
        let io = io::Error::other("disk");
        assert_eq!(code(&anyhow!(io).context("binding")), IO);
        let away = store::Error::unavailable("refused");
        assert_eq!(code(&anyhow!(away)), UNAVAILABLE);
        assert_eq!(code(&anyhow!(store::Error::corrupt("row"))), SOFTWARE);
        assert_eq!(code(&anyhow!("what cannot be")), SOFTWARE);
        let flags = config::Flags {
            grpc_listen: Some("nowhere".to_owned()),
            ..config::Flags::default()
        };
        let refused = config::load(&flags).context("starting").unwrap_err();
        assert_eq!(code(&refused), CONFIG);
    }
}
