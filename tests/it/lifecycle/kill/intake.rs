//! kill -9 while events come in and are rolled up: what was acknowledged is counted, and
//! nothing is counted twice.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mingpian::api::pb::{self, event::Type, query_funnel_request::Granularity};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Status, transport::Channel};

use super::super::{channel, column, database, serve_on, times};
use crate::{
    on_both_engines,
    support::{Clock, Engine, MeasurementClient, Scratch},
};

on_both_engines!(what_was_acknowledged_is_counted_once_whenever_it_is_killed);

const SENDERS: usize = 4;
const BATCH: usize = 100;
/// Another leads soon after one was killed.
const SETTINGS: &str = "[spend]\nlease_seconds = 2\n[measurement]\nwithheld_under = 1\n";

/// One who sends, and remembers whom it was told of.
struct Sender {
    /// Distinguishes its viewers.
    name: String,
    inbound: BTreeSet<String>,
    opening: BTreeSet<String>,
    /// Sent, and not answered.
    lost: Option<Batch>,
}

#[derive(Clone)]
struct Batch {
    kind: Type,
    viewers: Vec<String>,
}

impl Batch {
    async fn send(&self, channel: &Channel, hour: i64) -> Result<i32, Status> {
        let event = |viewer: &String| pb::Event {
            event_id: format!("{}-{viewer}", self.kind.as_str_name()),
            r#type: self.kind.into(),
            merchant: "merchants/klook".into(),
            viewer_id: viewer.clone(),
            event_time: Some(prost_types::Timestamp {
                seconds: hour + i64::from(self.kind == Type::Opening),
                nanos: 0,
            }),
            ..Default::default()
        };
        let events = self.viewers.iter().map(event).collect();
        let request = pb::IngestEventsRequest { events };
        let mut client = MeasurementClient::new(channel.clone());
        let answer = client.ingest_events(request).await?.into_inner();
        assert_eq!(answer.rejected, []);
        let all = usize::try_from(answer.accepted + answer.duplicates).unwrap();
        assert_eq!(all, self.viewers.len());
        Ok(answer.duplicates)
    }
}

impl Sender {
    fn new(name: String) -> Self {
        Self {
            name,
            inbound: BTreeSet::new(),
            opening: BTreeSet::new(),
            lost: None,
        }
    }

    /// Openings come before the inbounds that their windows need, so that each batch makes
    /// the roll-up look at the same viewers again.
    async fn work(mut self, channel: Channel, hour: i64, total: Arc<AtomicUsize>) -> Self {
        for n in 0.. {
            let viewers = (0..BATCH).map(|v| format!("{}-{n}-{v}", self.name));
            let viewers: Vec<_> = viewers.collect();
            for kind in [Type::Opening, Type::Inbound] {
                let batch = Batch {
                    kind,
                    viewers: viewers.clone(),
                };
                if batch.send(&channel, hour).await.is_err() {
                    self.lost = Some(batch);
                    return self;
                }
                self.remember(batch);
                total.fetch_add(1, Ordering::Relaxed);
            }
        }
        self
    }

    fn remember(&mut self, batch: Batch) {
        let seen = match batch.kind {
            Type::Opening => &mut self.opening,
            _ => &mut self.inbound,
        };
        seen.extend(batch.viewers);
    }

    /// Whether what was lost had gone in.
    async fn retry(&mut self, channel: &Channel, hour: i64) -> bool {
        let batch = self.lost.take().expect("a batch under way");
        let there = batch.send(channel, hour).await.expect("a retry");
        assert!(
            [0, BATCH as i32].contains(&there),
            "all of a batch, or none"
        );
        let again = batch.send(channel, hour).await.expect("a second retry");
        assert_eq!(again, BATCH as i32);
        self.remember(batch);
        there > 0
    }
}

/// Inbounds and openings, once everything is in that was acknowledged before.
async fn counted(channel: &Channel, hour: i64) -> (i64, i64) {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let request = pb::QueryFunnelRequest {
        merchant: "merchants/klook".into(),
        start: at(hour),
        end: at(hour + 3600),
        granularity: Granularity::All.into(),
        ..Default::default()
    };
    let (now, started) = (Clock::default().now(), Instant::now());
    let mut client = MeasurementClient::new(channel.clone());
    loop {
        let answer = client.query_funnel(request.clone()).await.unwrap();
        let answer = answer.into_inner();
        if answer.as_of.unwrap().seconds > now.seconds() {
            let count = |kind: Type| {
                let mut counts = answer.rows[0].counts.iter();
                counts.find(|count| count.r#type() == kind).unwrap().viewers
            };
            return (count(Type::Inbound), count(Type::Opening));
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "never rolled up"
        );
        sleep(Duration::from_millis(50)).await;
    }
}

async fn what_was_acknowledged_is_counted_once_whenever_it_is_killed(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let now = Clock::default().now().seconds();
    let hour = now - now % 3600 - 24 * 3600;
    let kills = times("TEST_KILLS", 2);
    let (mut all, mut done, mut waiting, mut rolled) = (Vec::new(), 0, 0, 0);
    for round in 0..kills {
        let mut process = serve_on(&scratch, SETTINGS);
        let (mut senders, total) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        for s in 0..SENDERS {
            let sender = Sender::new(format!("v{round}-{s}"));
            let channel = channel(process.grpc).await;
            senders.spawn(sender.work(channel, hour, total.clone()));
        }
        let started = Instant::now();
        while total.load(Ordering::Relaxed) < SENDERS {
            assert!(started.elapsed() < Duration::from_secs(20), "no answers");
            sleep(Duration::from_millis(1)).await;
        }
        // Some of its roll-ups go through: it leads two seconds after the one before it at most.
        let long = 2_000 + u64::from(rand::random::<u32>() % 2_000);
        sleep(Duration::from_millis(long)).await;
        process.kill();
        let mut senders = senders.join_all().await;

        let db = database(&scratch).await;
        let has = async |sql| usize::from(!column(&db, sql).await.is_empty());
        waiting += has("SELECT 'x' FROM funnel_queue LIMIT 1").await;
        rolled += has("SELECT 'x' FROM funnel_hours LIMIT 1").await;
        db.close().await.unwrap();

        let process = serve_on(&scratch, SETTINGS);
        let channel = channel(process.grpc).await;
        for sender in &mut senders {
            done += usize::from(sender.retry(&channel, hour).await);
        }
        all.extend(senders);
        let viewers = |of: fn(&Sender) -> &BTreeSet<String>| {
            let viewers = all.iter().map(|sender| of(sender).len()).sum::<usize>();
            i64::try_from(viewers).unwrap()
        };
        let inbound = viewers(|sender| &sender.inbound);
        // Who was not seen inbound has no window to open in.
        let opening = viewers(|sender| &sender.opening)
            - i64::try_from(all.iter().map(Sender::windowless).sum::<usize>()).unwrap();
        assert_eq!(
            counted(&channel, hour).await,
            (inbound, opening),
            "kill {round}"
        );
        println!("{engine:?}: kill {round}: {inbound} inbound, {opening} openings, all there");
    }
    println!(
        "{engine:?}: {kills} kills, {waiting} with work waiting, {rolled} after a roll-up; {} \
         batches unanswered, {done} of them in",
        kills * SENDERS
    );
    assert!(waiting > 0 && rolled > 0, "no kill hit both");
}

impl Sender {
    fn windowless(&self) -> usize {
        self.opening.difference(&self.inbound).count()
    }
}
