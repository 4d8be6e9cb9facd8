//! Adds made are adds counted, whatever WeCom does with its callbacks and however often the
//! program is killed. `TEST_CALLBACKS=100000 TEST_KILLS=10 tests/run callbacks` is the long run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mingpian::{
    api::pb::{self, contact_event::Type, wecom_service_client::WecomServiceClient},
    domain::{ContactKind, Origin, TapToken},
    keys::{KeyFile, KeyRing},
};
use tokio::{task::JoinSet, time::sleep};

use super::sender::{CORP_ID, Sender, Told, corp};
use crate::{
    lifecycle::{channel, column, database, path, serve_on, times},
    on_both_engines,
    support::{
        CardClient, Engine, LINK, PlacementClient, Scratch, create_card, in_menu, place,
        process::Process,
    },
};

on_both_engines!(adds_made_are_adds_counted_whatever_a_kill_cuts_off);

/// Deliveries under way at once.
const SENDERS: usize = 32;
const SETTINGS: &str = "[spend]\nlease_seconds = 2\n";

#[derive(Clone, Copy, PartialEq)]
enum Sent {
    Genuine,
    ForgedSignature,
    /// Genuine once, a day ago.
    Replayed,
}

/// Where the program is now, and what it took.
struct Run {
    sender: Sender,
    http: RwLock<String>,
    accepted: AtomicUsize,
    /// Answered with 200, and not genuine.
    wrongly: AtomicUsize,
}

