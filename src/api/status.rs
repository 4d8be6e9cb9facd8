//! The only maker of `tonic::Status`: a refusal becomes a canonical code with
//! `google.rpc` details.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    app,
    domain::{Reason, Refusal},
};

/// What gRPC clients with a retry policy look for: in how many milliseconds to come again, and -1
/// for never.
pub const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The `domain` of every `ErrorInfo`.
pub const DOMAIN: &str = "mingpian";

/// h2 peers refuse trailers over 16 KiB; longer lists of violations are cut.
const MAX_VIOLATIONS: usize = 16;
const MAX_TEXT: usize = 300;

/// The canonical code of a reason (`error_reason.proto` says the same).
pub const fn code(reason: Reason) -> Code {
    use Reason::*;
    match reason {
        CredentialsMissing | CredentialsInvalid => Code::Unauthenticated,
        PermissionDenied => Code::PermissionDenied,
        FieldInvalid | PageTokenInvalid | RequestIdReused | ContentDiversion | TokenMalformed
        | TokenForged => Code::InvalidArgument,
        MethodUnknown | RoleMissing => Code::Unimplemented,
        CardNotFound
        | PlacementNotFound
        | LinkNotFound
        | ContactNotFound
        | ProgramNotFound
        | EnrollmentNotFound
        | CorpNotFound
        | AcquisitionLinkNotFound
        | ViolationNotFound
        | SanctionNotFound
        | AppealNotFound
        | ExperimentNotFound => Code::NotFound,
        CardExists
        | PlacementExists
        | LinkExists
        | SlotTaken
        | ProgramExists
        | EnrollmentExists
        | CorpExists
        | AcquisitionLinkExists
        | ViolationExists
        | SanctionExists
        | AppealExists
        | ExperimentExists => Code::AlreadyExists,
        EtagMismatch | TransactionConflict => Code::Aborted,
        StateTransition | ProgramPaused | ProgramEnded | NotEnrolled | KindNotOpen
        | SurfaceNotOpen | HeldOut | SpendBelowThreshold | SpendPending | CardSuspended
        | StoreFrozen | CardNotActive | PlacementNotLive | OutsideSchedule | KindNotShown
        | LinkUnavailable | ProgramNotStarted | CorpNotOpen | AppealClosed | ExperimentRunning
        | TokenExpired | TokenRevoked | WecomRefused => Code::FailedPrecondition,
        QuotaExhausted | RateLimited => Code::ResourceExhausted,
        WecomUnavailable | StoreUnavailable | Overloaded | ShuttingDown => Code::Unavailable,
        DeadlineExceeded => Code::DeadlineExceeded,
        Internal => Code::Internal,
    }
}

/// A refusal as a caller sees it.
pub fn refusal(refusal: &Refusal) -> Status {
    let code = code(refusal.reason);
    let mut details = ErrorDetails::new();
    let metadata: HashMap<_, _> = refusal
        .metadata
        .iter()
        .map(|(k, v)| ((*k).to_owned(), cut(v)))
        .collect();
    details.set_error_info(refusal.reason.as_str(), DOMAIN, metadata);
    for violation in refusal.violations.iter().take(MAX_VIOLATIONS) {
        details.add_bad_request_violation(cut(&violation.field), cut(&violation.description));
    }
    if let Some(name) = &refusal.resource {
        details.set_resource_info(resource_type(name), name, "", cut(&refusal.message));
    }
    let subject = refusal.resource.clone().unwrap_or_default();
    match code {
        Code::FailedPrecondition => {
            details.add_precondition_failure_violation(
                refusal.reason.as_str(),
                subject,
                cut(&refusal.message),
            );
        }
        Code::ResourceExhausted => {
            details.add_quota_failure_violation(subject, cut(&refusal.message));
        }
        _ => {}
    }
    let retry_after = refusal
        .retry_after
        .or((code == Code::Unavailable).then_some(Duration::from_secs(1)));
    if let Some(delay) = retry_after {
        details.set_retry_info(Some(delay));
    }
    let mut status = Status::with_error_details(code, cut(&refusal.message), details);
    if refusal.reason == Reason::EtagMismatch {
        // ABORTED like a conflict, but the same request fails again.
        let never = MetadataValue::from_static("-1");
        status.metadata_mut().insert(PUSHBACK, never);
    }
    status
}

/// Anything that went wrong, as a caller sees it; see [`app::Error::into_refusal`].
pub fn from_error(error: app::Error) -> Status {
    refusal(&error.into_refusal())
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn resource_type(name: &str) -> &'static str {
    if name.starts_with("programs/") {
        return if name.contains("/enrollments/") {
            "mingpian/Enrollment"
        } else {
            "mingpian/Program"
        };
    }
    if name.starts_with("corps/") {
        return if name.contains("/acquisitionLinks/") {
            "mingpian/AcquisitionLink"
        } else {
            "mingpian/Corp"
        };
    }
    match name.split('/').nth(2) {
        Some("cards") => "mingpian/Card",
        Some("placements") => "mingpian/Placement",
        Some("links") => "mingpian/Link",
        Some("violations") => "mingpian/Violation",
        Some("sanctions") => "mingpian/Sanction",
        Some("appeals") => "mingpian/Appeal",
        _ => "mingpian/Merchant",
    }
}
