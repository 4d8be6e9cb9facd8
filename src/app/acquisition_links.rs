//! Acquisition links: create, read, change, delete. Each write reserves (a transaction that
//! keeps what is wanted and when to look after it), asks WeCom, and confirms (another one); no
//! transaction waits for WeCom. What a crash or a silence leaves is finished by `errands`.

mod confirm;
mod errands;
mod look;
mod sync;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    App, Call, Result, corps,
    write::{Begin, Write, etag_matches, no_transition},
};
use crate::{
    domain::{
        AcquisitionLink, AcquisitionLinkName, CorpName, LinkState, Micros, Reason, Refusal,
        acquisition::{self, Pending, Range},
    },
    store::{Errand, WECOM},
    wecom::{self, Credentials, LinkSpec},
};

/// Between the end of our patience and the first look at what became of a call.
const MARGIN: Duration = Duration::from_secs(5);
/// After so long without an answer a call has no effect any more that it has not had.
const SETTLE: Duration = Duration::from_secs(60);
/// Of a caller's time, to write down what became of a call.
const TO_ANSWER: Duration = Duration::from_millis(500);
/// What WeCom says where it takes no more links.
const TOO_MANY_LINKS: i64 = 41095;

/// A link as a caller wants it.
#[derive(Clone, Debug)]
pub struct AcquisitionLinkDraft {
    pub display_name: String,
    pub range: Range,
    pub skip_verify: bool,
}

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct AcquisitionLinkChanges {
    pub display_name: Option<String>,
    pub users: Option<Vec<String>>,
    pub departments: Option<Vec<i64>>,
    pub skip_verify: Option<bool>,
}

/// What a write's first transaction leaves to do.
enum Reserved {
    /// Nothing: the same request came before.
    Done(Box<AcquisitionLink>),
    /// To ask WeCom.
    Ask(Box<AcquisitionLink>, Credentials),
}

impl App {
    pub async fn create_acquisition_link(
        &self,
        call: &Call,
        name: AcquisitionLinkName,
        draft: AcquisitionLinkDraft,
    ) -> Result<AcquisitionLink> {
        let (link, corp) = match self.reserve_creation(call, name, draft).await? {
            Reserved::Done(link) => return Ok(*link),
            Reserved::Ask(link, corp) => (*link, corp),
        };
        let asked = self.ambient.now();
        let spec = spec(&link);
        let making = self.wecom.create_link(&corp, &spec);
        match self.patiently_until(call.until, making).await {
            Ok(made) => self.made(link, made, asked).await,
            Err(wecom::Error::Refused { code } | wecom::Error::Misconfigured { code }) => {
                self.undo(call, &link, None).await?;
                Err(refused(&link.name, code).into())
            }
            Err(wecom::Error::Away { .. }) => {
                let errand = self.later(0, None);
                self.save_errand(&link, errand).await?;
                Ok(link)
            }
            Err(wecom::Error::Unknown { .. }) => Ok(link),
        }
    }

    async fn reserve_creation(
        &self,
        call: &Call,
        name: AcquisitionLinkName,
        draft: AcquisitionLinkDraft,
    ) -> Result<Reserved> {
        let write = match self.begin(call).await? {
            Begin::Answered(kept) => {
                let link = self.as_it_stands(kept).await?;
                return Ok(Reserved::Done(Box::new(link)));
            }
            Begin::Fresh(write) => write,
        };
        let corp = write.tx.lock_corp(&name.corp).await?;
        let corp = corp.ok_or_else(|| corps::not_found(&name.corp))?;
        let taken = exists(&name);
        let link = AcquisitionLink {
            no: 0,
            corp_no: corp.no,
            name,
            display_name: draft.display_name,
            tag: acquisition::tag(self.ambient.random()),
            range: draft.range,
            skip_verify: draft.skip_verify,
            made: None,
            state: LinkState::Creating,
            state_time: write.now,
            gone: false,
            pending: Some(Pending::Create),
            version: 1,
            create_time: write.now,
            update_time: write.now,
            delete_time: None,
        };
        let errand = self.under_way(write.now, Some(write.now));
        let link = write.tx.insert_acquisition_link(link, errand, write.author);
        let link = link.await?.ok_or(taken)?;
        self.room_for_an_acquisition_link(&write, &link).await?;
        write
            .audit("CreateAcquisitionLink", &link.name, String::new())
            .await?;
        let credentials = self.credentials(&corp)?;
        let link = write.finish(link).await?;
        Ok(Reserved::Ask(Box::new(link), credentials))
    }

    /// At most `limit` links of a corp after the id `after`.
    pub async fn acquisition_links(
        &self,
        corp: &CorpName,
        after: &str,
        limit: u64,
    ) -> Result<Vec<AcquisitionLink>> {
        let corp = self.corp(corp).await?;
        let reads = self.store.reads();
        Ok(reads.acquisition_links_page(&corp, after, limit).await?)
    }

