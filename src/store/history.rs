//! Versions: each change of what the gate reads appends a row in the same transaction.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Db, Error, Result,
    entity::{card_version, placement, placement_version},
    placements::{MENU_ROWS, Shown},
};
use crate::domain::{Card, Merchant, Micros, Placement, PlacementState, Surface};

impl Db<DatabaseTransaction> {
    pub(super) async fn append_card(&self, card: &Card, author: &str) -> Result<()> {
        let row = card_version::ActiveModel {
            no: Set(card.no),
            version: Set(card.version),
            time: Set(card.update_time.0),
            author: Set(author.to_owned()),
            body: Set(json(card)),
        };
        card_version::Entity::insert(row)
            .exec_without_returning(&self.0)
            .await?;
        Ok(())
    }

    pub(super) async fn append_placement(&self, placement: &Placement, author: &str) -> Result<()> {
        let row = placement_version::ActiveModel {
            no: Set(placement.no),
            version: Set(placement.version),
            time: Set(placement.update_time.0),
            author: Set(author.to_owned()),
            body: Set(json(placement)),
        };
        placement_version::Entity::insert(row)
            .exec_without_returning(&self.0)
            .await?;
        Ok(())
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// The placement with this number as it stood then, and its card as it stood then.
    /// `None` where there was no such placement yet, or no such card any more.
    pub async fn shown_at(
        &self,
        placement_no: i64,
        at: Micros,
    ) -> Result<Option<(Placement, Card)>> {
        let Some(row) = placement_version::Entity::find()
            .filter(placement_version::Column::No.eq(placement_no))
            .filter(placement_version::Column::Time.lte(at.0))
            .order_by_desc(placement_version::Column::Version)
            .one(&self.0)
            .await?
        else {
            return Ok(None);
        };
        let placement: Placement = from_json(&row.body)?;
        let card = self.card_at(placement.card_no, at).await?;
        Ok(card.map(|card| (placement, card)))
    }

    /// What may have been in a merchant's chat menu then: live ones first, then one that was
    /// not. Looks at those that were not deleted yet, which their quota bounds.
    pub async fn menu_at(&self, merchant: &Merchant, at: Micros) -> Result<Vec<Shown>> {
        use placement::Column;
        use placement_version::Column as Version;
        // What was deleted stays so.
        let gone = Column::State
            .eq(placement::DELETED)
            .and(Column::DeleteTime.lte(at.0));
        let there = placement::Entity::find()
            .select_only()
            .column(Column::No)
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::Surface.eq(placement::MENU))
            .filter(Column::CreateTime.lte(at.0))
            .filter(gone.not())
            .into_query();
        let latest = placement_version::Entity::find()
            .select_only()
            .column(Version::No)
            .column_as(Version::Version.max(), "version")
            .filter(Version::No.in_subquery(there))
            .filter(Version::Time.lte(at.0))
            .group_by(Version::No)
            .into_query();
        let key = Expr::tuple([Version::No, Version::Version].map(Expr::col));
        let rows = placement_version::Entity::find()
            .filter(key.in_subquery(latest))
            .all(&self.0)
            .await?;
        let placements = rows.iter().map(|row| from_json::<Placement>(&row.body));
        let mut placements = placements.collect::<Result<Vec<_>>>()?;
        placements.sort_by_key(|p| (p.state != PlacementState::Live, position(p), p.no));
        placements.truncate(MENU_ROWS);
        let mut shown = Vec::new();
        for placement in placements {
            let card = self.card_at(placement.card_no, at).await?;
            shown.push((placement, card));
        }
        Ok(shown)
    }

    async fn card_at(&self, card_no: i64, at: Micros) -> Result<Option<Card>> {
        card_version::Entity::find()
            .filter(card_version::Column::No.eq(card_no))
            .filter(card_version::Column::Time.lte(at.0))
            .order_by_desc(card_version::Column::Version)
            .one(&self.0)
            .await?
            .map(|row| from_json(&row.body))
            .transpose()
    }
}

fn position(placement: &Placement) -> i32 {
    match placement.surface {
        Surface::ChatMenu { position } => position,
        _ => i32::MAX,
    }
}

/// Our own types always serialize: no maps with odd keys, no failing impls.
#[expect(clippy::expect_used, reason = "see above")]
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own types serialize")
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    // serde_json's message may quote the row.
    serde_json::from_str(text).map_err(|_| Error::corrupt("a version's body does not read"))
}
