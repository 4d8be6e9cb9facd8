//! Appeals: make, read, uphold, reject.

use super::{
    App, Call, Papers, Principal, Result, sanctions, violations,
    write::{Begin, Write, etag_matches, no_transition},
};
use crate::{
    domain::{
        Appeal, AppealName, Merchant, Micros, Reason, Refusal, Sanction, Violation, ViolationState,
        appeal::{Effect, Loss, Outcome, Subject},
        credit,
        time::after,
    },
    store::Against,
};

/// An appeal as a caller makes it.
#[derive(Clone)]
pub struct AppealDraft {
    pub subject: Subject,
    pub papers: Papers,
}

/// What an appeal objects to, under a write's lock.
struct Objected {
    /// Its points are at stake; `None` where a sanction alone is.
    violation: Option<Violation>,
    sanctions: Vec<Sanction>,
    against: Against,
    /// The other appeals against the same, or a part or the whole of it.
    others: Vec<Appeal>,
}

impl App {
    pub async fn create_appeal(
        &self,
        call: &Call,
        name: AppealName,
        draft: AppealDraft,
    ) -> Result<Appeal> {
        let write = match self.begin(call).await? {
            Begin::Answered(appeal) => return Ok(appeal),
            Begin::Fresh(write) => write,
        };
        write.tx.lock_merchant(name.merchant().id()).await?;
        if write.tx.appeal(&name).await?.is_some() {
            return Err(exists(&name).into());
        }
        let objected = objected(&write, &draft.subject).await?;
        if let Some(violation) = objected.hidden_from(&call.principal) {
            return Err(violations::not_found(&violation.name).into());
        }
        if let Some(other) = objected.barred_by(&draft.subject) {
            return Err(exists(&other.name).into());
        }
        self.check_open(&objected, write.now)?;
        let taken = exists(&name);
        let appeal = Appeal {
            no: 0,
            papers: self.seal_papers(&name, &draft.papers)?,
            name,
            subject: draft.subject,
            author: write.author.to_owned(),
            due_time: write.now + self.rules.decide_within,
            outcome: None,
            version: 1,
            create_time: write.now,
            update_time: write.now,
        };
        let against = objected.against;
        let made = write.tx.insert_appeal(appeal, against, write.author);
        let appeal = made.await?.ok_or(taken)?;
        write.finish(appeal).await
    }

    /// As the caller may read it.
    pub async fn appeal(&self, caller: &Principal, name: &AppealName) -> Result<Appeal> {
        let appeal = self.store.reads().appeal(name).await?;
        Ok(shown(caller, appeal.ok_or_else(|| not_found(name))?))
    }

    /// At most `limit` appeals, the latest first, from before this number; of one merchant, or
    /// of all. As the caller may read them.
    pub async fn appeals(
        &self,
        caller: &Principal,
        merchant: Option<&Merchant>,
        undecided: bool,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Appeal>> {
        let reads = self.store.reads();
        let page = reads.appeals_page(merchant, undecided, before, limit);
        let page = page.await?.into_iter();
        Ok(page.map(|appeal| shown(caller, appeal)).collect())
    }

    pub async fn uphold_appeal(
        &self,
        call: &Call,
        name: &AppealName,
        etag: &str,
        reason: String,
    ) -> Result<Appeal> {
        let write = match self.begin(call).await? {
            Begin::Answered(appeal) => return Ok(appeal),
            Begin::Fresh(write) => write,
        };
        write.tx.lock_merchant(name.merchant().id()).await?;
        let old = undecided(&write, name, etag).await?;
        let objected = objected(&write, &old.subject).await?;
        let now = objected.moment(&old, write.now);
        let loss = undo(&write, objected, name, &reason, now).await?;
        let detail = format!("points={} sanctions={}", loss.points, loss.effects.len());
        let appeal = old.decided(outcome(&write, reason, Some(loss), now));
        write.tx.save_appeal(&appeal, write.author).await?;
        write.audit("UpholdAppeal", name, detail).await?;
        write.finish(appeal).await
    }

    pub async fn reject_appeal(
        &self,
        call: &Call,
        name: &AppealName,
        etag: &str,
        reason: String,
    ) -> Result<Appeal> {
        let write = match self.begin(call).await? {
            Begin::Answered(appeal) => return Ok(appeal),
            Begin::Fresh(write) => write,
        };
        let old = undecided(&write, name, etag).await?;
        let appeal = old.decided(outcome(&write, reason, None, write.now));
        write.tx.save_appeal(&appeal, write.author).await?;
        write.audit("RejectAppeal", name, String::new()).await?;
        write.finish(appeal).await
    }

    /// Whether it may be appealed against, and still.
    fn check_open(&self, objected: &Objected, now: Micros) -> Result<(), Refusal> {
        let end = match (&objected.violation, &objected.sanctions[..]) {
            (Some(violation), _) => match &violation.charge {
                Some(charge) if violation.state == ViolationState::Confirmed => {
                    charge.appeal_end_time
                }
                _ => return Err(no_transition(&violation.name, violation.state.as_str())),
            },
            (None, [sanction]) if sanction.lift.is_none() => {
                sanction.create_time + self.rules.appeal_window
            }
            (None, [sanction, ..]) => return Err(no_transition(&sanction.name, "LIFTED")),
            (None, []) => now,
        };
        if now < end {
            return Ok(());
        }
        let message = format!("it could be appealed against until {end}");
        Err(Refusal::new(Reason::AppealClosed, message).with("appealEndTime", end.to_string()))
    }
}

impl Objected {
    /// What a merchant does not know of.
    fn hidden_from(&self, caller: &Principal) -> Option<&Violation> {
        let reported = |v: &&Violation| v.state == ViolationState::Reported;
        let violation = self.violation.as_ref().filter(reported);
        violation.filter(|_| caller.limited())
    }

