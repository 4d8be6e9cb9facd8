//! Acquisition links. Each write reserves (a transaction that
//! keeps what is wanted and when to look after it), asks WeCom, and confirms (another one); no
//! transaction waits for WeCom. What a crash or a silence leaves is finished by `errands`.

mod change;
mod confirm;
mod create;
mod errands;
mod look;
mod sync;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{App, Call, Result};
use crate::{
    domain::{AcquisitionLink, AcquisitionLinkName, CorpName, Micros, Reason, Refusal},
    store::{Errand, WECOM},
    wecom::{self, LinkSpec},
};

pub use change::AcquisitionLinkChanges;
pub use create::AcquisitionLinkDraft;

/// Between the end of our patience and the first look at what became of a call.
const MARGIN: Duration = Duration::from_secs(5);
/// After so long without an answer a call has no effect any more that it has not had.
const SETTLE: Duration = Duration::from_secs(60);
/// Of a caller's time, to write down what became of a call.
const TO_ANSWER: Duration = Duration::from_millis(500);
/// What WeCom says where it takes no more links.
const TOO_MANY_LINKS: i64 = 41095;

impl App {
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
                None => write.tx.forget_acquisition_link(link).await?,
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
}

/// As WeCom is told it.
fn spec(link: &AcquisitionLink) -> LinkSpec {
    LinkSpec {
        name: link.wecom_name(),
        range: link.range.clone(),
        skip_verify: link.skip_verify,
    }
}

fn not_found(name: &AcquisitionLinkName) -> Refusal {
    Refusal::new(Reason::AcquisitionLinkNotFound, "no such acquisition link").about(name)
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
