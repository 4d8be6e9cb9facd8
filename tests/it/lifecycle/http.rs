//! The public door: what each kind of token answers, and where it may lead.

use std::time::Duration;

use mingpian::api::pb;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use reqwest::{Client, Method, Response, redirect::Policy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    on_both_engines,
    support::{
        Engine, LINK, TestServer, WECHAT_ID, create_card, get_menu, in_menu, on_note, place,
    },
};

on_both_engines!(each_refusal_has_its_status_and_a_page_in_two_languages);

const WECHAT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.47";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/604.1";

fn client() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

struct Door {
    server: TestServer,
    client: Client,
}

impl Door {
    async fn open(engine: Engine) -> Self {
        let server = TestServer::start(engine).await;
        let mut cards = server.cards().await;
        cards
            .create_card(create_card("klook", "main"))
            .await
            .unwrap();
        let mut placements = server.placements().await;
        for (id, surface) in [("menu", in_menu(1)), ("note", on_note("n1"))] {
            let request = place("klook", "main", id, surface);
            placements.create_placement(request).await.unwrap();
        }
        let client = client();
        Self { server, client }
    }

    /// Tokens of the menu: WeCom, phone, WeChat ID.
    async fn tokens(&self) -> Vec<String> {
        let mut serving = self.server.serving().await;
        let menu = serving.get_chat_menu(get_menu("klook")).await.unwrap();
        let items = menu.into_inner().items;
        items.into_iter().map(|item| item.tap_token).collect()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send(Method::GET, path, headers).await
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let url = format!("http://{}{path}", self.server.http);
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        hardened(&response);
        response
    }

    async fn pause(&self) {
        let request = pb::PausePlacementRequest {
            name: "merchants/klook/placements/menu".to_owned(),
            ..Default::default()
        };
        let mut placements = self.server.placements().await;
        placements.pause_placement(request).await.unwrap();
    }

