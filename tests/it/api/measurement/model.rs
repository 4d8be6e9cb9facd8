//! Against a model in another language: `tests/tools/funnel.py` makes the funnel of the same
//! random events anew, and the two are equal to the last viewer.
//!
//!     TEST_EVENTS=1000000 tests/tools/with-tools tests/tools/with-postgres \
//!         cargo test --release --test it measurement::model

use std::{
    collections::{BTreeMap, HashSet},
    env,
    fmt::Write,
    fs::{self, File},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mingpian::{
    api::pb::{
        self, TimeBasis, event::Origin, event::Type, query_funnel_request::Granularity,
        query_funnel_request::Scope,
    },
    domain::Micros,
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::{ALL_TOLD, Api, DAY, HOUR, micros, time};
use crate::{
    api::PATIENT,
    lifecycle::times,
    on_both_engines,
    support::{Engine, MeasurementClient, create_card, get_menu, in_menu, on_note, place},
};

on_both_engines!(the_funnel_is_the_models);

const MERCHANTS: u32 = 3;
const DAYS: u32 = 29;
/// Of ten minutes, so that events often stand just on a window's end.
const SLOTS: u32 = (DAYS - 1) * 24 * 6;
const KINDS: [Type; 6] = [
    Type::Impression,
    Type::Copy,
    Type::Dial,
    Type::Inbound,
    Type::Opening,
    Type::Lead,
];
const LANES: usize = 4;

/// One event, in few bytes.
#[derive(Clone, Copy)]
struct Told {
    id: u32,
    merchant: u32,
    viewer: u32,
    slot: u32,
    kind: u32,
    origin: u32,
    note: u32,
}

/// What is easily repeated: an xorshift.
struct Random(u64);

impl Random {
    fn pick(&mut self, of: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 16) % u64::from(of)).unwrap()
    }
}

/// So many events, some of them more than once, in no order. No viewer did two things at once.
fn events(many: usize, random: &mut Random) -> Vec<Told> {
    let viewers = u32::try_from(many / 25).unwrap() + 1;
    let (mut told, mut taken) = (Vec::new(), HashSet::new());
    while taken.len() < many {
        let event = Told {
            id: u32::try_from(taken.len()).unwrap(),
            merchant: random.pick(MERCHANTS),
            // Some did much more than others.
            viewer: random.pick(viewers).min(random.pick(viewers)),
            slot: random.pick(SLOTS),
            kind: random.pick(6),
            origin: random.pick(8),
            note: random.pick(8),
        };
        if !taken.insert((event.merchant, event.viewer, event.slot)) {
            continue;
        }
        told.push(event);
        if random.pick(10) == 0 {
            told.push(event);
        }
        // The same id, days apart, is another event.
        let later = event.slot + 144 * (1 + random.pick(3));
        let again = (event.merchant, event.viewer, later);
        if random.pick(50) == 0 && later < SLOTS && taken.insert(again) {
            told.push(Told {
                slot: later,
                ..event
            });
        }
    }
    for n in (1..told.len()).rev() {
        let other = random.pick(u32::try_from(n + 1).unwrap());
        told.swap(n, other as usize);
    }
    told
}

/// What the events name at each merchant.
struct Scene {
    start: Micros,
    /// Of the menu's item, and of a link to the first capsule, by merchant.
    tokens: Vec<[String; 2]>,
}

const CHANNEL: &str = "spring";