    pub async fn update_acquisition_link(
        &self,
        call: &Call,
        name: &AcquisitionLinkName,
        etag: &str,
        changes: AcquisitionLinkChanges,
    ) -> Result<AcquisitionLink> {
        let write = match self.begin(call).await? {
            Begin::Answered(kept) => return self.as_it_stands(kept).await,
            Begin::Fresh(write) => write,
        };
        let (old, _) = locked(&write, name, etag).await?;
        let link = updated(&old, changes, write.now)?;
        // Of two calls under way nobody knows which has the last word.
        let alone = old.pending.is_none();
        let errand = if alone {
            self.under_way(write.now, Some(write.now))
        } else {
            self.settled(write.now)
        };
        write
            .tx
            .save_acquisition_link(&link, errand, write.author)
            .await?;
        write
            .audit(
                "UpdateAcquisitionLink",
                name,
                format!("version={}", link.version),
            )
            .await?;
        let corp = write.tx.corp(&name.corp).await?;
        let corp = self.credentials(&corp.ok_or_else(|| not_found(name))?)?;
        let link = write.finish(link).await?;
        let Some(made) = link.made.as_ref().filter(|_| alone) else {
            return Ok(link);
        };
        let asked = self.ambient.now();
        let spec = spec(&link);
        let changing = self.wecom.update_link(&corp, &made.link_id, &spec);
        match self.patiently_until(call.until, changing).await {
            Ok(()) => self.updated(link, asked).await,
            Err(wecom::Error::Refused { code } | wecom::Error::Misconfigured { code }) => {
                self.undo(call, &link, Some(old)).await?;
                Err(refused(name, code).into())
            }
            Err(wecom::Error::Away { .. }) => {
                let errand = self.later(0, None);
                self.save_errand(&link, errand).await?;
                Ok(link)
            }
            // Told again when this call has had its effect, or it might undo a later change.
            Err(wecom::Error::Unknown { .. }) => Ok(link),
        }
    }

    pub async fn delete_acquisition_link(
        &self,
        call: &Call,
        name: &AcquisitionLinkName,
        etag: &str,
    ) -> Result<()> {
        let write = match self.begin(call).await? {
            Begin::Answered(()) => return Ok(()),
            Begin::Fresh(write) => write,
        };
        let (old, errand) = locked(&write, name, etag).await?;
        let next = old.next(write.now);
        // What WeCom may have made without our knowing is there until we have looked.
        let there = old.made.is_some() || errand.asked.is_some();
        let link = AcquisitionLink {
            delete_time: Some(next.update_time),
            pending: there.then_some(Pending::Delete),
            ..next
        };
        let alone = old.pending.is_none();
        let errand = match errand.asked {
            _ if !there => Errand::default(),
            Some(asked) if old.made.is_none() => self.settled(asked),
            _ if alone => self.under_way(write.now, None),
            _ => self.settled(write.now),
        };
        write
            .tx
            .save_acquisition_link(&link, errand, write.author)
            .await?;
        write
            .audit(
                "DeleteAcquisitionLink",
                name,
                format!("version={}", link.version),
            )
            .await?;
        let corp = write.tx.corp(&name.corp).await?;
        let corp = self.credentials(&corp.ok_or_else(|| not_found(name))?)?;
        write.finish(()).await?;
        if let Some(made) = link.made.as_ref().filter(|_| alone) {
            let deleting = self.wecom.delete_link(&corp, &made.link_id);
            if self.patiently_until(call.until, deleting).await.is_ok() {
                self.finished(&link).await?;
            }
        }
        Ok(())
    }

    /// The answer kept by a `request_id`, as its link stands now.
    async fn as_it_stands(&self, kept: AcquisitionLink) -> Result<AcquisitionLink> {
        let now = self.store.reads().acquisition_link_by_no(kept.no).await?;
        let now = now.filter(|link| link.delete_time.is_none());
        Ok(now.ok_or_else(|| not_found(&kept.name))?)
    }

    /// WeCom refused what was reserved: it was never so, and the `request_id` is free again.
    /// `before`: what the link was; none where there was none.
    async fn undo(
        &self,
        call: &Call,
        link: &AcquisitionLink,
        before: Option<AcquisitionLink>,
    ) -> Result<()> {
        let write = self.start(call).await?;
        let Some((present, _)) = write.tx.lock_acquisition_link_by_no(link.no).await? else {
            return Ok(());
        };
        // Whoever changed it meanwhile has the last word.
        if present.version == link.version {
            match before {
                None => write.tx.forget_acquisition_link(link.no).await?,
                Some(before) => {
                    let before = AcquisitionLink {
                        display_name: before.display_name,
                        range: before.range,
                        skip_verify: before.skip_verify,
                        pending: None,
                        ..present.next(write.now)
                    };
                    let done = Errand::default();
                    write.tx.save_acquisition_link(&before, done, WECOM).await?;
                }
            }
        }
        write.give_up().await
    }

    /// Within our patience; who does not answer in it, says nothing.
    pub(super) async fn patiently<T>(
        &self,
        call: impl Future<Output = wecom::Result<T>>,
    ) -> wecom::Result<T> {
        self.patiently_until(None, call).await
    }

