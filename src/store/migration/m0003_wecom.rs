//! Corps and their acquisition links with their history, WeCom's callbacks, and what came of taps.

use sea_orm_migration::prelude::*;

use super::{
    columns::{column, index, maybe_time, number, table, text, time, unique, versions},
    id_column,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_wecom"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            corps(manager),
            versions(manager, "corp_versions"),
            acquisition_links(manager),
            versions(manager, "acquisition_link_versions"),
            quotas(manager),
            versions(manager, "quota_versions"),
            callbacks(),
            contact_histories(manager),
            contact_events(manager),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            unique("corps_name", "corps", &["id"]),
            index("corps_sync", "corps", &["sync_time"]),
            unique(
                "acquisition_links_name",
                "acquisition_links",
                &["corp_no", "id"],
            ),
            index(
                "acquisition_links_link_id",
                "acquisition_links",
                &["corp_no", "link_id"],
            ),
            index("acquisition_links_uri", "acquisition_links", &["uri"]),
            index(
                "acquisition_links_next",
                "acquisition_links",
                &["next_time"],
            ),
            unique("callbacks_key", "callbacks", &["key"]),
            index("callbacks_next", "callbacks", &["next_time"]),
            index("callbacks_time", "callbacks", &["time"]),
            unique("contact_events_id", "contact_events", &["id"]),
            index(
                "contact_events_merchant",
                "contact_events",
                &["merchant", "no"],
            ),
            index("contact_events_corp", "contact_events", &["corp_no", "no"]),
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

/// `sync_time`: when to look at WeCom again.
fn corps(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("corps")
        .col(number())
        .col(id_column(m, "id").not_null())
        .col(text(m, "display_name"))
        .col(text(m, "merchants"))
        .col(id_column(m, "corp_id").not_null())
        .col(column("secrets").binary().not_null())
        .col(time("sync_time"))
        .col(time("version"))
        .col(time("create_time"))
        .col(time("update_time"))
        .col(maybe_time("delete_time"))
        .take()
}

/// `next_time`: when to ask WeCom again; none where nothing is pending. `asked_time`: when it was
/// last asked to make or change the link, where that may yet have an effect.
fn acquisition_links(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("acquisition_links")
        .col(number())
        .col(column("corp_no").big_integer().not_null())
        .col(id_column(m, "id").not_null())
        .col(text(m, "display_name"))
        .col(text(m, "tag"))
        .col(text(m, "range"))
        .col(column("skip_verify").boolean().not_null())
        .col(id_column(m, "link_id"))
        .col(id_column(m, "uri"))
        .col(column("state").small_integer().not_null())
        .col(time("state_time"))
        .col(column("gone").boolean().not_null())
        .col(column("pending").small_integer())
        .col(column("attempts").integer().not_null())
        .col(maybe_time("next_time"))
        .col(maybe_time("asked_time"))
        .col(time("version"))
        .col(time("create_time"))
        .col(time("update_time"))
        .col(maybe_time("delete_time"))
        .take()
}

/// `no` is the corp's.
fn quotas(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("quotas")
        .col(column("no").big_integer().not_null().primary_key())
        .col(column("level").small_integer().not_null())
        .col(text(m, "body"))
        .col(time("version"))
        .take()
}

/// `body` is emptied once it is worked off; the key stays for as long as one may come again.
fn callbacks() -> TableCreateStatement {
    table("callbacks")
        .col(number())
        .col(column("key").binary().not_null())
        .col(column("corp_no").big_integer().not_null())
        .col(time("time"))
        .col(column("body").binary().not_null())
        .col(column("attempts").integer().not_null())
        .col(maybe_time("next_time"))
        .take()
}

/// What was said of a contact, as JSON; its events follow from it.
fn contact_histories(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("contact_histories")
        .col(column("contact").binary().not_null().primary_key())
        .col(text(m, "body"))
        .take()
}

fn contact_events(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("contact_events")
        .col(number())
        .col(column("id").uuid().not_null())
        .col(column("corp_no").big_integer().not_null())
        .col(column("kind").small_integer().not_null())
        .col(column("contact").binary())
        .col(time("event_time"))
        .col(time("time"))
        .col(column("source").small_integer().not_null())
        .col(column("unattributed").small_integer())
        .col(id_column(m, "merchant"))
        .col(column("placement_no").big_integer())
        .col(column("contact_kind").small_integer())
        .col(column("link_no").big_integer())
        .col(column("viewer").big_integer())
        .col(column("tap").uuid())
        .take()
}
