//! How many adds corps have left: asked, told by callbacks, and kept.

use tokio::time::Instant;

use super::{App, Result, acquisition_links::wecom_refused};
use crate::{
    domain::{
        Corp, CorpName, LinkState, Micros, Notice, NoticeKind, Quota, Reason, Refusal,
        acquisition::Level,
    },
    store::Tx,
    wecom::{self, Credentials},
};

impl App {
    /// As WeCom says now; where it does not, as it last said. The caller waits until then.
    pub async fn quota(&self, name: &CorpName, until: Option<Instant>) -> Result<Quota> {
        let corp = self.corp(name).await?;
        let error = match self.ask_quota(&self.credentials(&corp)?, until).await? {
            Ok(quota) => return Ok(quota),
            Err(error) => error,
        };
        let known = self.store.reads().quota(corp.no).await?;
        Ok(known.ok_or_else(|| unknown(name, &error))?)
    }

    /// How many links there are in each state, and how many corps on each level of adds.
    pub async fn links_stand(&self) -> Result<(Vec<(LinkState, i64)>, Vec<(Level, i64)>)> {
        let reads = self.store.reads();
        let links = reads.acquisition_links_by_state().await?;
        Ok((links, reads.quotas_by_level().await?))
    }

    /// Asks WeCom, and keeps what it says.
    pub(super) async fn ask_quota(
        &self,
        corp: &Credentials,
        until: Option<Instant>,
    ) -> Result<Result<Quota, wecom::Error>> {
        let asked = self.ambient.now();
        let asking = self.wecom.quota(corp);
        let balance = match self.patiently_until(until, asking).await {
            Ok(balance) => balance,
            Err(error) => return Ok(Err(error)),
        };
        let answered = |quota: &Quota| {
            let newer = quota.as_of.is_none_or(|as_of| as_of < asked);
            let (total, left) = (balance.total, balance.balance);
            newer.then(|| quota.answered(total, left, balance.batches, asked))
        };
        let tx = self.store.begin().await?;
        let quota = tx.change_quota(corp.corp_no, self.ambient.now(), answered);
        let quota = quota.await?;
        tx.commit().await?;
        Ok(Ok(quota))
    }

    /// What a callback tells of a corp's adds or of a link. Callbacks come in any order and late:
    /// only what is newer than what is known counts, and WeCom is asked soon.
    pub(super) async fn apply_notice(
        &self,
        tx: &Tx,
        corp: &Corp,
        notice: &Notice,
        now: Micros,
    ) -> Result<()> {
        let then = notice.event_time;
        let level = match notice.kind {
            NoticeKind::BalanceLow => Some(Level::Low),
            NoticeKind::BalanceExhausted => Some(Level::Exhausted),
            NoticeKind::BalanceIncreased => Some(Level::Sufficient),
            NoticeKind::QuotaExpiresSoon => None,
            NoticeKind::LinkUnavailable | NoticeKind::LinkDeleted => {
                let fails = LinkState::Unavailable;
                self.hear_of_link(tx, corp, &notice.link_id, fails, then)
                    .await?;
                None
            }
            _ => return Ok(()),
        };
        if let Some(level) = level {
            let told = |quota: &Quota| quota.told(level, then);
            tx.change_quota(corp.no, now, told).await?;
        }
        Ok(tx.sync_by(corp.no, now).await?)
    }
}

fn unknown(name: &CorpName, error: &wecom::Error) -> Refusal {
    match error {
        wecom::Error::Refused { code } | wecom::Error::Misconfigured { code } => {
            wecom_refused(name, *code)
        }
        wecom::Error::Away { .. } | wecom::Error::Unknown { .. } => {
            let message = "WeCom does not answer, and never said; come again";
            Refusal::new(Reason::WecomUnavailable, message).about(name)
        }
    }
}
