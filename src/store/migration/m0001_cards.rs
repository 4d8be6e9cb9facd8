//! Cards, placements, links, their history, requests, audit, and what the store knows of itself.

use sea_orm_migration::prelude::*;

use super::{
    columns::{column, index, maybe_time, number, table, text, time, unique, versions},
    id_column,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0001_cards"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            cards(manager),
            placements(manager),
            links(manager),
            versions(manager, "card_versions"),
            versions(manager, "placement_versions"),
            requests(manager),
            audit(manager),
            meta(manager),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            unique("cards_name", "cards", &["merchant", "id"]),
            index("cards_purge", "cards", &["purge_time"]),
            unique("placements_name", "placements", &["merchant", "id"]),
            unique("placements_slot", "placements", &["slot"]),
            index(
                "placements_menu",
                "placements",
                &["merchant", "surface", "state"],
            ),
            index("placements_target", "placements", &["target"]),
            index("placements_card", "placements", &["card_no"]),
            unique("links_name", "links", &["merchant", "id"]),
            index("links_open", "links", &["merchant", "expire_time"]),
            index("requests_time", "requests", &["time"]),
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

fn cards(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("cards")
        .col(number())
        .col(id_column(m, "merchant").not_null())
        .col(id_column(m, "id").not_null())
        .col(text(m, "display_name"))
        .col(text(m, "headline"))
        .col(text(m, "avatar_uri"))
        .col(text(m, "contacts"))
        .col(column("deleted").boolean().not_null())
        .col(time("version"))
        .col(time("create_time"))
        .col(time("update_time"))
        .col(maybe_time("delete_time"))
        .col(maybe_time("purge_time"))
        .take()
}

fn placements(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("placements")
        .col(number())
        .col(id_column(m, "merchant").not_null())
        .col(id_column(m, "id").not_null())
        .col(column("card_no").big_integer().not_null())
        .col(id_column(m, "card_id").not_null())
        .col(column("kinds").small_integer().not_null())
        .col(column("surface").small_integer().not_null())
        .col(column("position").integer())
        .col(id_column(m, "target"))
        .col(id_column(m, "slot"))
        .col(maybe_time("start_time"))
        .col(maybe_time("end_time"))
        .col(column("state").small_integer().not_null())
        .col(time("version"))
        .col(time("create_time"))
        .col(time("update_time"))
        .col(maybe_time("delete_time"))
        .take()
}

fn links(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("links")
        .col(number())
        .col(id_column(m, "merchant").not_null())
        .col(id_column(m, "id").not_null())
        .col(id_column(m, "placement_id").not_null())
        .col(column("kind").small_integer().not_null())
        .col(text(m, "channel"))
        .col(text(m, "token"))
        .col(time("version"))
        .col(time("create_time"))
        .col(time("expire_time"))
        .col(maybe_time("revoke_time"))
        .take()
}

fn requests(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("requests")
        .col(id_column(m, "caller").not_null())
        .col(column("id").uuid().not_null())
        .col(column("fingerprint").binary().not_null())
        .col(column("answer").binary().not_null())
        .col(time("time"))
        .primary_key(
            Index::create()
                .col(Alias::new("caller"))
                .col(Alias::new("id")),
        )
        .take()
}

fn audit(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("audit")
        .col(number())
        .col(time("time"))
        .col(id_column(m, "actor").not_null())
        .col(text(m, "action"))
        .col(id_column(m, "resource").not_null())
        .col(text(m, "detail"))
        .take()
}

fn meta(m: &SchemaManager<'_>) -> TableCreateStatement {
    table("meta")
        .col(id_column(m, "name").not_null().primary_key())
        .col(column("value").binary().not_null())
        .take()
}
