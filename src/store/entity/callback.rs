//! WeCom's callbacks, to be worked off.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "callbacks")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    /// What tells one event from another, hashed.
    pub key: Vec<u8>,
    pub corp_no: i64,
    pub time: i64,
    /// Sealed; empty once it is worked off.
    pub body: Vec<u8>,
    pub attempts: i32,
    /// When to work it off; none when that is done.
    pub next_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
