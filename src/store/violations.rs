//! Violations.

use std::collections::HashSet;

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::{
    Db, Result, Tx,
    entity::violation::{self, Column, Entity},
    placements::padded,
};
use crate::domain::{Merchant, Violation, ViolationName, ViolationState};

impl<C: ConnectionTrait> Db<C> {
    pub async fn violation(&self, name: &ViolationName) -> Result<Option<Violation>> {
        one(self, named(name)).await
    }

    /// A page of a merchant's violations in any of these states, the latest report first, from
    /// before this number.
    pub async fn violations_page(
        &self,
        merchant: &Merchant,
        states: &[ViolationState],
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Violation>> {
        let mut query = Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::No.lt(before.unwrap_or(i64::MAX)));
        if states != ViolationState::ALL {
            let states = states.iter().map(|state| *state as i16);
            query = query.filter(Column::State.is_in(states));
        }
        all(self, query.order_by_desc(Column::No).limit(limit)).await
    }

    /// A merchant's violations that cost points once, be they back, by number.
    pub async fn charged(&self, merchant: &Merchant) -> Result<Vec<Violation>> {
        use ViolationState::{Confirmed, Overturned};
        let query = Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::State.is_in([Confirmed, Overturned].map(|state| state as i16)))
            .order_by_asc(Column::No);
        all(self, query).await
    }

    /// Of these violations of a merchant, given by id, those that nobody decided on.
    pub async fn reported_among(
        &self,
        merchant: &Merchant,
        ids: &[&str],
    ) -> Result<HashSet<String>> {
        let reported = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::Id.is_in(padded(ids.iter().copied())))
            .filter(Column::State.eq(ViolationState::Reported as i16))
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(reported.into_iter().collect())
    }

    /// How many violations count against the merchant's limit: those that nobody decided on.
    pub async fn count_reported(&self, merchant: &Merchant) -> Result<u64> {
        Ok(Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::State.eq(ViolationState::Reported as i16))
            .count(&self.0)
            .await?)
    }
}

impl Tx {
    /// The violation, which nobody else changes until this transaction ends.
    pub async fn lock_violation(&self, name: &ViolationName) -> Result<Option<Violation>> {
        one(self, named(name).lock_exclusive()).await
    }

    /// The violation with its number, or `None` when its name is taken.
    pub async fn insert_violation(
        &self,
        mut violation: Violation,
        author: &str,
    ) -> Result<Option<Violation>> {
        let mut row = violation::Model::from(&violation).into_active_model();
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        violation.no = no;
        self.append(&violation, author).await?;
        Ok(Some(violation))
    }

    /// A new version.
    pub async fn save_violation(&self, violation: &Violation, author: &str) -> Result<()> {
        violation::Model::from(violation)
            .into_active_model()
            .reset_all()
            .update(&self.0)
            .await?;
        self.append(violation, author).await
    }
}

fn named(name: &ViolationName) -> Select<Entity> {
    Entity::find()
        .filter(Column::Merchant.eq(name.merchant().id()))
        .filter(Column::Id.eq(name.id()))
}

async fn one<C: ConnectionTrait>(db: &Db<C>, query: Select<Entity>) -> Result<Option<Violation>> {
    let row = query.one(&db.0).await?;
    row.map(Violation::try_from).transpose()
}

async fn all<C: ConnectionTrait>(db: &Db<C>, query: Select<Entity>) -> Result<Vec<Violation>> {
    let rows = query.all(&db.0).await?.into_iter();
    rows.map(Violation::try_from).collect()
}
