//! The fake is as WeCom's documents say.

use std::time::Duration;

use mingpian::wecom::fake::{Fake, Fault, Shape, Switch};
use serde_json::{Value, json};

use crate::support::Clock;

const CORP: &str = "ww1234567890abcdef";
const SECRET: &str = "secret-1";

/// Somebody who calls the fake.
struct Caller {
    fake: Fake,
    http: reqwest::Client,
}

impl Caller {
    async fn new() -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let fake = Fake::start(listen, Clock::default().ambient())
            .await
            .unwrap();
        fake.add_app(CORP, SECRET);
        Self {
            fake,
            http: reqwest::Client::new(),
        }
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/cgi-bin/{path}", self.fake.base_url());
        let answer = self.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    async fn token_of(&self, secret: &str) -> String {
        let answer = self
            .get(&format!("gettoken?corpid={CORP}&corpsecret={secret}"))
            .await;
        assert_eq!(answer["errcode"], 0, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn send(
        &self,
        token: &str,
        operation: &str,
        body: &Value,
    ) -> reqwest::Result<reqwest::Response> {
        let url = format!(
            "{}/cgi-bin/externalcontact/customer_acquisition/{operation}?access_token={token}",
            self.fake.base_url()
        );
        self.http.post(url).json(body).send().await
    }

    async fn post(&self, token: &str, operation: &str, body: &Value) -> Value {
        let answer = self.send(token, operation, body).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    async fn control(&self, path: &str, body: &Value) {
        let url = format!("{}/fake/{path}", self.fake.base_url());
        let answer = self.http.post(url).json(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }

    async fn create(&self, token: &str, name: &str) -> String {
        let answer = self.post(token, "create_link", &link(name)).await;
        assert_eq!(answer["errcode"], 0, "{answer}");
        answer["link"]["link_id"].as_str().unwrap().to_owned()
    }
}

fn link(name: &str) -> Value {
    json!({"link_name": name, "range": {"user_list": ["zhangsan"]}})
}

#[tokio::test]
async fn an_app_keeps_its_token_until_it_expires() {
    let caller = Caller::new().await;
    caller.fake.add_app(CORP, "secret-2");
    let first = caller.token_of(SECRET).await;
    assert_eq!(caller.token_of(SECRET).await, first);
    assert_ne!(caller.token_of("secret-2").await, first);
    caller.fake.advance(Duration::from_secs(7200));
    let stale = caller.post(&first, "list_link", &json!({})).await;
    assert_eq!(stale["errcode"], 42001);
    let text = stale["errmsg"].as_str().unwrap();
    assert!(text.contains("hint: [") && text.contains("e=42001"));
    assert_ne!(caller.token_of(SECRET).await, first);
    assert_eq!(caller.fake.count("gettoken"), 4);
}

#[tokio::test]
async fn a_token_may_end_early() {
    let caller = Caller::new().await;
    for (path, code) in [("tokens/invalidate", 40014), ("tokens/expire", 42001)] {
        let token = caller.token_of(SECRET).await;
        caller.control(path, &json!({"corp_id": CORP})).await;
        let stale = caller.post(&token, "list_link", &json!({})).await;
        assert_eq!(stale["errcode"], code);
        assert_ne!(caller.token_of(SECRET).await, token);
    }
}

#[tokio::test]
async fn gettoken_says_what_is_wrong() {
    let caller = Caller::new().await;
    for (query, code) in [
        ("", 41002),
        ("corpid=ww1234567890abcdef", 41004),
        ("corpid=ww0000000000000000&corpsecret=x", 40013),
        ("corpid=ww1234567890abcdef&corpsecret=a%20b", 40091),
        ("corpid=ww1234567890abcdef&corpsecret=other", 40001),
    ] {
        let answer = caller.get(&format!("gettoken?{query}")).await;
        assert_eq!(answer["errcode"], code, "{query}");
    }
    let bare = caller.post("", "list_link", &json!({})).await;
    assert_eq!(bare["errcode"], 41001);
}

#[tokio::test]
async fn links_are_seen_by_the_app_that_made_them() {
    let caller = Caller::new().await;
    caller.fake.add_app(CORP, "secret-2");
    let token = caller.token_of(SECRET).await;
    let other = caller.token_of("secret-2").await;
    let link_id = caller.create(&token, "一").await;
    let asked = json!({"link_id": link_id});
    let own = caller.post(&token, "get", &asked).await;
    assert_eq!(own["link"]["link_name"], "一");
    assert_eq!(own["link"]["skip_verify"], true);
    assert_eq!(own["range"]["user_list"], json!(["zhangsan"]));
    for operation in ["get", "update_link", "delete_link", "customer"] {
        let answer = caller.post(&other, operation, &asked).await;
        assert_ne!(answer["errcode"], 0, "{operation}");
    }
    let listed = caller.post(&other, "list_link", &json!({})).await;
    assert_eq!(listed["link_id_list"], json!([]));
    assert_eq!(
        caller.post(&token, "delete_link", &asked).await["errcode"],
        0
    );
    assert_ne!(caller.post(&token, "get", &asked).await["errcode"], 0);
}

#[tokio::test]
async fn a_range_is_overwritten_and_the_rest_stays() {
    let caller = Caller::new().await;
    let token = caller.token_of(SECRET).await;
    let link_id = caller.create(&token, "name").await;
    let change = json!({"link_id": link_id, "range": {"department_list": [7]}});
    assert_eq!(
        caller.post(&token, "update_link", &change).await["errcode"],
        0
    );
    caller.fake.set_shape(Shape {
        skip_verify_outside: true,
        ..Shape::default()
    });
    let now = caller
        .post(&token, "get", &json!({"link_id": link_id}))
        .await;
    assert_eq!(
        now["range"],
        json!({"user_list": [], "department_list": [7]})
    );
    assert_eq!(now["link"]["link_name"], "name");
    assert_eq!(
        (&now["skip_verify"], &now["link"]["skip_verify"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn links_have_limits() {
    let caller = Caller::new().await;
    let token = caller.token_of(SECRET).await;
    let many: Vec<_> = (0..501).map(|i| format!("u{i}")).collect();
    for body in [
        link(""),
        link(&"长".repeat(31)),
        json!({"link_name": "a", "range": {}}),
        json!({"link_name": "a", "range": {"user_list": many}}),
        json!({"link_name": "a", "range": {"user_list": [1]}}),
    ] {
        let answer = caller.post(&token, "create_link", &body).await;
        assert_eq!(answer["errcode"], 40058, "{body}");
    }
    caller.create(&token, &"长".repeat(30)).await;
    caller.fake.set_shape(Shape {
        links_per_corp: 1,
        ..Shape::default()
    });
    let full = caller.post(&token, "create_link", &link("b")).await;
    assert_eq!(full["errcode"], 41095);
}

#[tokio::test]
async fn links_are_listed_by_pages() {
    let caller = Caller::new().await;
    let token = caller.token_of(SECRET).await;
    let mut made = Vec::new();
    for i in 0..5 {
        made.push(caller.create(&token, &format!("n{i}")).await);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let asked = json!({"limit": 2, "cursor": cursor});
        let page = caller.post(&token, "list_link", &asked).await;
        let ids = page["link_id_list"].as_array().unwrap();
        seen.extend(ids.iter().map(|id| id.as_str().unwrap().to_owned()));
        page["next_cursor"]
            .as_str()
            .unwrap()
            .clone_into(&mut cursor);
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    for odd in [json!({"limit": 101}), json!({"cursor": "x"})] {
        let answer = caller.post(&token, "list_link", &odd).await;
        assert_eq!(answer["errcode"], 40058);
    }
}

#[tokio::test]
async fn statistics_span_at_most_thirty_days() {
    let caller = Caller::new().await;
    let token = caller.token_of(SECRET).await;
    let link_id = caller.create(&token, "a").await;
    let now = caller.fake.now().seconds();
    let asked =
        |start: i64, end: i64| json!({"link_id": link_id, "start_time": start, "end_time": end});
    let day = 24 * 60 * 60;
    let fine = caller
        .post(&token, "statistic", &asked(now - day, now))
        .await;
    assert_eq!(
        (&fine["errcode"], &fine["new_customer_cnt"]),
        (&json!(0), &json!(0))
    );
    for (start, end) in [
        (now, now - day),
        (now - 31 * day, now),
        (now - 181 * day, now - 179 * day),
    ] {
        let odd = caller.post(&token, "statistic", &asked(start, end)).await;
        assert_eq!(odd["errcode"], 600_018);
    }
}

#[tokio::test]
async fn faults_last_as_long_as_they_should() {
    let caller = Caller::new().await;
    let token = caller.token_of(SECRET).await;
    caller
        .control(
            "faults",
            &json!({"endpoint": "list_link", "fault": {"code": 45009}, "times": 1}),
        )
        .await;
    let codes = [
        caller.post(&token, "list_link", &json!({})).await["errcode"].clone(),
        caller.post(&token, "list_link", &json!({})).await["errcode"].clone(),
    ];
    assert_eq!(codes, [json!(45009), json!(0)]);
    caller.fake.fail(Switch::for_good("*", Fault::Code(-1)));
    for _ in 0..3 {
        let answer = caller.post(&token, "list_link", &json!({})).await;
        assert_eq!(answer["errcode"], -1);
    }
    caller.fake.heal();
    let answer = caller.post(&token, "list_link", &json!({})).await;
    assert_eq!(answer["errcode"], 0);
}

#[tokio::test]
async fn a_break_comes_before_or_after_the_effect() {
    let caller = Caller::new().await;
    let token = caller.token_of(SECRET).await;
    for (fault, links) in [
        (Fault::Reset, 0),
        (Fault::ResetAfter, 1),
        (Fault::Malformed, 2),
        (Fault::Status(503), 2),
        (Fault::ExtraFields, 3),
    ] {
        caller.fake.fail(Switch::once("create_link", fault));
        let answer = caller.send(&token, "create_link", &link("a")).await;
        match fault {
            Fault::Reset | Fault::ResetAfter => assert!(answer.is_err(), "{fault:?}"),
            Fault::Malformed => assert!(answer.unwrap().json::<Value>().await.is_err()),
            Fault::Status(_) => assert_eq!(answer.unwrap().status(), 503),
            _ => assert!(
                answer
                    .unwrap()
                    .text()
                    .await
                    .unwrap()
                    .contains("new_in_this")
            ),
        }
        assert_eq!(caller.fake.links().len(), links, "{fault:?}");
    }
    for (fault, links) in [(Fault::Hang, 3), (Fault::HangAfter, 4)] {
        caller.fake.fail(Switch::once("create_link", fault));
        let body = link("a");
        let call = caller.send(&token, "create_link", &body);
        let answer = tokio::time::timeout(Duration::from_millis(200), call).await;
        assert!(answer.is_err(), "{fault:?}");
        assert_eq!(caller.fake.links().len(), links, "{fault:?}");
    }
}
