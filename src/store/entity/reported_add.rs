//! What merchants counted, all that they ever said of a day.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reported_adds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub merchant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    pub adds: i64,
    pub copied: Option<i64>,
    /// Every add has its viewer.
    pub complete: bool,
    pub time: i64,
    pub author: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
