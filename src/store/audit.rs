//! The audit trail.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
};

use super::{
    Db, Result, Tx,
    entity::audit::{ActiveModel, Column, Entity},
};
use crate::domain::Micros;

/// Who did what to what. What may be personal in it is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub time: Micros,
    /// The caller's subject.
    pub actor: String,
    pub action: String,
    /// The resource's full name.
    pub resource: String,
    pub detail: String,
}

impl Tx {
    pub async fn audit(&self, entry: AuditEntry) -> Result<()> {
        let row = ActiveModel {
            no: NotSet,
            time: Set(entry.time.0),
            actor: Set(entry.actor),
            action: Set(entry.action),
            resource: Set(entry.resource),
            detail: Set(entry.detail),
        };
        Entity::insert(row).exec_without_returning(&self.0).await?;
        Ok(())
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// What was done to a resource, oldest first.
    pub async fn audit_of(&self, resource: &str) -> Result<Vec<AuditEntry>> {
        Ok(Entity::find()
            .filter(Column::Resource.eq(resource))
            .order_by_asc(Column::No)
            .all(&self.0)
            .await?
            .into_iter()
            .map(|row| AuditEntry {
                time: Micros(row.time),
                actor: row.actor,
                action: row.action,
                resource: row.resource,
                detail: row.detail,
            })
            .collect())
    }
}
