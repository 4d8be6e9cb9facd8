//! The fake's users tap, and its callbacks arrive sealed as WeCom's.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::StatusCode,
    routing::get,
};
use mingpian::{
    domain::{
        AcquisitionUri, Notice,
        NoticeKind::{self, *},
        acquisition::Range,
    },
    wecom::{
        Client, Credentials, LinkSpec, Options,
        envelope::{Envelope, Signed, posted},
        events,
        fake::{Delivered, Fake, Friends, Outcome, Travel},
    },
};
use url::form_urlencoded;

use crate::support::Clock;

const CORP: &str = "ww1234567890abcdef";
const SECRET: &str = "secret-1";
const TOKEN: &str = "QDG6eK";
const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
const STATE: &str = "mp_0123456789-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX";

/// What WeCom is told to call.
#[derive(Clone)]
struct Door {
    envelope: Arc<Envelope>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    notices: Vec<Notice>,
    nonces: HashSet<String>,
    /// So many more are answered with 500.
    failing: u32,
}

impl Door {
    fn open(&self, query: &str, encrypt: Option<String>) -> Option<Vec<u8>> {
        let value = |key: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let found = pairs.find(|(k, _)| k == key);
            found.map(|(_, value)| value.into_owned())
        };
        let (signature, timestamp) = (value("msg_signature")?, value("timestamp")?);
        let nonce = value("nonce")?;
        let signed = Signed {
            signature: &signature,
            timestamp: &timestamp,
            nonce: &nonce,
        };
        let encrypt = encrypt.or_else(|| value("echostr"))?;
        let message = self.envelope.open(&signed, &encrypt, CORP).ok()?;
        self.heard.lock().unwrap().nonces.insert(nonce);
        Some(message.to_vec())
    }
}

async fn verify(State(door): State<Door>, RawQuery(query): RawQuery) -> (StatusCode, Vec<u8>) {
    match door.open(&query.unwrap_or_default(), None) {
        Some(echo) => (StatusCode::OK, echo),
        None => (StatusCode::FORBIDDEN, Vec::new()),
    }
}

