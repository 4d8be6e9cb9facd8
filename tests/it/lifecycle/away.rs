//! The store goes away under a running server: every call says so and says nothing more, and
//! all comes back by itself.

use std::{
    future::pending,
    net::SocketAddr,
    time::{Duration, Instant},
};

use mingpian::api::pb::{self, environment::Container};
use sea_orm::{
    ConnectionTrait, Database, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};
use tonic::{Code, Status, transport::Channel};
use tonic_health::ServingStatus;
use tonic_types::StatusExt;
use url::Url;
use uuid::Uuid;

use super::{becomes, card_in_menu, channel, database, health, serve_on};
use crate::support::{
    CardClient, Engine, MOBILE, Scratch, ServingClient, create_card, get_menu, process::Process,
    reason, tap,
};

/// What the way to the store does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Open,
    /// Connections break, and new ones are refused.
    Broken,
    /// Nothing comes back, as behind a firewall that forgot.
    Silent,
}

/// Stands between the program and PostgreSQL.
async fn detour(to: String) -> (SocketAddr, watch::Sender<Way>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (way, watched) = watch::channel(Way::Open);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (to, mut watched) = (to.clone(), watched.clone());
            tokio::spawn(async move {
                if *watched.borrow_and_update() == Way::Open {
                    let mut far = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        _ = watched.changed() => {}
                    }
                }
                // A way that opens again is another: nothing ever comes back on this one.
                if *watched.borrow() == Way::Silent {
                    pending::<()>().await;
                }
            });
        }
    });
    (address, way)
}

/// Menus go on for so long.
const SHORTLY: &str = "[serving]\nstore_away_seconds = 8";

/// A server on PostgreSQL over a detour, and a card in a menu.
struct Stage {
    process: Process,
    scratch: Scratch,
    /// The database itself.
    url: String,
    way: watch::Sender<Way>,
    channel: Channel,
    token: String,
}

impl Stage {
    async fn set(more: &str) -> Self {
        let mut scratch = Scratch::new(Engine::Postgres).await;
        let direct: Url = scratch.url.parse().unwrap();
        let to = (direct.host_str().unwrap(), direct.port().unwrap_or(5432));
        let (address, way) = detour(format!("{}:{}", to.0, to.1)).await;
        let url = scratch.url.clone();
        let mut over = direct;
        over.set_host(Some("127.0.0.1")).unwrap();
        over.set_port(Some(address.port())).unwrap();
        scratch.url = over.to_string();

        let process = serve_on(&scratch, more);
        let channel = channel(process.grpc).await;
        becomes(&channel, ServingStatus::Serving).await;
        card_in_menu(&channel).await;
        // The feed brings back what was written here a moment ago, and it is read once more.
        sleep(Duration::from_secs(1)).await;
        let mut serving = ServingClient::new(channel.clone());
        let menu = serving.get_chat_menu(get_menu("klook")).await.unwrap();
        let token = menu.into_inner().items[1].tap_token.clone();
        Self {
            process,
            scratch,
            url,
            way,
            channel,
            token,
        }
    }

    /// One of each: a write, a read, a menu, a reveal and a tap.
    async fn calls(
        &self,
        write: &pb::CreateCardRequest,
    ) -> Vec<(&'static str, Result<(), Status>)> {
        let mut cards = CardClient::new(self.channel.clone());
        let mut serving = ServingClient::new(self.channel.clone());
        let name = "merchants/klook/cards/main".to_owned();
        let reveal = pb::RevealContactRequest {
            name: name.clone(),
            kind: pb::contact::Kind::Phone.into(),
            ..Default::default()
        };
        let tap = tap(&self.token, Container::NativeApp);
        let get = pb::GetCardRequest { name };
        vec![
            ("write", cards.create_card(write.clone()).await.map(drop)),
            ("read", cards.get_card(get).await.map(drop)),
            (
                "menu",
                serving.get_chat_menu(get_menu("klook")).await.map(drop),
            ),
            ("reveal", cards.reveal_contact(reveal).await.map(drop)),
            ("tap", serving.open_card(tap).await.map(drop)),
        ]
    }

