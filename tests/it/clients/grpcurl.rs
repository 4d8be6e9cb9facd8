//! The real grpcurl, which knows of the server what reflection tells it.

use serde_json::{Value, json};

use super::{Ran, run, tool};
use crate::support::{Engine, LINK, MOBILE, SERVICE_NUMBER, TestServer, WECHAT_ID};

/// grpcurl's exit code for a status of 0 to 16 other than OK.
const STATUS: i32 = 64;
const INVALID_ARGUMENT: i32 = STATUS + 3;
const NOT_FOUND: i32 = STATUS + 5;
const ALREADY_EXISTS: i32 = STATUS + 6;
const FAILED_PRECONDITION: i32 = STATUS + 9;
const ABORTED: i32 = STATUS + 10;
const UNIMPLEMENTED: i32 = STATUS + 12;

struct Grpcurl(TestServer);

impl Grpcurl {
    async fn start() -> Self {
        Self(TestServer::start(Engine::Sqlite).await)
    }

    async fn run(&self, flags: &[&str], verb: &[&str]) -> Ran {
        let address = self.0.grpc.to_string();
        let arguments = [&["-plaintext"], flags, &[&address], verb].concat();
        let arguments = arguments.into_iter().map(ToOwned::to_owned);
        run(tool("TEST_GRPCURL"), arguments.collect()).await
    }

    async fn call(&self, method: &str, request: &Value) -> Ran {
        let (request, method) = (request.to_string(), format!("mingpian.v1.{method}"));
        self.run(&["-d", &request], &[&method]).await
    }

