//! Who calls, and what they may do.

use std::collections::BTreeSet;

use crate::domain::{Merchant, Micros, Reason, Refusal};

macro_rules! scopes {
    ($($variant:ident = $word:literal),* $(,)?) => {
        /// A right, by its word in the `scope` claim.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope { $($variant),* }

        impl Scope {
            /// Every right there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word as it travels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

scopes! {
    CardsRead = "cards.read",
    CardsWrite = "cards.write",
    ContactsReveal = "contacts.reveal",
    ServingRead = "serving.read",
    LinksWrite = "links.write",
    SpendWrite = "spend.write",
    EligibilityRead = "eligibility.read",
    ProgramsRead = "programs.read",
    ProgramsWrite = "programs.write",
    ComplianceScreen = "compliance.screen",
    ComplianceRead = "compliance.read",
    ComplianceWrite = "compliance.write",
    MeasurementRead = "measurement.read",
    MeasurementWrite = "measurement.write",
    WecomWrite = "wecom.write",
    Admin = "admin",
}

impl Scope {
    /// The right of this word; `None`: not one of ours.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.as_str() == word)
    }
}

/// The caller of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's `sub`, or `anonymous` where authentication is off.
    pub subject: String,
    pub scopes: BTreeSet<Scope>,
    /// The `merchants` claim: the only merchants the caller may act for. `None`: all.
    pub merchants: Option<BTreeSet<String>>,
    /// From when on the token is not accepted any more, with the tolerance for clocks; `None`:
    /// never.
    pub ends: Option<Micros>,
}

impl Principal {
    /// The caller where authentication is off: every right, every merchant.
    pub fn anonymous() -> Self {
        Self {
            subject: "anonymous".to_owned(),
            scopes: Scope::ALL.iter().copied().collect(),
            merchants: None,
            ends: None,
        }
    }

    /// Whether the caller may act for this merchant.
    pub fn may(&self, merchant: &str) -> bool {
        self.merchants
            .as_ref()
            .is_none_or(|named| named.contains(merchant))
    }

    /// `PERMISSION_DENIED` unless the caller may act for this merchant, whether or not there
    /// is anything of it.
    pub fn permit(&self, merchant: &Merchant) -> Result<(), Refusal> {
        if self.may(merchant.id()) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::PermissionDenied,
            "the caller's token names other merchants",
        ))
    }

    /// `PERMISSION_DENIED` for what is the platform's alone, where the caller is limited to some
    /// merchants.
    pub fn permit_platform(&self) -> Result<(), Refusal> {
        if !self.limited() {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::PermissionDenied,
            "this is the platform's; the caller's token names merchants",
        ))
    }

    /// Whether the caller may act for some merchants only.
    pub fn limited(&self) -> bool {
        self.merchants.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_merchants_and_none_for_an_empty_list() {
        let mut caller = Principal::anonymous();
        assert!(caller.may("m1") && !caller.limited());
        caller.merchants = Some(["m1".to_owned()].into());
        assert!(caller.may("m1") && !caller.may("m2") && caller.limited());
        caller.merchants = Some(BTreeSet::new());
        assert!(!caller.may("m1") && caller.limited());
    }
}
