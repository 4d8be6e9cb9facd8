//! Cards: wire ⇄ domain.

use prost_types::FieldMask;

use crate::{
    api::{
        pb,
        wire::{kind, masked, timestamp},
    },
    app::CardChanges,
    domain::{
        AcquisitionLinkName, AcquisitionUri, Card, CardDraft, CardState, Check, Contact,
        ContactDraft, ContactKind, CorpName, Detail, DetailDraft, KfUri, Phone, Refusal, WechatId,
        Wecom, WecomTarget, card,
    },
};

pub fn draft(check: &mut Check, card: pb::Card) -> Option<CardDraft> {
    let display_name = check.field("card.display_name", card::display_name(&card.display_name));
    let headline = check.field("card.headline", card::headline(&card.headline));
    let avatar_uri = check.field("card.avatar_uri", card::avatar_uri(&card.avatar_uri));
    let contacts = contacts(check, card.contacts, Secrets::Required);
    Some(CardDraft {
        display_name: display_name?,
        headline: headline?,
        avatar_uri: avatar_uri?,
        contacts,
    })
}

const FIELDS: &[&str] = &["display_name", "headline", "avatar_uri", "contacts"];

pub fn changes(card: pb::Card, mask: Option<&FieldMask>) -> Result<CardChanges, Refusal> {
    let mut check = Check::default();
    let fields = masked(&mut check, mask, FIELDS, |field| match field {
        "display_name" => !card.display_name.is_empty(),
        "headline" => !card.headline.is_empty(),
        "avatar_uri" => !card.avatar_uri.is_empty(),
        _ => !card.contacts.is_empty(),
    });
    let mut changes = CardChanges::default();
    for field in fields {
        match field {
            "display_name" => {
                let value = card::display_name(&card.display_name);
                changes.display_name = check.field("card.display_name", value);
            }
            "headline" => {
                changes.headline = check.field("card.headline", card::headline(&card.headline));
            }
            "avatar_uri" => {
                let value = card::avatar_uri(&card.avatar_uri);
                changes.avatar_uri = check.field("card.avatar_uri", value);
            }
            _ => {
                changes.contacts = Some(contacts(
                    &mut check,
                    card.contacts.clone(),
                    Secrets::MayBeKept,
                ))
            }
        }
    }
    check.done(Some(changes))
}

/// Whether an empty secret is the one that the card has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Required,
    MayBeKept,
}

/// Those that are well-formed, and violations for the rest.
fn contacts(check: &mut Check, contacts: Vec<pb::Contact>, secrets: Secrets) -> Vec<ContactDraft> {
    let kinds: Vec<_> = contacts.iter().map(said_kind).collect();
    card::one_per_kind(check, &kinds);
    contacts
        .into_iter()
        .take(10)
        .enumerate()
        .filter_map(|(i, contact)| {
            let at = format!("card.contacts[{i}]");
            let label = check.field(format!("{at}.label"), card::label(&contact.label));
            let detail = detail(check, &at, contact.details, secrets);
            Some(ContactDraft {
                label: label?,
                detail: detail?,
            })
        })
        .collect()
}

fn said_kind(contact: &pb::Contact) -> Option<ContactKind> {
    use pb::contact::Details;
    contact.details.as_ref().map(|details| match details {
        Details::Wecom(_) => ContactKind::Wecom,
        Details::Phone(_) => ContactKind::Phone,
        Details::Wechat(_) => ContactKind::WechatId,
    })
}

fn detail(
    check: &mut Check,
    at: &str,
    details: Option<pb::contact::Details>,
    secrets: Secrets,
) -> Option<DetailDraft> {
    use pb::contact::Details;
    let kept = |secret: &str| secrets == Secrets::MayBeKept && secret.is_empty();
    match details {
        None => {
            check.violation(at, "must have one of wecom, phone, wechat");
            None
        }
        Some(Details::Wecom(wecom)) => Some(DetailDraft::Wecom(self::wecom(check, at, wecom)?)),
        Some(Details::Phone(phone)) if kept(&phone.number) => Some(DetailDraft::Phone(None)),
        Some(Details::Phone(phone)) => check
            .field(format!("{at}.phone.number"), Phone::parse(&phone.number))
            .map(|phone| DetailDraft::Phone(Some(phone))),
        Some(Details::Wechat(wechat)) if kept(&wechat.wechat_id) => {
            Some(DetailDraft::WechatId(None))
        }
        Some(Details::Wechat(wechat)) => check
            .field(
                format!("{at}.wechat.wechat_id"),
                WechatId::parse(&wechat.wechat_id),
            )
            .map(|id| DetailDraft::WechatId(Some(id))),
    }
}

