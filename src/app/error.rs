//! Two audiences: what a caller may know is a `Refusal`; the rest is for the operator's log.

use uuid::Uuid;

use crate::{
    domain::{Reason, Refusal},
    store,
};

/// Why a call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's to know.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store said so; classified in `store::Error`.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A bug: what cannot happen did.
    #[error(transparent)]
    Bug(Box<dyn std::error::Error + Send + Sync>),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What cannot happen did.
    pub fn bug(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Bug(cause.into())
    }
    /// What the caller is told. What is not the caller's goes, with its whole chain of
    /// causes, into one log line; an `errorId` ties the two together.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Store(e) if e.is_conflict() => Refusal::new(
                Reason::TransactionConflict,
                "another write came first; send the same request again",
            ),
            Self::Store(e) if e.is_unavailable() => {
                tracing::warn!(chain = chain(&e), "store unavailable");
                Refusal::new(
                    Reason::StoreUnavailable,
                    "the store is away; come again with the same request",
                )
            }
            Self::Store(e) => bug(&e),
            Self::Bug(e) => bug(&*e),
        }
    }
}

/// A panic or a bug: one log line, and a refusal that says no more than its id.
pub fn bug(error: &dyn std::error::Error) -> Refusal {
    let error_id = Uuid::now_v7().simple().to_string();
    tracing::error!(error_id, chain = chain(error), "internal error");
    Refusal::new(Reason::Internal, "internal error; quote the error id").with("errorId", error_id)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}
