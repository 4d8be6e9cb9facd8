//! Every version of every placement: what the gate read at a moment.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "placement_versions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub no: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    /// From when on it held.
    pub time: i64,
    /// Who changed it: a caller's subject, or `mingpian` itself.
    pub author: String,
    /// JSON; what is personal in it is sealed.
    pub body: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
