//! Collects every malformed field of a request before refusing it.

use super::{FieldViolation, Refusal};

/// Violations so far. Fields are named as in the proto.
#[derive(Debug, Default)]
pub struct Check {
    violations: Vec<FieldViolation>,
}

impl Check {
    /// The value, or a violation of `field` and nothing.
    pub fn field<T, E: ToString>(
        &mut self,
        field: impl Into<String>,
        value: Result<T, E>,
    ) -> Option<T> {
        value
            .map_err(|rule| self.violation(field, rule.to_string()))
            .ok()
    }

    /// A violation of `field` unless the rule holds.
    pub fn require(&mut self, holds: bool, field: impl Into<String>, rule: impl Into<String>) {
        if !holds {
            self.violation(field, rule);
        }
    }

    pub fn violation(&mut self, field: impl Into<String>, rule: impl Into<String>) {
        self.violations.push(FieldViolation {
            field: field.into(),
            description: rule.into(),
        });
    }

    /// The value, if it is there and nothing was violated.
    pub fn done<T>(self, value: Option<T>) -> Result<T, Refusal> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => Err(Refusal::fields(self.violations)),
        }
    }
}
