//! Acquisition links as they stand now.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "acquisition_links")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub corp_no: i64,
    pub id: String,
    pub display_name: String,
    pub tag: String,
    /// JSON.
    pub range: String,
    pub skip_verify: bool,
    pub link_id: Option<String>,
    pub uri: Option<String>,
    pub state: i16,
    pub state_time: i64,
    pub pending: Option<i16>,
    pub attempts: i32,
    /// When to ask WeCom again, where something is pending.
    pub next_time: Option<i64>,
    /// When WeCom was last asked to make it, where that may yet have an effect.
    pub asked_time: Option<i64>,
    pub version: i64,
    pub create_time: i64,
    pub update_time: i64,
    pub delete_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
