//! A merchant's credit points, now or as known then.

use super::{App, Principal, Result, violations};
use crate::domain::{Appeal, Merchant, Micros, Refusal, Sanction, Violation, credit};

/// Sanctions that an account lists.
const SANCTIONS: u64 = 100;

/// What a merchant's credit points follow from; `domain/credit.rs` says how.
#[derive(Clone, Debug)]
pub struct CreditAccount {
    pub merchant: Merchant,
    /// Those that cost points once, by number.
    pub violations: Vec<Violation>,
    /// Against violations whose points are missing.
    pub appeals: Vec<Appeal>,
    /// In force or to come, the latest first.
    pub sanctions: Vec<Sanction>,
    pub at: Micros,
}

impl App {
    /// As the caller may read it.
    pub async fn credit_account(
        &self,
        caller: &Principal,
        merchant: Merchant,
        as_of: Option<Micros>,
    ) -> Result<CreditAccount> {
        let now = self.ambient.now();
        if as_of.is_some_and(|at| at > now) {
            return Err(Refusal::field("as_of", "must not be in the future").into());
        }
        let reads = self.store.reads();
        let violations = reads.charged(&merchant).await?;
        let last = violations.iter().map(|violation| violation.update_time);
        // Whatever the clock by which it was decided: what is known now counts now.
        let at = as_of.unwrap_or_else(|| last.max().unwrap_or(now).max(now));
        let missing = credit::restorations(&violations, at);
        let missing: Vec<_> = missing.iter().map(|missing| missing.violation.no).collect();
        let sanctions = reads.sanctions_not_over(&merchant, at, as_of, SANCTIONS);
        Ok(CreditAccount {
            appeals: reads.appeals_against(&missing, &[]).await?,
            sanctions: self
                .shown_sanctions(caller, &merchant, sanctions.await?)
                .await?,
            merchant,
            violations: violations::shown(caller, violations),
            at,
        })
    }
}
