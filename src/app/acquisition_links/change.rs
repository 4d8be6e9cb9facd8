//! A link changed or deleted: wanted here first, then told to WeCom, then confirmed.

use super::{not_found, refused, spec};
use crate::{
    app::{
        App, Call, Result,
        write::{Begin, Write, etag_matches, no_transition},
    },
    domain::{
        AcquisitionLink, AcquisitionLinkName, LinkState, Micros, Refusal,
        acquisition::{self, Pending, Range},
    },
    store::Errand,
    wecom::{self, Credentials},
};

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct AcquisitionLinkChanges {
    pub display_name: Option<String>,
    pub users: Option<Vec<String>>,
    pub departments: Option<Vec<i64>>,
    pub skip_verify: Option<bool>,
}

impl App {
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
        let corp = self.save(&write, &link, errand, "UpdateAcquisitionLink");
        let corp = corp.await?;
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
        let corp = self.save(&write, &link, errand, "DeleteAcquisitionLink");
        let corp = corp.await?;
        write.finish(()).await?;
        if let Some(made) = link.made.as_ref().filter(|_| alone) {
            let deleting = self.wecom.delete_link(&corp, &made.link_id);
            if self.patiently_until(call.until, deleting).await.is_ok() {
                self.finished(&link).await?;
            }
        }
        Ok(())
    }

    /// Keeps what is wanted, on the audit trail, too; with what WeCom is to be told of it.
    async fn save(
        &self,
        write: &Write<'_>,
        link: &AcquisitionLink,
        errand: Errand,
        action: &str,
    ) -> Result<Credentials> {
        let (tx, name) = (&write.tx, &link.name);
        tx.save_acquisition_link(link, errand, write.author).await?;
        let detail = format!("version={}", link.version);
        write.audit(action, name, detail).await?;
        let corp = tx.corp(&name.corp).await?;
        self.credentials(&corp.ok_or_else(|| not_found(name))?)
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
