//! Who brought figures, when, and how far they have come.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spend_imports")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub id: Uuid,
    pub time: i64,
    pub author: String,
    /// The digest of the file; none for a stream.
    pub file: Option<String>,
    /// Bytes of the file that are in.
    pub position: i64,
    pub accepted: i64,
    pub unchanged: i64,
    pub replaced: i64,
    pub finish_time: Option<i64>,
    /// When something last came with it.
    pub update_time: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
