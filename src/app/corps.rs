//! Corps: create, read, change, delete; and their secrets, which come out of here only to WeCom.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    App, Call, Error, Result,
    write::{Begin, Write, etag_matches},
};
use crate::{
    domain::{Corp, CorpName, Merchant, Micros, Reason, Refusal},
    wecom::Credentials,
};

/// How long the callback's token and key before are still taken.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

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
}

/// A corp's secrets, opened.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Secrets {
    pub app_secret: SecretString,
    pub callback_token: SecretString,
    pub encoding_aes_key: SecretString,
    /// The callback's before the last rotation.
    pub previous: Option<Previous>,
}

/// What the callback had before.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Previous {
    pub token: SecretString,
    pub key: SecretString,
    /// Taken until then.
    pub until: Micros,
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
            previous: None,
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

    /// The secrets of a corp that is not deleted.
    pub(super) fn secrets(&self, corp: &Corp) -> Result<Secrets> {
        let plain = self.keys.open(&place(&corp.name), &corp.secrets);
        let plain = plain.map_err(Error::bug)?;
        // serde_json's message may quote them.
        serde_json::from_slice(&plain).map_err(|_| Error::bug("a corp's secrets do not read"))
    }

    /// With what WeCom is asked in the name of a corp that is not deleted.
    pub(super) fn credentials(&self, corp: &Corp) -> Result<Credentials> {
        Ok(Credentials {
            corp_no: corp.no,
            corp_id: corp.corp_id.clone(),
            secret: self.secrets(corp)?.app_secret,
        })
    }

    fn seal_secrets(&self, corp: &CorpName, secrets: &Secrets) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(&Plain::from(secrets)).map_err(Error::bug)?;
        let plain = Zeroizing::new(plain);
        Ok(self.keys.seal(&place(corp), &plain, self.ambient.random()))
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

/// Secrets that replace those before.
struct Rotation {
    app_secret: Option<SecretString>,
    token: Option<SecretString>,
    key: Option<SecretString>,
}

impl Rotation {
    fn is_none(&self) -> bool {
        self.app_secret.is_none() && self.token.is_none() && self.key.is_none()
    }

    /// Which ones, for the audit trail.
    fn detail(&self) -> String {
        let named = [
            ("app_secret", &self.app_secret),
            ("callback_token", &self.token),
            ("encoding_aes_key", &self.key),
        ];
        let named = named.iter().filter(|(_, secret)| secret.is_some());
        let named: Vec<_> = named.map(|(name, _)| *name).collect();
        format!("secrets={}", named.join(","))
    }

    fn of(self, old: Secrets, now: Micros) -> Secrets {
        let same = |new: &Option<SecretString>, old: &SecretString| {
            new.as_ref()
                .is_none_or(|new| new.expose_secret() == old.expose_secret())
        };
        let kept = same(&self.token, &old.callback_token) && same(&self.key, &old.encoding_aes_key);
        let previous = if kept {
            old.previous
        } else {
            Some(Previous {
                token: old.callback_token.clone(),
                key: old.encoding_aes_key.clone(),
                until: now + OVERLAP,
            })
        };
        Secrets {
            app_secret: self.app_secret.unwrap_or(old.app_secret),
            callback_token: self.token.unwrap_or(old.callback_token),
            encoding_aes_key: self.key.unwrap_or(old.encoding_aes_key),
            previous,
        }
    }
}

/// [`Secrets`] as they are sealed: `secrecy` does not write any.
#[derive(Serialize)]
struct Plain<'a> {
    app_secret: &'a str,
    callback_token: &'a str,
    encoding_aes_key: &'a str,
    previous: Option<PlainPrevious<'a>>,
}

#[derive(Serialize)]
struct PlainPrevious<'a> {
    token: &'a str,
    key: &'a str,
    until: Micros,
}

impl<'a> From<&'a Secrets> for Plain<'a> {
    fn from(secrets: &'a Secrets) -> Self {
        Self {
            app_secret: secrets.app_secret.expose_secret(),
            callback_token: secrets.callback_token.expose_secret(),
            encoding_aes_key: secrets.encoding_aes_key.expose_secret(),
            previous: secrets.previous.as_ref().map(|previous| PlainPrevious {
                token: previous.token.expose_secret(),
                key: previous.key.expose_secret(),
                until: previous.until,
            }),
        }
    }
}

/// Where a corp's secrets are sealed. Its name stays taken, so it is nobody else's.
fn place(corp: &CorpName) -> String {
    format!("corp/{}", corp.id())
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
