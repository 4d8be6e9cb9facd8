//! What came of taps at WeCom.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact_events")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub id: Uuid,
    pub corp_no: i64,
    pub kind: i16,
    /// None where WeCom names nobody.
    pub contact: Option<Vec<u8>>,
    pub event_time: i64,
    pub time: i64,
    pub source: i16,
    pub unattributed: Option<i16>,
    pub merchant: Option<String>,
    pub placement_no: Option<i64>,
    pub contact_kind: Option<i16>,
    pub link_no: Option<i64>,
    pub viewer: Option<i64>,
    pub tap: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::placement::Entity",
        from = "Column::PlacementNo",
        to = "super::placement::Column::No"
    )]
    Placement,
}

impl ActiveModelBehavior for ActiveModel {}
