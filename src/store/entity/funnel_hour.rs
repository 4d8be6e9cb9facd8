//! The roll-ups.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "funnel_hours")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub merchant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub basis: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub hour: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub stage: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub placement: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub note: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel: String,
    pub viewers: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
