//! Columns and indexes as the steps have them in common.

use sea_orm_migration::prelude::*;

use super::{id_column, text_column};

pub fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).take()
}

pub fn number() -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new("no"));
    column
        .big_integer()
        .not_null()
        .auto_increment()
        .primary_key();
    column
}

pub fn column(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name))
}

/// Microseconds since the epoch, UTC.
pub fn time(name: &'static str) -> ColumnDef {
    column(name).big_integer().not_null().take()
}

pub fn maybe_time(name: &'static str) -> ColumnDef {
    column(name).big_integer().take()
}

pub fn text(m: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    text_column(m, name).not_null().take()
}

pub fn versions(m: &SchemaManager<'_>, name: &'static str) -> TableCreateStatement {
    table(name)
        .col(column("no").big_integer().not_null())
        .col(time("version"))
        .col(time("time"))
        .col(id_column(m, "author").not_null())
        .col(text(m, "body"))
        .primary_key(
            Index::create()
                .col(Alias::new("no"))
                .col(Alias::new("version")),
        )
        .take()
}

pub fn index(name: &str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(Alias::new(table)).take();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}

pub fn unique(name: &str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    index(name, table, columns).unique().take()
}

/// A primary key.
pub fn key(columns: &[&'static str]) -> IndexCreateStatement {
    let mut key = Index::create();
    for column in columns {
        key.col(Alias::new(*column));
    }
    key
}
