//! Placements, and the reads that serve them.

use std::collections::{BTreeSet, HashSet};

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::{
    Db, Error, Result, Tx, cleared,
    entity::{
        card,
        placement::{self, Column, Entity},
    },
};
use crate::domain::{Card, Clearance, Merchant, Placement, PlacementName, PlacementState};

/// A menu has 3 positions; one row more says why, where none is live.
pub(super) const MENU_ROWS: usize = 4;

/// A placement and its card, if that is still there.
pub type Shown = (Placement, Option<Card>);

impl<C: ConnectionTrait> Db<C> {
    pub async fn placement(&self, name: &PlacementName) -> Result<Option<Placement>> {
        named(name)
            .one(&self.0)
            .await?
            .map(Placement::try_from)
            .transpose()
    }

    /// A page of a merchant's placements by id, after this one.
    pub async fn placements_page(
        &self,
        merchant: &Merchant,
        after: &str,
        limit: u64,
        show_deleted: bool,
    ) -> Result<Vec<Placement>> {
        let mut query = Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::Id.gt(after));
        if !show_deleted {
            query = query.filter(Column::State.ne(placement::DELETED));
        }
        query
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(Placement::try_from)
            .collect()
    }

    /// How many placements count against the merchant's limit.
    pub async fn count_placements(&self, merchant: &Merchant) -> Result<u64> {
        Ok(Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::State.ne(placement::DELETED))
            .count(&self.0)
            .await?)
    }

    /// What may be in a merchant's chat menu: live ones first, then one that is not.
    pub async fn menu(&self, merchant: &Merchant) -> Result<Vec<Shown>> {
        self.menus(&[merchant.id()]).await
    }

    /// What may be in these merchants' chat menus, likewise.
    pub async fn menus(&self, merchants: &[&str]) -> Result<Vec<Shown>> {
        let of_menus = || {
            Entity::find()
                .filter(Column::Merchant.is_in(padded(merchants.iter().copied())))
                .filter(Column::Surface.eq(placement::MENU))
        };
        let hidden = of_menus()
            .select_only()
            .column_as(Column::No.min(), "no")
            .filter(Column::State.eq(placement::PAUSED))
            .group_by(Column::Merchant)
            .into_query();
        let sought = Condition::any()
            .add(Column::State.eq(placement::LIVE))
            .add(Column::No.in_subquery(hidden));
        let rows = of_menus()
            .filter(sought)
            .order_by_asc(Column::State)
            .order_by_asc(Column::Position)
            .order_by_asc(Column::No);
        self.with_cards(rows).await
    }

    /// What may be on these notes, given by id: of each the live one and the first that is
    /// not, which says why. `merchants`: only theirs.
    pub async fn capsules(
        &self,
        notes: &[&str],
        merchants: Option<&BTreeSet<String>>,
    ) -> Result<Vec<Shown>> {
        let mut first = Entity::find()
            .select_only()
            .column_as(Column::No.min(), "no")
            .filter(Column::Target.is_in(padded(notes.iter().copied())))
            .filter(Column::Surface.eq(placement::CAPSULE))
            .filter(Column::State.ne(placement::DELETED));
        if let Some(merchants) = merchants {
            let ids = padded(merchants.iter().map(String::as_str));
            first = first.filter(Column::Merchant.is_in(ids));
        }
        let first = first
            .group_by(Column::Target)
            .group_by(Column::State)
            .into_query();
        let rows = Entity::find()
            .filter(Column::No.in_subquery(first))
            .order_by_asc(Column::State)
            .order_by_asc(Column::No);
        self.with_cards(rows).await
    }

    /// The placement with this name, and its card.
    pub async fn shown(&self, name: &PlacementName) -> Result<Option<Shown>> {
        Ok(self.with_cards(named(name)).await?.pop())
    }

    /// The placement with this number, and its card.
    pub async fn shown_by_no(&self, no: i64) -> Result<Option<Shown>> {
        let row = Entity::find().filter(Column::No.eq(no));
        Ok(self.with_cards(row).await?.pop())
    }

    /// The placements with these names or numbers, and perhaps others.
    pub async fn placements_by(
        &self,
        names: &HashSet<&PlacementName>,
        nos: &BTreeSet<i64>,
    ) -> Result<Vec<Placement>> {
        let mut rows = Vec::new();
        if !names.is_empty() {
            let merchants: BTreeSet<_> = names.iter().map(|n| n.merchant().id()).collect();
            let ids: BTreeSet<_> = names.iter().map(|n| n.id()).collect();
            rows = Entity::find()
                .filter(Column::Merchant.is_in(padded(merchants.into_iter())))
                .filter(Column::Id.is_in(padded(ids.into_iter())))
                .all(&self.0)
                .await?;
        }
        if !nos.is_empty() {
            let by_no = Entity::find().filter(Column::No.is_in(padded(nos.iter().copied())));
            rows.extend(by_no.all(&self.0).await?);
        }
        rows.into_iter().map(Placement::try_from).collect()
    }

    /// The placements with these numbers, and their cards.
    pub async fn shown_by_nos(&self, nos: &[i64]) -> Result<Vec<Shown>> {
        let rows = Entity::find().filter(Column::No.is_in(padded(nos.iter().copied())));
        self.with_cards(rows).await
    }

    /// The placements with these names, and their cards.
    pub async fn shown_by_names(&self, names: &[PlacementName]) -> Result<Vec<Shown>> {
        let of = |part: fn(&PlacementName) -> &str| padded(names.iter().map(part));
        // Merchants name their placements alike: of more than are asked for, only the numbers.
        let rows = Entity::find()
            .select_only()
            .columns([Column::No, Column::Merchant, Column::Id])
            .filter(Column::Merchant.is_in(of(|name| name.merchant().id())))
            .filter(Column::Id.is_in(of(|name| name.id())))
            .into_tuple::<(i64, String, String)>()
            .all(&self.0)
            .await?;
        let asked: HashSet<_> = names.iter().map(|n| (n.merchant().id(), n.id())).collect();
        let nos = rows
            .iter()
            .filter(|(_, merchant, id)| asked.contains(&(merchant.as_str(), id.as_str())))
            .map(|(no, ..)| *no);
        self.shown_by_nos(&nos.collect::<Vec<_>>()).await
    }

    /// At most so many notes have a capsule: as many placements were made. Counting them would
    /// take as long as reading them.
    pub async fn most_notes(&self) -> Result<u64> {
        let last = Entity::find()
            .select_only()
            .column(Column::No)
            .order_by_desc(Column::No)
            .into_tuple::<i64>()
            .one(&self.0);
        Ok(last.await?.unwrap_or_default().unsigned_abs())
    }

    /// The notes that have a capsule, given by id, of a page of placements after this number;
    /// and the number to go on after. `None` behind the last page.
    pub async fn notes_page(&self, after: i64, limit: u64) -> Result<Option<(i64, Vec<String>)>> {
        let rows = Entity::find()
            .select_only()
            .columns([Column::No, Column::Target])
            .filter(Column::No.gt(after))
            .filter(Column::Surface.eq(placement::CAPSULE))
            .filter(Column::State.ne(placement::DELETED))
            .order_by_asc(Column::No)
            .limit(limit)
            .into_tuple::<(i64, Option<String>)>()
            .all(&self.0)
            .await?;
        let last = rows.last().map(|(no, _)| *no);
        let notes = rows.into_iter().filter_map(|(_, note)| note).collect();
        Ok(last.map(|last| (last, notes)))
    }

    async fn with_cards(&self, placements: Select<Entity>) -> Result<Vec<Shown>> {
        placements
            .find_also_related(card::Entity)
            .all(&self.0)
            .await?
            .into_iter()
            .map(|(placement, card)| {
                Ok((placement.try_into()?, card.map(Card::try_from).transpose()?))
            })
            .collect()
    }
}

