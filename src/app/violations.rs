//! Violations: report, read, confirm, dismiss.

use super::{
    App, Call, Error, Papers, Principal, Result, SanctionDraft,
    sanctions::{lift, sanction},
    write::{Begin, Write, etag_matches, no_transition, quota},
};
use crate::domain::{
    Merchant, Micros, Reason, Refusal, Sanction, SanctionName, Violation, ViolationName,
    ViolationState,
    conduct::Consequence,
    credit,
    time::after,
    violation::{Charge, Decision},
};

/// A violation as a caller reports it.
#[derive(Clone)]
pub struct ViolationDraft {
    /// One of the conduct table's.
    pub rule: String,
    /// What that rule costs.
    pub points: u8,
    pub papers: Papers,
    pub item_ids: Vec<String>,
    /// `None` for now.
    pub event_time: Option<Micros>,
}

impl App {
    pub async fn report_violation(
        &self,
        call: &Call,
        name: ViolationName,
        draft: ViolationDraft,
    ) -> Result<Violation> {
        let write = match self.begin(call).await? {
            Begin::Answered(violation) => return Ok(violation),
            Begin::Fresh(write) => write,
        };
        let event_time = draft.event_time.unwrap_or(write.now);
        if event_time > write.now {
            let rule = "must not be in the future";
            return Err(Refusal::field("violation.event_time", rule).into());
        }
        write.tx.lock_merchant(name.merchant().id()).await?;
        if write.tx.violation(&name).await?.is_some() {
            return Err(exists(&name).into());
        }
        self.room_for_a_report(&write, name.merchant()).await?;
        let taken = exists(&name);
        let violation = Violation {
            no: 0,
            papers: self.seal_papers(&name, &draft.papers)?,
            name,
            rule: draft.rule,
            points: draft.points,
            item_ids: draft.item_ids,
            event_time,
            reporter: write.author.to_owned(),
            state: ViolationState::Reported,
            decision: None,
            charge: None,
            version: 1,
            create_time: write.now,
            update_time: write.now,
        };
        let violation = write.tx.insert_violation(violation, write.author).await?;
        write.finish(violation.ok_or(taken)?).await
    }

    /// As the caller may read it.
    pub async fn violation(&self, caller: &Principal, name: &ViolationName) -> Result<Violation> {
        let violation = self.store.reads().violation(name).await?;
        let violation = shown(caller, violation).pop();
        Ok(violation.ok_or_else(|| not_found(name))?)
    }