impl Run {
    /// As WeCom does, again until it is taken; the program may be dead meanwhile.
    async fn deliver(&self, told: &Told, sent: Sent) {
        loop {
            let http = self.http.read().unwrap().clone();
            let answer = match sent {
                Sent::ForgedSignature => self.sender.forge(&http, told).await,
                Sent::Genuine | Sent::Replayed => self.sender.send(&http, told).await,
            };
            match (answer, sent) {
                (Some(200), Sent::Genuine) => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                (Some(200), _) => {
                    self.wrongly.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                (Some(403), Sent::ForgedSignature | Sent::Replayed) => return,
                (Some(403 | 400), Sent::Genuine) => panic!("refused: {told:?}"),
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// Half and full adds, a few first messages; of every tenth add the State is forged.
fn made(ring: &KeyRing, placement_no: i64, contacts: usize) -> Vec<Told> {
    let mut told = Vec::new();
    for n in 0..contacts {
        // After the card came: what it named then counts.
        let time = now() + i64::from(rand::random::<u32>() % 60);
        let mut state = ring.seal_token(&TapToken {
            placement_no,
            kind: ContactKind::Wecom,
            issued: u32::try_from(time).unwrap(),
            origin: Origin::Served {
                viewer: n as u64,
                arm: 0,
            },
            nonce: (n as u64).to_be_bytes(),
        });
        if n % 10 == 9 {
            let other = if &state[7..8] == "B" { "C" } else { "B" };
            state.replace_range(7..8, other);
        }
        let who = format!("wo-{n}");
        let contact = |change, after| Told::contact(change, &who, &state, time + after);
        told.push(contact("add_half_external_contact", 0));
        told.push(contact("add_external_contact", 1));
    }
    told
}

/// Each 1 to 3 times, a tenth more that nobody must take, all in any order.
fn deliveries(told: &[Told]) -> Vec<(Told, Sent)> {
    let mut all = Vec::new();
    for (n, told) in told.iter().enumerate() {
        let often = 1 + rand::random::<u32>() as usize % 3;
        all.extend(std::iter::repeat_n((told.clone(), Sent::Genuine), often));
        match n % 20 {
            3 => {
                let external = format!("wo-forged-{n}");
                let told = Told {
                    external,
                    ..told.clone()
                };
                all.push((told, Sent::ForgedSignature));
            }
            13 => {
                let external = format!("wo-replayed-{n}");
                let time = told.time - 24 * 60 * 60;
                let told = Told {
                    external,
                    time,
                    ..told.clone()
                };
                all.push((told, Sent::Replayed));
            }
            _ => {}
        }
    }
    for i in (1..all.len()).rev() {
        all.swap(i, rand::random::<u32>() as usize % (i + 1));
    }
    all
}

/// The placement's number.
async fn stage(process: &Process, scratch: &Scratch) -> i64 {
    let channel = channel(process.grpc).await;
    let mut corps = WecomServiceClient::new(channel.clone());
    corps.create_corp(corp("klook", CORP_ID)).await.unwrap();
    let mut card = create_card("klook", "main");
    let target = pb::wecom_contact::Target::AcquisitionUri(LINK.into());
    card.card.as_mut().unwrap().contacts = vec![pb::Contact {
        details: Some(pb::contact::Details::Wecom(pb::WecomContact {
            corp: "corps/klook".into(),
            target: Some(target),
            ..Default::default()
        })),
        ..Default::default()
    }];
    CardClient::new(channel.clone())
        .create_card(card)
        .await
        .unwrap();
    let menu = place("klook", "main", "menu", in_menu(1));
    PlacementClient::new(channel)
        .create_placement(menu)
        .await
        .unwrap();
    let db = database(scratch).await;
    let nos = column(&db, "SELECT CAST(no AS text) FROM placements").await;
    db.close().await.unwrap();
    nos[0].parse().unwrap()
}

async fn waiting(scratch: &Scratch) -> usize {
    let db = database(scratch).await;
    let sql = "SELECT CAST(COUNT(*) AS text) FROM callbacks WHERE next_time IS NOT NULL";
    let rows = column(&db, sql).await;
    db.close().await.unwrap();
    rows[0].parse().unwrap()
}

async fn listed(process: &Process) -> Vec<pb::ContactEvent> {
    let mut corps = WecomServiceClient::new(channel(process.grpc).await);
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListContactEventsRequest {
            parent: "corps/klook".into(),
            page_size: 100,
            page_token,
        };
        let page = corps
            .list_contact_events(request)
            .await
            .unwrap()
            .into_inner();
        all.extend(page.contact_events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn adds_made_are_adds_counted_whatever_a_kill_cuts_off(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let (callbacks, kills) = (times("TEST_CALLBACKS", 2000), times("TEST_KILLS", 2));
    let mut process = serve_on(&scratch, SETTINGS);
    let placement_no = stage(&process, &scratch).await;
    // Its card came a moment ago, and taps are older.
    sleep(Duration::from_secs(1)).await;
    let file = KeyFile::read(path(&scratch, "keys.toml").as_ref()).unwrap();
    let ring = KeyRing::new(&file).unwrap();
    let contacts = callbacks / 2;
    let told = made(&ring, placement_no, contacts);
    let all = deliveries(&told);
    let (number, genuine) = (
        all.len(),
        all.iter().filter(|d| d.1 == Sent::Genuine).count(),
    );
    let run = Arc::new(Run {
        sender: Sender::new("klook", CORP_ID),
        http: RwLock::new(process.http.to_string()),
        accepted: AtomicUsize::new(0),
        wrongly: AtomicUsize::new(0),
    });

    let (next, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(all));
    let (mut senders, started) = (JoinSet::new(), Instant::now());
    for _ in 0..SENDERS {
        let (run, next, all) = (run.clone(), next.clone(), all.clone());
        senders.spawn(async move {
            while let Some((told, sent)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                run.deliver(told, *sent).await;
            }
        });
    }
    for kill in 1..=kills {
        while next.load(Ordering::Relaxed) < number * kill / (kills + 1) {
            sleep(Duration::from_millis(1)).await;
        }
        process.kill();
        process = serve_on(&scratch, SETTINGS);
        *run.http.write().unwrap() = process.http.to_string();
    }
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    let sent = started.elapsed();
    let until = Instant::now() + Duration::from_secs(60 + callbacks as u64 / 100);
    while waiting(&scratch).await > 0 {
        assert!(Instant::now() < until, "{} wait", waiting(&scratch).await);
        sleep(Duration::from_millis(100)).await;
    }
    let worked = started.elapsed();

    let events = listed(&process).await;
    let credited: Vec<_> = events.iter().filter(|e| !e.merchant.is_empty()).collect();
    let taps: BTreeSet<_> = credited.iter().map(|e| e.tap_event_id.as_str()).collect();
    let mut by_reason = BTreeMap::<_, usize>::new();
    for event in &events {
        assert_eq!(event.r#type(), Type::Added, "{event:?}");
        *by_reason
            .entry(event.unattributed().as_str_name())
            .or_default() += 1;
    }
    println!(
        "{engine:?}: {contacts} adds made, {} callbacks, {number} deliveries of which {genuine} \
         genuine, {kills} kills: {} adds counted, {} credited {by_reason:?}, {} forged or \
         replayed were taken; sent in {sent:.0?}, worked off after {worked:.0?}",
        told.len(),
        events.len(),
        credited.len(),
        run.wrongly.load(Ordering::Relaxed),
    );
    assert_eq!(run.wrongly.load(Ordering::Relaxed), 0);
    assert_eq!(run.accepted.load(Ordering::Relaxed), genuine);
    assert_eq!(events.len(), contacts);
    let forged = contacts / 10;
    assert_eq!(
        (credited.len(), taps.len()),
        (contacts - forged, contacts - forged)
    );
    assert_eq!(by_reason.get("STATE_FORGED"), Some(&forged));
}