async fn receive(State(door): State<Door>, RawQuery(query): RawQuery, body: String) -> StatusCode {
    let encrypt = posted(body.as_bytes()).unwrap();
    let message = door.open(&query.unwrap_or_default(), Some(encrypt));
    let notice = events::read(&message.unwrap()).unwrap().notice;
    let mut heard = door.heard.lock().unwrap();
    heard.notices.push(notice);
    if heard.failing > 0 {
        heard.failing -= 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    StatusCode::OK
}

struct World {
    fake: Fake,
    door: Door,
    url: String,
    client: Client,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::default();
        let listen = "127.0.0.1:0".parse().unwrap();
        let fake = Fake::start(listen, clock.ambient()).await.unwrap();
        fake.add_app(CORP, SECRET);
        let envelope = Envelope::new(TOKEN.into(), &KEY.into()).unwrap();
        let door = Door {
            envelope: Arc::new(envelope),
            heard: Arc::default(),
        };
        let routes = Router::new()
            .route("/callback", get(verify).post(receive))
            .with_state(door.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/callback", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        fake.set_callback(CORP, &url, TOKEN, KEY).await.unwrap();
        let options = Options {
            base_url: fake.base_url(),
            timeout: Duration::from_secs(5),
            calls_per_minute: 10_000,
        };
        let client = Client::new(&options, clock.ambient()).unwrap();
        Self {
            fake,
            door,
            url,
            client,
        }
    }

    async fn link(&self, skip_verify: bool) -> (String, AcquisitionUri) {
        let spec = LinkSpec {
            name: "a".to_owned(),
            range: Range {
                users: vec!["zhangsan".to_owned()],
                departments: vec![],
            },
            skip_verify,
        };
        let made = self.client.create_link(&corp(), &spec).await.unwrap();
        (made.link_id, made.uri)
    }

    /// What came since it was last asked.
    async fn heard(&self) -> Vec<Notice> {
        self.fake.settled().await;
        std::mem::take(&mut self.door.heard.lock().unwrap().notices)
    }

    async fn kinds(&self) -> Vec<NoticeKind> {
        self.heard().await.into_iter().map(|n| n.kind).collect()
    }
}

fn corp() -> Credentials {
    Credentials {
        corp_no: 1,
        corp_id: CORP.to_owned(),
        secret: SECRET.into(),
    }
}

#[tokio::test]
async fn a_tap_is_told_with_its_state() {
    let world = World::new().await;
    let (link_id, uri) = world.link(true).await;
    let tapped = uri.with_channel(STATE);
    let tap = world.fake.tap(tapped.as_str(), "v-1");
    assert_eq!(tap.outcome, Outcome::Added);
    let Friends {
        user_id,
        external_user_id,
        ..
    } = tap.friends.clone().unwrap();
    assert_eq!(external_user_id.len(), 32);
    let heard = world.heard().await;
    let kinds: Vec<_> = heard.iter().map(|n| n.kind).collect();
    assert_eq!(kinds, [FriendRequested, HalfAdded, Added]);
    for notice in &heard {
        assert_eq!(notice.state, STATE);
        let age = world.fake.now().seconds() - notice.event_time.seconds();
        assert!((0..60).contains(&age), "{age}");
    }
    assert_eq!(heard[0].link_id, link_id);
    assert_eq!(
        (&heard[2].user_id, &heard[2].external_user_id),
        (&user_id, &external_user_id)
    );

    let corp = corp();
    let customers = || world.client.customers(&corp, &link_id, None);
    let before = customers().await.unwrap().items;
    assert_eq!((before.len(), before[0].chatted), (1, Some(false)));
    assert_eq!(before[0].state, STATE);
    world.fake.chat(tap.friends.as_ref().unwrap());
    let heard = world.heard().await;
    assert_eq!(
        (heard[0].kind, heard[0].state.as_str()),
        (ChatStarted, STATE)
    );
    assert_eq!(customers().await.unwrap().items[0].chatted, Some(true));
}

#[tokio::test]
async fn a_friend_who_taps_again_is_not_told_of() {
    let world = World::new().await;
    let (_, uri) = world.link(false).await;
    // The scheme that opens WeChat has the whole link in it, encoded once more.
    let scheme = format!(
        "weixin://biz/ww/profile/{}",
        form_urlencoded::byte_serialize(uri.with_channel(STATE).as_str().as_bytes())
            .collect::<String>()
    );
    let tap = world.fake.tap(&scheme, "v-1");
    assert_eq!(tap.outcome, Outcome::Added);
    assert_eq!(world.kinds().await, [FriendRequested, Added]);
    let again = world.fake.tap(&scheme, "v-1");
    assert_eq!(
        (again.outcome, &again.friends),
        (Outcome::Known, &tap.friends)
    );
    assert_eq!(world.kinds().await, []);
    world.fake.leave(&tap.friends.unwrap());
    assert_eq!(world.kinds().await, [RemovedByUser]);
    let anew = world.fake.tap(&scheme, "v-1");
    world.fake.drop_contact(&anew.friends.unwrap());
    let mut kinds = world.kinds().await;
    kinds.retain(|kind| *kind == RemovedByMember);
    assert_eq!((anew.outcome, kinds.len()), (Outcome::Added, 1));
}

#[tokio::test]
async fn a_state_is_cut_at_64_bytes() {
    let world = World::new().await;
    let (_, uri) = world.link(false).await;
    let long = format!("{}?customer_channel={STATE}-and-more", uri.as_str());
    world.fake.tap(&long, "v-1");
    world.fake.tap(uri.as_str(), "v-2");
    let mut states: Vec<_> = world.heard().await;
    states.retain(|notice| notice.kind == Added);
    let mut states: Vec<_> = states.iter().map(|n| n.state.as_str()).collect();
    states.sort_unstable();
    assert_eq!((STATE.len(), states), (64, vec!["", STATE]));
}

#[tokio::test]
async fn adds_run_out_and_are_bought() {
    let world = World::new().await;
    let (_, uri) = world.link(false).await;
    let tap = |i: u32| world.fake.tap(uri.as_str(), &format!("v-{i}")).outcome;
    for i in 0..1000 {
        assert_eq!(tap(i), Outcome::Added);
    }
    assert_eq!(tap(1000), Outcome::Exhausted);
    let quota = world.client.quota(&corp()).await.unwrap();
    assert_eq!((quota.total, quota.balance), (1000, 0));
    world.fake.top_up(CORP, 30);
    world.fake.top_up(CORP, 1);
    let quota = world.client.quota(&corp()).await.unwrap();
    assert_eq!((quota.total, quota.balance), (1031, 31));
    for i in 1001..1014 {
        assert_eq!(tap(i), Outcome::Added);
    }
    world.fake.warn_of_expiry(CORP);
    let kinds = world.kinds().await;
    let count = |kind| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!(count(BalanceLow), 2);
    assert_eq!(count(BalanceExhausted), 1);
    assert_eq!(count(BalanceIncreased), 1);
    assert_eq!(count(QuotaExpiresSoon), 1);
    assert_eq!(count(Added), 1013);
}

#[tokio::test]
async fn the_console_is_told_of_and_the_api_is_not() {
    let world = World::new().await;
    let (link_id, uri) = world.link(true).await;
    let (by_api, _) = world.link(true).await;
    world.client.delete_link(&corp(), &by_api).await.unwrap();
    assert_eq!(world.kinds().await, []);
    world.fake.break_link(&link_id);
    assert_eq!(
        world.fake.tap(uri.as_str(), "v-1").outcome,
        Outcome::Unavailable
    );
    let heard = world.heard().await;
    assert_eq!(
        (heard[0].kind, &heard[0].link_id),
        (LinkUnavailable, &link_id)
    );
    world.fake.mend_link(&link_id);
    world.fake.delete_link(&link_id);
    assert_eq!(world.fake.tap(uri.as_str(), "v-1").outcome, Outcome::NoLink);
    assert_eq!(world.kinds().await, [LinkDeleted]);
    assert_eq!(world.client.link(&corp(), &link_id).await, Ok(None));
}

#[tokio::test]
async fn a_callback_comes_up_to_three_times_each_sealed_anew() {
    let world = World::new().await;
    let (link_id, _) = world.link(true).await;
    let quick = Travel {
        pause_millis: 1,
        ..Travel::default()
    };
    world.fake.set_travel(quick);
    world.door.heard.lock().unwrap().nonces.clear();
    world.door.heard.lock().unwrap().failing = 2;
    world.fake.break_link(&link_id);
    assert_eq!(world.kinds().await, [LinkUnavailable; 3]);
    assert_eq!(world.door.heard.lock().unwrap().nonces.len(), 3);
    world.door.heard.lock().unwrap().failing = 3;
    world.fake.break_link(&link_id);
    assert_eq!(world.kinds().await, [LinkUnavailable; 3]);
    let (sent, answered, given_up) = (6, 1, 1);
    let delivered = Delivered {
        sent,
        answered,
        given_up,
    };
    assert_eq!(world.fake.delivered(), delivered);
}

#[tokio::test]
async fn callbacks_come_twice_in_disorder_or_never() {
    let world = World::new().await;
    let (_, uri) = world.link(false).await;
    world.fake.set_travel(Travel {
        copies: 2,
        reversed: true,
        ..Travel::default()
    });
    world.fake.tap(uri.as_str(), "v-1");
    let told = world.kinds().await;
    assert_eq!(told, [Added, Added, FriendRequested, FriendRequested]);
    world.fake.set_travel(Travel {
        lost: true,
        ..Travel::default()
    });
    world.fake.tap(uri.as_str(), "v-2");
    assert_eq!(world.kinds().await, []);
}

#[tokio::test]
async fn an_address_must_read_what_wecom_sends() {
    let world = World::new().await;
    let other = "4Ma3YBrSBbX2aez8MJpXGBne5LSDwgGqHbhM9WPYIws";
    for (url, token, key) in [
        (world.url.as_str(), TOKEN, other),
        (world.url.as_str(), "other", KEY),
        (&world.fake.base_url(), TOKEN, KEY),
        ("http://127.0.0.1:1/", TOKEN, KEY),
    ] {
        let set = world.fake.set_callback(CORP, url, token, key).await;
        assert!(set.is_err(), "{url} {token}");
    }
}

#[tokio::test]
async fn the_console_is_there_over_http() {
    let world = World::new().await;
    let (link_id, uri) = world.link(true).await;
    let http = reqwest::Client::new();
    let post = |path: &str, body: serde_json::Value| {
        let url = format!("{}/fake/{path}", world.fake.base_url());
        let request = http.post(url).json(&body);
        async move { request.send().await.unwrap() }
    };
    let body = serde_json::json!({"uri": uri.as_str(), "user": "v-1"});
    let tap: serde_json::Value = post("taps", body).await.json().await.unwrap();
    assert_eq!(tap["outcome"], "added");
    post("chats", tap["friends"].clone()).await;
    post("leavings", tap["friends"].clone()).await;
    let of_link = serde_json::json!({"link_id": link_id});
    post("links/break", of_link.clone()).await;
    post("links/delete", of_link).await;
    let callback = serde_json::json!({
        "corp_id": CORP, "url": world.url, "token": TOKEN, "encoding_aes_key": KEY,
    });
    assert_eq!(post("callbacks", callback).await.status(), 200);
    let callback = serde_json::json!({
        "corp_id": CORP, "url": world.url, "token": "x", "encoding_aes_key": KEY,
    });
    assert_eq!(post("callbacks", callback).await.status(), 422);
    let kinds: HashSet<_> = world.kinds().await.into_iter().collect();
    let all = [
        FriendRequested,
        HalfAdded,
        Added,
        ChatStarted,
        RemovedByUser,
        LinkUnavailable,
        LinkDeleted,
    ];
    assert_eq!(kinds, all.into_iter().collect());
}
