//! Experiments with their history, who met them, and what merchants counted themselves.

use sea_orm_migration::prelude::*;

use super::{
    columns::{column, index, key, maybe_time, number, table, text, time, unique, versions},
    id_column,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0006_experiments"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            experiments(manager),
            versions(manager, "experiment_versions"),
            exposures(),
            reported_adds(manager),
            reported_viewers(manager),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            unique("experiments_name", "experiments", &["merchant", "id"]),
            index("experiments_merchant", "experiments", &["merchant", "no"]),
            // Serving asks on every call.
            index(
                "experiments_running",
                "experiments",
                &["merchant", "stop_time"],
            ),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    /// Rows are never thrown away to go back.
    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("there is no way back".to_owned()))
    }
}

fn experiments(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("experiments")
        .col(number())
        .col(id_column(m, "merchant").not_null())
        .col(id_column(m, "id").not_null())
        .col(text(m, "body"))
        .col(time("start_time"))
        .col(maybe_time("stop_time"))
        .take()
}

/// A later version replaces the one before.
fn reported_adds(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("reported_adds")
        .col(id_column(m, "merchant").not_null())
        .col(column("day").integer().not_null())
        .col(column("version").integer().not_null())
        .col(column("adds").big_integer().not_null())
        .col(column("copied").big_integer())
        .col(column("complete").boolean().not_null())
        .col(time("time"))
        .col(id_column(m, "author").not_null())
        .primary_key(&mut key(&["merchant", "day", "version"]))
        .take()
}

fn reported_viewers(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("reported_viewers")
        .col(id_column(m, "merchant").not_null())
        .col(column("viewer").big_integer().not_null())
        .col(column("day").integer().not_null())
        .primary_key(&mut key(&["merchant", "viewer", "day"]))
        .take()
}

/// A viewer who was seen in both arms has two rows.
fn exposures() -> TableCreateStatement {
    table("exposures")
        .col(column("experiment_no").big_integer().not_null())
        .col(column("viewer").big_integer().not_null())
        .col(column("arm").small_integer().not_null())
        .col(time("time"))
        .primary_key(&mut key(&["experiment_no", "viewer", "arm"]))
        .take()
}
