//! The real program, from start to end: what it survives, and what it leaves behind.

mod away;
mod canary;
mod http;
mod import;
mod importers;
mod kill;
mod openings;
mod privacy;
mod replicas;
mod rolling;
mod settings;
mod shutdown;
mod start;
mod watch;

use std::{
    env,
    net::SocketAddr,
    time::{Duration, Instant},
};

use mingpian::store::{Options, Store};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};

use crate::support::{
    CardClient, PlacementClient, Scratch, create_card, in_menu, open_to_all, place,
    process::{Process, serve},
};

/// `mingpian serve` on this database, with more settings as TOML, and a program that admits
/// everybody.
pub fn serve_on(scratch: &Scratch, more: &str) -> Process {
    // Writes the files of keys and settings, and refuses what is not valid.
    scratch.settings(more);
    let process = serve(&["--config", path(scratch, "settings.toml").as_str()], &[]);
    let url = scratch.url.clone();
    // Tests of the program's life need not be async.
    let opening = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(open_store(&url));
    });
    opening.join().unwrap();
    process
}

async fn open_store(url: &str) {
    let options = Options {
        url: url.to_owned().into(),
        max_connections: 1,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(10),
    };
    open_to_all(&Store::open(&options).await.unwrap()).await;
}

pub fn path(scratch: &Scratch, name: &str) -> String {
    scratch.file(name).to_str().unwrap().to_owned()
}

pub async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

pub async fn health(channel: &Channel, service: &str) -> i32 {
    let service = service.to_owned();
    let request = HealthCheckRequest { service };
    let answer = HealthClient::new(channel.clone()).check(request).await;
    answer.unwrap().into_inner().status
}

/// Health follows the store by looking now and then.
pub async fn becomes(channel: &Channel, wanted: ServingStatus) {
    let started = Instant::now();
    while health(channel, "").await != wanted as i32 {
        assert!(started.elapsed() < Duration::from_secs(15), "not {wanted}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The merchant `klook` with a card in its chat menu.
pub async fn card_in_menu(channel: &Channel) {
    let mut cards = CardClient::new(channel.clone());
    let card = create_card("klook", "main");
    cards.create_card(card).await.unwrap();
    let mut placements = PlacementClient::new(channel.clone());
    let menu = place("klook", "main", "menu", in_menu(1));
    placements.create_placement(menu).await.unwrap();
}

/// A number that the long run sets from outside: `TEST_KILLS=50 tests/run kill`.
pub fn times(variable: &str, usually: usize) -> usize {
    env::var(variable).map_or(usually, |n| n.parse().expect(variable))
}

/// A look at the database past the program.
pub async fn database(scratch: &Scratch) -> DatabaseConnection {
    Database::connect(&scratch.url).await.unwrap()
}

/// The first column of every row, as text.
pub async fn column(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}
