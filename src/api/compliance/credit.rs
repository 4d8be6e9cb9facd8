//! Credit accounts on the wire.

use super::sanctions;
use crate::{
    api::{pb, wire::timestamp},
    app::{App, Result},
    domain::{
        Merchant, Refusal, Sanction,
        appeal::Subject,
        credit::{self, Cause, Entry, INITIAL, Missing},
    },
    store::CreditAccount,
};

/// Changes that an account lists.
const HISTORY: usize = 100;

/// Of `merchants/{merchant}/creditAccount`.
pub fn merchant(name: &str) -> Result<Merchant, Refusal> {
    name.strip_suffix("/creditAccount")
        .and_then(|merchant| Merchant::parse(merchant).ok())
        .ok_or_else(|| Refusal::field("name", "must be merchants/{merchant}/creditAccount"))
}

pub fn wire(app: &App, merchant: &Merchant, account: CreditAccount) -> Result<pb::CreditAccount> {
    let at = account.at;
    let history = credit::history(&account.charged, at, account.missing);
    let restorations = credit::restorations(&account.restorable, at);
    let restorations = restorations
        .iter()
        .map(|missing| restoration(&account, missing));
    let restorations = restorations.collect();
    let history = history.iter().take(HISTORY).map(entry).collect();
    let sanctions = account.sanctions.into_iter();
    let sanctions = sanctions.map(|sanction| sanctions::wire(app, brief(sanction), at));
    Ok(pb::CreditAccount {
        name: format!("{merchant}/creditAccount"),
        balance: credit::balance(account.missing).into(),
        initial_balance: INITIAL.into(),
        history,
        restorations,
        sanctions: sanctions.collect::<Result<_>>()?,
        as_of: Some(timestamp(at)),
    })
}

/// Without what is long, or a hundred would not fit into an answer.
fn brief(sanction: Sanction) -> Sanction {
    Sanction {
        papers: String::new(),
        item_ids: Vec::new(),
        ..sanction
    }
}

fn entry(entry: &Entry<'_>) -> pb::credit_account::Entry {
    use pb::credit_account::entry::Cause as Wire;
    let violation = entry.violation;
    let overturned = violation
        .charge
        .as_ref()
        .and_then(|c| c.overturned.as_ref());
    let (cause, author) = match entry.cause {
        Cause::Confirmed => {
            let decision = violation.decision.as_ref();
            (Wire::ViolationConfirmed, decision.map(|d| &d.author))
        }
        Cause::Overturned => (Wire::AppealUpheld, overturned.map(|(_, author)| author)),
        Cause::Returned => (Wire::Returned, None),
    };
    pb::credit_account::Entry {
        time: Some(timestamp(entry.time)),
        cause: cause.into(),
        points: entry.points,
        balance: entry.balance.into(),
        violation: violation.name.to_string(),
        rule: violation.rule.clone(),
        author: author.cloned().unwrap_or_default(),
    }
}

fn restoration(account: &CreditAccount, missing: &Missing<'_>) -> pb::credit_account::Restoration {
    let at = account.at;
    let subject = Subject::Violation(missing.violation.name.clone());
    let appeal = account.appeals.iter().find(|a| a.subject == subject);
    // As known then.
    let appeal = appeal.filter(|appeal| appeal.create_time <= at);
    let outcome = appeal.and_then(|appeal| appeal.outcome.as_ref());
    let decided = outcome.is_some_and(|outcome| outcome.time <= at);
    let open = !decided && at < missing.appeal_end_time;
    let pending = appeal
        .filter(|_| !decided)
        .map(|appeal| appeal.name.to_string());
    pb::credit_account::Restoration {
        violation: missing.violation.name.to_string(),
        points: missing.violation.points.into(),
        return_time: missing.return_time.map(timestamp),
        appeal_end_time: open.then(|| timestamp(missing.appeal_end_time)),
        pending_appeal: pending.unwrap_or_default(),
    }
}
