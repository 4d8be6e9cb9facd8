//! Corps: create, read, change, delete.

mod secrets;

use secrecy::SecretString;

use self::secrets::{Rotation, Secrets};
use super::{
    App, Call, Result,
    write::{Begin, Write, etag_matches},
};
use crate::domain::{Corp, CorpName, Merchant, Reason, Refusal};

/// A corp as a caller wants it.
#[derive(Clone, Debug)]
pub struct CorpDraft {
    pub display_name: String,
    pub merchants: Vec<Merchant>,
    pub corp_id: String,
    pub app_secret: SecretString,
    pub callback_token: SecretString,
    pub encoding_aes_key: SecretString,
}

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct CorpChanges {
    pub display_name: Option<String>,
    pub merchants: Option<Vec<Merchant>>,
    /// The one that it has, if it is said at all.
    pub corp_id: Option<String>,
    pub app_secret: Option<SecretString>,
    pub callback_token: Option<SecretString>,
    pub encoding_aes_key: Option<SecretString>,
    /// Nothing is taken any more under the tokens and keys before.
    pub drop_previous_secrets: bool,
}

impl App {
    pub async fn create_corp(&self, call: &Call, name: CorpName, draft: CorpDraft) -> Result<Corp> {
        let write = match self.begin(call).await? {
            Begin::Answered(corp) => return Ok(corp),
            Begin::Fresh(write) => write,
        };
        write.tx.lock_corps().await?;
        if write.tx.corp(&name).await?.is_some() {
            return Err(exists(&name).into());
        }
        self.room_for_a_corp(&write, &name).await?;
        let secrets = Secrets {
            app_secret: draft.app_secret,
            callback_token: draft.callback_token,
            encoding_aes_key: draft.encoding_aes_key,
            previous: Vec::new(),
        };
        let corp = Corp {
            no: 0,
            secrets: self.seal_secrets(&name, &secrets)?,
            name,
            display_name: draft.display_name,
            merchants: draft.merchants,
            corp_id: draft.corp_id,
            version: 1,
            create_time: write.now,
            update_time: write.now,
            delete_time: None,
        };
        let taken = exists(&corp.name);
        let corp = write.tx.insert_corp(corp, write.author).await?;
        let corp = corp.ok_or(taken)?;
        let detail = format!("corp_id={}", corp.corp_id);
        write.audit("CreateCorp", &corp.name, detail).await?;
        write.finish(corp).await
    }

    pub async fn corp(&self, name: &CorpName) -> Result<Corp> {
        let corp = self.store.reads().corp(name).await?;
        Ok(corp.ok_or_else(|| not_found(name))?)
    }

    /// At most `limit` corps after the id `after`.
    pub async fn corps(&self, after: &str, limit: u64) -> Result<Vec<Corp>> {
        Ok(self.store.reads().corps_page(after, limit).await?)
    }

    pub async fn update_corp(
        &self,
        call: &Call,
        name: &CorpName,
        etag: &str,
        changes: CorpChanges,
    ) -> Result<Corp> {
        let write = match self.begin(call).await? {
            Begin::Answered(corp) => return Ok(corp),
            Begin::Fresh(write) => write,
        };
        let old = locked(&write, name, etag).await?;
        if changes.corp_id.is_some_and(|id| id != old.corp_id) {
            let rule = "stays as it is; make another corp for another company";
            return Err(Refusal::field("corp.corp_id", rule).into());
        }
        let next = old.next(write.now);
        let rotation = Rotation {
            app_secret: changes.app_secret,
            token: changes.callback_token,
            key: changes.encoding_aes_key,
            drop_previous: changes.drop_previous_secrets,
        };
        let detail = rotation.detail();
        let secrets = if rotation.is_none() {
            old.secrets.clone()
        } else {
            let secrets = rotation.of(self.secrets(&old)?, write.now);
            self.seal_secrets(name, &secrets)?
        };
        let corp = Corp {
            display_name: changes.display_name.unwrap_or(old.display_name),
            merchants: changes.merchants.unwrap_or(old.merchants),
            secrets,
            ..next
        };
        write.tx.save_corp(&corp, write.author).await?;
        // Whatever stood against it may be gone with what it had before.
        write.tx.sync_by(corp.no, write.now).await?;
        write.tx.wake_errands(corp.no, write.now).await?;
        write.audit("UpdateCorp", name, detail).await?;
        write.finish(corp).await
    }

    pub async fn delete_corp(&self, call: &Call, name: &CorpName, etag: &str) -> Result<()> {
        let write = match self.begin(call).await? {
            Begin::Answered(()) => return Ok(()),
            Begin::Fresh(write) => write,
        };
        let next = locked(&write, name, etag).await?.next(write.now);
        let corp = Corp {
            secrets: Vec::new(),
            delete_time: Some(next.update_time),
            ..next
        };
        write.tx.save_corp(&corp, write.author).await?;
        let detail = format!("version={}", corp.version);
        write.audit("DeleteCorp", name, detail).await?;
        write.finish(()).await
    }

    /// What to enter at WeCom as the address that receives events.
    pub fn callback_uri(&self, corp: &CorpName) -> String {
        format!("{}/wecom/callback/{}", self.rules.public_url, corp.id())
    }

    /// Counted under the corps' lock, or two writes would both be the last.
    async fn room_for_a_corp(&self, write: &Write<'_>, name: &CorpName) -> Result<()> {
        let limit = self.rules.corps;
        if write.tx.count_corps().await? < limit {
            return Ok(());
        }
        let message = format!("there may be {limit} corps; delete one first");
        Err(Refusal::new(Reason::QuotaExhausted, message)
            .about(name)
            .with("limit", limit.to_string())
            .into())
    }
}

/// The corp under a write's lock, as the caller knows it.
async fn locked(write: &Write<'_>, name: &CorpName, etag: &str) -> Result<Corp> {
    let found = write.tx.lock_corp(name).await?;
    let corp = found.ok_or_else(|| not_found(name))?;
    etag_matches(etag, &corp.etag())?;
    Ok(corp)
}

pub(super) fn not_found(name: &CorpName) -> Refusal {
    Refusal::new(Reason::CorpNotFound, "no such corp").about(name)
}

fn exists(name: &CorpName) -> Refusal {
    let message = "a corp has this name; a deleted one keeps it";
    Refusal::new(Reason::CorpExists, message).about(name)
}