    async fn ok(&self, method: &str, request: Value) -> Value {
        let ran = self.call(method, &request).await;
        assert_eq!(ran.code, 0, "{method}: {}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }

    /// Refused with this exit code, and a reason that a person reads.
    async fn refused(&self, method: &str, request: Value, code: i32, reason: &str) -> String {
        let ran = self.call(method, &request).await;
        assert_eq!(ran.code, code, "{method}: {}", ran.err);
        // Versions differ in how they lay the details out.
        let said = ran.err.replace("\": \"", "\":\"");
        for words in [
            "google.rpc.ErrorInfo".to_owned(),
            "\"domain\":\"mingpian\"".to_owned(),
            format!("\"reason\":\"{reason}\""),
        ] {
            assert!(said.contains(&words), "{words} is not in {said}");
        }
        said
    }

    async fn opens(&self, token: &Value, container: &str) -> Vec<Value> {
        let plan = self
            .ok("ServingService/OpenCard", tap(token, container))
            .await;
        plan["steps"].as_array().unwrap().clone()
    }
}

fn viewer() -> Value {
    json!({"viewer_id": "v-1", "platform": "IOS"})
}

fn tap(token: &Value, container: &str) -> Value {
    json!({"tap_token": token, "viewer": viewer(), "environment": {"container": container}})
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_lists_and_describes_the_contract_with_its_comments() {
    let server = Grpcurl::start().await;
    let listed = server.run(&[], &["list"]).await;
    for service in [
        "grpc.health.v1.Health",
        "mingpian.v1.CardService",
        "mingpian.v1.ComplianceService",
        "mingpian.v1.LinkService",
        "mingpian.v1.PlacementService",
        "mingpian.v1.ServingService",
    ] {
        assert!(
            listed.out.lines().any(|line| line == service),
            "{}",
            listed.out
        );
    }
    for (symbol, words) in [
        (
            "mingpian.v1.CardService",
            "// Creates a card. Scope `cards.write`.",
        ),
        ("mingpian.v1.Card.display_name", "1 to 20 code points"),
        ("mingpian.v1.Contact.Kind", "// Dials a telephone number."),
        ("mingpian.v1.ErrorReason", "SLOT_TAKEN"),
        ("mingpian.v1.Placement", "message NoteCapsule"),
    ] {
        let described = server.run(&[], &["describe", symbol]).await;
        assert_eq!(described.code, 0, "{}", described.err);
        assert!(described.out.contains(words), "{symbol}: {}", described.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_asks_each_service_for_its_health() {
    let server = Grpcurl::start().await;
    let check = "grpc.health.v1.Health/Check";
    for service in [
        "",
        "mingpian.v1.CardService",
        "mingpian.v1.PlacementService",
    ] {
        let request = json!({"service": service}).to_string();
        let answer = server.run(&["-d", &request], &[check]).await;
        assert!(
            answer.out.contains("\"SERVING\""),
            "{service}: {}",
            answer.err
        );
    }
    let unknown = server.run(&["-d", r#"{"service":"x"}"#], &[check]).await;
    assert_eq!(unknown.code, NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story_with_grpcurl() {
    let server = Grpcurl::start().await;
    let card = json!({
        "display_name": "Klook 客路",
        "contacts": [
            {"wecom": {"acquisition_uri": LINK}},
            {"phone": {"number": MOBILE}},
            {"wechat": {"wechat_id": WECHAT_ID}},
        ],
    });
    let create = json!({"parent": "merchants/klook", "card_id": "main", "card": card});
    let made = server.ok("CardService/CreateCard", create.clone()).await;
    assert_eq!(made["contacts"][1]["phone"]["maskedNumber"], "138****8000");
    assert!(!made.to_string().contains(MOBILE));
    server
        .refused(
            "CardService/CreateCard",
            create,
            ALREADY_EXISTS,
            "CARD_EXISTS",
        )
        .await;

    let place = |id: &str, surface: (&str, Value)| {
        let placement = json!({"card": "merchants/klook/cards/main", surface.0: surface.1});
        json!({"parent": "merchants/klook", "placement_id": id, "placement": placement})
    };
    for (id, surface) in [
        ("menu", ("chat_menu", json!({"position": 1}))),
        ("note-1", ("note_capsule", json!({"note": "notes/n1"}))),
        ("note-2", ("note_capsule", json!({"note": "notes/n2"}))),
    ] {
        let placed = server
            .ok("PlacementService/CreatePlacement", place(id, surface))
            .await;
        assert_eq!(placed["state"], "LIVE");
    }
    let taken = place("other", ("chat_menu", json!({"position": 1})));
    server
        .refused(
            "PlacementService/CreatePlacement",
            taken,
            ALREADY_EXISTS,
            "SLOT_TAKEN",
        )
        .await;
    let send = json!({
        "card": "merchants/klook/cards/main", "conversation": "conversations/c-1",
        "placement_id": "message-1",
    });
    server.ok("PlacementService/SendCard", send).await;

    let menu = json!({"merchant": "merchants/klook", "viewer": viewer()});
    let menu = server.ok("ServingService/GetChatMenu", menu).await;
    let kinds: Vec<_> = menu["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["kind"])
        .collect();
    assert_eq!(kinds, ["WECOM", "PHONE", "WECHAT_ID"]);
    let page = json!({"notes": ["notes/n2", "notes/none", "notes/n1"], "viewer": viewer()});
    let page = server.ok("ServingService/BatchGetNoteCapsules", page).await;
    assert_eq!(
        page["results"][0]["item"]["placement"],
        "merchants/klook/placements/note-2"
    );
    assert_eq!(
        page["results"][1]["absence"]["reason"],
        "PLACEMENT_NOT_FOUND"
    );
    assert_eq!(
        page["results"][2]["item"]["placement"],
        "merchants/klook/placements/note-1"
    );
    let message = json!({"placement": "merchants/klook/placements/message-1", "viewer": viewer()});
    let message = server.ok("ServingService/GetCardMessage", message).await;
    assert_eq!(message["item"]["kind"], "WECOM");

    taps(&server, &menu).await;

    let token = &menu["items"][0]["tapToken"];
    let verified = server
        .ok("LinkService/VerifyProvenance", json!({"token": token}))
        .await;
    assert_eq!(verified["verdict"], "OFFICIAL");
    assert_eq!(verified["merchant"], "merchants/klook");
    let pause = json!({"name": "merchants/klook/placements/menu"});
    server
        .ok("PlacementService/PausePlacement", pause.clone())
        .await;
    let tapped = tap(token, "NATIVE_APP");
    server
        .refused(
            "ServingService/OpenCard",
            tapped,
            FAILED_PRECONDITION,
            "PLACEMENT_NOT_LIVE",
        )
        .await;
    server
        .refused(
            "PlacementService/PausePlacement",
            pause,
            FAILED_PRECONDITION,
            "STATE_TRANSITION",
        )
        .await;
}

/// Each kind in each container: what goes first, and that the token is WeCom's channel.
async fn taps(server: &Grpcurl, menu: &Value) {
    let token = |n: usize| &menu["items"][n]["tapToken"];
    let link = format!("{LINK}?customer_channel={}", token(0).as_str().unwrap());
    let encoded = link.replace(':', "%3A").replace('/', "%2F");
    let scheme = format!(
        "weixin://biz/ww/profile/{}",
        encoded.replace('?', "%3F").replace('=', "%3D")
    );
    for (container, kinds, first) in [
        ("NATIVE_APP", &["URL_SCHEME", "HTTPS"][..], &scheme),
        ("BROWSER", &["URL_SCHEME", "HTTPS"], &scheme),
        ("WECHAT_WEBVIEW", &["HTTPS"], &link),
        ("DESKTOP", &["SHOW_QR"], &link),
    ] {
        let steps = server.opens(token(0), container).await;
        let got: Vec<_> = steps.iter().map(|step| &step["kind"]).collect();
        assert_eq!(got, kinds, "{container}");
        assert_eq!(steps[0]["uri"], *first, "{container}");
        let phone = server.opens(token(1), container).await;
        let dials = phone[0]["uri"] == format!("tel:+86{MOBILE}");
        let copies = phone[0]["text"] == format!("+86{MOBILE}");
        assert!(
            if container == "DESKTOP" {
                copies
            } else {
                dials
            },
            "{phone:?}"
        );
        let wechat = server.opens(token(2), container).await;
        assert_eq!(wechat[0]["text"], WECHAT_ID, "{container}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_is_an_exit_code_and_details_are_readable() {
    let server = Grpcurl::start().await;
    let card = json!({"display_name": "", "contacts": [{"phone": {"number": "12"}}]});
    let create = json!({"parent": "merchants/klook", "card_id": "main", "card": card});
    let said = server
        .refused(
            "CardService/CreateCard",
            create.clone(),
            INVALID_ARGUMENT,
            "FIELD_INVALID",
        )
        .await;
    assert!(said.contains("google.rpc.BadRequest"), "{said}");
    for field in ["card.display_name", "card.contacts[0].phone.number"] {
        assert!(said.contains(&format!("\"field\":\"{field}\"")), "{said}");
    }
    let name = json!({"name": "merchants/klook/cards/main"});
    let said = server
        .refused("CardService/GetCard", name, NOT_FOUND, "CARD_NOT_FOUND")
        .await;
    assert!(said.contains("google.rpc.ResourceInfo"), "{said}");

    let card = json!({"display_name": "K", "contacts": [{"phone": {"number": SERVICE_NUMBER}}]});
    let create = json!({"parent": "merchants/klook", "card_id": "main", "card": card});
    server.ok("CardService/CreateCard", create).await;
    let stale = json!({"name": "merchants/klook/cards/main", "etag": "stale"});
    server
        .refused("CardService/DeleteCard", stale, ABORTED, "ETAG_MISMATCH")
        .await;
    let tampered = "A".repeat(64);
    server
        .refused(
            "ServingService/OpenCard",
            tap(&tampered.into(), "NATIVE_APP"),
            INVALID_ARGUMENT,
            "TOKEN_FORGED",
        )
        .await;

    // From the proto files alone, for a method that the server does not have.
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let old = server.0.scratch.file("old.proto");
    let text = "syntax = \"proto3\"; package mingpian.v1; import \"mingpian/v1/card.proto\"; \
                service CardService { rpc Frame(GetCardRequest) returns (Card); }";
    std::fs::write(&old, text.replace("CardService", "FrameService")).unwrap();
    let folder = server.0.scratch.dir.path().to_str().unwrap();
    let flags = [
        "-import-path",
        proto,
        "-import-path",
        folder,
        "-proto",
        "old.proto",
    ];
    let unknown = server
        .run(&flags, &["mingpian.v1.FrameService/Frame"])
        .await;
    assert_eq!(unknown.code, UNIMPLEMENTED, "{}", unknown.err);
    assert!(unknown.err.contains("no such method"), "{}", unknown.err);
}
