//! Raw events of the funnel.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub stage: i16,
    pub kind: i16,
    pub merchant: String,
    pub viewer: Option<i64>,
    pub event_time: i64,
    pub time: i64,
    pub placement: String,
    pub note: String,
    pub channel: String,
    pub conversation: String,
    pub bot: bool,
    pub attributes: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