    /// A menu that is not in memory; empty, where it is read.
    async fn nobodys_menu(&self) -> Result<(), Status> {
        let mut serving = ServingClient::new(self.channel.clone());
        let menu = serving.get_chat_menu(get_menu("nobody-yet")).await;
        menu.map(drop)
    }

    async fn page(&self, language: &str) -> reqwest::Response {
        let url = format!("http://{}/t/{}", self.process.http, self.token);
        let request = reqwest::Client::new()
            .get(url)
            .header("accept-language", language);
        request.send().await.unwrap()
    }

    async fn probe(&self, path: &str) -> u16 {
        let url = format!("http://{}{path}", self.process.admin);
        reqwest::get(url).await.unwrap().status().as_u16()
    }

    /// Who says what about the server: as a whole, its cards, its serving.
    async fn health(&self) -> [i32; 3] {
        let [cards, serving] =
            ["CardService", "ServingService"].map(|s| format!("mingpian.v1.{s}"));
        [
            health(&self.channel, "").await,
            health(&self.channel, &cards).await,
            health(&self.channel, &serving).await,
        ]
    }

    /// Menus go on from memory, and after more than a second say so; nothing else does.
    async fn goes_on(&self, write: &pb::CreateCardRequest) {
        self.is_away(write, false).await;
        let mut serving = ServingClient::new(self.channel.clone());
        let started = Instant::now();
        loop {
            let menu = serving.get_chat_menu(get_menu("klook")).await.unwrap();
            if let Some(stale) = menu.metadata().get("mingpian-stale") {
                assert_eq!(
                    (stale, menu.get_ref().items.len()),
                    (&"true".parse().unwrap(), 3)
                );
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(3), "no mark");
            sleep(Duration::from_millis(20)).await;
        }
        let nobodys = serving.get_chat_menu(get_menu("nobody")).await.unwrap_err();
        assert_eq!(reason(&nobodys), "STORE_UNAVAILABLE");
        let [on, off] = [ServingStatus::Serving, ServingStatus::NotServing].map(|s| s as i32);
        while self.health().await != [on, off, on] {
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "{:?}",
                self.health().await
            );
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.probe("/readyz").await, 200);
    }

    /// `menus`: also those.
    async fn is_away(&self, write: &pb::CreateCardRequest, menus: bool) {
        for (what, answer) in self.calls(write).await {
            if what == "menu" && !menus {
                answer.expect(what);
                continue;
            }
            let status = answer.expect_err(what);
            let got = (status.code(), reason(&status));
            assert_eq!(
                got,
                (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()),
                "{what}"
            );
            let retry = status.get_details_retry_info().expect(what);
            assert!(retry.retry_delay.unwrap() > Duration::ZERO);
            self.says_nothing_of_the_driver(&format!("{status:?}"));
        }
        for (language, words) in [("zh", "服务暂时不可用"), ("en", "Service unavailable")] {
            let page = self.page(language).await;
            assert_eq!(page.status(), 503);
            assert!(page.headers().contains_key("retry-after"));
            let page = page.text().await.unwrap();
            assert!(page.contains(words) && !page.contains(MOBILE), "{page}");
            self.says_nothing_of_the_driver(&page);
        }
    }

    fn says_nothing_of_the_driver(&self, text: &str) {
        let database = self.url.rsplit('/').next().unwrap();
        for word in ["sqlx", "postgres", "pool", "connect", "refused", database] {
            assert!(!text.to_lowercase().contains(word), "{word}: {text}");
        }
    }

    async fn is_back(&self, write: &pb::CreateCardRequest) {
        becomes(&self.channel, ServingStatus::Serving).await;
        assert_eq!(self.probe("/readyz").await, 200);
        // Twice: the second write is the same request.
        for _ in 0..2 {
            for (what, answer) in self.calls(write).await {
                answer.expect(what);
            }
        }
        assert_eq!(self.page("zh").await.status(), 200);
    }
}

