//! WeCom's callbacks at the public door: what is genuine is kept once, and nothing else at all.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use mingpian::{
    api::pb::{self, wecom_service_client::WecomServiceClient},
    domain::Micros,
    wecom::envelope::{Envelope, to_post},
};
use reqwest::{Client, Response};
use sea_orm::{ConnectionTrait, Database, SqliteTransactionMode, Statement, TransactionTrait};
use url::form_urlencoded::byte_serialize;

mod load;
mod refused;
mod rotation;

use crate::{
    on_both_engines,
    support::{Engine, TestServer},
};

on_both_engines!(
    what_wecom_publishes_is_answered,
    an_event_that_comes_again_is_one_row,
    a_replay_a_day_later_is_refused,
    while_the_store_is_away_wecom_is_asked_to_come_again,
);

// WeCom's own example.
const TOKEN: &str = "QDG6eK";
const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
const CORP_ID: &str = "wx5823bf96d3bd56c7";
const ECHO: &str =
    "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==";
const ECHO_QUERY: &str = "msg_signature=5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3\
                          &timestamp=1409659589&nonce=263014780";
const MESSAGE: &str = "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0Q\
ADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8q\
Ljvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqC\
KIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27\
Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E\
7Q==";
const MESSAGE_QUERY: &str = "msg_signature=477715d11cdb4164915debcba66cb864d751f3e6\
                             &timestamp=1409659813&nonce=1372623149";
/// 2014-09-02, when that message was sent.
const THEN: Micros = Micros::from_seconds(1_409_659_813);

const MEMBER: &str = "zhangsan-canary";
const USER: &str = "woAJ2GCAAAcanaryWJHDDGi0mAAAAxxx";
const STATE: &str = "state-canary";

struct Door {
    server: TestServer,
    client: Client,
    envelope: Envelope,
    nonce: AtomicU64,
}

impl Door {
    async fn open(engine: Engine, more: &str) -> Self {
        let server = TestServer::start_with(engine, more).await;
        let request = pb::CreateCorpRequest {
            corp: Some(corp(TOKEN, KEY)),
            corp_id: "klook".into(),
            ..Default::default()
        };
        let mut corps = WecomServiceClient::new(server.channel().await);
        corps.create_corp(request).await.unwrap();
        Self {
            server,
            client: Client::new(),
            envelope: Envelope::new(TOKEN.into(), &KEY.into()).unwrap(),
            nonce: AtomicU64::new(1),
        }
    }

    fn url(&self, corp: &str, query: &str) -> String {
        format!("http://{}/wecom/callback/{corp}?{query}", self.server.http)
    }

