//! Sanctions: set, read, lift.

use super::{
    App, Call, Papers, Principal, Result, violations,
    write::{Begin, Write, etag_matches, no_transition, quota},
};
use crate::{
    domain::{
        AppealName, Merchant, Micros, Money, Reason, Refusal, Sanction, SanctionKind, SanctionName,
        Violation, ViolationName, ViolationState,
        sanction::{Channel, Lift},
    },
    store::Sought,
};

/// Sanctions of one violation, over or not: an upheld appeal answers with each. What the ladder
/// sets comes on top, and is as many as its step has.
const PER_VIOLATION: u64 = 100;

/// A sanction as a caller, or the ladder, wants it.
#[derive(Clone)]
pub struct SanctionDraft {
    pub kind: SanctionKind,
    pub item_ids: Vec<String>,
    pub channels: Vec<Channel>,
    pub amount: Option<Money>,
    /// `None` for now.
    pub start_time: Option<Micros>,
    pub end_time: Option<Micros>,
    pub reason: String,
    /// `None` for that of the violation.
    pub rule: Option<String>,
    pub violation: Option<ViolationName>,
    pub papers: Papers,
}

impl App {
    pub async fn create_sanction(
        &self,
        call: &Call,
        name: SanctionName,
        draft: SanctionDraft,
    ) -> Result<Sanction> {
        let write = match self.begin(call).await? {
            Begin::Answered(sanction) => return Ok(sanction),
            Begin::Fresh(write) => write,
        };
        check_times(&draft, write.now)?;
        write.tx.lock_merchant(name.merchant().id()).await?;
        let violation = match &draft.violation {
            Some(name) => Some(open_violation(&write, name).await?),
            None => None,
        };
        if write.tx.sanction(&name).await?.is_some() {
            return Err(exists(&name).into());
        }
        self.room_for_sanctions(&write, name.merchant(), &[draft.kind])
            .await?;
        if let Some(violation) = &violation {
            room_beside(&write, violation).await?;
        }
        let of_violation = violation.as_ref().map(|violation| violation.rule.clone());
        let rule = draft.rule.clone().or(of_violation).unwrap_or_default();
        let taken = exists(&name);
        let papers = self.seal_papers(&name, &draft.papers)?;
        let sanction = sanction(name, draft, rule, papers, write.author, write.now);
        let no = violation.map(|violation| violation.no);
        let made = write.tx.insert_sanction(sanction, no, write.author).await?;
        let sanction = made.ok_or(taken)?;
        let end = sanction.end_time.map(|t| t.to_string());
        let detail = format!(
            "kind={} starts={} ends={}",
            sanction.kind.as_str(),
            sanction.start_time,
            end.as_deref().unwrap_or("never"),
        );
        write
            .audit("CreateSanction", &sanction.name, detail)
            .await?;
        write.finish(sanction).await
    }

    /// As the caller may read it.
    pub async fn sanction(&self, caller: &Principal, name: &SanctionName) -> Result<Sanction> {
        let sanction = self.store.reads().sanction(name).await?;
        let sanction = sanction.ok_or_else(|| not_found(name))?;
        let shown = self.shown_sanctions(caller, name.merchant(), vec![sanction]);
        Ok(shown.await?.remove(0))
    }

    /// At most `limit` sanctions, the latest first, from before this number; and the revision
    /// up to which every change is in them, unless they are told as they were known once. As the
    /// caller may read them.
    pub async fn sanctions(
        &self,
        caller: &Principal,
        sought: Sought<'_>,
        before: Option<i64>,
        limit: u64,
    ) -> Result<(Vec<Sanction>, Option<i64>)> {
        if sought.in_force_at.is_some_and(|at| at > self.ambient.now()) {
            return Err(Refusal::field("in_force_at", "must not be in the future").into());
        }
        let reads = self.store.reads();
        // What changes meanwhile may be in the page, and is watched once more.
        let revision = match sought.in_force_at {
            None => Some(reads.last_sanction_change().await?),
            // What changed since, and what is to begin, is in no page: watching from here would
            // miss it.
            Some(_) => None,
        };
        let page = reads.sanctions_page(sought, before, limit).await?;
        let page = match sought.merchant {
            Some(merchant) => self.shown_sanctions(caller, merchant, page).await?,
            // Of all merchants, which only the platform asks for.
            None => page,
        };
        Ok((page, revision))
    }

    pub async fn lift_sanction(
        &self,
        call: &Call,
        name: &SanctionName,
        etag: &str,
        reason: String,
    ) -> Result<Sanction> {
        let write = match self.begin(call).await? {
            Begin::Answered(sanction) => return Ok(sanction),
            Begin::Fresh(write) => write,
        };
        let found = write.tx.lock_sanction(name).await?;
        let old = found.ok_or_else(|| not_found(name))?;
        etag_matches(etag, &old.etag())?;
        if old.is_over(write.now) {
            let state = old.state(write.now.max(old.update_time));
            return Err(no_transition(name, state.as_str()).into());
        }
        let sanction = lift(&write, old, write.now, &reason, None).await?;
        write.audit("LiftSanction", name, String::new()).await?;
        write.finish(sanction).await
    }

