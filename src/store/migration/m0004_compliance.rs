//! Violations, sanctions and appeals with their history, and the feed of sanctions.

use sea_orm_migration::prelude::*;

use super::{
    columns::{column, index, maybe_time, number, table, text, time, unique, versions},
    id_column,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0004_compliance"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            violations(manager),
            versions(manager, "violation_versions"),
            sanctions(manager),
            versions(manager, "sanction_versions"),
            sanction_changes(),
            appeals(manager),
            versions(manager, "appeal_versions"),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            unique("violations_name", "violations", &["merchant", "id"]),
            index("violations_merchant", "violations", &["merchant", "no"]),
            index(
                "violations_state",
                "violations",
                &["merchant", "state", "no"],
            ),
            // What a merchant's credit points follow from: what is missing, and what changed last.
            index(
                "violations_missing",
                "violations",
                &["merchant", "restore_time", "charge_time", "points"],
            ),
            index(
                "violations_charged",
                "violations",
                &["merchant", "charge_time"],
            ),
            index(
                "violations_changed",
                "violations",
                &["merchant", "update_time"],
            ),
            unique("sanctions_name", "sanctions", &["merchant", "id"]),
            index("sanctions_merchant", "sanctions", &["merchant", "no"]),
            index("sanctions_violation", "sanctions", &["violation_no"]),
            // The gate asks on every serve and tap.
            index(
                "sanctions_stopping",
                "sanctions",
                &["merchant", "kind", "end_time"],
            ),
            index("sanction_changes_kind", "sanction_changes", &["kind", "no"]),
            unique("appeals_name", "appeals", &["merchant", "id"]),
            index("appeals_merchant", "appeals", &["merchant", "no"]),
            unique("appeals_violation", "appeals", &["violation_no"]),
            unique("appeals_sanction", "appeals", &["sanction_no"]),
            index("appeals_undecided", "appeals", &["decide_time", "no"]),
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

/// What is asked about; the whole is `body`, as in its last version.
fn kept(m: &SchemaManager<'_>, name: &'static str) -> TableCreateStatement {
    table(name)
        .col(number())
        .col(id_column(m, "merchant").not_null())
        .col(id_column(m, "id").not_null())
        .col(text(m, "body"))
        .take()
}

fn violations(m: &SchemaManager<'_>) -> TableCreateStatement {
    kept(m, "violations")
        .col(column("state").small_integer().not_null())
        .col(column("points").small_integer().not_null())
        .col(maybe_time("charge_time"))
        .col(maybe_time("restore_time"))
        .col(time("update_time"))
        .take()
}

fn sanctions(m: &SchemaManager<'_>) -> TableCreateStatement {
    kept(m, "sanctions")
        .col(column("kind").small_integer().not_null())
        .col(column("violation_no").big_integer())
        .col(time("start_time"))
        .col(maybe_time("end_time"))
        .col(maybe_time("lift_time"))
        .col(time("create_time"))
        .take()
}

/// `no` grows in the order in which changes are committed.
fn sanction_changes() -> TableCreateStatement {
    table("sanction_changes")
        .col(number())
        .col(column("sanction_no").big_integer().not_null())
        .col(time("version"))
        .col(column("kind").small_integer().not_null())
        .take()
}

/// One appeal against each: `violation_no` or `sanction_no`.
fn appeals(m: &SchemaManager<'_>) -> TableCreateStatement {
    kept(m, "appeals")
        .col(column("violation_no").big_integer())
        .col(column("sanction_no").big_integer())
        .col(maybe_time("decide_time"))
        .take()
}
