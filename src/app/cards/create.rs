//! Cards that are created: those that wait at once are judged and written in one transaction, each
//! on its own merits.

use std::{slice::from_ref, sync::Arc};

use uuid::Uuid;

use super::{exists, not_open, quota};
use crate::{
    app::{App, Call, Error, Principal, Result},
    domain::{
        Card, CardDraft, CardName, CardState, Clearance, Contact, ContactKind, Detail, Door, Facts,
        Merchant, Micros, Refusal, Standing, Wecom, card, gate, time::before,
    },
    store::{self, Asked, Claim, NewCard, Tx},
};

/// A card that is to be created.
#[derive(Debug)]
pub struct Creation {
    caller: Arc<Principal>,
    /// Its `request_id`, and the fingerprint of the request.
    request: Option<(Uuid, [u8; 32])>,
    dry_run: bool,
    /// As it is to be, but for its number, its times, and the corp of its link.
    card: Card,
    /// What screening says of its texts.
    screened: Result<(), Refusal>,
}

/// What the store knows of a creation.
struct Known {
    claim: Claim,
    /// Who has the name.
    old: Option<Card>,
    standing: Arc<Standing>,
    /// The WeCom contact, where it opens to the merchant.
    wecom: Option<Wecom>,
    /// How many cards the merchant has.
    count: u64,
}

/// What a creation leads to.
enum Judged {
    /// It was answered so before, or is only to be judged.
    Answer(Card),
    Write(Clearance, Card),
}

impl Creation {
    pub(super) fn merchant(&self) -> &Merchant {
        self.card.merchant()
    }

    pub(super) fn asked(&self) -> Option<Asked<'_>> {
        let (id, fingerprint) = self.request?;
        Some(Asked {
            caller: &self.caller.subject,
            id,
            fingerprint,
        })
    }

    /// The contact that a corp must open, and to whom.
    fn wecom(&self) -> Option<(&Wecom, &Merchant)> {
        Some((self.card.wecom()?, self.merchant()))
    }
}

impl App {
    pub async fn create_card(&self, call: &Call, name: CardName, draft: CardDraft) -> Result<Card> {
        let drafts = card::contacts(draft.contacts, |_| false)?;
        let card = Card {
            no: 0,
            contacts: self.seal_contacts(&name, drafts, None)?,
            name,
            display_name: draft.display_name,
            headline: draft.headline,
            avatar_uri: draft.avatar_uri,
            state: CardState::Active,
            version: 1,
            create_time: Micros(0),
            update_time: Micros(0),
            delete_time: None,
            purge_time: None,
        };
        let asked = self.asked(call);
        let creation = Creation {
            caller: call.principal.clone(),
            request: asked.map(|asked| (asked.id, asked.fingerprint)),
            dry_run: call.dry_run,
            // Now, so that no other writer waits for it; what it says counts last.
            screened: self.screen_card(&card, None),
            card,
        };
        self.create_with_others(creation).await
    }

    pub(super) async fn create_alone(&self, creation: &Arc<Creation>) -> Result<Card> {
        let tx = self.store.begin().await?;
        let mut created = self.create_in(tx, from_ref(creation)).await?;
        created.pop().unwrap_or_else(|| Err(unanswered()))
    }

    /// What comes of each; after this what was created is durable, and so is what its request is
    /// answered.
    pub(super) async fn create_in(
        &self,
        tx: Tx,
        creations: &[Arc<Creation>],
    ) -> store::Result<Vec<Result<Card>>> {
        let now = self.ambient.now();
        let known = self.known(&tx, creations, now).await?;
        let mut answers: Vec<_> = creations.iter().map(|_| Err(unanswered())).collect();
        let (mut new, mut places, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (creation, known)) in creations.iter().zip(known).enumerate() {
            match self.judge(creation, known, now) {
                Err(error) => {
                    answers[place] = Err(error);
                    refused.extend(creation.asked());
                }
                Ok(Judged::Answer(card)) => answers[place] = Ok(card),
                Ok(Judged::Write(clearance, card)) => {
                    places.push(place);
                    new.push(NewCard {
                        clearance,
                        card,
                        author: &creation.caller.subject,
                    });
                }
            }
        }
        if new.is_empty() {
            tx.rollback().await?;
            return Ok(answers);
        }
        let created = tx.insert_cards(new).await?;
        let mut kept = Vec::new();
        for (&place, card) in places.iter().zip(&created) {
            if let Some(asked) = creations[place].asked() {
                let sealed = self.seal_answer(asked.caller, asked.id, card);
                let sealed = sealed.map_err(|e| store::Error::corrupt(e.to_string()))?;
                kept.push((asked, sealed));
            }
        }
        tx.keep_answers(kept, now).await?;
        tx.forget_claims(&refused).await?;
        tx.commit().await?;
        for (place, card) in places.into_iter().zip(created) {
            answers[place] = Ok(card);
        }
        Ok(answers)
    }