    async fn link(&self) -> pb::Link {
        let request = pb::CreateLinkRequest {
            parent: "merchants/klook".to_owned(),
            link: Some(pb::Link {
                placement: "merchants/klook/placements/note".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut links = self.server.links().await;
        links.create_link(request).await.unwrap().into_inner()
    }
}

#[track_caller]
fn hardened(response: &Response) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("x-robots-tag", "noindex"),
    ] {
        assert_eq!(response.headers()[name], value, "{}", response.url());
    }
    let policy = response.headers()["content-security-policy"].to_str();
    assert!(policy.unwrap().starts_with("default-src 'none'"));
    assert!(!response.headers().contains_key("set-cookie"));
}

async fn each_refusal_has_its_status_and_a_page_in_two_languages(engine: Engine) {
    let door = Door::open(engine).await;
    let expired = door.tokens().await.remove(0);
    door.server.clock.advance(Duration::from_secs(901));
    let withdrawn = door.tokens().await.remove(0);
    door.pause().await;
    let link = door.link().await;
    let revoke = pb::RevokeLinkRequest {
        name: link.name,
        ..Default::default()
    };
    door.server.links().await.revoke_link(revoke).await.unwrap();
    let mut forged = withdrawn.clone();
    forged.replace_range(20..21, if &forged[20..21] == "A" { "B" } else { "A" });

    for (token, status, zh, en) in [
        (expired.as_str(), 410, "链接已过期", "This link has expired"),
        (&withdrawn, 451, "名片暂不可用", "This card is unavailable"),
        (&link.token, 451, "链接已停用", "This link was withdrawn"),
        (&forged, 404, "找不到这张名片", "No such card"),
        ("short", 404, "找不到这张名片", "No such card"),
    ] {
        for (languages, words) in [("zh-CN,zh;q=0.9", zh), ("en-US", en), ("", zh)] {
            let asked = [("accept-language", languages)];
            let answer = door.get(&format!("/t/{token}"), &asked).await;
            assert_eq!(answer.status(), status, "{token}");
            assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
            assert!(!answer.headers().contains_key("location"));
            let page = answer.text().await.unwrap();
            assert!(page.contains(words), "{words} is not in {page}");
            assert!(!page.contains(token) && !page.contains(LINK), "{page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_wechat_is_redirected_and_only_to_wecom() {
    let door = Door::open(Engine::Sqlite).await;
    let tokens = door.tokens().await;
    let to = format!("{LINK}?customer_channel={}", tokens[0]);
    for method in [Method::GET, Method::HEAD] {
        let path = format!("/t/{}", tokens[0]);
        let inside = door
            .send(method.clone(), &path, &[("user-agent", WECHAT)])
            .await;
        assert_eq!(
            (inside.status().as_u16(), &inside.headers()["location"]),
            (302, &to.parse().unwrap())
        );
        // Nothing that a caller says changes where it leads.
        let more = [
            ("user-agent", WECHAT),
            ("host", "evil.example"),
            ("referer", "https://evil.example/"),
            ("x-forwarded-host", "evil.example"),
        ];
        let query = format!("{path}?url=https://evil.example&customer_channel=x");
        let inside = door.send(method, &query, &more).await;
        assert_eq!(inside.headers()["location"], to.as_str());
    }
    for (agent, tokens) in [
        (WECHAT, &tokens[1..]),
        (SAFARI, &tokens[..]),
        ("curl/8", &tokens[..]),
    ] {
        for token in tokens {
            let answer = door
                .get(&format!("/t/{token}"), &[("user-agent", agent)])
                .await;
            assert_eq!(answer.status(), 200, "{agent}");
            assert!(!answer.headers().contains_key("location"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_what_was_tapped_and_nothing_else_of_the_card() {
    let door = Door::open(Engine::Sqlite).await;
    let tokens = door.tokens().await;
    for (token, shown, hidden) in [
        (
            &tokens[0],
            "weixin://biz/ww/profile/",
            &["138001", WECHAT_ID][..],
        ),
        (&tokens[1], "tel:+8613800138000", &[LINK, WECHAT_ID]),
        (&tokens[2], WECHAT_ID, &[LINK, "138001"]),
    ] {
        let path = format!("/t/{token}");
        let page = door
            .get(&path, &[("user-agent", SAFARI)])
            .await
            .text()
            .await
            .unwrap();
        assert!(
            page.contains(shown) && page.contains("Klook 客路"),
            "{page}"
        );
        for hidden in hidden {
            assert!(!page.contains(hidden), "{page}");
        }
        let head = door
            .send(Method::HEAD, &path, &[("user-agent", SAFARI)])
            .await;
        assert_eq!(head.status(), 200);
        assert_eq!(
            head.headers()["content-length"],
            page.len().to_string().as_str()
        );
        assert_eq!(head.text().await.unwrap(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_garbage_is_found_or_breaks_the_door() {
    let door = Door::open(Engine::Sqlite).await;
    for n in 0..10_000 {
        let mut bytes = vec![0; n % 97];
        rand::fill(&mut bytes[..]);
        let garbage = percent_encode(&bytes, NON_ALPHANUMERIC);
        let path = if n % 4 == 0 {
            format!("/{garbage}")
        } else {
            format!("/t/{garbage}")
        };
        let answer = door.get(&path, &[]).await;
        assert_eq!(answer.status(), 404, "{path}");
    }
    let token = door.tokens().await.remove(0);
    for path in [
        format!("/t/%2F{token}"),
        format!("/t/..%2F{token}"),
        format!("/t/{token}%2F"),
        format!("/t/{token}%00"),
        format!("/t/%252F{token}"),
        format!("/t/{token}/"),
        format!("/t/{token}/x"),
        format!("//t/{token}"),
        format!("/T/{token}"),
        "/t/".to_owned(),
        "/".to_owned(),
        "/t/%".to_owned(),
        "/t/%ff%fe".to_owned(),
        format!("/t/{}", "A".repeat(60_000)),
    ] {
        assert_eq!(door.get(&path, &[]).await.status(), 404, "{path}");
    }
    assert_eq!(door.get(&format!("/t/{token}"), &[]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_the_operators_paths_are_not_for_the_public() {
    let door = Door::open(Engine::Sqlite).await;
    for path in [
        "/metrics",
        "/livez",
        "/readyz",
        "/console/",
        "/t/../metrics",
        "/t/%2e%2e/metrics",
    ] {
        let public = door.get(path, &[]).await;
        assert_eq!(public.status(), 404, "{path}");
        assert!(!public.text().await.unwrap().contains("rpc_server"));
    }
    let admin = |path: &str| {
        client()
            .get(format!("http://{}{path}", door.server.admin))
            .send()
    };
    assert_eq!(admin("/metrics").await.unwrap().status(), 200);
    let token = door.tokens().await.remove(0);
    assert_eq!(admin(&format!("/t/{token}")).await.unwrap().status(), 404);

    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = door.send(method, &format!("/t/{token}"), &[]).await;
        assert_eq!(answer.status(), 405);
    }
}

/// What no proper client would send is answered or cut, and the door stays open.
#[tokio::test(flavor = "multi_thread")]
async fn raw_garbage_does_not_break_the_door() {
    let door = Door::open(Engine::Sqlite).await;
    for raw in [
        &b"GET /t/\xff\xfe\x01 HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET http://evil.example/t/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET t/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        b"GET /t/a\r\nb HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello in the clear",
    ] {
        let mut peer = TcpStream::connect(door.server.http).await.unwrap();
        peer.write_all(raw).await.unwrap();
        peer.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = peer.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused, "{raw:?}: {answer}");
    }
    let token = door.tokens().await.remove(0);
    assert_eq!(door.get(&format!("/t/{token}"), &[]).await.status(), 200);
}