    /// A merchant's sanctions as the caller may read them. Who does not read a violation that is
    /// only reported does not learn of it here.
    pub(super) async fn shown_sanctions(
        &self,
        caller: &Principal,
        merchant: &Merchant,
        sanctions: Vec<Sanction>,
    ) -> Result<Vec<Sanction>> {
        if !caller.limited() {
            return Ok(sanctions);
        }
        let violations = sanctions.iter().filter_map(|s| s.violation.as_ref());
        let ids: Vec<_> = violations.map(|name| name.id()).collect();
        let reported = self.store.reads().reported_among(merchant, &ids).await?;
        let shown = |sanction: Sanction| {
            let known = |name: &ViolationName| !reported.contains(name.id());
            Sanction {
                violation: sanction.violation.clone().filter(known),
                ..sanction.for_merchant()
            }
        };
        Ok(sanctions.into_iter().map(shown).collect())
    }

    /// Whether a sanction stops the merchant's cards now.
    pub async fn suspended(&self, merchant: &Merchant) -> Result<bool> {
        let now = self.ambient.now();
        Ok(self.store.reads().suspended(merchant, now).await?)
    }

    /// Counted under the merchant's lock, or two writes would both be the last.
    pub(super) async fn room_for_sanctions(
        &self,
        write: &Write<'_>,
        merchant: &Merchant,
        kinds: &[SanctionKind],
    ) -> Result<()> {
        let limit = self.rules.sanctions_per_merchant;
        let lasts = |kind: &&SanctionKind| !kind.is_momentary();
        let more = kinds.iter().filter(lasts).count() as u64;
        if more == 0 || write.tx.count_sanctions(merchant, write.now).await? + more <= limit {
            return Ok(());
        }
        let what = "sanctions that are not over";
        Err(quota(merchant, what, limit, "lift one first").into())
    }
}

/// The sanction, lifted unless it is over.
pub(super) async fn lift(
    write: &Write<'_>,
    sanction: Sanction,
    now: Micros,
    reason: &str,
    appeal: Option<&AppealName>,
) -> Result<Sanction> {
    if sanction.is_over(now) {
        return Ok(sanction);
    }
    let sanction = sanction.lifted(Lift {
        time: now,
        author: write.author.to_owned(),
        reason: reason.to_owned(),
        appeal: appeal.cloned(),
    });
    write.tx.save_sanction(&sanction, write.author).await?;
    Ok(sanction)
}

/// A new sanction by this rule, its proof sealed already.
pub(super) fn sanction(
    name: SanctionName,
    draft: SanctionDraft,
    rule: String,
    papers: String,
    author: &str,
    now: Micros,
) -> Sanction {
    Sanction {
        no: 0,
        name,
        kind: draft.kind,
        item_ids: draft.item_ids,
        channels: draft.channels,
        amount: draft.amount,
        start_time: draft.start_time.unwrap_or(now),
        end_time: draft.end_time,
        reason: draft.reason,
        rule,
        violation: draft.violation,
        papers,
        author: author.to_owned(),
        lift: None,
        version: 1,
        create_time: now,
        update_time: now,
    }
}

fn check_times(draft: &SanctionDraft, now: Micros) -> Result<(), Refusal> {
    let start = draft.start_time.unwrap_or(now);
    if start < now {
        return Err(Refusal::field(
            "sanction.start_time",
            "must not be in the past",
        ));
    }
    if draft.end_time.is_some_and(|end| end <= start) {
        return Err(Refusal::field(
            "sanction.end_time",
            "must be after start_time",
        ));
    }
    Ok(())
}

/// The violation that a sanction may follow from, which stays as it is until the write is done.
async fn open_violation(write: &Write<'_>, name: &ViolationName) -> Result<Violation> {
    let found = write.tx.lock_violation(name).await?;
    let violation = found.ok_or_else(|| violations::not_found(name))?;
    match violation.state {
        ViolationState::Reported | ViolationState::Confirmed => Ok(violation),
        state => Err(no_transition(name, state.as_str()).into()),
    }
}

/// Counted under the violation's lock, likewise.
async fn room_beside(write: &Write<'_>, violation: &Violation) -> Result<()> {
    if write.tx.count_sanctions_of(violation.no).await? < PER_VIOLATION {
        return Ok(());
    }
    let message = format!(
        "{PER_VIOLATION} sanctions follow from this violation; set more without `violation`"
    );
    Err(Refusal::new(Reason::QuotaExhausted, message)
        .about(&violation.name)
        .with("limit", PER_VIOLATION.to_string())
        .into())
}

pub(super) fn not_found(name: &SanctionName) -> Refusal {
    Refusal::new(Reason::SanctionNotFound, "no such sanction").about(name)
}

fn exists(name: &SanctionName) -> Refusal {
    Refusal::new(Reason::SanctionExists, "a sanction has this name").about(name)
}
