//! Cards.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::OnConflict,
};

use super::{
    Db, Error, Result, SELF, Tx, cleared,
    entity::{card, card_version},
    history::{self, from_json, json},
    placements::padded,
};
use crate::domain::{
    Card, CardName, CardState, Clearance, Contact, Detail, Merchant, Micros, PlacementState, Sealed,
};

/// A card that is not there yet.
#[derive(Debug)]
pub struct NewCard<'a> {
    pub clearance: Clearance,
    pub card: Card,
    /// Who creates it.
    pub author: &'a str,
}

impl<C: ConnectionTrait> Db<C> {
    pub async fn card(&self, name: &CardName) -> Result<Option<Card>> {
        card::Entity::find()
            .filter(is_named(name))
            .one(&self.0)
            .await?
            .map(Card::try_from)
            .transpose()
    }

    /// A page of a merchant's cards by id, after this one.
    pub async fn cards_page(
        &self,
        merchant: &Merchant,
        after: &str,
        limit: u64,
        show_deleted: bool,
        now: Micros,
    ) -> Result<Vec<Card>> {
        let mut query = card::Entity::find()
            .filter(card::Column::Merchant.eq(merchant.id()))
            .filter(card::Column::Id.gt(after))
            .filter(not_purged(now));
        if !show_deleted {
            query = query.filter(card::Column::Deleted.eq(false));
        }
        query
            .order_by_asc(card::Column::Id)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(Card::try_from)
            .collect()
    }

    /// Whether another merchant than this has a card, be it deleted.
    pub async fn others_have_cards(&self, merchant: &Merchant) -> Result<bool> {
        let other = card::Entity::find()
            .select_only()
            .column(card::Column::No)
            .filter(card::Column::Merchant.ne(merchant.id()));
        Ok(other.into_tuple::<i64>().one(&self.0).await?.is_some())
    }

    /// The numbers of cards past their purge time, in order, after this one.
    pub async fn cards_to_purge(&self, now: Micros, after: i64, limit: u64) -> Result<Vec<i64>> {
        Ok(card::Entity::find()
            .select_only()
            .column(card::Column::No)
            .filter(card::Column::PurgeTime.lte(now.0))
            .filter(card::Column::No.gt(after))
            .order_by_asc(card::Column::No)
            .limit(limit)
            .into_tuple()
            .all(&self.0)
            .await?)
    }

    /// How many cards count against the merchant's limit.
    pub async fn count_cards(&self, merchant: &Merchant) -> Result<u64> {
        let counts = self.counts_of_cards(&[merchant]).await?;
        Ok(counts.get(merchant).copied().unwrap_or_default())
    }

    /// How many cards count against each merchant's limit; none where it is not named.
    pub async fn counts_of_cards(&self, merchants: &[&Merchant]) -> Result<HashMap<Merchant, u64>> {
        let ids = padded(merchants.iter().map(|merchant| merchant.id()));
        let counts = card::Entity::find()
            .select_only()
            .column(card::Column::Merchant)
            .column_as(card::Column::No.count(), "cards")
            .filter(card::Column::Merchant.is_in(ids))
            .filter(card::Column::Deleted.eq(false))
            .group_by(card::Column::Merchant)
            .into_tuple::<(String, i64)>()
            .all(&self.0)
            .await?;
        let count = |(id, count): (String, i64)| {
            let merchant = Merchant::from_id(&id);
            let merchant = merchant.ok_or_else(|| Error::corrupt("cards.merchant"))?;
            Ok((merchant, count.unsigned_abs()))
        };
        counts.into_iter().map(count).collect()
    }
}

impl Tx {
    /// The card, which nobody else changes until this transaction ends.
    pub async fn lock_card(&self, name: &CardName) -> Result<Option<Card>> {
        Ok(self.lock_cards([name]).await?.remove(name))
    }