    /// Likewise, and early enough to write it down and tell the caller, who waits until then.
    pub(super) async fn patiently_until<T>(
        &self,
        until: Option<Instant>,
        call: impl Future<Output = wecom::Result<T>>,
    ) -> wecom::Result<T> {
        let mut patience = self.patience();
        if let Some(until) = until {
            let left = until.saturating_duration_since(Instant::now());
            patience = patience.min(left.saturating_sub(TO_ANSWER));
        }
        if patience.is_zero() {
            let why = "the caller does not wait for it";
            return Err(wecom::Error::Away { why });
        }
        let why = "no answer within our patience";
        let answer = timeout(patience, call).await;
        answer.unwrap_or(Err(wecom::Error::Unknown { why }))
    }

    /// A token and an answer.
    fn patience(&self) -> Duration {
        self.rules.wecom_timeout * 2
    }

    /// While a call is under way nobody else looks after it.
    fn under_way(&self, now: Micros, asked: Option<Micros>) -> Errand {
        Errand {
            attempts: 0,
            next: Some(now + self.patience() + MARGIN),
            asked,
        }
    }

    /// Looked after when what was asked at `asked` has had all its effect.
    fn settled(&self, asked: Micros) -> Errand {
        Errand {
            next: Some(self.effect_ends(asked)),
            asked: Some(asked),
            ..Errand::default()
        }
    }

    /// When what WeCom was asked then has had all its effect.
    fn effect_ends(&self, asked: Micros) -> Micros {
        asked + self.patience() + SETTLE
    }

    /// Counted under the corp's lock, or two writes would both be the last.
    async fn room_for_an_acquisition_link(
        &self,
        write: &Write<'_>,
        link: &AcquisitionLink,
    ) -> Result<()> {
        let limit = self.rules.links_per_corp;
        if write.tx.count_acquisition_links(link.corp_no).await? <= limit {
            return Ok(());
        }
        let message = format!("a corp may have {limit} acquisition links; delete one first");
        Err(full(&link.name, message, limit).into())
    }
}

/// The next version with these changes, which WeCom is still to hear of.
fn updated(
    old: &AcquisitionLink,
    changes: AcquisitionLinkChanges,
    now: Micros,
) -> Result<AcquisitionLink, Refusal> {
    match old.state {
        LinkState::Creating => return Err(no_transition(&old.name, "CREATING")),
        LinkState::Refused => return Err(no_transition(&old.name, "REFUSED")),
        LinkState::Active | LinkState::Unavailable => {}
    }
    let next = old.next(now);
    let range = Range {
        users: changes.users.unwrap_or(next.range.users),
        departments: changes.departments.unwrap_or(next.range.departments),
    };
    if range.is_empty() {
        return Err(Refusal::field(
            "acquisition_link.user_ids",
            acquisition::SOMEBODY,
        ));
    }
    Ok(AcquisitionLink {
        display_name: changes.display_name.unwrap_or(next.display_name),
        range,
        skip_verify: changes.skip_verify.unwrap_or(next.skip_verify),
        pending: Some(Pending::Update),
        ..next
    })
}

/// As WeCom is told it.
fn spec(link: &AcquisitionLink) -> LinkSpec {
    LinkSpec {
        name: link.wecom_name(),
        range: link.range.clone(),
        skip_verify: link.skip_verify,
    }
}

/// The link under a write's lock, as the caller knows it.
async fn locked(
    write: &Write<'_>,
    name: &AcquisitionLinkName,
    etag: &str,
) -> Result<(AcquisitionLink, Errand)> {
    let found = write.tx.lock_acquisition_link(name).await?;
    let (link, errand) = found.ok_or_else(|| not_found(name))?;
    etag_matches(etag, &link.etag())?;
    Ok((link, errand))
}

fn not_found(name: &AcquisitionLinkName) -> Refusal {
    Refusal::new(Reason::AcquisitionLinkNotFound, "no such acquisition link").about(name)
}

fn exists(name: &AcquisitionLinkName) -> Refusal {
    let message = "an acquisition link has this name; a deleted one keeps it";
    Refusal::new(Reason::AcquisitionLinkExists, message).about(name)
}

fn full(name: &AcquisitionLinkName, message: impl Into<String>, limit: impl ToString) -> Refusal {
    Refusal::new(Reason::QuotaExhausted, message)
        .about(name)
        .with("limit", limit.to_string())
}

/// WeCom's no, with its own code.
fn refused(name: &AcquisitionLinkName, code: i64) -> Refusal {
    if code == TOO_MANY_LINKS {
        let message = "WeCom takes no more links of this corp; delete one first";
        return full(name, message, "WeCom's own");
    }
    wecom_refused(name, code)
}

/// WeCom's no, with its own code.
pub(super) fn wecom_refused(about: impl std::fmt::Display, code: i64) -> Refusal {
    let message = format!("WeCom refused the call with its code {code}; see its list of codes");
    Refusal::new(Reason::WecomRefused, message)
        .about(about)
        .with("wecomCode", code.to_string())
}
