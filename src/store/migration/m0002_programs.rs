//! Programs and enrollments with their history, the ledger of ad spend, the decisions of T+1.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

use super::{
    columns::{column, index, maybe_time, number, table, text, time, unique, versions},
    engine, id_column,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0002_programs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            programs(manager),
            versions(manager, "program_versions"),
            enrollments(manager),
            enrollment_versions(manager),
            spend(manager),
            spend_imports(manager),
            spend_days(manager),
            openings(manager),
            transitions(manager),
            runs(manager),
            leases(manager),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            unique("programs_name", "programs", &["id"]),
            index("enrollments_merchant", "enrollments", &["merchant"]),
            index("transitions_merchant", "transitions", &["merchant"]),
            index("transitions_run", "transitions", &["run_no"]),
            index(
                "spend_imports_update_time",
                "spend_imports",
                &["update_time"],
            ),
            index("spend_days_day", "spend_days", &["day"]),
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

fn key(columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index.take()
}

fn day(name: &'static str) -> ColumnDef {
    column(name).integer().not_null().take()
}

fn amount(name: &'static str) -> ColumnDef {
    column(name).big_integer().not_null().take()
}

fn programs(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("programs")
        .col(number())
        .col(id_column(m, "id").not_null())
        .col(text(m, "display_name"))
        .col(column("state").small_integer().not_null())
        .col(column("surfaces").small_integer().not_null())
        .col(column("kinds").small_integer().not_null())
        .col(amount("threshold"))
        .col(column("window_days").integer().not_null())
        .col(column("serving_grace_days").integer().not_null())
        .col(column("configuration_grace_days").integer().not_null())
        .col(maybe_time("start_time"))
        .col(maybe_time("end_time"))
        .col(column("share_permille").integer().not_null())
        .col(time("version"))
        .col(time("create_time"))
        .col(time("update_time"))
        .take()
}

/// One row a merchant and program, kept when it is taken off the list: its versions go on.
fn enrollments(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("enrollments")
        .col(column("program_no").big_integer().not_null())
        .col(id_column(m, "merchant").not_null())
        .col(column("list").small_integer().not_null())
        .col(column("deleted").boolean().not_null())
        .col(time("version"))
        .col(time("create_time"))
        .col(time("update_time"))
        .primary_key(&mut key(&["program_no", "merchant"]))
        .take()
}

fn enrollment_versions(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("enrollment_versions")
        .col(column("program_no").big_integer().not_null())
        .col(id_column(m, "merchant").not_null())
        .col(time("version"))
        .col(time("time"))
        .col(id_column(m, "author").not_null())
        .col(column("list").small_integer().not_null())
        .col(column("deleted").boolean().not_null())
        .primary_key(&mut key(&["merchant", "program_no", "version"]))
        .take()
}

/// Every figure ever imported; `delta` is what it added to the one before it, so that sums of
/// `delta` are totals, now and as of any time.
fn spend(m: &SchemaManager<'_>) -> TableCreateStatement {
    let mut table = table("spend")
        .col(id_column(m, "merchant").not_null())
        .col(day("day"))
        .col(id_column(m, "source").not_null())
        .col(column("version").integer().not_null())
        .col(amount("amount"))
        .col(amount("delta"))
        .col(column("import_no").big_integer().not_null())
        .col(time("time"))
        .primary_key(&mut key(&["merchant", "day", "source", "version"]))
        .take();
    if engine(m) == DbBackend::Sqlite {
        table.extra("WITHOUT ROWID");
    }
    table
}

/// Who brought figures, and how far that has come: what a second run of a file goes on from.
fn spend_imports(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("spend_imports")
        .col(number())
        .col(column("id").uuid().not_null())
        .col(time("time"))
        .col(id_column(m, "author").not_null())
        .col(id_column(m, "file"))
        .col(amount("position"))
        .col(amount("accepted"))
        .col(amount("unchanged"))
        .col(amount("replaced"))
        .col(maybe_time("finish_time"))
        .col(time("update_time"))
        .take()
}

/// A source's days: known since its first figure, complete since it said so.
fn spend_days(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("spend_days")
        .col(id_column(m, "source").not_null())
        .col(day("day"))
        .col(time("first_time"))
        .col(maybe_time("complete_time"))
        .col(id_column(m, "completed_by"))
        .primary_key(&mut key(&["source", "day"]))
        .take()
}

/// Who is open as of the last run: what the next run compares with.
fn openings(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("openings")
        .col(column("program_no").big_integer().not_null())
        .col(id_column(m, "merchant").not_null())
        .col(day("since"))
        .primary_key(&mut key(&["program_no", "merchant"]))
        .take()
}

/// A dated row for each opening and closing, with the totals of the day before and the day.
fn transitions(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("transitions")
        .col(number())
        .col(column("run_no").big_integer().not_null())
        .col(column("program_no").big_integer().not_null())
        .col(id_column(m, "merchant").not_null())
        .col(column("opened").boolean().not_null())
        .col(day("day"))
        .col(amount("total_before"))
        .col(amount("total"))
        .col(time("time"))
        .take()
}

fn runs(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("runs")
        .col(number())
        .col(day("day"))
        .col(time("time"))
        .col(id_column(m, "holder").not_null())
        .col(column("opened").big_integer().not_null())
        .col(column("closed").big_integer().not_null())
        .take()
}

fn leases(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("leases")
        .col(id_column(m, "name").not_null().primary_key())
        .col(id_column(m, "holder").not_null())
        .col(time("expire_time"))
        .take()
}
