//! One suite over the store; every case runs on SQLite and on PostgreSQL. What only one of
//! them can do stands in `engine.rs`, by name.

mod acquisition_links;
mod audit;
mod callbacks;
mod cards;
mod changes;
mod compliance;
mod contact_events;
mod eligibility;
mod engine;
mod errors;
mod history;
mod leases;
mod links;
mod meta;
mod migration;
mod placements;
mod preview;
mod programs;
mod purge;
mod random;
mod requests;
mod spend;
mod text;

use std::time::Duration;

use mingpian::{
    domain::{
        AcquisitionUri, Card, CardName, CardState, Clearance, Contact, ContactKind, Detail, Door,
        Facts, Link, LinkName, Merchant, Micros, Placement, PlacementName, PlacementState, Sealed,
        Surface, Wecom, WecomTarget, gate,
    },
    store::{Asked, NewCard, Options, Result, Store, Tx},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::support::{Engine, LINK, Scratch, open_standing};

/// 2026-01-01T00:00:00.123457Z: odd, so that rounding shows.
const NOW: Micros = Micros(1_767_225_600_123_457);
const SECOND: Duration = Duration::from_secs(1);
const AUTHOR: &str = "tester";

/// A store of its own for one case.
struct Stage {
    engine: Engine,
    store: Store,
    scratch: Scratch,
}

impl Stage {
    async fn new(engine: Engine) -> Self {
        let scratch = Scratch::new(engine).await;
        let store = Store::open(&options(&scratch.url)).await.unwrap();
        store.migrate(NOW).await.unwrap();
        Self {
            engine,
            store,
            scratch,
        }
    }

    /// One committed transaction.
    async fn write<T>(&self, work: impl AsyncFnOnce(&Tx) -> T) -> T {
        let tx = self.store.begin().await.unwrap();
        let answer = work(&tx).await;
        tx.commit().await.unwrap();
        answer
    }

    async fn add_card(&self, card: Card) -> Card {
        self.write(async |tx| insert_card(tx, card).await.unwrap())
            .await
    }

    async fn add_placement(&self, placement: Placement) -> Placement {
        self.write(async |tx| insert_placement(tx, placement).await.unwrap())
            .await
    }

    /// Looks at the rows past the store.
    async fn raw(&self) -> DatabaseConnection {
        Database::connect(&self.scratch.url).await.unwrap()
    }

    /// The first column of each row, as text.
    async fn select(&self, sql: &str) -> Vec<String> {
        select(&self.raw().await, sql).await
    }

    /// Until a transaction of this database waits for another's lock. On SQLite a second
    /// writer waits before it begins, where nobody can see it.
    async fn someone_waits(&self) {
        if self.engine == Engine::Sqlite {
            return;
        }
        let db = self.raw().await;
        let waiting = "SELECT pid::text FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let deadline = Instant::now() + 10 * SECOND;
        while select(&db, waiting).await.is_empty() {
            assert!(Instant::now() < deadline, "nobody waits for a lock");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn options(url: &str) -> Options {
    Options {
        url: url.to_owned().into(),
        max_connections: 16,
        acquire_timeout: 20 * SECOND,
        statement_timeout: 20 * SECOND,
    }
}

async fn select(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|r| r.try_get_by_index(0).unwrap())
        .collect()
}

/// `None` where the name is taken.
async fn insert_card(tx: &Tx, card: Card) -> Option<Card> {
    let clearance = clearance(card.merchant());
    insert_card_as(tx, clearance, card, AUTHOR).await.unwrap()
}

async fn insert_card_as(
    tx: &Tx,
    clearance: Clearance,
    card: Card,
    author: &str,
) -> Result<Option<Card>> {
    let new = NewCard {
        clearance,
        card,
        author,
    };
    match tx.insert_cards(vec![new]).await {
        Ok(cards) => Ok(cards.into_iter().next()),
        Err(e) if e.is_conflict() => {
            // After an error of the engine's there would be no further statement.
            tx.latest_change().await.unwrap();
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

fn asked(caller: &str, id: Uuid, fingerprint: u8) -> Asked<'_> {
    Asked {
        caller,
        id,
        fingerprint: [fingerprint; 32],
    }
}

async fn insert_placement(tx: &Tx, placement: Placement) -> Option<Placement> {
    let clearance = clearance(placement.name.merchant());
    tx.insert_placement(&clearance, placement, AUTHOR)
        .await
        .unwrap()
}

fn clearance(merchant: &Merchant) -> Clearance {
    gate::judge(
        Door::Configure,
        Facts::merchant(&open_standing(merchant)),
        NOW,
    )
    .unwrap()
}

fn merchant(id: &str) -> Merchant {
    Merchant::from_id(id).unwrap()
}

fn card_name(merchant_id: &str, id: &str) -> CardName {
    CardName::new(merchant(merchant_id), id).unwrap()
}

/// A card with all three kinds.
fn card(merchant_id: &str, id: &str) -> Card {
    Card {
        no: 0,
        name: card_name(merchant_id, id),
        display_name: "Klook 客路".into(),
        headline: String::new(),
        avatar_uri: String::new(),
        contacts: vec![
            contact(Detail::Wecom(wecom())),
            contact(Detail::Phone(sealed("138****8000", "c2VhbGVkIHBob25l"))),
            contact(Detail::WechatId(sealed("kl***88", "c2VhbGVkIGlk"))),
        ],
        state: CardState::Active,
        version: 1,
        create_time: NOW,
        update_time: NOW,
        delete_time: None,
        purge_time: None,
    }
}

fn contact(detail: Detail) -> Contact {
    Contact {
        label: "客服".into(),
        detail,
    }
}

fn wecom() -> Wecom {
    Wecom {
        corp: None,
        target: WecomTarget::Acquisition(AcquisitionUri::parse(LINK).unwrap()),
        fallback: None,
    }
}

fn sealed(mask: &str, sealed: &str) -> Sealed {
    Sealed {
        mask: mask.into(),
        sealed: sealed.into(),
    }
}

/// A LIVE placement of all kinds.
fn placement(card: &Card, id: &str, surface: Surface) -> Placement {
    Placement {
        no: 0,
        name: PlacementName::new(card.merchant().clone(), id).unwrap(),
        card: card.name.clone(),
        card_no: card.no,
        kinds: Vec::new(),
        surface,
        start_time: None,
        end_time: None,
        state: PlacementState::Live,
        version: 1,
        create_time: NOW,
        update_time: NOW,
        delete_time: None,
    }
}

fn menu(position: i32) -> Surface {
    Surface::ChatMenu { position }
}

fn note(id: &str) -> Surface {
    Surface::NoteCapsule { note: id.into() }
}

fn message(id: &str) -> Surface {
    Surface::CardMessage {
        conversation: id.into(),
    }
}

fn link(merchant_id: &str, id: &str) -> Link {
    Link {
        no: 0,
        name: LinkName::new(merchant(merchant_id), id).unwrap(),
        placement: PlacementName::new(merchant(merchant_id), "p").unwrap(),
        kind: ContactKind::Wecom,
        channel: "春节 🧧".into(),
        token: String::new(),
        version: 1,
        create_time: NOW,
        expire_time: NOW + SECOND,
        revoke_time: None,
    }
}

/// Ids in the order of their bytes, which is no dictionary's.
const SORTED_IDS: [&str; 9] = ["0", "00", "1", "a", "a--b", "a-b", "a0", "ab", "b"];
