//! Clients that fetch menus, tap and write, and retry as `deploy/client/service-config.json` says.

use std::{
    fmt, fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mingpian::api::pb::environment::Container;
use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::balancer::Balancer;
use crate::support::{CardClient, ServingClient, create_card, get_menu, tap};

/// A caller's own limit; far more than a call takes.
const DEADLINE: Duration = Duration::from_secs(10);

pub struct Callers {
    channel: Channel,
    policy: Policy,
    over: AtomicBool,
    calls: Mutex<Calls>,
}

/// What came of the calls.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    pub done: usize,
    pub retried: usize,
    /// Of those: in the middle of their answer.
    pub broken_off: usize,
    /// Cards that were acknowledged.
    pub written: usize,
    pub failed: Vec<String>,
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, written, retried) = (self.done, self.written, self.retried);
        let (broken_off, failed) = (self.broken_off, self.failed.len());
        write!(
            f,
            "{done} calls, {written} of them writes, {retried} retried, \
             {broken_off} of those broken off in their answer, {failed} failed"
        )
    }
}

impl Calls {
    fn note_retry(&mut self, broken_off: bool) {
        self.retried += 1;
        self.broken_off += usize::from(broken_off);
    }
}

impl Callers {
    pub async fn new(balancer: &Balancer) -> Self {
        Self {
            channel: balancer.channel().await,
            policy: Policy::documented(),
            over: AtomicBool::new(false),
            calls: Mutex::default(),
        }
    }

    /// So many at once, until the end.
    pub fn start(self: Arc<Self>, count: usize) -> Vec<JoinHandle<()>> {
        let caller = |n| {
            let callers = self.clone();
            tokio::spawn(async move {
                let mut round = 0;
                while !callers.over.load(Ordering::Relaxed) {
                    callers.visit(n, round).await;
                    round += 1;
                }
            })
        };
        (0..count).map(caller).collect()
    }

    pub async fn end(&self, callers: Vec<JoinHandle<()>>) -> Calls {
        self.over.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
        self.calls.lock().unwrap().clone()
    }

    /// A menu, a tap on what it shows, and now and then a write.
    async fn visit(&self, caller: usize, round: usize) {
        let menu = || {
            let mut serving = ServingClient::new(self.channel.clone());
            async move { serving.get_chat_menu(get(get_menu("klook"))).await }
        };
        if let Some(menu) = self.call("menu", menu).await {
            let token = &menu.items[0].tap_token;
            let tapping = || {
                let mut serving = ServingClient::new(self.channel.clone());
                let request = get(tap(token, Container::NativeApp));
                async move { serving.open_card(request).await }
            };
            self.call("tap", tapping).await;
        }
        if round.is_multiple_of(5) {
            self.write(format!("w{caller}-{round}")).await;
        }
    }

    /// A card, under one `request_id` however often it is sent.
    async fn write(&self, merchant: String) {
        let mut request = create_card(&merchant, "main");
        request.request_id = Uuid::now_v7().to_string();
        let writing = || {
            let mut cards = CardClient::new(self.channel.clone());
            let request = get(request.clone());
            async move { cards.create_card(request).await }
        };
        if self.call("write", writing).await.is_some() {
            self.calls.lock().unwrap().written += 1;
        }
    }

    /// A call, and again where the policy says so.
    async fn call<T, F>(&self, what: &str, call: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut attempt = 1;
        loop {
            let status = match call().await {
                Ok(answer) => {
                    self.calls.lock().unwrap().done += 1;
                    return Some(answer.into_inner());
                }
                Err(status) => status,
            };
            let broken_off = is_broken_off(&status);
            if !self.policy.again(status.code(), broken_off, attempt) {
                let failed = format!("{what}: {:?} {}", status.code(), status.message());
                self.calls.lock().unwrap().failed.push(failed);
                return None;
            }
            self.calls.lock().unwrap().note_retry(broken_off);
            sleep(self.policy.backoff(attempt)).await;
            attempt += 1;
        }
    }
}

fn get<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// A replica that dies after it began its answer: the way says INTERNAL, and without our reason.
/// gRPC's own retries end where an answer begins, so this one is the caller's.
fn is_broken_off(status: &Status) -> bool {
    status.code() == Code::Internal && status.get_details_error_info().is_none()
}

/// gRPC's retry policy.
struct Policy {
    attempts: u32,
    initial: f64,
    most: f64,
    multiplier: f64,
    codes: Vec<Code>,
}

impl Policy {
    fn documented() -> Self {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/deploy/client/service-config.json"
        );
        let config: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let policy = &config["methodConfig"][0]["retryPolicy"];
        let seconds = |key: &str| {
            let text = policy[key].as_str().unwrap();
            text.strip_suffix('s').unwrap().parse().unwrap()
        };
        let codes = policy["retryableStatusCodes"].as_array().unwrap().iter();
        let codes = codes.map(|code| match code.as_str().unwrap() {
            "UNAVAILABLE" => Code::Unavailable,
            "ABORTED" => Code::Aborted,
            other => panic!("{other}"),
        });
        Self {
            attempts: u32::try_from(policy["maxAttempts"].as_u64().unwrap()).unwrap(),
            initial: seconds("initialBackoff"),
            most: seconds("maxBackoff"),
            multiplier: policy["backoffMultiplier"].as_f64().unwrap(),
            codes: codes.collect(),
        }
    }

    /// Whether there is another attempt after this one, which ended so.
    fn again(&self, code: Code, broken_off: bool, attempt: u32) -> bool {
        attempt < self.attempts && (broken_off || self.codes.contains(&code))
    }

    /// After the attempt; ±20 %.
    fn backoff(&self, attempt: u32) -> Duration {
        let grown = self.initial * self.multiplier.powi(attempt.cast_signed() - 1);
        let part = f64::from(rand::random::<u32>()) / f64::from(u32::MAX);
        Duration::from_secs_f64(grown.min(self.most) * (0.8 + 0.4 * part))
    }
}
