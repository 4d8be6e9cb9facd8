//! What WeCom said of each contact.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact_histories")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub contact: Vec<u8>,
    /// JSON.
    pub body: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