    /// Those of these cards that are there, likewise.
    pub async fn lock_cards<'a>(
        &self,
        names: impl IntoIterator<Item = &'a CardName>,
    ) -> Result<HashMap<CardName, Card>> {
        let any = names
            .into_iter()
            .fold(Condition::any(), |any, name| any.add(is_named(name)));
        let rows = card::Entity::find()
            .filter(any)
            .lock_exclusive()
            .all(&self.0)
            .await?;
        let card = |row| Card::try_from(row).map(|card| (card.name.clone(), card));
        rows.into_iter().map(card).collect()
    }

    /// The card if it is past its purge time, which nobody else changes until this
    /// transaction ends: one that is undeleted meanwhile must not be purged.
    pub async fn lock_card_to_purge(&self, no: i64, now: Micros) -> Result<Option<Card>> {
        card::Entity::find_by_id(no)
            .filter(card::Column::PurgeTime.lte(now.0))
            .lock_exclusive()
            .one(&self.0)
            .await?
            .map(Card::try_from)
            .transpose()
    }

    /// The cards, in this order and with their numbers. A conflict where another came first with
    /// one of the names.
    pub async fn insert_cards(&self, new: Vec<NewCard<'_>>) -> Result<Vec<Card>> {
        let mut rows = Vec::new();
        for NewCard {
            clearance, card, ..
        } in &new
        {
            cleared(clearance, card.merchant())?;
            let mut row = card::Model::from(card).into_active_model();
            row.no = NotSet;
            rows.push(row);
        }
        // Never "insert, catch the error": after it PostgreSQL's transaction is dead.
        let inserted = card::Entity::insert_many(rows)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_with_returning(&self.0)
            .await?;
        let named = inserted
            .into_iter()
            .map(|row| ((row.merchant, row.id), row.no));
        let mut numbers: HashMap<_, _> = named.collect();
        let mut cards = Vec::new();
        for NewCard { card, author, .. } in new {
            let name = (card.merchant().id().to_owned(), card.name.id().to_owned());
            let no = numbers.remove(&name);
            let no = no.ok_or_else(|| Error::conflict("a card's name was taken meanwhile"))?;
            cards.push((Card { no, ..card }, author));
        }
        self.append_all(&cards).await?;
        Ok(cards.into_iter().map(|(card, _)| card).collect())
    }

    /// A new version that may show more than the one before.
    pub async fn change_card(
        &self,
        clearance: &Clearance,
        card: &Card,
        author: &str,
    ) -> Result<()> {
        cleared(clearance, card.merchant())?;
        self.save_card(card, author).await
    }

    /// A new version that shows nothing, which needs no clearance.
    pub async fn withdraw_card(&self, card: &Card, author: &str) -> Result<()> {
        if card.state != CardState::Deleted {
            return Err(Error::corrupt("a withdrawn card must be DELETED"));
        }
        self.save_card(card, author).await
    }

    async fn save_card(&self, card: &Card, author: &str) -> Result<()> {
        card::Model::from(card)
            .into_active_model()
            .reset_all()
            .update(&self.0)
            .await?;
        self.append(card, author).await
    }

    /// Removes a card past its purge time: its row, what is sealed in its history, and what
    /// its placements could still show. The rest of the history stays.
    pub async fn purge_card(&self, card: &Card, now: Micros) -> Result<()> {
        let versions = card_version::Entity::find()
            .filter(card_version::Column::No.eq(card.no))
            .all(&self.0)
            .await?;
        for version in versions {
            let mut body: Card = from_json(&version.body)?;
            body.contacts.iter_mut().for_each(erase);
            let mut row = version.into_active_model();
            row.body = Set(json(&body));
            row.update(&self.0).await?;
        }
        for placement in self.placements_of(card).await? {
            let gone = placement.to(PlacementState::Deleted, now);
            self.withdraw_placement(&gone, SELF).await?;
        }
        card::Entity::delete_by_id(card.no).exec(&self.0).await?;
        self.changes_too([history::of(card.merchant())]);
        Ok(())
    }
}

fn erase(contact: &mut Contact) {
    if let Detail::Phone(secret) | Detail::WechatId(secret) = &mut contact.detail {
        *secret = Sealed {
            mask: String::new(),
            sealed: String::new(),
        };
    }
}

fn is_named(name: &CardName) -> Condition {
    Condition::all()
        .add(card::Column::Merchant.eq(name.merchant().id()))
        .add(card::Column::Id.eq(name.id()))
}

fn not_purged(now: Micros) -> Condition {
    Condition::any()
        .add(card::Column::PurgeTime.is_null())
        .add(card::Column::PurgeTime.gt(now.0))
}