    /// At most `limit` violations in any of these states, the latest report first, from before
    /// this number; as the caller may read them.
    pub async fn violations(
        &self,
        caller: &Principal,
        merchant: &Merchant,
        states: &[ViolationState],
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Violation>> {
        let mut states = states.to_vec();
        // Or pages would have gaps.
        states.retain(|state| !caller.limited() || *state != ViolationState::Reported);
        let reads = self.store.reads();
        let page = reads.violations_page(merchant, &states, before, limit);
        Ok(shown(caller, page.await?))
    }

    pub async fn confirm_violation(
        &self,
        call: &Call,
        name: &ViolationName,
        etag: &str,
        reason: String,
    ) -> Result<Violation> {
        let write = match self.begin(call).await? {
            Begin::Answered(violation) => return Ok(violation),
            Begin::Fresh(write) => write,
        };
        // Of two confirmations at once the second sees what the first left.
        write.tx.lock_merchant(name.merchant().id()).await?;
        let old = reported(&write, name, etag).await?;
        let last = write.tx.last_violation_change(name.merchant()).await?;
        // After whatever changed the balance before, by whichever replica's clock.
        let now = after(last.unwrap_or(old.update_time), write.now);
        let missing = write.tx.points_missing(name.merchant(), now).await?;
        let balance = credit::balance(missing + u64::from(old.points));
        let sanctions = self.consequences(&old, balance, &reason, write.author, now)?;
        let kinds: Vec<_> = sanctions.iter().map(|sanction| sanction.kind).collect();
        self.room_for_sanctions(&write, name.merchant(), &kinds)
            .await?;
        let charge = Charge {
            conduct_version: self.rules.conduct.version.clone(),
            balance,
            sanctions: sanctions.iter().map(|s| s.name.clone()).collect(),
            appeal_end_time: now + self.rules.appeal_window,
            return_time: self.rules.points_return.map(|lasts| now + lasts),
            overturned: None,
        };
        let decision = decision(&write, reason, now);
        let violation = old.decided(ViolationState::Confirmed, decision, Some(charge));
        write.tx.save_violation(&violation, write.author).await?;
        for sanction in sanctions {
            let no = Some(violation.no);
            let made = write.tx.insert_sanction(sanction, no, write.author).await?;
            made.ok_or_else(|| Error::bug("a fresh id is taken"))?;
        }
        let detail = format!("points={} balance={balance}", violation.points);
        write.audit("ConfirmViolation", name, detail).await?;
        write.finish(violation).await
    }

    pub async fn dismiss_violation(
        &self,
        call: &Call,
        name: &ViolationName,
        etag: &str,
        reason: String,
    ) -> Result<Violation> {
        let write = match self.begin(call).await? {
            Begin::Answered(violation) => return Ok(violation),
            Begin::Fresh(write) => write,
        };
        // No sanction follows from it meanwhile.
        write.tx.lock_merchant(name.merchant().id()).await?;
        let old = reported(&write, name, etag).await?;
        for sanction in write.tx.lock_sanctions_of(old.no).await? {
            lift(&write, sanction, write.now, &reason, None).await?;
        }
        let decision = decision(&write, reason, write.now);
        let violation = old.decided(ViolationState::Dismissed, decision, None);
        write.tx.save_violation(&violation, write.author).await?;
        write.audit("DismissViolation", name, String::new()).await?;
        write.finish(violation).await
    }

    /// The sanctions that follow from a violation which leaves this balance, from now on.
    fn consequences(
        &self,
        violation: &Violation,
        balance: u8,
        reason: &str,
        author: &str,
        now: Micros,
    ) -> Result<Vec<Sanction>> {
        let consequences = self.rules.conduct.consequences(violation, balance);
        let made = |consequence: Consequence| {
            let id = self.ambient.uuid().to_string();
            let name = SanctionName::new(violation.merchant().clone(), &id).map_err(Error::bug)?;
            let draft = SanctionDraft {
                kind: consequence.kind,
                item_ids: consequence.item_ids,
                channels: consequence.channels,
                amount: None,
                start_time: None,
                end_time: consequence.lasts.map(|lasts| now + lasts),
                reason: reason.to_owned(),
                rule: None,
                violation: Some(violation.name.clone()),
                papers: Papers::default(),
            };
            let rule = violation.rule.clone();
            Ok(sanction(name, draft, rule, String::new(), author, now))
        };
        consequences.into_iter().map(made).collect()
    }

    /// Counted under the merchant's lock, or two writes would both be the last.
    async fn room_for_a_report(&self, write: &Write<'_>, merchant: &Merchant) -> Result<()> {
        let limit = self.rules.reported_per_merchant;
        if write.tx.count_reported(merchant).await? < limit {
            return Ok(());
        }
        let what = "violations to be decided on";
        Err(quota(merchant, what, limit, "decide on one first").into())
    }
}

/// Those that the caller may read, as it may.
pub(super) fn shown(
    caller: &Principal,
    violations: impl IntoIterator<Item = Violation>,
) -> Vec<Violation> {
    let shown = |violation: Violation| match caller.limited() {
        true => violation.for_merchant(),
        false => Some(violation),
    };
    violations.into_iter().filter_map(shown).collect()
}

fn decision(write: &Write<'_>, reason: String, time: Micros) -> Decision {
    Decision {
        time,
        author: write.author.to_owned(),
        reason,
    }
}

/// The violation under a write's lock, as the caller knows it, on which nobody decided yet.
async fn reported(write: &Write<'_>, name: &ViolationName, etag: &str) -> Result<Violation> {
    let found = write.tx.lock_violation(name).await?;
    let violation = found.ok_or_else(|| not_found(name))?;
    etag_matches(etag, &violation.etag())?;
    match violation.state {
        ViolationState::Reported => Ok(violation),
        state => Err(no_transition(name, state.as_str()).into()),
    }
}

pub(super) fn not_found(name: &ViolationName) -> Refusal {
    Refusal::new(Reason::ViolationNotFound, "no such violation").about(name)
}

fn exists(name: &ViolationName) -> Refusal {
    Refusal::new(Reason::ViolationExists, "a violation has this name").about(name)
}
