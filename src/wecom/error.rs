//! How a call to WeCom fails, and what follows from it.

/// WeCom's own text is in none of these: it may quote secrets and addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was understood and refused, for good.
    #[error("WeCom refused the call with {code}")]
    Refused { code: i64 },
    /// The corp's id, secret or rights are wrong: somebody has to set them right.
    #[error("WeCom does not accept the corp's credentials: {code}")]
    Misconfigured { code: i64 },
    /// It cannot be had now. The call had no effect.
    #[error("WeCom is away: {why}")]
    Away { why: &'static str },
    /// Nobody knows whether the call took effect.
    #[error("WeCom did not say how the call ended: {why}")]
    Unknown { why: &'static str },
}
