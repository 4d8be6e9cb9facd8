//! What is told outward: a real NATS, and a consumer that follows it.

mod kill;
mod lost;
mod nats;
mod roles;
mod told;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt;
use mingpian::{
    domain::{CorpName, EventKind},
    store::{Of, Options, Store},
};
use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};

use self::nats::Nats;
use crate::support::Scratch;

/// Settings, as TOML, that tell this NATS.
fn telling(nats: &Nats) -> String {
    format!(
        "events_url = \"{}\"\n[spend]\nlease_seconds = 2\n",
        nats.url()
    )
}

/// What a consumer knows.
#[derive(Clone, Default)]
struct Heard {
    /// Of every event, once however often it came.
    ids: HashSet<String>,
    /// The latest of each subject.
    latest: HashMap<String, Value>,
}

impl Heard {
    fn hear(&mut self, event: Value) {
        if !self.ids.insert(text(&event, "id")) {
            return;
        }
        let subject = text(&event, "subject");
        let newer = |known: &Value| text(known, "sequence") < text(&event, "sequence");
        if self.latest.get(&subject).is_none_or(newer) {
            self.latest.insert(subject, event);
        }
    }

    /// The ids of the adds that there are.
    fn adds(&self) -> BTreeSet<String> {
        let adds = self.latest.values();
        let adds = adds.filter(|event| event["type"] == "mingpian.contact.added");
        adds.map(|event| text(&event["data"], "eventId")).collect()
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

/// Follows the stream, whatever becomes of NATS.
struct Consumer {
    heard: Arc<Mutex<Heard>>,
    following: JoinHandle<()>,
}

impl Consumer {
    fn of(nats: &Nats) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (url, hears) = (nats.url(), heard.clone());
        let following = tokio::spawn(async move {
            loop {
                let _ = follow(&url, &hears).await;
                sleep(Duration::from_millis(50)).await;
            }
        });
        Self { heard, following }
    }

    fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until this is so.
    async fn hears(&self, what: &str, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let started = Instant::now();
        loop {
            let heard = self.heard();
            if wanted(&heard) {
                return heard;
            }
            let known = heard.latest.values().map(|event| &event["type"]);
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{what}: {:?}",
                known.collect::<Vec<_>>()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// From the first event on, until NATS breaks off.
async fn follow(url: &str, heard: &Mutex<Heard>) -> Result<(), async_nats::Error> {
    let context = jetstream::new(async_nats::connect(url).await?);
    let stream = context.get_stream("MINGPIAN").await?;
    let config = pull::Config {
        inactive_threshold: Duration::from_secs(60),
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let mut messages = consumer
        .stream()
        .heartbeat(Duration::from_millis(500))
        .messages()
        .await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let headers = message.headers.as_ref().unwrap();
        assert_eq!(
            headers.get("content-type").unwrap().as_str(),
            "application/cloudevents+json"
        );
        let event: Value = serde_json::from_slice(&message.payload)?;
        assert_eq!(
            headers.get("Nats-Msg-Id").unwrap().as_str(),
            text(&event, "id")
        );
        let subject = format!(
            "mingpian.{}",
            message.subject.strip_prefix("mingpian.").unwrap()
        );
        assert_eq!(subject, text(&event, "type"));
        heard.lock().unwrap().hear(event);
        message.ack().await?;
    }
    Ok(())
}

async fn store(scratch: &Scratch) -> Store {
    let options = Options {
        url: scratch.url.clone().into(),
        max_connections: 2,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(10),
    };
    Store::open(&options).await.unwrap()
}

/// The ids of the adds that the database has.
async fn adds(store: &Store) -> BTreeSet<String> {
    let name = CorpName::new("klook").unwrap();
    let Some(corp) = store.reads().corp(&name).await.unwrap() else {
        return BTreeSet::new();
    };
    let of = Of::Corp { no: corp.no };
    let page = store.reads().contact_events_page(of, None, 1_000_000);
    let adds = page.await.unwrap().into_iter();
    adds.filter(|event| event.event.kind == EventKind::Added)
        .map(|event| event.id.to_string())
        .collect()
}