    /// The appeal because of which there may be no other against this.
    fn barred_by(&self, subject: &Subject) -> Option<&Appeal> {
        let since = self.sanctions.iter().map(|s| s.create_time).max();
        let since = since.unwrap_or(Micros::MIN);
        self.others.iter().find(|other| other.bars(subject, since))
    }

    /// Now, but after every change before, by whichever replica's clock.
    fn moment(&self, appeal: &Appeal, now: Micros) -> Micros {
        let violation = self.violation.iter().map(|v| v.update_time);
        let sanctions = self.sanctions.iter().map(|s| s.update_time);
        let last = violation.chain(sanctions).max();
        after(last.unwrap_or(now).max(appeal.update_time), now)
    }
}

async fn objected(write: &Write<'_>, subject: &Subject) -> Result<Objected> {
    let tx = &write.tx;
    match subject {
        Subject::Violation(name) => {
            let violation = tx.lock_violation(name).await?;
            let violation = violation.ok_or_else(|| violations::not_found(name))?;
            let sanctions = tx.lock_sanctions_of(violation.no).await?;
            let nos: Vec<_> = sanctions.iter().map(|sanction| sanction.no).collect();
            Ok(Objected {
                others: tx.appeals_against(&[violation.no], &nos).await?,
                against: Against::Violation(violation.no),
                violation: Some(violation),
                sanctions,
            })
        }
        Subject::Sanction(name) => {
            let sanction = tx.lock_sanction(name).await?;
            let sanction = sanction.ok_or_else(|| sanctions::not_found(name))?;
            let violation = match &sanction.violation {
                Some(name) => tx.violation(name).await?,
                None => None,
            };
            let violation: Vec<_> = violation.iter().map(|violation| violation.no).collect();
            Ok(Objected {
                others: tx.appeals_against(&violation, &[sanction.no]).await?,
                against: Against::Sanction(sanction.no),
                violation: None,
                sanctions: vec![sanction],
            })
        }
    }
}

/// Gives back the points and lifts the sanctions; what was lost until then. A loss that another
/// appeal has told of already is not told of twice.
async fn undo(
    write: &Write<'_>,
    objected: Objected,
    appeal: &AppealName,
    reason: &str,
    now: Micros,
) -> Result<Loss> {
    let mut loss = Loss::default();
    if let Some(violation) = objected.violation {
        (loss.points, loss.missing) = credit::lost_until(&violation, now);
        let violation = violation.overturned(write.author, now);
        write.tx.save_violation(&violation, write.author).await?;
    }
    let told = |sanction: &Sanction| {
        let others = objected.others.iter();
        let mut upheld = others.filter(|other| other.upheld() && other.name != *appeal);
        upheld.any(|other| other.covers(sanction))
    };
    for sanction in objected.sanctions {
        let sanction = sanctions::lift(write, sanction, now, reason, Some(appeal)).await?;
        if !told(&sanction) {
            loss.effects.push(Effect::until(&sanction, now));
        }
    }
    Ok(loss)
}

/// As the caller may read it.
fn shown(caller: &Principal, appeal: Appeal) -> Appeal {
    match caller.limited() {
        true => appeal.for_merchant(),
        false => appeal,
    }
}

fn outcome(write: &Write<'_>, reason: String, loss: Option<Loss>, time: Micros) -> Outcome {
    Outcome {
        time,
        author: write.author.to_owned(),
        reason,
        loss,
    }
}

/// The appeal under a write's lock, as the caller knows it, on which nobody decided yet.
async fn undecided(write: &Write<'_>, name: &AppealName, etag: &str) -> Result<Appeal> {
    let found = write.tx.lock_appeal(name).await?;
    let appeal = found.ok_or_else(|| not_found(name))?;
    etag_matches(etag, &appeal.etag())?;
    if appeal.outcome.is_some() {
        return Err(no_transition(name, appeal.state(write.now).as_str()).into());
    }
    Ok(appeal)
}

fn not_found(name: &AppealName) -> Refusal {
    Refusal::new(Reason::AppealNotFound, "no such appeal").about(name)
}

fn exists(name: &AppealName) -> Refusal {
    let message = "an appeal has this name, or this is being looked at, or was decided, already";
    Refusal::new(Reason::AppealExists, message)
        .about(name)
        .with("appeal", name.to_string())
}
