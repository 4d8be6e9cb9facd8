//! What a caller is told when the answer is no: a reason of the registry, a sentence that
//! says what to do next, and facts. Nothing in here is secret or a driver's text.

use std::{fmt, time::Duration};

use super::Reason;

/// A "no" that is the caller's to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// One English sentence for a developer.
    pub message: String,
    /// Facts by the keys that the registry lists for the reason.
    pub metadata: Vec<(&'static str, String)>,
    /// Malformed fields, each by its path in the request.
    pub violations: Vec<FieldViolation>,
    /// The resource it is about, by its full name.
    pub resource: Option<String>,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

/// One malformed field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// As in the proto: `card.contacts[1].phone.number`.
    pub field: String,
    /// What it must be.
    pub description: String,
}

impl Refusal {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            metadata: Vec::new(),
            violations: Vec::new(),
            resource: None,
            retry_after: None,
        }
    }

    /// One malformed field.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::fields(vec![FieldViolation {
            field: field.into(),
            description: description.into(),
        }])
    }

    /// Malformed fields, all at once.
    pub fn fields(violations: Vec<FieldViolation>) -> Self {
        let named: Vec<_> = violations
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect();
        Self {
            violations,
            ..Self::new(Reason::FieldInvalid, named.join("; "))
        }
    }

    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    pub fn about(mut self, resource: impl fmt::Display) -> Self {
        self.resource = Some(resource.to_string());
        self
    }

    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Refusal {}