    /// Under the merchants' locks: whose name is free stays so, and who has room keeps it. Locks
    /// are taken in the order of every write: the requests', the merchants', the cards', the
    /// programs'.
    async fn known(
        &self,
        tx: &Tx,
        creations: &[Arc<Creation>],
        now: Micros,
    ) -> store::Result<Vec<Known>> {
        let asked: Vec<_> = creations.iter().map(|c| c.asked()).collect();
        let since = before(now, self.rules.keep_answers);
        let claims = tx.claims(&asked, now, since).await?;
        let merchants: Vec<_> = creations.iter().map(|c| c.merchant()).collect();
        tx.lock_merchants(merchants.iter().map(|m| m.id())).await?;
        let names = creations.iter().map(|c| &c.card.name);
        let mut named = tx.lock_cards(names).await?;
        // Due, whatever comes of the creation.
        for old in named.values().filter(|old| old.purged(now)) {
            tx.purge_card(old, now).await?;
        }
        tx.hold_programs().await?;
        let calendar = &self.rules.calendar;
        let standings = tx.standings(merchants.iter().copied(), calendar, now);
        let standings = standings.await?;
        let wecoms: Vec<_> = creations.iter().filter_map(|c| c.wecom()).collect();
        let mut opened = tx.wecoms_opened(&wecoms).await?.into_iter();
        let counts = tx.counts_of_cards(&merchants).await?;
        let known = |(creation, claim): (&Arc<Creation>, Claim)| {
            let merchant = creation.merchant();
            let unknown = || store::Error::corrupt("a merchant without a standing");
            Ok(Known {
                claim,
                old: named.remove(&creation.card.name),
                standing: standings.get(merchant).cloned().ok_or_else(unknown)?,
                wecom: creation.wecom().and_then(|_| opened.next().flatten()),
                count: counts.get(merchant).copied().unwrap_or_default(),
            })
        };
        creations.iter().zip(claims).map(known).collect()
    }

    fn judge(&self, creation: &Creation, known: Known, now: Micros) -> Result<Judged> {
        if let Some(asked) = creation.asked()
            && let Some(answer) = self.earlier_answer(asked.caller, asked.id, known.claim)?
        {
            return Ok(Judged::Answer(answer));
        }
        let mut card = Card {
            create_time: now,
            update_time: now,
            ..creation.card.clone()
        };
        if known.old.is_some_and(|old| !old.purged(now)) {
            return Err(exists(&card.name).into());
        }
        let kinds: Vec<ContactKind> = card.contacts.iter().map(Contact::kind).collect();
        let facts = Facts::merchant(&known.standing).kinds(&kinds);
        let clearance = gate::judge(Door::Configure, facts, now)?;
        if let Some((wecom, merchant)) = creation.wecom() {
            let opened = known.wecom.ok_or_else(|| not_open(wecom, merchant))?;
            let mut details = card.contacts.iter_mut().map(|contact| &mut contact.detail);
            if let Some(detail) = details.find(|detail| matches!(detail, Detail::Wecom(_))) {
                *detail = Detail::Wecom(opened);
            }
        }
        let limit = self.rules.cards_per_merchant;
        if known.count >= limit {
            return Err(quota(card.merchant(), "cards", limit, "withdraw one first").into());
        }
        creation.screened.clone()?;
        Ok(match creation.dry_run {
            true => Judged::Answer(card),
            false => Judged::Write(clearance, card),
        })
    }
}

fn unanswered() -> Error {
    Error::bug("a creation without an answer")
}
