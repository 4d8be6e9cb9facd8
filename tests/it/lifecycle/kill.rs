//! kill -9 under a writing load: what was acknowledged is there, and a retry of what was not
//! has one effect.
//!
//! It shows that an acknowledgment follows the commit. It says nothing of power cuts: what
//! the system holds in its cache survives a killed process.

mod exposures;
mod intake;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mingpian::api::pb;
use sea_orm::ConnectionTrait;
use tokio::{task::JoinSet, time::sleep};
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{channel, column, database, serve_on, times};
use crate::{
    on_both_engines,
    support::{CardClient, Engine, PlacementClient, Scratch, card, on_note, phone},
};

on_both_engines!(
    what_was_acknowledged_survives_a_kill,
    a_loss_after_a_kill_would_be_noticed
);

const WRITERS: usize = 6;
/// Many write at once, on a machine that may have other work.
const LIMITS: &str = "[cards]\nper_merchant = 1000\n[store]\nacquire_timeout_millis = 20000\n";

/// The one who writes and remembers: a merchant of its own, and what it was told.
struct Writer {
    merchant: String,
    cards: BTreeMap<String, pb::Card>,
    placements: BTreeMap<String, pb::Placement>,
    acknowledged: usize,
    /// Sent, and not answered.
    lost: Option<Write>,
}

#[derive(Clone)]
enum Write {
    Create(pb::CreateCardRequest),
    Update(pb::UpdateCardRequest),
    Place(pb::CreatePlacementRequest),
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Card(pb::Card),
    Placement(pb::Placement),
}

impl Write {
    async fn send(&self, channel: &Channel) -> Result<Answer, Status> {
        let mut cards = CardClient::new(channel.clone());
        let mut placements = PlacementClient::new(channel.clone());
        Ok(match self.clone() {
            Self::Create(r) => Answer::Card(cards.create_card(r).await?.into_inner()),
            Self::Update(r) => Answer::Card(cards.update_card(r).await?.into_inner()),
            Self::Place(r) => Answer::Placement(placements.create_placement(r).await?.into_inner()),
        })
    }
}

impl Writer {
    fn new(merchant: String) -> Self {
        Self {
            merchant,
            cards: BTreeMap::new(),
            placements: BTreeMap::new(),
            acknowledged: 0,
            lost: None,
        }
    }

    /// Creates a card, changes it, places it; again and again until the server is gone.
    async fn work(mut self, channel: Channel, total: Arc<AtomicUsize>) -> Self {
        for n in 0.. {
            let create = self.create(n);
            let Some(Answer::Card(card)) = self.send(create, &channel, &total).await else {
                break;
            };
            let update = self.update(card.clone(), n);
            if self.send(update, &channel, &total).await.is_none() {
                break;
            }
            let place = self.place(card.name, n);
            if self.send(place, &channel, &total).await.is_none() {
                break;
            }
        }
        self
    }

    fn create(&self, n: usize) -> Write {
        Write::Create(pb::CreateCardRequest {
            parent: self.parent(),
            card: Some(pb::Card {
                headline: format!("number {n}"),
                ..card()
            }),
            request_id: request_id(),
            ..Default::default()
        })
    }

