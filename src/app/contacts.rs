//! Seals contacts when a card is written, and opens one for a `Clearance`.

use super::{App, Error, Result};
use crate::domain::{
    AcquisitionUri, Card, CardName, Clearance, Contact, ContactDraft, ContactKind, Detail,
    DetailDraft, KfUri, LinkHealth, Phone, Reason, Refusal, Route, Sealed, WechatId, gate,
    launch::Target,
};

/// A contact in clear, for as long as it takes to show it.
#[derive(Debug)]
pub enum Opened {
    Wecom(AcquisitionUri),
    Kf(KfUri),
    Phone(Phone),
    WechatId(WechatId),
}

impl Opened {
    /// As it reads.
    pub fn value(&self) -> &str {
        match self {
            Self::Wecom(uri) => uri.as_str(),
            Self::Kf(uri) => uri.as_str(),
            Self::Phone(phone) => phone.expose(),
            Self::WechatId(id) => id.expose(),
        }
    }

    /// As somewhere to go.
    pub fn target(&self) -> Target<'_> {
        match self {
            Self::Wecom(uri) => Target::Wecom(uri),
            Self::Kf(uri) => Target::Kf(uri),
            Self::Phone(phone) => Target::Phone(phone.expose()),
            Self::WechatId(id) => Target::WechatId(id.expose()),
        }
    }
}

impl App {
    /// The contacts as they are kept. A secret that is not given is the one the card has.
    pub(super) fn seal_contacts(
        &self,
        name: &CardName,
        drafts: Vec<ContactDraft>,
        old: Option<&Card>,
    ) -> Result<Vec<Contact>> {
        let seal = |kind, mask, plain: &str| Sealed {
            mask,
            sealed: self
                .keys
                .seal_text(&place(name, kind), plain, self.ambient.random()),
        };
        let kept = |kind| {
            old.and_then(|card| card.contact(kind))
                .map(|contact| contact.detail.clone())
                .ok_or_else(|| Error::bug("a contact to keep that is not there"))
        };
        drafts
            .into_iter()
            .map(|draft| {
                let kind = draft.kind();
                let detail = match draft.detail {
                    DetailDraft::Wecom(wecom) => Detail::Wecom(wecom),
                    DetailDraft::Phone(Some(phone)) => {
                        Detail::Phone(seal(kind, phone.mask(), phone.expose()))
                    }
                    DetailDraft::WechatId(Some(id)) => {
                        Detail::WechatId(seal(kind, id.mask(), id.expose()))
                    }
                    DetailDraft::Phone(None) | DetailDraft::WechatId(None) => kept(kind)?,
                };
                Ok(Contact {
                    label: draft.label,
                    detail,
                })
            })
            .collect()
    }

    /// What is behind a contact. Nothing is revealed or launched without the gate's word.
    pub(super) fn open_contact(
        &self,
        clearance: &Clearance,
        card: &Card,
        kind: ContactKind,
        health: Option<&LinkHealth>,
    ) -> Result<Opened> {
        if !clearance.opens(card, kind) {
            return Err(Error::bug("a contact opened without its clearance"));
        }
        let contact = card.contact(kind).ok_or_else(|| no_contact(card, kind))?;
        let open = |sealed: &Sealed| {
            self.keys
                .open_text(&place(&card.name, kind), &sealed.sealed)
                .map_err(Error::bug)
        };
        Ok(match &contact.detail {
            Detail::Wecom(wecom) => {
                let health = health.ok_or_else(|| Error::bug("a WeCom link nobody looked at"))?;
                match wecom.route(health) {
                    Ok(Route::Acquisition(uri)) => Opened::Wecom(uri),
                    Ok(Route::Kf(uri)) => Opened::Kf(uri),
                    Err(cause) => return Err(gate::link_unavailable(card, cause).into()),
                }
            }
            Detail::Phone(sealed) => Opened::Phone(Phone::trusted(open(sealed)?)),
            Detail::WechatId(sealed) => Opened::WechatId(WechatId::trusted(open(sealed)?)),
        })
    }
}

fn place(card: &CardName, kind: ContactKind) -> String {
    format!("contact/{card}/{}", kind.as_str())
}

fn no_contact(card: &Card, kind: ContactKind) -> Refusal {
    Refusal::new(
        Reason::ContactNotFound,
        format!("the card has no {} contact", kind.as_str()),
    )
    .about(&card.name)
    .with("kind", kind.as_str())
}
