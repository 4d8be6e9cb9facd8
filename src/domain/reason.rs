//! The words by which a caller, or a viewer's client, learns why. The registry with their
//! meanings is `proto/mingpian/v1/error_reason.proto`; a test holds the two together.

use std::fmt;

macro_rules! reasons {
    ($($variant:ident = $word:literal),* $(,)?) => {
        /// A word of the registry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($variant),* }

        impl Reason {
            /// Every word, in the registry's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word as it travels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

reasons! {
    CredentialsMissing = "CREDENTIALS_MISSING",
    CredentialsInvalid = "CREDENTIALS_INVALID",
    PermissionDenied = "PERMISSION_DENIED",
    FieldInvalid = "FIELD_INVALID",
    PageTokenInvalid = "PAGE_TOKEN_INVALID",
    RequestIdReused = "REQUEST_ID_REUSED",
    ContentDiversion = "CONTENT_DIVERSION",
    MethodUnknown = "METHOD_UNKNOWN",
    RoleMissing = "ROLE_MISSING",
    CardNotFound = "CARD_NOT_FOUND",
    PlacementNotFound = "PLACEMENT_NOT_FOUND",
    LinkNotFound = "LINK_NOT_FOUND",
    ContactNotFound = "CONTACT_NOT_FOUND",
    ProgramNotFound = "PROGRAM_NOT_FOUND",
    EnrollmentNotFound = "ENROLLMENT_NOT_FOUND",
    CorpNotFound = "CORP_NOT_FOUND",
    AcquisitionLinkNotFound = "ACQUISITION_LINK_NOT_FOUND",
    ViolationNotFound = "VIOLATION_NOT_FOUND",
    SanctionNotFound = "SANCTION_NOT_FOUND",
    AppealNotFound = "APPEAL_NOT_FOUND",
    ExperimentNotFound = "EXPERIMENT_NOT_FOUND",
    CardExists = "CARD_EXISTS",
    PlacementExists = "PLACEMENT_EXISTS",
    LinkExists = "LINK_EXISTS",
    SlotTaken = "SLOT_TAKEN",
    ProgramExists = "PROGRAM_EXISTS",
    EnrollmentExists = "ENROLLMENT_EXISTS",
    CorpExists = "CORP_EXISTS",
    AcquisitionLinkExists = "ACQUISITION_LINK_EXISTS",
    ViolationExists = "VIOLATION_EXISTS",
    SanctionExists = "SANCTION_EXISTS",
    AppealExists = "APPEAL_EXISTS",
    ExperimentExists = "EXPERIMENT_EXISTS",
    EtagMismatch = "ETAG_MISMATCH",
    TransactionConflict = "TRANSACTION_CONFLICT",
    StateTransition = "STATE_TRANSITION",
    ProgramPaused = "PROGRAM_PAUSED",
    ProgramEnded = "PROGRAM_ENDED",
    NotEnrolled = "NOT_ENROLLED",
    KindNotOpen = "KIND_NOT_OPEN",
    SurfaceNotOpen = "SURFACE_NOT_OPEN",
    HeldOut = "HELD_OUT",
    SpendBelowThreshold = "SPEND_BELOW_THRESHOLD",
    SpendPending = "SPEND_PENDING",
    CardSuspended = "CARD_SUSPENDED",
    StoreFrozen = "STORE_FROZEN",
    CardNotActive = "CARD_NOT_ACTIVE",
    PlacementNotLive = "PLACEMENT_NOT_LIVE",
    OutsideSchedule = "OUTSIDE_SCHEDULE",
    KindNotShown = "KIND_NOT_SHOWN",
    LinkUnavailable = "LINK_UNAVAILABLE",
    ProgramNotStarted = "PROGRAM_NOT_STARTED",
    CorpNotOpen = "CORP_NOT_OPEN",
    AppealClosed = "APPEAL_CLOSED",
    ExperimentRunning = "EXPERIMENT_RUNNING",
    TokenMalformed = "TOKEN_MALFORMED",
    TokenForged = "TOKEN_FORGED",
    TokenExpired = "TOKEN_EXPIRED",
    TokenRevoked = "TOKEN_REVOKED",
    QuotaExhausted = "QUOTA_EXHAUSTED",
    RateLimited = "RATE_LIMITED",
    WecomRefused = "WECOM_REFUSED",
    WecomUnavailable = "WECOM_UNAVAILABLE",
    StoreUnavailable = "STORE_UNAVAILABLE",
    Overloaded = "OVERLOADED",
    ShuttingDown = "SHUTTING_DOWN",
    DeadlineExceeded = "DEADLINE_EXCEEDED",
    Internal = "INTERNAL",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
