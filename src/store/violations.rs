//! Violations.

use std::collections::HashSet;

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::NullOrdering,
};

use super::{
    Db, Result, Tx,
    entity::violation::{self, Column, Entity},
    placements::padded,
};
use crate::domain::{Merchant, Micros, Violation, ViolationName, ViolationState};

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

    /// How many of a merchant's points are missing at a moment.
    pub async fn points_missing(&self, merchant: &Merchant, at: Micros) -> Result<u64> {
        let points = missing(merchant, at)
            .select_only()
            .column_as(Column::Points.sum(), "points")
            .into_tuple::<Option<i64>>()
            .one(&self.0)
            .await?;
        Ok(points.flatten().unwrap_or_default().unsigned_abs())
    }

    /// At most `limit` of a merchant's violations whose points are missing at a moment, the next
    /// to come back first.
    pub async fn violations_missing(
        &self,
        merchant: &Merchant,
        at: Micros,
        limit: u64,
    ) -> Result<Vec<Violation>> {
        let query = missing(merchant, at)
            .order_by_with_nulls(Column::RestoreTime, Order::Asc, NullOrdering::Last)
            .order_by_asc(Column::No);
        all(self, query.limit(limit)).await
    }

    /// A merchant's violations that made the latest `limit` changes of its balance until a moment,
    /// and maybe some before, by number.
    pub async fn violations_charged(
        &self,
        merchant: &Merchant,
        until: Micros,
        limit: u64,
    ) -> Result<Vec<Violation>> {
        let mut charged = Vec::new();
        for column in [Column::ChargeTime, Column::RestoreTime] {
            let query = Entity::find()
                .filter(Column::Merchant.eq(merchant.id()))
                .filter(column.lte(until.0))
                .order_by_desc(column)
                .order_by_desc(Column::No);
            charged.extend(all(self, query.limit(limit)).await?);
        }
        charged.sort_unstable_by_key(|violation| violation.no);
        charged.dedup_by_key(|violation| violation.no);
        Ok(charged)
    }

    /// When any of a merchant's violations was changed last.
    pub async fn last_violation_change(&self, merchant: &Merchant) -> Result<Option<Micros>> {
        let last = Entity::find()
            .select_only()
            .column_as(Column::UpdateTime.max(), "last")
            .filter(Column::Merchant.eq(merchant.id()))
            .into_tuple::<Option<i64>>()
            .one(&self.0)
            .await?;
        Ok(last.flatten().map(Micros))
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

/// The domain's `credit::missing`, in SQL.
fn missing(merchant: &Merchant, at: Micros) -> Select<Entity> {
    let later = Column::RestoreTime.gt(at.0);
    Entity::find()
        .filter(Column::Merchant.eq(merchant.id()))
        .filter(Column::ChargeTime.lte(at.0))
        .filter(Column::RestoreTime.is_null().or(later))
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
