//! The schema, step by step. A step that was released never changes; a new one is added.

mod columns;
mod m0001_cards;
mod m0002_programs;
mod m0003_wecom;
mod m0004_compliance;
mod m0005_measurement;
mod m0006_experiments;
mod m0007_outbox;
mod m0008_changes;

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_cards::Migration),
            Box::new(m0002_programs::Migration),
            Box::new(m0003_wecom::Migration),
            Box::new(m0004_compliance::Migration),
            Box::new(m0005_measurement::Migration),
            Box::new(m0006_experiments::Migration),
            Box::new(m0007_outbox::Migration),
            Box::new(m0008_changes::Migration),
        ]
    }
}

/// Text. PostgreSQL cannot keep a NUL in one; SQLite could, and is told not to,
/// but for events.
fn text_column(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.text();
    if engine(manager) == DbBackend::Sqlite {
        column.check(Expr::cust(format!("instr(\"{name}\", char(0)) = 0")));
    }
    column
}

/// An id or other text that is compared and sorted by bytes on both engines.
fn id_column(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    by_bytes(manager, text_column(manager, name))
}

fn by_bytes(manager: &SchemaManager<'_>, mut column: ColumnDef) -> ColumnDef {
    if engine(manager) == DbBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

fn engine(manager: &SchemaManager<'_>) -> DbBackend {
    manager.get_connection().get_database_backend()
}