    async fn get(&self, corp: &str, query: &str) -> (u16, String) {
        let answer = self.client.get(self.url(corp, query)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn post(&self, corp: &str, query: &str, body: String) -> Response {
        let request = self.client.post(self.url(corp, query)).body(body);
        request.send().await.unwrap()
    }

    /// The status of a message to this corp, sealed and signed as WeCom would.
    async fn tell(&self, message: &str) -> u16 {
        self.tell_as(&self.envelope, CORP_ID, message).await
    }

    async fn tell_as(&self, envelope: &Envelope, receive_id: &str, message: &str) -> u16 {
        let (query, encrypt) = self.sealed(envelope, receive_id, message);
        let body = to_post(receive_id, &encrypt);
        self.post("klook", &query, body).await.status().as_u16()
    }

    /// With a nonce and random bytes that were not used before.
    fn sealed(&self, envelope: &Envelope, receive_id: &str, message: &str) -> (String, String) {
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed);
        let random = u128::from(nonce).to_be_bytes();
        let encrypt = envelope.seal(message.as_bytes(), receive_id, random);
        let (nonce, time) = (nonce.to_string(), self.now().to_string());
        let signature = envelope.sign(&time, &nonce, &encrypt);
        let query = format!("msg_signature={signature}&timestamp={time}&nonce={nonce}");
        (query, encrypt)
    }

    /// An add by this user.
    fn added(&self, user: &str) -> String {
        added(user, self.now())
    }

    fn now(&self) -> i64 {
        self.server.clock.now().seconds()
    }

    async fn rows(&self) -> usize {
        let db = Database::connect(&self.server.scratch.url).await.unwrap();
        let count = "SELECT CAST(COUNT(*) AS text) FROM callbacks";
        let count = Statement::from_string(db.get_database_backend(), count);
        let row = db.query_one_raw(count).await.unwrap().unwrap();
        let rows: String = row.try_get_by_index(0).unwrap();
        db.close().await.unwrap();
        rows.parse().unwrap()
    }

    async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.server.admin);
        let answer = self.client.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    #[track_caller]
    fn counted(metrics: &str, kind: &str, outcome: &str, times: u64) {
        let labels = format!("kind=\"{kind}\",outcome=\"{outcome}\"");
        let line = format!("mingpian_wecom_callbacks_total{{{labels}}} {times}\n");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

fn corp(token: &str, key: &str) -> pb::Corp {
    pb::Corp {
        display_name: "Klook".into(),
        corp_id: CORP_ID.into(),
        app_secret: "a-secret".into(),
        callback_token: token.into(),
        encoding_aes_key: key.into(),
        ..Default::default()
    }
}

fn added(user: &str, seconds: i64) -> String {
    format!(
        "<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName>\
         <FromUserName><![CDATA[sys]]></FromUserName><CreateTime>{seconds}</CreateTime>\
         <MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[change_external_contact]]></Event>\
         <ChangeType><![CDATA[add_external_contact]]></ChangeType>\
         <UserID><![CDATA[{MEMBER}]]></UserID>\
         <ExternalUserID><![CDATA[{user}]]></ExternalUserID>\
         <State><![CDATA[{STATE}]]></State><WelcomeCode><![CDATA[CODE]]></WelcomeCode></xml>"
    )
}

async fn what_wecom_publishes_is_answered(engine: Engine) {
    let door = Door::open(engine, "").await;
    let escaped: String = byte_serialize(ECHO.as_bytes()).collect();
    for echo in [escaped, ECHO.to_owned(), ECHO.replace('+', "%20")] {
        let answer = door
            .get("klook", &format!("{ECHO_QUERY}&echostr={echo}"))
            .await;
        assert_eq!(answer, (200, "1616140317555161061".to_owned()));
    }
    let message = || to_post(CORP_ID, MESSAGE);
    let late = door.post("klook", MESSAGE_QUERY, message()).await;
    assert_eq!(late.status(), 403);
    door.server.clock.stop_at(THEN);
    let answer = door.post("klook", MESSAGE_QUERY, message()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.text().await.unwrap(), "");
    assert_eq!(door.rows().await, 0, "a message is no event");
    let metrics = door.metrics().await;
    Door::counted(&metrics, "VERIFICATION", "verified", 3);
    Door::counted(&metrics, "UNKNOWN", "untimely", 1);
    Door::counted(&metrics, "UNKNOWN", "ignored", 1);
}

async fn an_event_that_comes_again_is_one_row(engine: Engine) {
    let door = Door::open(engine, "").await;
    let add = door.added(USER);
    for _ in 0..3 {
        assert_eq!(door.tell(&add).await, 200);
    }
    let at_once = join_all((0..8).map(|_| door.tell(&add))).await;
    assert_eq!(at_once, [200; 8]);
    assert_eq!(door.rows().await, 1);
    assert_eq!(door.tell(&door.added("wo-another")).await, 200);
    let later = added(USER, door.now() + 1);
    assert_eq!(door.tell(&later).await, 200);
    assert_eq!(door.rows().await, 3);
    let metrics = door.metrics().await;
    Door::counted(&metrics, "ADDED", "kept", 3);
    Door::counted(&metrics, "ADDED", "repeated", 10);
}

async fn a_replay_a_day_later_is_refused(engine: Engine) {
    let door = Door::open(engine, "").await;
    let add = door.added(USER);
    let (query, encrypt) = door.sealed(&door.envelope, CORP_ID, &add);
    let post = || door.post("klook", &query, to_post(CORP_ID, &encrypt));
    assert_eq!(post().await.status(), 200);
    door.server.clock.advance(Duration::from_secs(59 * 60));
    assert_eq!(post().await.status(), 200);
    door.server.clock.advance(Duration::from_secs(23 * 60 * 60));
    assert_eq!(post().await.status(), 403);
    assert_eq!(door.tell(&add).await, 403, "in a new envelope");
    assert_eq!(door.tell(&added("wo-late", door.now() - 3602)).await, 403);
    assert_eq!(door.tell(&added("wo-early", door.now() + 330)).await, 403);
    assert_eq!(door.rows().await, 1);
    assert_eq!(door.tell(&added("wo-ahead", door.now() + 290)).await, 200);
    assert_eq!(door.rows().await, 2);
}

async fn while_the_store_is_away_wecom_is_asked_to_come_again(engine: Engine) {
    let door = Door::open(engine, "[limits]\ndeadline_seconds = 2").await;
    let (add, url) = (door.added(USER), &door.server.scratch.url);
    let db = Database::connect(url).await.unwrap();
    if engine == Engine::Sqlite {
        let mode = sea_orm::TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let lock = db.begin_with_options(mode).await.unwrap();
        assert_eq!(door.tell(&add).await, 503);
        lock.rollback().await.unwrap();
    } else {
        let (server, database) = url.rsplit_once('/').unwrap();
        db.close().await.unwrap();
        let admin = Database::connect(format!("{server}/postgres"))
            .await
            .unwrap();
        let allow = |yes| format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {yes}");
        let cut = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        );
        admin.execute_unprepared(&allow(false)).await.unwrap();
        admin.execute_unprepared(&cut).await.unwrap();
        assert_eq!(door.tell(&add).await, 503);
        admin.execute_unprepared(&allow(true)).await.unwrap();
        admin.close().await.unwrap();
    }
    let until = Instant::now() + Duration::from_secs(20);
    while door.tell(&add).await != 200 {
        assert!(Instant::now() < until, "the store does not come back");
    }
    assert_eq!(door.rows().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_callback_tells_is_sealed_in_the_store() {
    let door = Door::open(Engine::Sqlite, "").await;
    assert_eq!(door.tell(&door.added(USER)).await, 200);
    let metrics = door.metrics().await;
    let mut kept = Vec::new();
    for name in ["mingpian.db", "mingpian.db-wal"] {
        kept.extend(std::fs::read(door.server.scratch.file(name)).unwrap());
    }
    let within = |text: &str, word: &str| text.contains(word);
    let kept = String::from_utf8_lossy(&kept);
    assert!(within(&kept, "callbacks_key"), "the right file");
    for word in [MEMBER, USER, STATE, TOKEN, KEY] {
        assert!(!within(&kept, word), "{word}");
        assert!(!within(&metrics, word), "{word}");
    }
    assert!(!metrics.contains("klook"));
}
