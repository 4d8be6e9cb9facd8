//! Who brought figures, and when.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spend_imports")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub id: Uuid,
    pub time: i64,
    pub author: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
