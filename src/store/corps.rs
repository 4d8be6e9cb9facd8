//! Corps.

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select, sea_query::Expr,
};

use super::{
    Db, Result, Tx,
    entity::corp::{self, Column, Entity},
};
use crate::domain::{Corp, CorpName, Micros};

impl<C: ConnectionTrait> Db<C> {
    /// The corp, unless it was deleted.
    pub async fn corp(&self, name: &CorpName) -> Result<Option<Corp>> {
        named(name)
            .one(&self.0)
            .await?
            .map(Corp::try_from)
            .transpose()
    }

    /// The corp with this number, be it deleted.
    pub async fn corp_by_no(&self, no: i64) -> Result<Option<Corp>> {
        Entity::find_by_id(no)
            .one(&self.0)
            .await?
            .map(Corp::try_from)
            .transpose()
    }

    /// A page of corps by id, after this one.
    pub async fn corps_page(&self, after: &str, limit: u64) -> Result<Vec<Corp>> {
        Entity::find()
            .filter(Column::Id.gt(after))
            .filter(Column::DeleteTime.is_null())
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(Corp::try_from)
            .collect()
    }

    /// A page of corps' ids after this one, whether or not the rest of their rows reads.
    pub async fn corp_ids_page(&self, after: &str, limit: u64) -> Result<Vec<String>> {
        Ok(Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.gt(after))
            .filter(Column::DeleteTime.is_null())
            .order_by_asc(Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.0)
            .await?)
    }

    /// How many corps there are, without those deleted.
    pub async fn count_corps(&self) -> Result<u64> {
        Ok(Entity::find()
            .filter(Column::DeleteTime.is_null())
            .count(&self.0)
            .await?)
    }

    /// Corps that WeCom is to be asked about by now, those that wait longest first.
    pub async fn corps_to_sync(&self, now: Micros, limit: u64) -> Result<Vec<Corp>> {
        Entity::find()
            .filter(Column::SyncTime.lte(now.0))
            .filter(Column::DeleteTime.is_null())
            .order_by_asc(Column::SyncTime)
            .order_by_asc(Column::No)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(Corp::try_from)
            .collect()
    }
}

impl Tx {
    /// The corp unless it was deleted, which nobody else changes until this transaction ends.
    pub async fn lock_corp(&self, name: &CorpName) -> Result<Option<Corp>> {
        named(name)
            .lock_exclusive()
            .one(&self.0)
            .await?
            .map(Corp::try_from)
            .transpose()
    }

    /// The corp with its number, or `None` when its name is taken, be it by a deleted one.
    pub async fn insert_corp(&self, mut corp: Corp, author: &str) -> Result<Option<Corp>> {
        let mut row = corp::Model::from(&corp).into_active_model();
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        corp.no = no;
        self.append(&corp, author).await?;
        Ok(Some(corp))
    }

    /// A new version.
    pub async fn save_corp(&self, corp: &Corp, author: &str) -> Result<()> {
        let mut row = corp::Model::from(corp).into_active_model().reset_all();
        row.sync_time = NotSet;
        row.update(&self.0).await?;
        self.append(corp, author).await
    }

    /// Looks at WeCom again then, or when it was to already, whichever comes first.
    pub async fn sync_by(&self, corp_no: i64, then: Micros) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::SyncTime, Expr::val(then.0))
            .filter(Column::No.eq(corp_no))
            .filter(Expr::col((Entity, Column::SyncTime)).gt(then.0))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// Looks at WeCom again then, and not before.
    pub async fn sync_at(&self, corp_no: i64, then: Micros) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::SyncTime, Expr::val(then.0))
            .filter(Column::No.eq(corp_no))
            .exec(&self.0)
            .await?;
        Ok(())
    }
}

fn named(name: &CorpName) -> Select<Entity> {
    Entity::find()
        .filter(Column::Id.eq(name.id()))
        .filter(Column::DeleteTime.is_null())
}
