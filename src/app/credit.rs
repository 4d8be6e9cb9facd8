//! A merchant's credit points, now or as known then.

use super::{App, Principal, Result, violations};
use crate::{
    domain::{Merchant, Micros, Refusal},
    store::CreditAccount,
};

impl App {
    /// As the caller may read it.
    pub async fn credit_account(
        &self,
        caller: &Principal,
        merchant: &Merchant,
        as_of: Option<Micros>,
    ) -> Result<CreditAccount> {
        let now = self.ambient.now();
        if as_of.is_some_and(|at| at > now) {
            return Err(Refusal::field("as_of", "must not be in the future").into());
        }
        let account = self.store.reads().credit_account(merchant, now, as_of);
        let account = account.await?;
        let sanctions = self.shown_sanctions(caller, merchant, account.sanctions);
        Ok(CreditAccount {
            restorable: violations::shown(caller, account.restorable),
            charged: violations::shown(caller, account.charged),
            sanctions: sanctions.await?,
            ..account
        })
    }
}
