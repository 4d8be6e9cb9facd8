//! Numbers and ids that stand nowhere else go through every door of the program, with logs as
//! loud as they get; then every byte it left behind is searched for them.

use std::{fs, path::Path};

use mingpian::api::pb::{self, contact::Kind, environment::Container};
use prost::Message;
use sea_orm::{ConnectionTrait, DbBackend};
use tonic::{Request, Status, transport::Channel};
use uuid::Uuid;

use super::{canary::Canaries, channel, column, database, serve_on};
use crate::{
    on_both_engines,
    support::{
        CardClient, Engine, PlacementClient, Scratch, ServingClient, create_card, get_menu,
        in_menu, phone, place, process::Process, tap, viewer, wechat,
    },
};

on_both_engines!(
    secrets_are_nowhere_but_in_the_answers_that_reveal_them,
    a_secret_in_the_clear_would_be_found,
);

const LOUD: &str = "[log]\nfilter = \"trace\"";

/// Calls, and looks at each answer.
struct Visitor<'a> {
    canaries: &'a Canaries,
    channel: Channel,
    client: reqwest::Client,
    http: String,
}

const CARD: &str = "merchants/klook/cards/main";

impl Visitor<'_> {
    fn cards(&self) -> CardClient {
        CardClient::new(self.channel.clone())
    }

    fn serving(&self) -> ServingClient {
        ServingClient::new(self.channel.clone())
    }

    /// An answer that is masked.
    fn masked<M: Message>(&self, answer: Result<tonic::Response<M>, Status>) -> M {
        let message = answer.unwrap().into_inner();
        let bytes = message.encode_to_vec();
        self.canaries.no_secret_in("a masked answer", &bytes);
        message
    }

    /// A refusal, which quotes nothing.
    fn refused<M: std::fmt::Debug>(&self, answer: Result<M, Status>) {
        let status = answer.unwrap_err();
        let text = format!("{status:?} {}", status.message());
        self.canaries.nothing_in("a status", text.as_bytes());
        self.canaries
            .nothing_in("a status's details", status.details());
    }

    fn create(&self, request_id: &str, validate_only: bool) -> Request<pb::CreateCardRequest> {
        let mut request = Request::new(pb::CreateCardRequest {
            card: Some(self.canaries.card(&self.canaries.mobile)),
            request_id: request_id.to_owned(),
            validate_only,
            ..create_card("klook", "main")
        });
        let metadata = self.canaries.mobile.value.parse().unwrap();
        request.metadata_mut().insert("x-caller-note", metadata);
        request
    }

    async fn writes(&self) {
        let id = Uuid::now_v7().to_string();
        self.masked(self.cards().create_card(self.create("", true)).await);
        let first = self.masked(self.cards().create_card(self.create(&id, false)).await);
        let again = self.masked(self.cards().create_card(self.create(&id, false)).await);
        assert_eq!(first, again);
        self.refused(self.cards().create_card(self.create("", false)).await);
        let other = pb::CreateCardRequest {
            card: Some(self.canaries.card(&self.canaries.next_mobile)),
            request_id: id,
            ..create_card("klook", "main")
        };
        self.refused(self.cards().create_card(other).await);

        let service = pb::CreateCardRequest {
            card: Some(self.canaries.card(&self.canaries.service_number)),
            ..create_card("klook", "service")
        };
        self.masked(self.cards().create_card(service).await);
        let update = pb::UpdateCardRequest {
            card: Some(pb::Card {
                name: CARD.to_owned(),
                ..self.canaries.card(&self.canaries.next_mobile)
            }),
            request_id: Uuid::now_v7().to_string(),
            ..Default::default()
        };
        self.masked(self.cards().update_card(update.clone()).await);
        self.masked(self.cards().update_card(update).await);
        for (i, card) in (1..).zip(["main", "service"]) {
            let request = place("klook", card, card, in_menu(i));
            let mut placements = PlacementClient::new(self.channel.clone());
            self.masked(placements.create_placement(request).await);
        }
    }

    async fn reads(&self) {
        let name = CARD.to_owned();
        self.masked(self.cards().get_card(pb::GetCardRequest { name }).await);
        let list = pb::ListCardsRequest {
            parent: "merchants/klook".to_owned(),
            ..Default::default()
        };
        self.masked(self.cards().list_cards(list).await);
    }

    /// Mistakes that hold a secret.
    async fn mistakes(&self) {
        let c = self.canaries;
        for contact in [
            phone(&format!("{}x", c.mobile.value)),
            phone(&format!("{}00", c.mobile.value)),
            phone(&c.wechat_id.value),
            wechat(&format!("{}!", c.wechat_id.value)),
            wechat(&c.service_number.value),
        ] {
            let mut request = create_card("klook", "bad");
            request.card.as_mut().unwrap().contacts = vec![contact];
            self.refused(self.cards().create_card(request).await);
        }
        let mut long = create_card("klook", "bad");
        long.card.as_mut().unwrap().display_name = c.display_name.value.repeat(3);
        self.refused(self.cards().create_card(long).await);
        for text in c.secrets().map(|s| s.value.clone()) {
            let named = format!("{text}!");
            let name = format!("merchants/klook/cards/{named}");
            self.refused(self.cards().get_card(pb::GetCardRequest { name }).await);
            self.refused(self.cards().create_card(self.create(&text, false)).await);
            self.refused(self.cards().create_card(create_card("klook", &named)).await);
            let list = pb::ListCardsRequest {
                parent: "merchants/klook".to_owned(),
                page_token: text.clone(),
                ..Default::default()
            };
            self.refused(self.cards().list_cards(list).await);
            let token = tap(&text, Container::NativeApp);
            self.refused(self.serving().open_card(token).await);
            let mut menu = get_menu("klook");
            menu.viewer.as_mut().unwrap().viewer_id = format!("+86 {text}");
            self.refused(self.serving().get_chat_menu(menu).await);
            for path in ["t/", "", "t/x?number="] {
                let (status, page) = self.page(&format!("{path}{text}"), "curl").await;
                assert_eq!(status, 404);
                c.nothing_in("the page of a refusal", page.as_bytes());
            }
        }
    }

    /// Every answer that shows a contact in clear: here the canaries are looked for, and found.
    async fn reveals(&self) {
        let c = self.canaries;
        for (card, kind, secret) in [
            ("main", Kind::Phone, &c.next_mobile),
            ("main", Kind::WechatId, &c.wechat_id),
            ("service", Kind::Phone, &c.service_number),
        ] {
            let request = pb::RevealContactRequest {
                name: format!("merchants/klook/cards/{card}"),
                kind: kind.into(),
                ..Default::default()
            };
            let answer = self.cards().reveal_contact(request).await.unwrap();
            assert!(secret.is_in(&answer.into_inner().encode_to_vec()));
        }
        let mut menu = get_menu("klook");
        // What no caller should do; still it must not stay.
        menu.viewer.as_mut().unwrap().viewer_id = c.mobile.value.clone();
        let menu = self.masked(self.serving().get_chat_menu(menu).await);
        for item in &menu.items[1..] {
            let secret = [&c.next_mobile, &c.wechat_id][usize::from(item.kind() == Kind::WechatId)];
            for container in [
                Container::NativeApp,
                Container::WechatWebview,
                Container::Browser,
                Container::Desktop,
            ] {
                let mut request = tap(&item.tap_token, container);
                request.viewer = viewer();
                let plan = self.serving().open_card(request).await.unwrap();
                assert!(secret.is_in(&plan.into_inner().encode_to_vec()));
            }
            for agent in ["iPhone Safari", "iPhone MicroMessenger/8", "curl/8"] {
                let path = format!("t/{}", item.tap_token);
                let (status, page) = self.page(&path, agent).await;
                assert_eq!(status, 200);
                assert!(secret.is_in(page.as_bytes()), "{agent}");
            }
        }
    }

    async fn deletes(&self) {
        let request = pb::DeleteCardRequest {
            name: CARD.to_owned(),
            request_id: Uuid::now_v7().to_string(),
            ..Default::default()
        };
        self.masked(self.cards().delete_card(request).await);
    }

    async fn page(&self, path: &str, agent: &str) -> (u16, String) {
        let request = self.client.get(format!("{}/{path}", self.http));
        let answer = request.header("user-agent", agent).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// All that the store holds, as bytes: its files, or its tables' rows.
async fn stored(scratch: &Scratch) -> Vec<(String, Vec<u8>)> {
    let db = database(scratch).await;
    let mut found = Vec::new();
    if db.get_database_backend() == DbBackend::Postgres {
        let tables = "SELECT table_name::text FROM information_schema.tables \
                      WHERE table_schema = 'public'";
        let tables = column(&db, tables).await;
        assert!(tables.len() > 7, "{tables:?}");
        for table in tables {
            let rows = column(&db, &format!("SELECT t::text FROM {table} t")).await;
            found.push((table, rows.join("\n").into_bytes()));
        }
    }
    db.close().await.unwrap();
    files(scratch.dir.path(), &mut found);
    found
}

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

async fn secrets_are_nowhere_but_in_the_answers_that_reveal_them(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut process = serve_on(&scratch, LOUD);
    let canaries = Canaries::new();
    let visitor = Visitor {
        canaries: &canaries,
        channel: channel(process.grpc).await,
        client: reqwest::Client::new(),
        http: format!("http://{}", process.http),
    };
    visitor.writes().await;
    visitor.reads().await;
    visitor.mistakes().await;
    visitor.reveals().await;
    visitor.deletes().await;

    let metrics = reqwest::get(format!("http://{}/metrics", process.admin)).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    assert!(metrics.contains("CreateCard"));
    canaries.nothing_in("the metrics", metrics.as_bytes());
    // While it runs, so that the write-ahead log is still there.
    let running = stored(&scratch).await;
    if engine == Engine::Sqlite {
        assert!(
            running
                .iter()
                .any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty())
        );
    }
    let log = stop(&mut process);
    assert!(log.contains("TRACE") && log.contains("call ended"));
    for door in ["OpenCard", "/t/{token}"] {
        let fields = [
            door,
            " ended",
            "event_id=",
            "placement=merchants/klook/",
            "kind=",
        ];
        let told = |line: &str| fields.iter().all(|field| line.contains(field));
        assert!(log.lines().any(told), "no line tells of a tap by {door}");
    }
    canaries.nothing_in("the log", log.as_bytes());
    for (name, bytes) in running.into_iter().chain(stored(&scratch).await) {
        canaries.no_secret_in(&name, &bytes);
    }
}

fn stop(process: &mut Process) -> String {
    process.terminate();
    let ended = process.ends_within(std::time::Duration::from_secs(25));
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    process.output.lock().unwrap().clone()
}

/// The planted leak: the search above finds what is there, in each form and on each engine.
async fn a_secret_in_the_clear_would_be_found(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let process = serve_on(&scratch, "");
    let canaries = Canaries::new();
    let db = database(&scratch).await;
    for canary in canaries.secrets() {
        for form in &canary.forms {
            let bytes: Vec<u8> = form.chars().map(|c| c as u8).collect();
            assert!(canary.is_in(&[b"before ", &bytes[..], b" after"].concat()));
        }
        let leak = format!(
            "INSERT INTO audit (time, actor, action, resource, detail) \
             VALUES (1, 'a', 'b', 'c', 'number {}')",
            canary.value
        );
        db.execute_unprepared(&leak).await.unwrap();
    }
    db.close().await.unwrap();
    let stored = stored(&scratch).await;
    for canary in canaries.secrets() {
        let found = stored.iter().any(|(_, bytes)| canary.is_in(bytes));
        assert!(found, "{}", canary.value);
    }
    drop(process);
}
