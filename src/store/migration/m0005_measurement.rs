//! Raw events, which viewers' funnels are to be looked at again, what they reached, and the
//! roll-ups.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

use super::{
    by_bytes,
    columns::{column, index, key, number, table, text, time},
    engine, id_column,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0005_measurement"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        events(manager).await?;
        for table in [
            funnel_queue(manager),
            funnel_stages(manager),
            funnel_hours(manager),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            index(
                "events_viewer",
                "events",
                &["merchant", "viewer", "event_time"],
            ),
            index("funnel_queue_time", "funnel_queue", &["time"]),
            index("funnel_stages_opened", "funnel_stages", &["opened"]),
            index(
                "contact_events_viewer",
                "contact_events",
                &["merchant", "viewer", "event_time"],
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

/// `kind`: of the contact that was tapped; 0 for none. `day` is that of `event_time`, in UTC:
/// PostgreSQL keeps each day in a partition of its own, which is dropped whole
/// (`store/events.rs`). SQLite keeps rows in the order of their key. It is not told to refuse NULs
/// here: that takes a function, and SQLite copies each page before a statement over many rows that
/// calls one. `store/events.rs` refuses them instead.
async fn events(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let word = |name| by_bytes(m, column(name).text().take()).not_null().take();
    let table = table("events")
        .col(column("day").integer().not_null())
        .col(column("id").uuid().not_null())
        .col(column("stage").small_integer().not_null())
        .col(column("kind").small_integer().not_null())
        .col(word("merchant"))
        .col(column("viewer").big_integer())
        .col(time("event_time"))
        .col(time("time"))
        .col(word("placement"))
        .col(word("note"))
        .col(word("channel"))
        .col(word("conversation"))
        .col(column("bot").boolean().not_null())
        .col(column("attributes").text().not_null())
        .primary_key(&mut key(&["day", "id"]))
        .take();
    let db = m.get_connection();
    if engine(m) == DbBackend::Sqlite {
        let create = table.to_string(SqliteQueryBuilder);
        db.execute_unprepared(&format!("{create} WITHOUT ROWID"))
            .await?;
        return Ok(());
    }
    let create = table.to_string(PostgresQueryBuilder);
    db.execute_unprepared(&format!("{create} PARTITION BY RANGE (day)"))
        .await?;
    db.execute_unprepared("CREATE TABLE events_other PARTITION OF events DEFAULT")
        .await?;
    Ok(())
}

/// `body`: viewers of whom something new is known, as JSON.
fn funnel_queue(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("funnel_queue")
        .col(number())
        .col(time("time"))
        .col(text(m, "body"))
        .take()
}

/// What each viewer reached in each window, as the roll-ups have counted it.
fn funnel_stages(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("funnel_stages")
        .col(id_column(m, "merchant").not_null())
        .col(column("viewer").big_integer().not_null())
        .col(time("opened"))
        .col(column("stage").small_integer().not_null())
        .col(time("time"))
        .col(id_column(m, "placement").not_null())
        .col(id_column(m, "note").not_null())
        .col(id_column(m, "channel").not_null())
        .primary_key(&mut key(&["merchant", "viewer", "opened", "stage"]))
        .take()
}

/// The roll-ups: `hour` is counted from the epoch; `basis` says whose hour it is.
fn funnel_hours(m: &SchemaManager<'_>) -> TableCreateStatement {
    let columns = [
        "merchant",
        "basis",
        "hour",
        "stage",
        "placement",
        "note",
        "channel",
    ];
    table("funnel_hours")
        .col(id_column(m, "merchant").not_null())
        .col(column("basis").small_integer().not_null())
        .col(column("hour").integer().not_null())
        .col(column("stage").small_integer().not_null())
        .col(id_column(m, "placement").not_null())
        .col(id_column(m, "note").not_null())
        .col(id_column(m, "channel").not_null())
        .col(column("viewers").big_integer().not_null())
        .primary_key(&mut key(&columns))
        .take()
}
