//! Many processes start at once on one empty database: all of them serve, and the schema and
//! the keys are made once.

mod stop;

use std::{thread, time::Duration};

use mingpian::api::pb::{self, environment::Container};
use tonic_health::ServingStatus;

use super::{becomes, channel, column, database, open_store, path, serve_on, times};
use crate::support::{
    CardClient, Engine, MOBILE, PlacementClient, Scratch, ServingClient, create_card, get_menu,
    in_menu, place,
    process::{Process, serve},
    tap,
};

const REPLICAS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_on_postgres_migrate_once() {
    for round in 0..times("TEST_ROUNDS", 3) {
        let scratch = Scratch::new(Engine::Postgres).await;
        scratch.settings("[store]\nmax_connections = 4");
        let file = path(&scratch, "settings.toml");
        let replicas = at_once(|| serve(&["--config", &file], &[]));
        all_as_one(&scratch, &replicas).await;
        println!("round {}: {REPLICAS} replicas serve", round + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_on_a_new_folder_share_its_keys() {
    for round in 0..times("TEST_ROUNDS", 3) {
        let mut scratch = Scratch::new(Engine::Sqlite).await;
        scratch.url = format!("sqlite://{}", path(&scratch, "new/folder/cards.db"));
        let replicas = at_once(|| serve(&["--store-url", &scratch.url], &[]));
        assert!(scratch.file("new/folder/mingpian-keys.toml").is_file());
        all_as_one(&scratch, &replicas).await;
        println!("round {}: {REPLICAS} replicas serve", round + 1);
    }
}

fn at_once(start: impl Fn() -> Process + Sync) -> Vec<Process> {
    thread::scope(|scope| {
        let starting: Vec<_> = (0..REPLICAS).map(|_| scope.spawn(&start)).collect();
        starting.into_iter().map(|s| s.join().unwrap()).collect()
    })
}

/// All serve, each migration ran once, and what one seals any other opens.
async fn all_as_one(scratch: &Scratch, replicas: &[Process]) {
    let mut channels = Vec::new();
    for replica in replicas {
        let channel = channel(replica.grpc).await;
        becomes(&channel, ServingStatus::Serving).await;
        channels.push(channel);
    }

    let db = database(scratch).await;
    let ran = column(&db, "SELECT version FROM seaql_migrations").await;
    let mut once = ran.clone();
    once.sort_unstable();
    once.dedup();
    assert!(!ran.is_empty() && ran.len() == once.len(), "{ran:?}");
    db.close().await.unwrap();
    open_store(&scratch.url).await;

    for (i, by) in channels.iter().enumerate() {
        let other = &channels[(i + 1) % channels.len()];
        let merchant = format!("m{i}");
        let mut cards = CardClient::new(by.clone());
        cards
            .create_card(create_card(&merchant, "main"))
            .await
            .unwrap();
        let request = place(&merchant, "main", "menu", in_menu(1));
        let placed = PlacementClient::new(by.clone())
            .create_placement(request)
            .await;
        placed.unwrap();

        let reveal = pb::RevealContactRequest {
            name: format!("merchants/{merchant}/cards/main"),
            kind: pb::contact::Kind::Phone.into(),
            ..Default::default()
        };
        let revealed = CardClient::new(other.clone()).reveal_contact(reveal).await;
        assert_eq!(revealed.unwrap().into_inner().value, format!("+86{MOBILE}"));

        let menu = ServingClient::new(by.clone())
            .get_chat_menu(get_menu(&merchant))
            .await;
        let token = &menu.unwrap().into_inner().items[0].tap_token;
        let tap = tap(token, Container::NativeApp);
        let tapped = ServingClient::new(other.clone()).open_card(tap).await;
        assert_eq!(tapped.unwrap().into_inner().steps.len(), 2);
    }
    for replica in replicas {
        let output = replica.output.lock().unwrap();
        assert!(
            !output.contains("ERROR") && !output.contains("WARN"),
            "{output}"
        );
    }
}

/// A replica that starts while another migrates waits for it, however long that takes.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_wait_for_the_one_that_migrates() {
    use sea_orm::{ConnectionTrait, TransactionTrait};

    let scratch = Scratch::new(Engine::Postgres).await;
    scratch.settings("");
    let db = database(&scratch).await;
    let lock = db.begin().await.unwrap();
    let sql = "SELECT pg_advisory_xact_lock(x'6d696e677069616e'::bit(64)::bigint)";
    lock.execute_unprepared(sql).await.unwrap();
    // Longer than a statement may take.
    let more = "[store]\nstatement_timeout_millis = 100";
    let waiting = thread::scope(|scope| {
        let starting = scope.spawn(|| serve_on(&scratch, more));
        thread::sleep(Duration::from_millis(1500));
        assert!(!starting.is_finished(), "did not wait");
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current()
                .block_on(lock.commit())
                .unwrap();
        });
        starting.join().unwrap()
    });
    becomes(&channel(waiting.grpc).await, ServingStatus::Serving).await;
}