fn wecom(check: &mut Check, at: &str, wecom: pb::WecomContact) -> Option<Wecom> {
    use pb::wecom_contact::Target;
    let target = match wecom.target {
        Some(Target::AcquisitionUri(uri)) => check
            .field(
                format!("{at}.wecom.acquisition_uri"),
                AcquisitionUri::parse(&uri),
            )
            .map(WecomTarget::Acquisition),
        Some(Target::KfUri(uri)) => check
            .field(format!("{at}.wecom.kf_uri"), KfUri::parse(&uri))
            .map(WecomTarget::Kf),
        Some(Target::AcquisitionLink(name)) => check
            .field(
                format!("{at}.wecom.acquisition_link"),
                AcquisitionLinkName::parse(&name),
            )
            .map(WecomTarget::Link),
        None => {
            check.violation(
                format!("{at}.wecom"),
                "must have one of acquisition_link, acquisition_uri, kf_uri",
            );
            None
        }
    };
    let corp = match wecom.corp.as_str() {
        "" => Some(None),
        name => check
            .field(format!("{at}.wecom.corp"), CorpName::parse(name))
            .map(Some),
    };
    let fallback = match wecom.fallback_kf_uri.as_str() {
        "" => Some(None),
        uri => check
            .field(format!("{at}.wecom.fallback_kf_uri"), KfUri::parse(uri))
            .map(Some),
    };
    let target = target?;
    let mut corp = corp?;
    if let WecomTarget::Link(link) = &target {
        check.require(
            *corp.get_or_insert_with(|| link.corp.clone()) == link.corp,
            format!("{at}.wecom.corp"),
            "must be the acquisition_link's, or empty",
        );
    }
    Some(Wecom {
        corp,
        target,
        fallback: fallback?,
    })
}

/// A card as it is read: an active one of a merchant whose cards a sanction stops is SUSPENDED.
pub fn seen(card: Card, suspended: bool) -> pb::Card {
    let mut wire = pb::Card::from(card);
    if suspended && wire.state() == pb::card::State::Active {
        wire.set_state(pb::card::State::Suspended);
    }
    wire
}

impl From<Card> for pb::Card {
    fn from(card: Card) -> Self {
        let state = match card.state {
            CardState::Active => pb::card::State::Active,
            CardState::Deleted => pb::card::State::Deleted,
        };
        Self {
            name: card.name.to_string(),
            state: state.into(),
            etag: card.etag(),
            create_time: Some(timestamp(card.create_time)),
            update_time: Some(timestamp(card.update_time)),
            delete_time: card.delete_time.map(timestamp),
            purge_time: card.purge_time.map(timestamp),
            contacts: card.contacts.into_iter().map(Into::into).collect(),
            display_name: card.display_name,
            headline: card.headline,
            avatar_uri: card.avatar_uri,
        }
    }
}

impl From<Contact> for pb::Contact {
    fn from(contact: Contact) -> Self {
        use pb::contact::Details;
        Self {
            kind: kind(contact.kind()).into(),
            label: contact.label,
            details: Some(match contact.detail {
                Detail::Wecom(wecom) => Details::Wecom(wecom.into()),
                Detail::Phone(sealed) => Details::Phone(pb::PhoneContact {
                    number: String::new(),
                    masked_number: sealed.mask,
                }),
                Detail::WechatId(sealed) => Details::Wechat(pb::WechatContact {
                    wechat_id: String::new(),
                    masked_wechat_id: sealed.mask,
                }),
            }),
        }
    }
}

impl From<Wecom> for pb::WecomContact {
    fn from(wecom: Wecom) -> Self {
        use pb::wecom_contact::Target;
        Self {
            corp: wecom.corp.map(|corp| corp.to_string()).unwrap_or_default(),
            target: Some(match wecom.target {
                WecomTarget::Link(name) => Target::AcquisitionLink(name.to_string()),
                WecomTarget::Acquisition(uri) => Target::AcquisitionUri(uri.as_str().to_owned()),
                WecomTarget::Kf(uri) => Target::KfUri(uri.as_str().to_owned()),
            }),
            fallback_kf_uri: wecom
                .fallback
                .map(|uri| uri.as_str().to_owned())
                .unwrap_or_default(),
        }
    }
}
