//! How a call to WeCom fails, and what follows from it.

use super::wire::Endpoint;

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

pub(super) type Attempt<T> = Result<T, Failure>;

/// How one attempt fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// WeCom said so, and the attempt had no effect.
    Code(i64),
    /// WeCom said so when it was asked for a token.
    NoToken(i64),
    /// Nothing that matters left us, and a next attempt may do better.
    NotSent(&'static str),
    /// It may have arrived, and no answer came that can be read.
    Lost(&'static str),
    /// We held it back ourselves.
    Held(&'static str),
}

/// Of the access token.
const BAD_TOKEN: [i64; 3] = [40001, 40014, 42001];
/// Busy, a conflict of versions, too many calls, too many at once.
const BUSY: [i64; 4] = [-1, 6000, 45009, 45033];
/// No, or no good: token, company, secret; then rights, authorization, our address, license.
const MISCONFIGURED: [i64; 10] = [
    40001, 40013, 40091, 41001, 41002, 41004, 48002, 48004, 60020, 701_008,
];

impl Failure {
    pub(super) fn is_busy(self) -> bool {
        matches!(self, Self::Code(code) if BUSY.contains(&code))
    }

    pub(super) fn is_of_token(self) -> bool {
        matches!(self, Self::Code(code) if BAD_TOKEN.contains(&code))
    }

    /// Whether it speaks against WeCom's health, not against the call.
    pub(super) fn is_ill(self) -> bool {
        self.is_busy() || matches!(self, Self::NotSent(_) | Self::Lost(_))
    }

    /// Whether the same call may be tried again.
    pub(super) fn may_repeat(self, endpoint: Endpoint) -> bool {
        match self {
            Self::NotSent(_) => true,
            // A change that comes late must not undo a newer one: who asked decides when to repeat.
            Self::Lost(_) => endpoint.is_idempotent() && endpoint != Endpoint::UpdateLink,
            Self::Code(_) => endpoint.is_idempotent() && self.is_busy(),
            Self::NoToken(_) | Self::Held(_) => false,
        }
    }

    /// What asking for a token means for the call that needs it: that was not sent.
    pub(super) fn before_call(self) -> Self {
        match self {
            Self::Lost(why) => Self::NotSent(why),
            busy if busy.is_busy() => Self::NotSent("busy"),
            Self::Code(code) => Self::NoToken(code),
            other => other,
        }
    }

    pub(super) fn into_error(self, endpoint: Endpoint) -> Error {
        match self {
            busy if busy.is_busy() => Error::Away { why: "busy" },
            Self::NoToken(code) => Error::Misconfigured { code },
            Self::Code(code) if MISCONFIGURED.contains(&code) => Error::Misconfigured { code },
            // It was new.
            token if token.is_of_token() => Error::Away {
                why: "a new token is refused",
            },
            Self::Code(code) => Error::Refused { code },
            Self::Lost(why) if endpoint.has_effect() => Error::Unknown { why },
            Self::NotSent(why) | Self::Lost(why) | Self::Held(why) => Error::Away { why },
        }
    }

    /// For metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Code(_) | Self::NoToken(_) => "refused",
            Self::NotSent(_) => "not_sent",
            Self::Lost(_) => "lost",
            Self::Held(_) => "held",
        }
    }
}