impl Scene {
    async fn new(api: &mut Api) -> Self {
        let now = api.server.clock.now().0;
        let days = i64::from(DAYS) * 86_400_000_000;
        let mut scene = Self {
            start: Micros(now - now % 3_600_000_000 - days),
            tokens: Vec::new(),
        };
        for m in 0..MERCHANTS {
            let merchant = format!("m-{m}");
            let card = create_card(&merchant, "main");
            api.cards.create_card(card).await.unwrap();
            for (id, surface) in [
                ("menu", in_menu(1)),
                ("capsule-1", on_note(&format!("n-{m}-1"))),
                ("capsule-2", on_note(&format!("n-{m}-2"))),
            ] {
                let placement = place(&merchant, "main", id, surface);
                api.placements.create_placement(placement).await.unwrap();
            }
            let menu = api.serving.get_chat_menu(get_menu(&merchant)).await;
            let link = pb::CreateLinkRequest {
                parent: format!("merchants/{merchant}"),
                link: Some(pb::Link {
                    placement: format!("merchants/{merchant}/placements/capsule-1"),
                    channel: CHANNEL.into(),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let link = api.links.create_link(link).await.unwrap().into_inner();
            let item = menu.unwrap().into_inner().items.remove(0);
            scene.tokens.push([item.tap_token, link.token]);
        }
        scene
    }

    fn at(&self, told: Told) -> Micros {
        self.start + told.slot * (HOUR / 6)
    }

    /// As the service is told.
    fn event(&self, told: Told) -> pb::Event {
        let merchant = format!("merchants/m-{}", told.merchant);
        let placement = |id| Some(Origin::Placement(format!("{merchant}/placements/{id}")));
        let tokens = &self.tokens[told.merchant as usize];
        pb::Event {
            event_id: format!("e-{}", told.id),
            r#type: KINDS[told.kind as usize].into(),
            viewer_id: format!("v-{}", told.viewer),
            origin: match told.origin {
                0 => placement("menu"),
                1 => placement("capsule-1"),
                2 => placement("capsule-2"),
                3 => Some(Origin::TapToken(tokens[0].clone())),
                4 => Some(Origin::TapToken(tokens[1].clone())),
                _ => None,
            },
            event_time: time(self.at(told)),
            note: match told.note {
                n @ 0..=1 => format!("notes/more-{n}"),
                _ => String::new(),
            },
            merchant,
            ..Default::default()
        }
    }

    /// As the model is told: what it is about, by ids.
    fn line(&self, told: Told) -> String {
        let m = told.merchant;
        let (placement, note, channel) = match told.origin {
            0 | 3 => ("menu", String::new(), ""),
            1 => ("capsule-1", format!("n-{m}-1"), ""),
            2 => ("capsule-2", format!("n-{m}-2"), ""),
            4 => ("capsule-1", format!("n-{m}-1"), CHANNEL),
            _ => ("", String::new(), ""),
        };
        let note = match told.note {
            n @ 0..=1 => format!("more-{n}"),
            _ => note,
        };
        let line = json!({
            "merchant": format!("m-{m}"), "viewer": told.viewer, "id": told.id,
            "type": KINDS[told.kind as usize].as_str_name(), "time": self.at(told).0,
            "placement": placement, "note": note, "channel": channel,
        });
        line.to_string()
    }

    /// Sends all, in lanes side by side; some batches twice.
    async fn send(&self, api: &Api, events: &[Told]) {
        let size = (events.len() / 20).clamp(1, 1000);
        let batches: Vec<_> = events.chunks(size).collect();
        let next = AtomicUsize::new(0);
        let accepted = Mutex::new((0, 0));
        let lanes = (0..LANES).map(|_| async {
            let mut client = api.server.measurement().await;
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                let n = next.load(Ordering::Relaxed);
                for _ in 0..1 + usize::from(n.is_multiple_of(7)) {
                    let answer = self.send_one(&mut client, batch).await;
                    let mut accepted = accepted.lock().unwrap();
                    accepted.0 += answer.accepted;
                    accepted.1 += answer.duplicates;
                }
            }
        });
        futures_util::future::join_all(lanes).await;
        let (accepted, duplicates) = *accepted.lock().unwrap();
        println!("{accepted} events went in, {duplicates} duplicates did not");
    }

    /// Again where it has to be: that is safe.
    async fn send_one(
        &self,
        client: &mut MeasurementClient,
        batch: &[Told],
    ) -> pb::IngestEventsResponse {
        let events: Vec<_> = batch.iter().map(|told| self.event(*told)).collect();
        loop {
            let events = events.clone();
            match client
                .ingest_events(pb::IngestEventsRequest { events })
                .await
            {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    assert_eq!(answer.rejected, []);
                    return answer;
                }
                Err(status) => {
                    let passing = [Code::Unavailable, Code::Aborted, Code::DeadlineExceeded];
                    assert!(passing.contains(&status.code()), "{status:?}");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn ask(
        &self,
        api: &mut Api,
        merchant: &str,
        basis: TimeBasis,
        scope: Option<Scope>,
    ) -> pb::QueryFunnelResponse {
        let request = pb::QueryFunnelRequest {
            merchant: format!("merchants/{merchant}"),
            scope,
            start: time(self.start),
            end: time(self.start + DAYS * DAY),
            granularity: Granularity::Hour.into(),
            time_basis: basis.into(),
        };
        let answer = api.measurement.query_funnel(request).await;
        answer.unwrap().into_inner()
    }

    /// Waits until everything acknowledged before now is in.
    async fn catch_up(&self, api: &mut Api) {
        let (acknowledged, started) = (api.server.clock.now(), Instant::now());
        loop {
            let answer = self.ask(api, "m-0", TimeBasis::Touch, None).await;
            if micros(answer.as_of) > acknowledged {
                println!("rolled up {:.1?} later", started.elapsed());
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(1800), "never");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// How many viewers, by what `funnel.py` counts them by.
type Counts = BTreeMap<(String, String, i64, String, [String; 3]), i64>;

/// What the model makes of these lines.
fn model(api: &Api, lines: &str) -> Counts {
    let file = api.server.scratch.file("events.jsonl");
    fs::write(&file, lines).unwrap();
    let python = env::var("TEST_PYTHON").expect("no Python: run `tests/run`");
    let output = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/tools/funnel.py"
        ))
        .stdin(File::open(file).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap();
    lines
        .lines()
        .map(|line| {
            type Row = (String, String, i64, String, String, String, String, i64);
            let (merchant, basis, hour, stage, placement, note, channel, viewers): Row =
                parse(line);
            let key = (merchant, basis, hour, stage, [placement, note, channel]);
            (key, viewers)
        })
        .collect()
}

/// The rows' counts by hour and stage.
fn told(answer: &pb::QueryFunnelResponse) -> BTreeMap<(i64, String), i64> {
    let rows = answer.rows.iter().flat_map(|row| {
        let hour = row.start.unwrap().seconds / 3600;
        let counts = row.counts.iter().filter(|count| count.viewers != 0);
        counts.map(move |c| ((hour, c.r#type().as_str_name().to_owned()), c.viewers))
    });
    rows.collect()
}

async fn the_funnel_is_the_models(engine: Engine) {
    let more = format!("{ALL_TOLD}{PATIENT}");
    let mut api = Api::start_with(engine, &more).await;
    let scene = Scene::new(&mut api).await;
    let seed = times("TEST_SEED", rand::random::<u32>() as usize);
    println!("TEST_SEED={seed}");
    let mut random = Random(seed as u64 + 1);
    let events = events(times("TEST_EVENTS", 4000), &mut random);
    let mut lines = String::new();
    for told in &events {
        writeln!(lines, "{}", scene.line(*told)).unwrap();
    }
    let started = Instant::now();
    scene.send(&api, &events).await;
    println!(
        "{engine:?}: {} sent in {:.1?}",
        events.len(),
        started.elapsed()
    );
    scene.catch_up(&mut api).await;

    let model = model(&api, &lines);
    let mut compared = 0;
    for m in 0..MERCHANTS {
        let merchant = format!("m-{m}");
        let placement = |id| Scope::Placement(format!("merchants/m-{m}/placements/{id}"));
        let note = |id: &str| Scope::Note(format!("notes/{id}"));
        for (scope, at, id) in [
            (None, 0, String::new()),
            (Some(placement("menu")), 0, "menu".into()),
            (Some(placement("capsule-1")), 0, "capsule-1".into()),
            (Some(placement("capsule-2")), 0, "capsule-2".into()),
            (Some(note(&format!("n-{m}-1"))), 1, format!("n-{m}-1")),
            (Some(note(&format!("n-{m}-2"))), 1, format!("n-{m}-2")),
            (Some(note("more-0")), 1, "more-0".into()),
            (Some(note("more-1")), 1, "more-1".into()),
            (Some(Scope::Channel(CHANNEL.into())), 2, CHANNEL.into()),
        ] {
            for basis in [TimeBasis::Event, TimeBasis::Touch] {
                let mut wanted = BTreeMap::new();
                for ((of, by, hour, stage, named), viewers) in &model {
                    let in_scope = scope.is_none() || named[at] == id;
                    if *of == merchant && by == basis.as_str_name() && in_scope {
                        *wanted.entry((*hour, stage.clone())).or_default() += viewers;
                    }
                }
                let answer = scene.ask(&mut api, &merchant, basis, scope.clone()).await;
                let told = told(&answer);
                let differ = wanted.keys().chain(told.keys());
                let differ: Vec<_> = differ.filter(|k| wanted.get(k) != told.get(k)).collect();
                assert!(
                    differ.is_empty(),
                    "{merchant} {basis:?} {scope:?}: {differ:?}"
                );
                assert!(!wanted.is_empty());
                compared += wanted.len();
            }
        }
    }
    println!("{engine:?}: {compared} figures are the model's");
}