fn write() -> pb::CreateCardRequest {
    pb::CreateCardRequest {
        request_id: Uuid::now_v7().to_string(),
        ..create_card("klook", "later")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_way_to_the_store_is_said_and_mends_itself() {
    let stage = Stage::set(SHORTLY).await;
    for _ in 0..2 {
        let write = pb::CreateCardRequest {
            card_id: format!("c-{}", Uuid::now_v7().simple()),
            ..write()
        };
        stage.way.send_replace(Way::Broken);
        stage.goes_on(&write).await;
        becomes(&stage.channel, ServingStatus::NotServing).await;
        assert_eq!(stage.probe("/readyz").await, 503);
        assert_eq!(stage.probe("/livez").await, 200);
        stage.is_away(&write, true).await;
        stage.way.send_replace(Way::Open);
        stage.is_back(&write).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_everybody_away_is_away() {
    let stage = Stage::set(SHORTLY).await;
    let (server, database) = stage.url.rsplit_once('/').unwrap();
    let admin = Database::connect(format!("{server}/postgres"))
        .await
        .unwrap();
    let allow = |allowed: bool| format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {allowed}");
    admin.execute_unprepared(&allow(false)).await.unwrap();
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    );
    admin.execute_unprepared(&cut).await.unwrap();

    let write = write();
    stage.is_away(&write, false).await;
    becomes(&stage.channel, ServingStatus::NotServing).await;
    admin.execute_unprepared(&allow(true)).await.unwrap();
    stage.is_back(&write).await;
    admin.close().await.unwrap();
}

/// No call hangs longer than it may, and a tap never answers from what it knew.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_costs_no_more_than_the_deadline() {
    let more = format!("[limits]\ndeadline_seconds = 2\n{SHORTLY}");
    let stage = Stage::set(&more).await;
    stage.way.send_replace(Way::Silent);
    // Its read is under way, and nothing comes of it.
    let nobodys = stage.nobodys_menu().await.unwrap_err();
    assert_eq!(nobodys.code(), Code::DeadlineExceeded);
    let write = write();
    let started = Instant::now();
    for (what, answer) in stage.calls(&write).await {
        if what == "menu" && answer.is_ok() {
            continue;
        }
        let status = answer.expect_err(what);
        let known = [Code::Unavailable, Code::DeadlineExceeded].contains(&status.code());
        assert!(known, "{what}: {status:?}");
        reason(&status);
    }
    assert!(started.elapsed() < Duration::from_secs(5 * 2 + 3));
    assert_eq!(stage.page("en").await.status(), 503);
    becomes(&stage.channel, ServingStatus::NotServing).await;
    stage.way.send_replace(Way::Open);
    stage.is_back(&write).await;
    let started = Instant::now();
    while let Err(status) = stage.nobodys_menu().await {
        assert!(started.elapsed() < Duration::from_secs(10), "{status:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// SQLite's reads do not wait for a writer, so taps go on while another process writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_that_another_holds_refuses_writes_and_serves_taps() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let process = serve_on(&scratch, "");
    let channel = channel(process.grpc).await;
    card_in_menu(&channel).await;
    let mut cards = CardClient::new(channel.clone());

    let db = database(&scratch).await;
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let lock = db.begin_with_options(immediate).await.unwrap();
    lock.execute_unprepared("DELETE FROM audit").await.unwrap();
    let started = Instant::now();
    let status = cards
        .create_card(create_card("klook", "more"))
        .await
        .unwrap_err();
    assert!(
        [Code::Aborted, Code::Unavailable].contains(&status.code()),
        "{status:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(10));
    let mut serving = ServingClient::new(channel.clone());
    let menu = serving.get_chat_menu(get_menu("klook")).await.unwrap();
    let token = &menu.into_inner().items[0].tap_token;
    serving
        .open_card(tap(token, Container::NativeApp))
        .await
        .unwrap();

    lock.rollback().await.unwrap();
    cards
        .create_card(create_card("klook", "more"))
        .await
        .unwrap();
}
