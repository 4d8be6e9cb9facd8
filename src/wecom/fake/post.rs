//! Callbacks, as WeCom sends them: sealed and signed, each up to three times until it is
//! answered with 200 within five seconds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Console, event::Event};
use crate::wecom::envelope::{Envelope, to_post};

const PATIENCE: Duration = Duration::from_secs(5);
/// The door must show that it reads us in this time.
const VERIFY_PATIENCE: Duration = Duration::from_secs(1);
const DELIVERIES: u32 = 3;

/// Where a corp's callbacks go, and how they are sealed.
#[derive(Clone)]
pub(super) struct Receiver {
    url: String,
    corp_id: String,
    envelope: Arc<Envelope>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receiver")
    }
}

/// How callbacks travel.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Travel {
    /// Each comes so often, even when it is answered.
    pub copies: u32,
    /// Those of one tap come in the wrong order.
    pub reversed: bool,
    /// They never come.
    pub lost: bool,
    /// Between two deliveries of one that was not answered; WeCom does not say how long.
    pub pause_millis: u64,
}

impl Default for Travel {
    fn default() -> Self {
        Self {
            copies: 1,
            reversed: false,
            lost: false,
            pause_millis: 1000,
        }
    }
}

/// What became of callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// Requests made.
    pub sent: u64,
    /// Requests answered with 200 in time.
    pub answered: u64,
    /// Events that no delivery brought over.
    pub given_up: u64,
}

/// The address does not read what WeCom sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address does not answer as WeCom asks")]
pub struct NotVerified;

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    answered: AtomicU64,
    given_up: AtomicU64,
}

/// Carries callbacks.
#[derive(Clone, Debug)]
pub(super) struct Post {
    http: Client,
    counters: Arc<Counters>,
    under_way: TaskTracker,
    stop: CancellationToken,
}

impl Post {
    pub(super) fn new(stop: CancellationToken) -> reqwest::Result<Self> {
        Ok(Self {
            // The door is on loopback.
            http: Client::builder().no_proxy().build()?,
            counters: Arc::default(),
            under_way: TaskTracker::new(),
            stop,
        })
    }
}

impl Console {
    /// Sets where the corp's callbacks go; the address must show that it reads them.
    pub async fn set_callback(
        &self,
        corp_id: &str,
        url: &str,
        token: &str,
        encoding_aes_key: &str,
    ) -> Result<(), NotVerified> {
        let key = SecretString::from(encoding_aes_key);
        let envelope = Envelope::new(token.into(), &key).ok_or(NotVerified)?;
        let receiver = Receiver {
            url: url.to_owned(),
            corp_id: corp_id.to_owned(),
            envelope: Arc::new(envelope),
        };
        self.verify(&receiver).await?;
        let mut world = self.world();
        let corp = world.corps.get_mut(corp_id).ok_or(NotVerified)?;
        corp.receiver = Some(receiver);
        Ok(())
    }

    /// How callbacks travel from now on.
    pub fn set_travel(&self, travel: Travel) {
        self.world().travel = travel;
    }

    pub fn delivered(&self) -> Delivered {
        let counters = &self.post.counters;
        Delivered {
            sent: counters.sent.load(Ordering::Relaxed),
            answered: counters.answered.load(Ordering::Relaxed),
            given_up: counters.given_up.load(Ordering::Relaxed),
        }
    }

    /// Waits until every callback has been answered or given up.
    pub async fn settled(&self) {
        self.post.under_way.close();
        self.post.under_way.wait().await;
        self.post.under_way.reopen();
    }

    async fn verify(&self, receiver: &Receiver) -> Result<(), NotVerified> {
        let echo = u64::from_be_bytes(self.ambient.random()).to_string();
        let sealed = receiver.seal(self, echo.as_bytes());
        let request = self.post.http.get(&receiver.url).query(&sealed.query());
        let request = request.query(&[("echostr", &sealed.encrypt)]);
        let answer = request.timeout(VERIFY_PATIENCE).send().await;
        let answer = answer.map_err(|_| NotVerified)?;
        let verified =
            answer.status() == StatusCode::OK && answer.text().await.is_ok_and(|text| text == echo);
        verified.then_some(()).ok_or(NotVerified)
    }

    /// Sends events of one corp on their way, one after another.
    pub(super) fn send(&self, corp_id: &str, mut events: Vec<Event>) {
        let (receiver, travel) = {
            let world = self.world();
            let corp = world.corps.get(corp_id);
            (corp.and_then(|c| c.receiver.clone()), world.travel)
        };
        let Some(receiver) = receiver.filter(|_| !travel.lost) else {
            return;
        };
        if travel.reversed {
            events.reverse();
        }
        let (console, stop) = (self.clone(), self.post.stop.clone());
        let sending = async move {
            for event in events {
                let message = event.xml(&receiver.corp_id);
                for _ in 0..travel.copies {
                    console.deliver(&receiver, message.as_bytes(), travel).await;
                }
            }
        };
        let sending = async move { stop.run_until_cancelled(sending).await };
        self.post.under_way.spawn(sending);
    }

    async fn deliver(&self, receiver: &Receiver, message: &[u8], travel: Travel) {
        let counters = &self.post.counters;
        for delivery in 1..=DELIVERIES {
            counters.sent.fetch_add(1, Ordering::Relaxed);
            if self.answered(receiver, message).await {
                counters.answered.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if delivery < DELIVERIES {
                sleep(Duration::from_millis(travel.pause_millis)).await;
            }
        }
        counters.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Sealed anew with each delivery.
    async fn answered(&self, receiver: &Receiver, message: &[u8]) -> bool {
        let sealed = receiver.seal(self, message);
        let body = to_post(&receiver.corp_id, &sealed.encrypt);
        let request = self.post.http.post(&receiver.url).query(&sealed.query());
        let request = request.header("content-type", "text/xml").body(body);
        let answer = request.timeout(PATIENCE).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }
}

struct Sealed {
    encrypt: String,
    signature: String,
    timestamp: String,
    nonce: String,
}

impl Receiver {
    fn seal(&self, console: &Console, message: &[u8]) -> Sealed {
        let random = console.ambient.random();
        let encrypt = self.envelope.seal(message, &self.corp_id, random);
        let timestamp = console.now().seconds().to_string();
        let nonce = u64::from_be_bytes(console.ambient.random()).to_string();
        Sealed {
            signature: self.envelope.sign(&timestamp, &nonce, &encrypt),
            encrypt,
            timestamp,
            nonce,
        }
    }
}

impl Sealed {
    fn query(&self) -> [(&'static str, &str); 3] {
        [
            ("msg_signature", &self.signature),
            ("timestamp", &self.timestamp),
            ("nonce", &self.nonce),
        ]
    }
}
