//! How many adds corps have left.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    QuerySelect, QueryTrait,
};

use super::{
    Changed, Db, Error, Result, Tx, WECOM,
    entity::{
        Version, corp,
        quota::{ActiveModel, Column, Entity},
        quota_version as version,
    },
    history::{from_json, json},
};
use crate::domain::{Micros, Quota, acquisition::Level, time::after};

impl<C: ConnectionTrait> Db<C> {
    /// What WeCom said of a corp's adds, if it ever did.
    pub async fn quota(&self, corp_no: i64) -> Result<Option<Quota>> {
        Entity::find_by_id(corp_no)
            .filter(Column::Version.gt(0))
            .one(&self.0)
            .await?
            .map(|row| from_json(&row.body))
            .transpose()
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// How many corps have adds on each level, as far as WeCom ever said.
    pub async fn quotas_by_level(&self) -> Result<Vec<(Level, i64)>> {
        let there = corp::Entity::find()
            .select_only()
            .column(corp::Column::No)
            .filter(corp::Column::DeleteTime.is_null());
        let rows: Vec<(i16, i64)> = Entity::find()
            .select_only()
            .column(Column::Level)
            .column_as(Column::No.count(), "corps")
            .filter(Column::Version.gt(0))
            .filter(Column::No.in_subquery(there.into_query()))
            .group_by(Column::Level)
            .into_tuple()
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|(level, corps)| {
                let level = Level::from_number(level);
                Ok((level.ok_or_else(|| Error::corrupt("quotas.level"))?, corps))
            })
            .collect()
    }
}

impl Tx {
    /// Changes what is known of a corp's adds, one change after the other; `None` leaves it.
    /// Only what is more than times is a version. Returns what is known then.
    pub async fn change_quota(
        &self,
        corp_no: i64,
        now: Micros,
        change: impl FnOnce(&Quota) -> Option<Quota> + Send,
    ) -> Result<Quota> {
        let unknown = Quota::default();
        // There is a row to lock, also for the first who come at once.
        let first = ActiveModel {
            no: Set(corp_no),
            level: Set(unknown.level as i16),
            body: Set(json(&unknown)),
            version: Set(0),
        };
        Entity::insert(first)
            .on_conflict_do_nothing()
            .exec_without_returning(&self.0)
            .await?;
        let row = Entity::find_by_id(corp_no).lock_exclusive();
        let row = row.one(&self.0).await?;
        let row = row.ok_or_else(|| Error::corrupt("quotas"))?;
        let old: Quota = from_json(&row.body)?;
        let Some(new) = change(&old) else {
            return Ok(old);
        };
        let fresh = row.version == 0 || !new.same(&old);
        let version = row.version + i64::from(fresh);
        ActiveModel {
            no: Set(corp_no),
            level: Set(new.level as i16),
            body: Set(json(&new)),
            version: Set(version),
        }
        .update(&self.0)
        .await?;
        if fresh {
            self.append_quota(corp_no, version, &new, now).await?;
            let corp = corp::Entity::find_by_id(corp_no).one(&self.0).await?;
            self.changes_too(corp.map(|corp| Changed::Corp(corp.id)));
        }
        Ok(new)
    }

    async fn append_quota(&self, no: i64, version: i64, quota: &Quota, now: Micros) -> Result<()> {
        let last = version::Entity::find_by_id((no, version - 1));
        let last = last.one(&self.0).await?;
        let now = last.map_or(now, |last| after(Micros(last.time), now));
        let version = Version {
            no,
            version,
            time: now.0,
            author: WECOM.to_owned(),
            body: json(quota),
        };
        self.append_version::<version::Entity>(version).await
    }
}
