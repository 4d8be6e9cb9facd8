//! WeCom's callbacks: an inbox that is written at the door and worked off behind it.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, OnConflict},
};

use super::{
    Db, Result, Store, Tx,
    entity::callback::{ActiveModel, Column, Entity, Model},
    placements::padded,
};
use crate::domain::Micros;

/// A callback that is to be worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    pub no: i64,
    pub corp_no: i64,
    /// When it came in.
    pub time: Micros,
    /// Sealed (`app/callbacks.rs`).
    pub body: Vec<u8>,
    /// How often it was put off.
    pub attempts: i32,
}

impl Store {
    /// Keeps a callback, due at once; `false`: one with this key was kept before. After this it
    /// is durable.
    pub async fn put_callback(
        &self,
        key: [u8; 32],
        corp_no: i64,
        body: Vec<u8>,
        now: Micros,
    ) -> Result<bool> {
        let row = ActiveModel {
            no: NotSet,
            key: Set(key.to_vec()),
            corp_no: Set(corp_no),
            time: Set(now.0),
            body: Set(body),
            attempts: Set(0),
            next_time: Set(Some(now.0)),
        };
        let once = OnConflict::column(Column::Key).do_nothing().to_owned();
        let kept = Entity::insert(row)
            .on_conflict(once)
            .exec_without_returning(&self.writer)
            .await?;
        Ok(kept == 1)
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// Callbacks that are due, those that have waited longest first. Nobody is kept from having
    /// the same ones: who works them off holds a lease.
    pub async fn due_callbacks(&self, now: Micros, limit: u64) -> Result<Vec<Callback>> {
        let rows = Entity::find()
            .filter(Column::NextTime.lte(now.0))
            .order_by_asc(Column::NextTime)
            .order_by_asc(Column::No)
            .limit(limit)
            .all(&self.0)
            .await?;
        Ok(rows.into_iter().map(Callback::from).collect())
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// When the first came in of those that are yet to be worked off.
    pub async fn callbacks_wait_since(&self) -> Result<Option<Micros>> {
        let first = Entity::find()
            .select_only()
            .column_as(Column::Time.min(), "time")
            .filter(Column::NextTime.is_not_null())
            .into_tuple::<Option<i64>>()
            .one(&self.0)
            .await?;
        Ok(first.flatten().map(Micros))
    }
}

impl Tx {
    /// These are worked off. What they said is gone; that they came is still known.
    pub async fn callbacks_done(&self, nos: &[i64]) -> Result<()> {
        if nos.is_empty() {
            return Ok(());
        }
        Entity::update_many()
            .col_expr(Column::Body, Expr::val(Vec::<u8>::new()))
            .col_expr(Column::NextTime, Expr::val(None::<i64>))
            .filter(Column::No.is_in(padded(nos.iter().copied())))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// This one is put off until then.
    pub async fn callback_later(&self, no: i64, next_time: Micros) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .col_expr(Column::NextTime, Expr::val(Some(next_time.0)))
            .filter(Column::No.eq(no))
            .filter(Column::NextTime.is_not_null())
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// Forgets at most so many of those that came before and are worked off; how many they were.
    pub async fn forget_callbacks(&self, before: Micros, limit: u64) -> Result<u64> {
        let some = Entity::find()
            .select_only()
            .column(Column::No)
            .filter(Column::Time.lt(before.0))
            .filter(Column::NextTime.is_null())
            .limit(limit)
            .into_query();
        let forgotten = Entity::delete_many()
            .filter(Column::No.in_subquery(some))
            .exec(&self.0)
            .await?;
        Ok(forgotten.rows_affected)
    }
}

impl From<Model> for Callback {
    fn from(row: Model) -> Self {
        Self {
            no: row.no,
            corp_no: row.corp_no,
            time: Micros(row.time),
            body: row.body,
            attempts: row.attempts,
        }
    }
}