impl Tx {
    /// The placement, which nobody else changes until this transaction ends.
    pub async fn lock_placement(&self, name: &PlacementName) -> Result<Option<Placement>> {
        named(name)
            .lock_exclusive()
            .one(&self.0)
            .await?
            .map(Placement::try_from)
            .transpose()
    }

    /// The placement that holds a slot, which nobody else changes until this transaction ends.
    pub async fn lock_holder(&self, slot: &str) -> Result<Option<Placement>> {
        Entity::find()
            .filter(Column::Slot.eq(slot))
            .lock_exclusive()
            .one(&self.0)
            .await?
            .map(Placement::try_from)
            .transpose()
    }

    /// The placement with its number, or `None` when its name or slot is taken.
    pub async fn insert_placement(
        &self,
        clearance: &Clearance,
        mut placement: Placement,
        author: &str,
    ) -> Result<Option<Placement>> {
        cleared(clearance, placement.name.merchant())?;
        let mut row = placement::Model::from(&placement).into_active_model();
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        placement.no = no;
        self.append(&placement, author).await?;
        Ok(Some(placement))
    }

    /// A new version that may show more than the one before.
    pub async fn change_placement(
        &self,
        clearance: &Clearance,
        placement: &Placement,
        author: &str,
    ) -> Result<()> {
        cleared(clearance, placement.name.merchant())?;
        self.save_placement(placement, author).await
    }

    /// A new version that shows nothing, which needs no clearance.
    pub async fn withdraw_placement(&self, placement: &Placement, author: &str) -> Result<()> {
        if placement.state == PlacementState::Live {
            return Err(Error::corrupt("a withdrawn placement must not be LIVE"));
        }
        self.save_placement(placement, author).await
    }

    /// A card's placements that are not deleted.
    pub(super) async fn placements_of(&self, card: &Card) -> Result<Vec<Placement>> {
        Entity::find()
            .filter(Column::CardNo.eq(card.no))
            .filter(Column::State.ne(placement::DELETED))
            .all(&self.0)
            .await?
            .into_iter()
            .map(Placement::try_from)
            .collect()
    }

    async fn save_placement(&self, placement: &Placement, author: &str) -> Result<()> {
        placement::Model::from(placement)
            .into_active_model()
            .reset_all()
            .update(&self.0)
            .await?;
        self.append(placement, author).await
    }
}

/// A list for `IN`, its last value repeated up to one of few lengths: each length is a
/// statement of its own, and a connection keeps only so many prepared.
pub(super) fn padded<T: Copy + Default>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<_> = values.collect();
    let length = match values.len() {
        0..=1 => values.len(),
        2..=10 => 10,
        11..=50 => 50,
        more => more.next_multiple_of(200),
    };
    values.resize(length, values.last().copied().unwrap_or_default());
    values
}

fn named(name: &PlacementName) -> Select<Entity> {
    Entity::find()
        .filter(Column::Merchant.eq(name.merchant().id()))
        .filter(Column::Id.eq(name.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_few_lengths_and_the_same_values() {
        let mut lengths = BTreeSet::new();
        for n in 0..=400 {
            let ids: Vec<_> = (0..n).map(|i| i.to_string()).collect();
            let list = padded(ids.iter().map(String::as_str));
            lengths.insert(list.len());
            let distinct: BTreeSet<_> = list.into_iter().collect();
            assert_eq!(distinct, ids.iter().map(String::as_str).collect());
        }
        assert!(lengths.into_iter().eq([0, 1, 10, 50, 200, 400]));
    }
}
