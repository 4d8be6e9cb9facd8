//! Openings and closings, each with both totals.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "transitions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub run_no: i64,
    pub program_no: i64,
    pub merchant: String,
    pub opened: bool,
    pub day: i32,
    pub total_before: i64,
    pub total: i64,
    pub time: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
