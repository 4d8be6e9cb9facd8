//! A start looks at its keys and its store before it serves.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use mingpian::keys;
use sea_orm::ConnectionTrait;
use tonic_health::ServingStatus;

use super::{
    becomes, channel, column, database, path, serve_on,
    settings::{CONFIG, ends, mingpian, mode, text},
};
use crate::{
    on_both_engines,
    support::{CardClient, Engine, Scratch, create_card, process::serve},
};

on_both_engines!(
    a_store_sealed_under_other_keys_refuses_to_start,
    a_rotated_ring_still_fits_its_store,
    a_demo_is_for_a_store_of_its_own,
);

async fn a_store_sealed_under_other_keys_refuses_to_start(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    serve_on(&scratch, "").kill();
    let (file, config) = (scratch.file("keys.toml"), path(&scratch, "settings.toml"));
    let first = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    keys::add(&file, [8; 64]).unwrap();
    let refused = mingpian(&["serve", "--config", &config], &[]);
    let said = ends(&refused, CONFIG, "this store was sealed under other keys");
    assert!(said.contains("keys_file: "), "{said}");
    fs::write(&file, first).unwrap();
    serve_on(&scratch, "");
}

async fn a_rotated_ring_still_fits_its_store(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    serve_on(&scratch, "").kill();
    let file = scratch.file("keys.toml");
    let id = keys::add(&file, [8; 64]).unwrap();
    keys::activate(&file, id).unwrap();
    serve_on(&scratch, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_of_keys_is_not_made_again() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let arguments = ["--store-url", &scratch.url];
    serve(&arguments, &[]).kill();
    let file = scratch.file("mingpian-keys.toml");
    let (kept, first) = (scratch.file("kept.toml"), fs::read(&file).unwrap());
    fs::rename(&file, &kept).unwrap();
    let refused = mingpian(&["serve", "--store-url", &scratch.url], &[]);
    let said = ends(&refused, CONFIG, "is missing, and this store was sealed");
    assert!(said.contains("keys_file: "), "{said}");
    assert!(!file.exists());
    fs::rename(&kept, &file).unwrap();
    serve(&arguments, &[]).kill();
    assert_eq!(fs::read(&file).unwrap(), first);
}

/// `mingpian migrate` seals nothing, so the first start after it may make keys.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_for_a_store_that_was_only_migrated() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let migrated = mingpian(&["migrate", "--store-url", &scratch.url], &[]);
    assert!(migrated.status.success());
    serve(&["--store-url", &scratch.url], &[]).kill();
    assert!(scratch.file("mingpian-keys.toml").exists());
    let db = database(&scratch).await;
    assert_eq!(column(&db, "SELECT name FROM meta").await, ["key_check"]);
}

/// What `serve` says before it fails to listen on a port that is taken.
fn said_at_start(scratch: &Scratch, more: &str) -> String {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    scratch.settings(more);
    let address = taken.local_addr().unwrap().to_string();
    let config = path(scratch, "settings.toml");
    let arguments = ["serve", "--config", &config, "--admin-listen", &address];
    text(&mingpian(&arguments, &[]).stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_keys_that_others_may_read_is_named_at_the_start() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    assert!(!said_at_start(&scratch, "").contains("WARN"));
    let file = scratch.file("keys.toml");
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let said = said_at_start(&scratch, "");
        let line = said.lines().find(|l| l.contains("WARN")).unwrap();
        for word in [&path(&scratch, "keys.toml"), &format!("{mode:04o}")] {
            assert!(line.contains(word), "{word}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_database_are_made_for_their_owner_alone() {
    let mut scratch = Scratch::new(Engine::Sqlite).await;
    scratch.url = format!("sqlite://{}", path(&scratch, "new/cards.db"));
    let _process = serve(&["--store-url", &scratch.url], &[]);
    let folder = scratch.file("new");
    let mut files = fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path());
    assert!(files.all(|file: std::path::PathBuf| mode(Path::new(&file)) == 0o600));
    assert!(folder.join("cards.db-wal").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_clear_are_warned_of_at_the_start() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let more = format!(
        "public_url = \"https://card.example.com\"\n[auth]\nmode = \"jwt\"\nissuer = \"i\"\n\
         audience = \"a\"\njwks_file = \"{}\"",
        path(&scratch, "jwks.json")
    );
    scratch.settings(&more);
    let config = path(&scratch, "settings.toml");
    let on_loopback = fs::read_to_string(&config).unwrap();
    // It ends for want of its key set.
    let said = text(&mingpian(&["serve", "--config", &config], &[]).stderr);
    assert!(!said.contains("WARN"), "{said}");
    fs::write(&config, on_loopback.replacen("127.0.0.1:0", "0.0.0.0:0", 1)).unwrap();
    let said = text(&mingpian(&["serve", "--config", &config], &[]).stderr);
    let warned = said.lines().find(|l| l.contains("WARN")).unwrap();
    assert!(
        warned.contains("grpc_listen") && warned.contains("clear"),
        "{warned}"
    );
}

/// A store in which somebody works is left alone; one that was a demo stays one, whatever
/// was tried out in it.
async fn a_demo_is_for_a_store_of_its_own(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    scratch.settings("");
    let config = path(&scratch, "settings.toml");
    let cards = "SELECT merchant || '/' || id FROM cards ORDER BY merchant, id";
    for before in [vec![], vec!["trip/main"]] {
        let mut demo = serve(&["--demo", "--config", &config], &[]);
        let db = database(&scratch).await;
        becomes(&channel(demo.grpc).await, ServingStatus::Serving).await;
        demo.kill();
        let sample = ["klook/guide", "klook/main"];
        assert_eq!(column(&db, cards).await, [&sample[..], &before].concat());
        db.close().await.unwrap();
        let mut plain = serve_on(&scratch, "");
        let mut client = CardClient::new(channel(plain.grpc).await);
        let _ = client.create_card(create_card("trip", "main")).await;
        plain.kill();
    }
    let db = database(&scratch).await;
    db.execute_unprepared("DELETE FROM cards WHERE merchant = 'klook'")
        .await
        .unwrap();
    let refused = mingpian(&["serve", "--demo", "--config", &config], &[]);
    ends(
        &refused,
        CONFIG,
        "--demo: the store holds other merchants' cards",
    );
    assert_eq!(column(&db, cards).await, ["trip/main"]);
    db.close().await.unwrap();
}
