//! What a merchant's credit points follow from, all of one moment.

use super::{Reads, Result};
use crate::domain::{Appeal, Merchant, Micros, Sanction, Violation};

/// Entries of each list.
const MOST: u64 = 100;

/// A merchant's credit points, and what they follow from; `domain/credit.rs` says how.
#[derive(Clone, Debug)]
pub struct CreditAccount {
    /// The moment that this tells of.
    pub at: Micros,
    /// Points that are missing.
    pub missing: u64,
    /// Those whose points are missing, the next to come back first.
    pub restorable: Vec<Violation>,
    /// Those that made the latest changes, by number.
    pub charged: Vec<Violation>,
    /// Against violations whose points are missing.
    pub appeals: Vec<Appeal>,
    /// In force or to come, the latest first.
    pub sanctions: Vec<Sanction>,
}

impl Reads {
    /// As known then; else by all that is known, now or when it was decided, whatever the clock.
    pub async fn credit_account(
        &self,
        merchant: &Merchant,
        now: Micros,
        as_of: Option<Micros>,
    ) -> Result<CreditAccount> {
        let tx = self.snapshot().await?;
        let at = match as_of {
            Some(at) => at,
            None => tx
                .last_violation_change(merchant)
                .await?
                .max(Some(now))
                .unwrap_or(now),
        };
        let restorable = tx.violations_missing(merchant, at, MOST).await?;
        let nos: Vec<_> = restorable.iter().map(|violation| violation.no).collect();
        let account = CreditAccount {
            at,
            missing: tx.points_missing(merchant, at).await?,
            restorable,
            charged: tx.violations_charged(merchant, at, MOST).await?,
            appeals: tx.appeals_against(&nos, &[]).await?,
            sanctions: tx.sanctions_not_over(merchant, at, as_of, MOST).await?,
        };
        tx.rollback().await?;
        Ok(account)
    }
}
