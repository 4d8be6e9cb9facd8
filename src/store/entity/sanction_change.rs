//! The feed of sanctions: which version came when, in the order of commits.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sanction_changes")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub sanction_no: i64,
    pub version: i64,
    pub kind: i16,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::sanction_version::Entity",
        from = "(Column::SanctionNo, Column::Version)",
        to = "(super::sanction_version::Column::No, super::sanction_version::Column::Version)"
    )]
    Version,
}

impl ActiveModelBehavior for ActiveModel {}
