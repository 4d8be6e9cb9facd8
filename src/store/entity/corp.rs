//! Corps as they stand now.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "corps")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub id: String,
    pub display_name: String,
    /// JSON: ids.
    pub merchants: String,
    pub corp_id: String,
    /// Sealed.
    pub secrets: Vec<u8>,
    pub version: i64,
    pub create_time: i64,
    pub update_time: i64,
    pub delete_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::quota::Entity",
        from = "Column::No",
        to = "super::quota::Column::No"
    )]
    Quota,
}

impl Related<super::quota::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Quota.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
