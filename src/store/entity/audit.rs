//! What was done that must be answered for; rows are only added.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub time: i64,
    /// The caller's subject.
    pub actor: String,
    /// The method's short name.
    pub action: String,
    /// The resource's full name.
    pub resource: String,
    /// Facts; what may be personal is sealed.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