    fn update(&self, card: pb::Card, n: usize) -> Write {
        let contacts = vec![phone(&number(n))];
        Write::Update(pb::UpdateCardRequest {
            card: Some(pb::Card { contacts, ..card }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["contacts".to_owned()],
            }),
            request_id: request_id(),
            ..Default::default()
        })
    }

    fn place(&self, card: String, n: usize) -> Write {
        Write::Place(pb::CreatePlacementRequest {
            parent: self.parent(),
            placement: Some(pb::Placement {
                card,
                surface: Some(on_note(&format!("{}-{n}", self.merchant))),
                ..Default::default()
            }),
            request_id: request_id(),
            ..Default::default()
        })
    }

    fn parent(&self) -> String {
        format!("merchants/{}", self.merchant)
    }

    async fn send(
        &mut self,
        write: Write,
        channel: &Channel,
        total: &AtomicUsize,
    ) -> Option<Answer> {
        match write.send(channel).await {
            Ok(answer) => {
                self.acknowledged += 1;
                total.fetch_add(1, Ordering::Relaxed);
                self.remember(answer.clone());
                Some(answer)
            }
            Err(status) => {
                let info = status.get_details_error_info();
                assert!(info.is_none(), "refused, not killed: {status:?}");
                self.lost = Some(write);
                None
            }
        }
    }

    fn remember(&mut self, answer: Answer) {
        match answer {
            Answer::Card(card) => drop(self.cards.insert(card.name.clone(), card)),
            Answer::Placement(p) => drop(self.placements.insert(p.name.clone(), p)),
        }
    }

    /// What the store has of this merchant.
    async fn found(&self, channel: &Channel) -> Self {
        let mut found = Self::new(self.merchant.clone());
        let mut cards = CardClient::new(channel.clone());
        let mut placements = PlacementClient::new(channel.clone());
        let mut page_token = String::new();
        loop {
            let request = pb::ListCardsRequest {
                parent: self.parent(),
                page_size: 100,
                page_token,
                ..Default::default()
            };
            let page = cards.list_cards(request).await.unwrap().into_inner();
            for card in page.cards {
                found.remember(Answer::Card(card));
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        loop {
            let request = pb::ListPlacementsRequest {
                parent: self.parent(),
                page_size: 100,
                page_token,
                ..Default::default()
            };
            let page = placements.list_placements(request).await.unwrap();
            let page = page.into_inner();
            for placement in page.placements {
                found.remember(Answer::Placement(placement));
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        found
    }

    /// Retries what was lost, twice; whether it had been done before it was lost.
    async fn retry(&mut self, channel: &Channel) -> Option<bool> {
        let write = self.lost.take()?;
        let before = self.found(channel).await;
        let first = write.send(channel).await.expect("a retry");
        let second = write.send(channel).await.expect("a second retry");
        assert_eq!(first, second, "one request_id, one answer");
        let done = before.has(&first);
        self.remember(first);
        Some(done)
    }

    fn has(&self, answer: &Answer) -> bool {
        match answer {
            Answer::Card(card) => self.cards.get(&card.name) == Some(card),
            Answer::Placement(p) => self.placements.get(&p.name) == Some(p),
        }
    }

    /// What is missing, other than it was acknowledged, or there without a request.
    async fn differences(&self, channel: &Channel) -> Vec<String> {
        let found = self.found(channel).await;
        let mut names = differing(&self.cards, &found.cards);
        names.extend(differing(&self.placements, &found.placements));
        names
    }
}

fn differing<T: PartialEq>(a: &BTreeMap<String, T>, b: &BTreeMap<String, T>) -> Vec<String> {
    let mut names: Vec<_> = a.keys().chain(b.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| a.get(*name) != b.get(*name));
    names.into_iter().cloned().collect()
}

/// Starts the program, lets the writers write for `long` from the first answer, and kills it.
async fn write_and_kill(scratch: &Scratch, round: usize, long: Duration) -> Vec<Writer> {
    let mut process = serve_on(scratch, LIMITS);
    let (mut writers, total) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for w in 0..WRITERS {
        let channel = channel(process.grpc).await;
        writers.spawn(Writer::new(format!("m{round}-{w}")).work(channel, total.clone()));
    }
    let started = Instant::now();
    while total.load(Ordering::Relaxed) < WRITERS {
        assert!(started.elapsed() < Duration::from_secs(20), "no answers");
        sleep(Duration::from_millis(1)).await;
    }
    sleep(long).await;
    process.kill();
    writers.join_all().await
}

async fn what_was_acknowledged_survives_a_kill(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let kills = times("TEST_KILLS", 8);
    let (mut all, mut lost, mut done) = (Vec::new(), 0, 0);
    for round in 0..kills {
        let long = Duration::from_millis(50 + u64::from(rand::random::<u32>() % 450));
        let mut writers = write_and_kill(&scratch, round, long).await;

        let process = serve_on(&scratch, LIMITS);
        let channel = channel(process.grpc).await;
        for writer in &mut writers {
            if let Some(was_done) = writer.retry(&channel).await {
                lost += 1;
                done += usize::from(was_done);
            }
            assert_eq!(writer.differences(&channel).await, [""; 0], "kill {round}");
        }
        if let Some(name) = writers[0].cards.keys().next() {
            can_be_revealed(name, &channel).await;
        }
        intact(&scratch).await;
        all.extend(writers);
    }

    let process = serve_on(&scratch, LIMITS);
    let channel = channel(process.grpc).await;
    for writer in &all {
        assert_eq!(writer.differences(&channel).await, [""; 0], "at the end");
    }
    let acknowledged: usize = all.iter().map(|w| w.acknowledged).sum();
    println!(
        "{engine:?}: {kills} kills, {acknowledged} writes acknowledged, all there; \
         {lost} answers lost, {done} of them after the commit, each with one effect"
    );
    // No kill hit the load if nothing was under way.
    assert!(lost > 0 && acknowledged > kills * WRITERS);
}

/// The planted loss: without it nobody knows that the check above can fail.
async fn a_loss_after_a_kill_would_be_noticed(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut writers = write_and_kill(&scratch, 0, Duration::from_millis(300)).await;
    writers.retain(|writer| !writer.cards.is_empty());
    let victim = writers[0].cards.keys().next().unwrap().clone();
    let changed = writers[1].cards.keys().next().unwrap().clone();
    let id = |name: &String| name.rsplit('/').next().unwrap().to_owned();
    let db = database(&scratch).await;
    for sql in [
        format!("DELETE FROM cards WHERE id = '{}'", id(&victim)),
        format!(
            "UPDATE cards SET headline = 'x' WHERE id = '{}'",
            id(&changed)
        ),
    ] {
        assert_eq!(
            db.execute_unprepared(&sql).await.unwrap().rows_affected(),
            1
        );
    }
    db.close().await.unwrap();

    let process = serve_on(&scratch, LIMITS);
    let channel = channel(process.grpc).await;
    for (writer, name) in writers.iter().zip([victim, changed]) {
        let found = writer.differences(&channel).await;
        assert!(found.contains(&name), "{name} is not among {found:?}");
    }
}

/// The keys are what they were: a contact opens.
async fn can_be_revealed(name: &str, channel: &Channel) {
    let request = pb::RevealContactRequest {
        name: name.to_owned(),
        kind: pb::contact::Kind::Phone.into(),
        ..Default::default()
    };
    let answer = CardClient::new(channel.clone())
        .reveal_contact(request)
        .await;
    let value = answer.unwrap().into_inner().value;
    assert!(value.starts_with("+86138"), "{value}");
}

async fn intact(scratch: &Scratch) {
    let db = database(scratch).await;
    if db.get_database_backend() == sea_orm::DbBackend::Sqlite {
        assert_eq!(column(&db, "PRAGMA integrity_check").await, ["ok"]);
    }
    db.close().await.unwrap();
}

fn number(n: usize) -> String {
    format!("1380013{:04}", n % 10_000)
}

fn request_id() -> String {
    Uuid::now_v7().to_string()
}
