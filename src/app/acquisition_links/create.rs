//! A new link: reserved, made at WeCom, confirmed.

use super::{full, refused, spec};
use crate::{
    app::{
        App, Call, Result, corps,
        write::{Begin, Write},
    },
    domain::{
        AcquisitionLink, AcquisitionLinkName, LinkState, Reason, Refusal,
        acquisition::{self, Pending, Range},
    },
    wecom::{self, Credentials},
};

/// A link as a caller wants it.
#[derive(Clone, Debug)]
pub struct AcquisitionLinkDraft {
    pub display_name: String,
    pub range: Range,
    pub skip_verify: bool,
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

fn exists(name: &AcquisitionLinkName) -> Refusal {
    let message = "an acquisition link has this name; a deleted one keeps it";
    Refusal::new(Reason::AcquisitionLinkExists, message).about(name)
}
