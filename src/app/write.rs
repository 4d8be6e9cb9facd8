//! One write: a transaction that knows who asks, what time it is, and whether this very
//! request was answered before.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use uuid::Uuid;

use super::{App, Error, Principal, Result};
use crate::{
    domain::{Merchant, Micros, Reason, Refusal, Standing, time::before},
    store::{Asked, AuditEntry, Claim, Tx},
};

/// Who asks for a write, and how.
#[derive(Clone, Debug)]
pub struct Call {
    pub principal: Arc<Principal>,
    pub request: Option<RequestId>,
    /// `validate_only`: judge as if to write, write nothing.
    pub dry_run: bool,
    /// When the caller stops waiting, if ever.
    pub until: Option<Instant>,
}

/// A `request_id` and what it stands for.
#[derive(Clone, Debug)]
pub struct RequestId {
    pub id: Uuid,
    /// The method's name and the whole request, without the id itself.
    pub request: Vec<u8>,
}

/// How a write begins.
pub(super) enum Begin<'a, T> {
    /// The same request was answered so before.
    Answered(T),
    Fresh(Write<'a>),
}

/// A write under way; dropped, it never was.
pub(super) struct Write<'a> {
    pub tx: Tx,
    pub now: Micros,
    /// The caller's subject.
    pub author: &'a str,
    app: &'a App,
    call: &'a Call,
}

impl App {
    /// Begins a write, or finds that it was done. Comes after permission and shape, and
    /// before existence and etag.
    pub(super) async fn begin<'a, T: DeserializeOwned>(
        &'a self,
        call: &'a Call,
    ) -> Result<Begin<'a, T>> {
        self.begin_in(self.store.begin().await?, call).await
    }

    /// Likewise, in a transaction that holds a lock already.
    pub(super) async fn begin_in<'a, T: DeserializeOwned>(
        &'a self,
        tx: Tx,
        call: &'a Call,
    ) -> Result<Begin<'a, T>> {
        let write = self.write(tx, call);
        Ok(match write.earlier_answer().await? {
            Some(answer) => Begin::Answered(answer),
            None => Begin::Fresh(write),
        })
    }

    /// The merchant's standing, as this write sees it. Programs do not change until it is
    /// done: what is paused meanwhile is paused after it, or stops it.
    pub(super) async fn standing(
        &self,
        write: &Write<'_>,
        merchant: &Merchant,
    ) -> Result<Standing> {
        write.tx.hold_programs().await?;
        let calendar = &self.rules.calendar;
        Ok(write.tx.standing(merchant, calendar, write.now).await?)
    }

    /// Begins a write that has no `request_id`.
    pub(super) async fn start<'a>(&'a self, call: &'a Call) -> Result<Write<'a>> {
        Ok(self.write(self.store.begin().await?, call))
    }

    fn write<'a>(&'a self, tx: Tx, call: &'a Call) -> Write<'a> {
        Write {
            tx,
            now: self.ambient.now(),
            author: &call.principal.subject,
            app: self,
            call,
        }
    }
}

impl Write<'_> {
    /// Keeps the answer and commits; after this both are durable.
    pub async fn finish<T: Serialize>(self, answer: T) -> Result<T> {
        if self.call.dry_run {
            self.tx.rollback().await?;
            return Ok(answer);
        }
        if let Some(request) = &self.call.request {
            let sealed = self.app.seal_answer(self.author, request.id, &answer);
            let sealed = sealed.map_err(Error::bug)?;
            self.tx.keep_answer(self.author, request.id, sealed).await?;
        }
        self.tx.commit().await?;
        Ok(answer)
    }

    /// Commits that what this request did is undone: its id is free again.
    pub async fn give_up(self) -> Result<()> {
        if let Some(request) = &self.call.request {
            self.tx.forget_answer(self.author, request.id).await?;
        }
        Ok(self.tx.commit().await?)
    }

    /// Leaves a row on the audit trail, in this transaction. `detail`: facts, in clear only
    /// where they are not personal.
    pub async fn audit(&self, action: &str, resource: impl ToString, detail: String) -> Result<()> {
        let entry = AuditEntry {
            time: self.now,
            actor: self.author.to_owned(),
            action: action.to_owned(),
            resource: resource.to_string(),
            detail,
        };
        Ok(self.tx.audit(entry).await?)
    }

    async fn earlier_answer<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(asked) = self.app.asked(self.call) else {
            return Ok(None);
        };
        let keep_since = before(self.now, self.app.rules.keep_answers);
        let claim = self.tx.claim(asked, self.now, keep_since).await?;
        self.app.earlier_answer(asked.caller, asked.id, claim)
    }
}

impl App {
    /// What a call that writes claims; nothing without a `request_id`.
    pub(super) fn asked<'a>(&self, call: &'a Call) -> Option<Asked<'a>> {
        let request = call.request.as_ref().filter(|_| !call.dry_run)?;
        Some(Asked {
            caller: &call.principal.subject,
            id: request.id,
            fingerprint: self.keys.index_of("request", &request.request),
        })
    }

    /// What a request was answered before, if it was.
    pub(super) fn earlier_answer<T: DeserializeOwned>(
        &self,
        caller: &str,
        id: Uuid,
        claim: Claim,
    ) -> Result<Option<T>> {
        match claim {
            Claim::Fresh => Ok(None),
            Claim::Reused => Err(reused(id).into()),
            Claim::Answered(sealed) => {
                let plain = self.keys.open(&place(caller, id), &sealed);
                let plain = plain.map_err(Error::bug)?;
                serde_json::from_slice(&plain).map(Some).map_err(Error::bug)
            }
        }
    }

    /// An answer as it is kept.
    pub(super) fn seal_answer(
        &self,
        caller: &str,
        id: Uuid,
        answer: &impl Serialize,
    ) -> serde_json::Result<Vec<u8>> {
        let plain = serde_json::to_vec(answer)?;
        let place = place(caller, id);
        Ok(self.keys.seal(&place, &plain, self.ambient.random()))
    }
}

fn place(caller: &str, id: Uuid) -> String {
    format!("answer/{caller}/{id}")
}

fn reused(id: Uuid) -> Refusal {
    Refusal::new(
        Reason::RequestIdReused,
        "this request_id stood for another request; take a new one",
    )
    .with("requestId", id.to_string())
}

/// `etag` is empty, or the present one.
pub(super) fn etag_matches(wanted: &str, present: &str) -> Result<(), Refusal> {
    if wanted.is_empty() || wanted == present {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::EtagMismatch,
        "the resource changed since it was read; read it again, then write",
    )
    .with("etag", present))
}

/// The resource is already there, or cannot go there.
pub(super) fn no_transition(name: impl ToString, state: &'static str) -> Refusal {
    Refusal::new(Reason::StateTransition, format!("the resource is {state}"))
        .about(name.to_string())
        .with("state", state)
}

/// The merchant has as many as it may; `instead` says what to do.
pub(super) fn quota(merchant: impl ToString, what: &str, limit: u64, instead: &str) -> Refusal {
    Refusal::new(
        Reason::QuotaExhausted,
        format!("a merchant may have {limit} {what}; {instead}"),
    )
    .about(merchant.to_string())
    .with("limit", limit.to_string())
}
