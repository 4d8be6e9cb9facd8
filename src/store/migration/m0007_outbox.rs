//! What is to be told outward, and what was.

use sea_orm_migration::prelude::*;

use super::{
    columns::{column, index, maybe_time, number, table, text, time},
    id_column,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0007_outbox"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(outbox(manager)).await?;
        let mut waiting = index("outbox_waiting", "outbox", &["no"]);
        waiting.and_where(Expr::col(Alias::new("published_time")).is_null());
        manager.create_index(waiting).await?;
        let published = index("outbox_published", "outbox", &["published_time"]);
        manager.create_index(published).await?;
        Ok(())
    }

    /// Rows are never thrown away to go back.
    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("there is no way back".to_owned()))
    }
}

/// `data` is JSON; `published_time` is null until NATS has it.
fn outbox(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("outbox")
        .col(number())
        .col(time("time"))
        .col(column("kind").small_integer().not_null())
        .col(id_column(m, "subject").not_null())
        .col(text(m, "data"))
        .col(maybe_time("published_time"))
        .take()
}
