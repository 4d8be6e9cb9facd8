//! What changed, in the order of numbers, for replicas that keep answers in memory.

use sea_orm_migration::prelude::*;

use super::{
    columns::{number, table},
    id_column,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0008_changes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(changes(manager)).await
    }

    /// Rows are never thrown away to go back.
    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("there is no way back".to_owned()))
    }
}

/// `what` is a resource's name, or empty for everything.
fn changes(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("changes")
        .col(number())
        .col(id_column(m, "what").not_null())
        .take()
}
