//! Cards: read, change, delete, undelete, reveal; `cards/create.rs` creates them.

mod create;
mod queue;

use std::fmt::Display;

use super::{
    App, Call, Opened, Result,
    write::{Begin, Write, etag_matches, no_transition, quota},
};
use crate::domain::{
    Card, CardName, CardState, ContactDraft, ContactKind, DetailDraft, Door, Facts, Merchant,
    Micros, Reason, Refusal, Wecom, card, gate,
};

pub use queue::Creations;

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct CardChanges {
    pub display_name: Option<String>,
    pub headline: Option<String>,
    pub avatar_uri: Option<String>,
    pub contacts: Option<Vec<ContactDraft>>,
}

impl App {
    pub async fn card(&self, name: &CardName) -> Result<Card> {
        let card = self.store.reads().card(name).await?;
        present(card, name, self.ambient.now())
    }

    /// At most `limit` cards after the id `after`.
    pub async fn cards(
        &self,
        merchant: &Merchant,
        after: &str,
        limit: u64,
        show_deleted: bool,
    ) -> Result<Vec<Card>> {
        let now = self.ambient.now();
        let reads = self.store.reads();
        Ok(reads
            .cards_page(merchant, after, limit, show_deleted, now)
            .await?)
    }

    pub async fn update_card(
        &self,
        call: &Call,
        name: &CardName,
        etag: &str,
        changes: CardChanges,
    ) -> Result<Card> {
        let write = match self.begin(call).await? {
            Begin::Answered(card) => return Ok(card),
            Begin::Fresh(write) => write,
        };
        let old = locked(&write, name, etag).await?;
        let has = |kind| old.contact(kind).is_some();
        let drafts = changes
            .contacts
            .map(|drafts| card::contacts(drafts, has))
            .transpose()?;
        // A kind that the card has already may stay, whatever the programs open now.
        let kinds = drafts.iter().flatten().map(ContactDraft::kind);
        let added: Vec<_> = kinds.filter(|kind| !has(*kind)).collect();
        let standing = self.standing(&write, name.merchant()).await?;
        let facts = Facts::card(&standing, &old).kinds(&added);
        let clearance = gate::judge(Door::Configure, facts, write.now)?;
        let contacts = match drafts {
            None => old.contacts.clone(),
            Some(mut drafts) => {
                self.corps_open(&write, name.merchant(), &mut drafts)
                    .await?;
                self.seal_contacts(name, drafts, Some(&old))?
            }
        };
        let next = old.next(write.now);
        let card = Card {
            display_name: changes.display_name.unwrap_or(next.display_name),
            headline: changes.headline.unwrap_or(next.headline),
            avatar_uri: changes.avatar_uri.unwrap_or(next.avatar_uri),
            contacts,
            ..next
        };
        self.screen_card(&card, Some(&old))?;
        write
            .tx
            .change_card(&clearance, &card, write.author)
            .await?;
        write.finish(card).await
    }

    pub async fn delete_card(&self, call: &Call, name: &CardName, etag: &str) -> Result<Card> {
        let write = match self.begin(call).await? {
            Begin::Answered(card) => return Ok(card),
            Begin::Fresh(write) => write,
        };
        let old = locked(&write, name, etag).await?;
        if old.state == CardState::Deleted {
            return Err(no_transition(name, "DELETED").into());
        }
        let card = old.deleted(write.now, self.rules.purge_after);
        write.tx.withdraw_card(&card, write.author).await?;
        write.finish(card).await
    }

    pub async fn undelete_card(&self, call: &Call, name: &CardName, etag: &str) -> Result<Card> {
        let write = match self.begin(call).await? {
            Begin::Answered(card) => return Ok(card),
            Begin::Fresh(write) => write,
        };
        write.tx.lock_merchant(name.merchant().id()).await?;
        let old = locked(&write, name, etag).await?;
        if old.state == CardState::Active {
            return Err(no_transition(name, "ACTIVE").into());
        }
        let standing = self.standing(&write, name.merchant()).await?;
        let clearance = gate::judge(Door::Configure, Facts::merchant(&standing), write.now)?;
        self.room_for_a_card(&write, name.merchant()).await?;
        let card = old.undeleted(write.now);
        write
            .tx
            .change_card(&clearance, &card, write.author)
            .await?;
        write.finish(card).await
    }

    /// A contact in clear; that it was shown is on the audit trail before anyone sees it.
    pub async fn reveal_contact(
        &self,
        call: &Call,
        name: &CardName,
        kind: ContactKind,
        purpose: &str,
    ) -> Result<Opened> {
        let write = self.start(call).await?;
        let card = present(write.tx.card(name).await?, name, write.now)?;
        let clearance = gate::reveal(&card, kind, write.now)?;
        // Reading always works: also of a link that is not served now.
        let address = match card.wecom() {
            Some(wecom) => Some(write.tx.link_address(wecom).await?),
            None => None,
        };
        let opened = self.open_contact(&clearance, &card, kind, address.as_ref())?;
        // A purpose may name a person.
        let place = audit_place(name);
        let purpose = self.keys.seal_text(&place, purpose, self.ambient.random());
        let detail = format!("kind={} purpose={purpose}", kind.as_str());
        write.audit("RevealContact", name, detail).await?;
        write.finish(()).await?;
        Ok(opened)
    }

    /// Names the corp whose link a contact is. A corp that is not there and one that does not
    /// name the merchant answer alike.
    async fn corps_open(
        &self,
        write: &Write<'_>,
        merchant: &Merchant,
        drafts: &mut [ContactDraft],
    ) -> Result<()> {
        for draft in drafts {
            let DetailDraft::Wecom(wecom) = &mut draft.detail else {
                continue;
            };
            let opened = write.tx.wecom_opened(wecom, merchant).await?;
            *wecom = opened.ok_or_else(|| not_open(wecom, merchant))?;
        }
        Ok(())
    }

    /// Counted under the merchant's lock, or two writes would both be the last.
    async fn room_for_a_card(&self, write: &Write<'_>, merchant: &Merchant) -> Result<()> {
        let limit = self.rules.cards_per_merchant;
        if write.tx.count_cards(merchant).await? >= limit {
            return Err(quota(merchant, "cards", limit, "withdraw one first").into());
        }
        Ok(())
    }
}

/// Where a sealed fact of a resource's audit row stands.
fn audit_place(resource: impl Display) -> String {
    format!("audit/{resource}")
}

/// The card under a write's lock, as the caller knows it.
async fn locked(write: &Write<'_>, name: &CardName, etag: &str) -> Result<Card> {
    let card = present(write.tx.lock_card(name).await?, name, write.now)?;
    etag_matches(etag, &card.etag())?;
    Ok(card)
}

fn present(card: Option<Card>, name: &CardName, now: Micros) -> Result<Card> {
    Ok(card
        .filter(|c| !c.purged(now))
        .ok_or_else(|| not_found(name))?)
}

fn not_open(wecom: &Wecom, merchant: &Merchant) -> Refusal {
    let corp = wecom.corp.as_ref().map(ToString::to_string);
    Refusal::new(
        Reason::CorpNotOpen,
        "the corp or the acquisition link is not there, or not open to the merchant",
    )
    .about(merchant)
    .with("corp", corp.unwrap_or_default())
}

pub(super) fn not_found(name: &CardName) -> Refusal {
    Refusal::new(Reason::CardNotFound, "no such card").about(name)
}

fn exists(name: &CardName) -> Refusal {
    Refusal::new(
        Reason::CardExists,
        "a card has this name; a deleted one keeps it until its purge_time",
    )
    .about(name)
}
