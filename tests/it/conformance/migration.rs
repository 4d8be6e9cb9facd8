//! The schema: made once, and the same on both engines.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mingpian::store::Store;

use super::{Stage, card, options};
use crate::{
    on_both_engines,
    support::{Engine, Scratch},
};

on_both_engines!(
    migrating_again_changes_nothing,
    many_replicas_migrate_an_empty_database_once,
    a_store_without_a_schema_does_not_answer,
);

async fn applied(s: &Stage) -> Vec<String> {
    s.select("SELECT version FROM seaql_migrations ORDER BY version")
        .await
}

async fn migrating_again_changes_nothing(engine: Engine) {
    let s = Stage::new(engine).await;
    let written = s.add_card(card("klook", "main")).await;
    let before = (applied(&s).await, schema(&s).await);
    s.store.migrate(super::NOW).await.unwrap();
    let next = Store::open(&options(&s.scratch.url)).await.unwrap();
    next.migrate(super::NOW).await.unwrap();
    assert_eq!((applied(&s).await, schema(&s).await), before);
    assert_eq!(
        next.reads().card(&written.name).await.unwrap(),
        Some(written)
    );
}

async fn many_replicas_migrate_an_empty_database_once(engine: Engine) {
    for _ in 0..5 {
        let scratch = Scratch::new(engine).await;
        let start = || {
            let mut options = options(&scratch.url);
            options.max_connections = 2;
            tokio::spawn(async move {
                let store = Store::open(&options).await?;
                store.migrate(super::NOW).await?;
                store.ping().await?;
                Ok::<_, mingpian::store::Error>(store)
            })
        };
        let started = join_all((0..8).map(|_| start())).await;
        let stores: Vec<_> = started.into_iter().map(|s| s.unwrap().unwrap()).collect();
        let store = stores[0].clone();
        let s = Stage {
            engine,
            store,
            scratch,
        };
        let steps = [
            "m0001_cards",
            "m0002_programs",
            "m0003_wecom",
            "m0004_compliance",
            "m0005_measurement",
            "m0006_experiments",
            "m0007_outbox",
            "m0008_changes",
        ];
        assert_eq!(applied(&s).await, steps);
    }
}

async fn a_store_without_a_schema_does_not_answer(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let store = Store::open(&options(&scratch.url)).await.unwrap();
    store.ping().await.unwrap_err();
    store.migrate(super::NOW).await.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_have_the_same_tables_columns_and_indexes() {
    let sqlite = schema(&Stage::new(Engine::Sqlite).await).await;
    let postgres = schema(&Stage::new(Engine::Postgres).await).await;
    assert_eq!(sqlite, postgres);
    for line in [
        "cards.display_name required",
        "placements.slot",
        "key of requests (caller,id)",
        "unique placements_slot on placements (slot)",
        "index cards_purge on cards (purge_time)",
        "key of events (day,id)",
    ] {
        assert!(sqlite.contains(line), "{line} in {sqlite:#?}");
    }
    // What a check costs there says the migration.
    let events = "SELECT sql FROM sqlite_schema WHERE name = 'events'";
    let events = Stage::new(Engine::Sqlite).await.select(events).await;
    assert!(!events.concat().contains("CHECK"), "{events:?}");
}

/// Columns, keys and indexes, a line each.
async fn schema(s: &Stage) -> BTreeSet<String> {
    let queries = match s.engine {
        Engine::Sqlite => SQLITE,
        Engine::Postgres => POSTGRES,
    };
    let mut all = BTreeSet::new();
    for query in queries {
        all.extend(s.select(query).await);
    }
    all
}

const SQLITE: [&str; 3] = [
    "SELECT t.name || '.' || c.name || CASE WHEN c.\"notnull\" THEN ' required' ELSE '' END
     FROM sqlite_schema t JOIN pragma_table_info(t.name) c
     WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
    "SELECT 'key of ' || name || ' (' || group_concat(col) || ')' FROM
       (SELECT t.name, c.name col FROM sqlite_schema t JOIN pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND c.pk > 0
        ORDER BY t.name, c.pk)
     GROUP BY name",
    "SELECT CASE WHEN uniq THEN 'unique ' ELSE 'index ' END || idx || ' on ' || name
            || ' (' || group_concat(col) || ')' FROM
       (SELECT t.name, i.name idx, i.\"unique\" uniq, c.name col
        FROM sqlite_schema t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
        WHERE t.type = 'table' AND i.origin = 'c'
        ORDER BY i.name, c.seqno)
     GROUP BY idx",
];

const POSTGRES: [&str; 3] = [
    "SELECT table_name || '.' || column_name
            || CASE is_nullable WHEN 'NO' THEN ' required' ELSE '' END
     FROM information_schema.columns WHERE table_schema = 'public'
       AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)",
    "SELECT 'key of ' || c.relname || ' (' || string_agg(a.attname, ',' ORDER BY k.n) || ')'
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(att, n)
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.att
     WHERE i.indisprimary AND c.relnamespace = 'public'::regnamespace
       AND NOT c.relispartition GROUP BY c.relname",
    "SELECT CASE WHEN i.indisunique THEN 'unique ' ELSE 'index ' END || x.relname || ' on '
            || c.relname || ' (' || string_agg(a.attname, ',' ORDER BY k.n) || ')'
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
     CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(att, n)
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.att
     WHERE NOT i.indisprimary AND c.relnamespace = 'public'::regnamespace
       AND NOT c.relispartition
     GROUP BY x.relname, c.relname, i.indisunique",
];
