//! Leases: what one replica does for all. Time is the holders' own, so they are as good as the
//! replicas' clocks agree; what must not happen twice locks the lease's row as well.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    sea_query::{Expr, OnConflict},
};

use super::{
    Db, Result, Store,
    entity::lease::{ActiveModel, Column, Entity},
};
use crate::domain::Micros;

impl Store {
    /// Takes a lease that is free or over, or renews one's own; whether it is one's own now.
    pub async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Micros,
        until: Micros,
    ) -> Result<bool> {
        let row = ActiveModel {
            name: Set(name.to_owned()),
            holder: Set(holder.to_owned()),
            expire_time: Set(until.0),
        };
        let over = Expr::col((Entity, Column::ExpireTime)).lte(now.0);
        let own = Expr::col((Entity, Column::Holder)).eq(holder);
        let conflict = OnConflict::column(Column::Name)
            .update_columns([Column::Holder, Column::ExpireTime])
            .action_and_where(over.or(own))
            .to_owned();
        let taken = Entity::insert(row)
            .on_conflict(conflict)
            .exec_without_returning(&self.writer)
            .await?;
        Ok(taken == 1)
    }

    /// Gives a lease back, if it is one's own.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<()> {
        Entity::delete_by_id(name)
            .filter(Column::Holder.eq(holder))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}

impl Db<DatabaseTransaction> {
    /// Whether the lease is still one's own; then nobody takes it until this transaction ends.
    pub async fn hold_lease(&self, name: &str, holder: &str, now: Micros) -> Result<bool> {
        let held = Entity::update_many()
            .col_expr(Column::Holder, Expr::val(holder))
            .filter(Column::Name.eq(name))
            .filter(Column::Holder.eq(holder))
            .filter(Column::ExpireTime.gt(now.0))
            .exec(&self.0)
            .await?;
        Ok(held.rows_affected == 1)
    }
}
