//! The client against the fake, over HTTP.

use std::{
    io::Write,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use mingpian::{
    domain::acquisition::{Made, Range},
    wecom::{
        Client, Credentials, Error, LinkSpec, Options,
        fake::{Fake, Fault, Shape, Switch},
    },
};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::support::Clock;

const CORP: &str = "ww1234567890abcdef";
const SECRET: &str = "the-secret-of-the-app";
/// Of one attempt.
const TIMEOUT: Duration = Duration::from_millis(300);

struct World {
    fake: Fake,
    client: Client,
    /// The client's; the fake's stands.
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        Self::with(TIMEOUT, 10_000).await
    }

    /// For a crowd: on a busy machine one of many may wait for long.
    async fn patient() -> Self {
        Self::with(TIMEOUT * 30, 10_000).await
    }

    async fn with_calls_per_minute(calls_per_minute: u64) -> Self {
        Self::with(TIMEOUT, calls_per_minute).await
    }

    async fn with(timeout: Duration, calls_per_minute: u64) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let fake = Fake::start(listen, Clock::default().ambient())
            .await
            .unwrap();
        fake.add_app(CORP, SECRET);
        let clock = Clock::default();
        let client = client_with(timeout, &fake.base_url(), calls_per_minute, &clock);
        Self {
            fake,
            client,
            clock,
        }
    }

    /// With a token at hand.
    async fn warm() -> Self {
        let world = Self::new().await;
        world.client.quota(&corp(1, SECRET)).await.unwrap();
        world
    }

    fn counts(&self, endpoint: &str) -> (u64, u64) {
        (self.fake.count("gettoken"), self.fake.count(endpoint))
    }

    /// 64 at once.
    async fn crowd(&self, corp: &Credentials) -> Vec<Result<(), Error>> {
        let calls = (0..64).map(|_| {
            let (client, corp) = (self.client.clone(), corp.clone());
            tokio::spawn(async move { client.list_links(&corp, None).await.map(drop) })
        });
        let ended = join_all(calls).await;
        ended.into_iter().map(Result::unwrap).collect()
    }
}

fn client(base_url: &str, calls_per_minute: u64, clock: &Clock) -> Client {
    client_with(TIMEOUT, base_url, calls_per_minute, clock)
}

fn client_with(timeout: Duration, base_url: &str, calls_per_minute: u64, clock: &Clock) -> Client {
    let options = Options {
        base_url: base_url.to_owned(),
        timeout,
        calls_per_minute,
    };
    Client::new(&options, clock.ambient()).unwrap()
}

fn corp(no: i64, secret: &str) -> Credentials {
    Credentials {
        corp_no: no,
        corp_id: CORP.to_owned(),
        secret: secret.into(),
    }
}

fn spec(name: &str) -> LinkSpec {
    LinkSpec {
        name: name.to_owned(),
        range: Range {
            users: vec!["zhangsan".to_owned()],
            departments: vec![3],
        },
        skip_verify: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_calls_with_an_expired_token_fetch_one() {
    let world = World::patient().await;
    world.client.quota(&corp(1, SECRET)).await.unwrap();
    for (end, fetched) in [(true, 2), (false, 3)] {
        if end {
            world.fake.expire_tokens(CORP);
        } else {
            world.fake.invalidate_tokens(CORP);
        }
        for answer in world.crowd(&corp(1, SECRET)).await {
            answer.unwrap();
        }
        assert_eq!(world.fake.count("gettoken"), fetched);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_calls_of_all_fetch_one_token() {
    let world = World::patient().await;
    for answer in world.crowd(&corp(1, SECRET)).await {
        answer.unwrap();
    }
    assert_eq!(world.counts("list_link"), (1, 64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_ends() {
    let world = World::warm().await;
    let corp = corp(1, SECRET);
    world.clock.advance(Duration::from_secs(7200 - 301));
    world.client.quota(&corp).await.unwrap();
    assert_eq!(world.fake.count("gettoken"), 1);
    world.clock.advance(Duration::from_secs(2));
    world.client.quota(&corp).await.unwrap();
    assert_eq!(world.fake.count("gettoken"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_secret_is_tried_once_a_minute() {
    let world = World::patient().await;
    let bad = corp(1, "wrong");
    for _ in 0..2 {
        for answer in world.crowd(&bad).await {
            assert_eq!(answer, Err(Error::Misconfigured { code: 40001 }));
        }
        assert_eq!(world.counts("list_link"), (1, 0));
        world.clock.advance(Duration::from_secs(29));
    }
    world.clock.advance(Duration::from_secs(3));
    world.crowd(&bad).await;
    assert_eq!(world.counts("list_link"), (2, 0));
    // Other credentials are tried at once.
    world.client.quota(&corp(1, SECRET)).await.unwrap();
    assert_eq!(world.fake.count("gettoken"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_the_secret_is_the_corps_to_set_right() {
    for code in [40013, 40091, 60020, 50001] {
        let world = World::new().await;
        let switch = Switch::for_good("gettoken", Fault::Code(code));
        world.fake.fail(switch);
        for _ in 0..3 {
            let quota = world.client.quota(&corp(1, SECRET)).await;
            assert_eq!(quota, Err(Error::Misconfigured { code }));
        }
        assert_eq!(world.counts("customer_acquisition_quota"), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_renewed_once_and_the_call_repeated_once() {
    for code in [40001, 40014, 42001] {
        let world = World::warm().await;
        let corp = corp(1, SECRET);
        world
            .fake
            .fail(Switch::once("list_link", Fault::Code(code)));
        world.client.list_links(&corp, None).await.unwrap();
        assert_eq!(world.counts("list_link"), (2, 2), "{code}");
        let refused = Switch::for_good("list_link", Fault::Code(code));
        world.fake.fail(refused);
        world.client.list_links(&corp, None).await.unwrap_err();
        assert_eq!(world.counts("list_link"), (3, 4), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again() {
    for fault in [
        Fault::Code(-1),
        Fault::Code(6000),
        Fault::Code(45009),
        Fault::Code(45033),
        Fault::Status(503),
        Fault::Hang,
        Fault::Reset,
        Fault::ResetAfter,
        Fault::Malformed,
        Fault::TooLong,
    ] {
        let world = World::warm().await;
        let corp = corp(1, SECRET);
        world.fake.fail(Switch::once("list_link", fault));
        let listed = world.client.list_links(&corp, None).await;
        assert!(listed.is_ok(), "{fault:?}: {listed:?}");
        assert_eq!(world.counts("list_link"), (1, 2), "{fault:?}");
        world.fake.fail(Switch::for_good("list_link", fault));
        let begun = Instant::now();
        let away = world.client.list_links(&corp, None).await;
        assert!(matches!(away, Err(Error::Away { .. })), "{fault:?}");
        assert!(begun.elapsed() < TIMEOUT * 4, "{:?}", begun.elapsed());
        let tried = world.fake.count("list_link") - 2;
        assert!((2..=4).contains(&tried), "{fault:?}: {tried}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final() {
    for (code, error) in [
        (60011, Error::Refused { code: 60011 }),
        (84061, Error::Refused { code: 84061 }),
        (41095, Error::Refused { code: 41095 }),
        (48002, Error::Misconfigured { code: 48002 }),
        (60020, Error::Misconfigured { code: 60020 }),
    ] {
        let world = World::warm().await;
        let fault = Fault::Code(code);
        world.fake.fail(Switch::for_good("list_link", fault));
        let listed = world.client.list_links(&corp(1, SECRET), None).await;
        assert_eq!(listed, Err(error));
        assert_eq!(world.counts("list_link"), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_nobody_knows_are_passed_over() {
    let world = World::new().await;
    let corp = corp(1, SECRET);
    world.fake.fail(Switch::for_good("*", Fault::ExtraFields));
    let made = world.client.create_link(&corp, &spec("a")).await.unwrap();
    let detail = world.client.link(&corp, &made.link_id).await.unwrap();
    assert_eq!(detail.unwrap().made, made);
    world
        .client
        .customers(&corp, &made.link_id, None)
        .await
        .unwrap();
    world.client.quota(&corp).await.unwrap();
    world
        .client
        .delete_link(&corp, &made.link_id)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_made_with_one_call_whatever_happens() {
    for (fault, links) in [
        (Fault::Reset, 0),
        (Fault::ResetAfter, 1),
        (Fault::Hang, 0),
        (Fault::HangAfter, 1),
        (Fault::Malformed, 1),
        (Fault::TooLong, 1),
        (Fault::Status(503), 0),
    ] {
        let world = World::warm().await;
        world.fake.fail(Switch::once("create_link", fault));
        let made = world.client.create_link(&corp(1, SECRET), &spec("a")).await;
        assert!(matches!(made, Err(Error::Unknown { .. })), "{fault:?}");
        assert_eq!(world.fake.count("create_link"), 1, "{fault:?}");
        assert_eq!(world.fake.links().len(), links, "{fault:?}");
    }
    for code in [-1, 6000, 45009, 45033] {
        let world = World::warm().await;
        let fault = Fault::Code(code);
        world.fake.fail(Switch::for_good("create_link", fault));
        let made = world.client.create_link(&corp(1, SECRET), &spec("a")).await;
        assert!(matches!(made, Err(Error::Away { .. })), "{code}");
        assert_eq!(world.fake.count("create_link"), 1, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_not_asked_for_is_not_unknown() {
    let world = World::new().await;
    let corp = corp(1, SECRET);
    for fault in [Fault::Code(-1), Fault::ResetAfter, Fault::Status(500)] {
        world.fake.fail(Switch::times("gettoken", fault, 4));
        let made = world.client.create_link(&corp, &spec("a")).await;
        assert!(matches!(made, Err(Error::Away { .. })), "{made:?}");
        world.fake.heal();
    }
    assert_eq!(world.fake.count("create_link"), 0);
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let client = client(&base_url, 100, &world.clock);
    let made = client.create_link(&corp, &spec("a")).await;
    assert!(matches!(made, Err(Error::Away { .. })), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_made_although_the_token_ended() {
    let world = World::warm().await;
    world.fake.expire_tokens(CORP);
    world
        .client
        .create_link(&corp(1, SECRET), &spec("a"))
        .await
        .unwrap();
    assert_eq!(world.counts("create_link"), (2, 2));
    assert_eq!(world.fake.links().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_an_answer_is_unknown() {
    let world = World::warm().await;
    let corp = corp(1, SECRET);
    let made = world.client.create_link(&corp, &spec("a")).await.unwrap();
    let switch = Switch::for_good("update_link", Fault::ResetAfter);
    world.fake.fail(switch);
    let change = spec("b");
    let changed = world
        .client
        .update_link(&corp, &made.link_id, &change)
        .await;
    assert!(matches!(changed, Err(Error::Unknown { .. })), "{changed:?}");
    assert_eq!(world.fake.links()[0].name, "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_reads_as_it_was_made_in_both_shapes() {
    let world = World::new().await;
    let corp = corp(1, SECRET);
    let made = world.client.create_link(&corp, &spec("a")).await.unwrap();
    for skip_verify_outside in [false, true] {
        world.fake.set_shape(Shape {
            skip_verify_outside,
            ..Shape::default()
        });
        let detail = world.client.link(&corp, &made.link_id).await.unwrap();
        let detail = detail.unwrap();
        let told = LinkSpec {
            name: detail.name.unwrap(),
            range: detail.range.unwrap(),
            skip_verify: detail.skip_verify.unwrap(),
        };
        assert_eq!((&detail.made, told), (&made, spec("a")));
        let age = world.fake.now().seconds() - detail.create_time.seconds();
        assert!((0..60).contains(&age), "{age}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_gone_is_none_and_may_be_deleted_again() {
    let world = World::new().await;
    let corp = corp(1, SECRET);
    let Made { link_id, .. } = world.client.create_link(&corp, &spec("a")).await.unwrap();
    world.client.delete_link(&corp, &link_id).await.unwrap();
    assert_eq!(world.fake.links(), []);
    world.client.delete_link(&corp, &link_id).await.unwrap();
    assert_eq!(world.client.link(&corp, &link_id).await, Ok(None));
    // One that is refused and listed is there.
    let Made { link_id, .. } = world.client.create_link(&corp, &spec("b")).await.unwrap();
    for endpoint in ["get", "delete_link"] {
        let fault = Fault::Code(60011);
        world.fake.fail(Switch::once(endpoint, fault));
    }
    let refused = Error::Refused { code: 60011 };
    assert_eq!(
        world.client.link(&corp, &link_id).await,
        Err(refused.clone())
    );
    assert_eq!(
        world.client.delete_link(&corp, &link_id).await,
        Err(refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_listed_to_the_end() {
    let world = World::new().await;
    let corp = corp(1, SECRET);
    let mut made = Vec::new();
    for i in 0..101 {
        let link = spec(&format!("n{i}"));
        made.push(
            world
                .client
                .create_link(&corp, &link)
                .await
                .unwrap()
                .link_id,
        );
    }
    let first = world.client.list_links(&corp, None).await.unwrap();
    let second = world.client.list_links(&corp, first.next.as_deref());
    let second = second.await.unwrap();
    assert_eq!((first.items.len(), second.next), (100, None));
    assert_eq!([first.items, second.items].concat(), made);
    // Looking for one that is gone reads them all.
    assert_eq!(world.client.link(&corp, "cawcde0").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corp_that_fails_too_often_is_left_alone_for_a_while() {
    let world = World::warm().await;
    let (ill, well) = (corp(1, SECRET), corp(2, SECRET));
    world
        .fake
        .fail(Switch::for_good("list_link", Fault::Code(-1)));
    for _ in 0..10 {
        world.client.list_links(&ill, None).await.unwrap_err();
    }
    let tried = world.fake.count("list_link");
    assert!(tried < 20, "{tried}");
    let held = world.client.list_links(&ill, None).await.unwrap_err();
    assert_eq!(world.fake.count("list_link"), tried);
    assert_eq!(
        held.to_string(),
        "WeCom is away: it failed too often just now"
    );
    world.client.quota(&well).await.unwrap();
    let mut registry = Registry::default();
    world.client.register(&mut registry);
    assert!(text(&registry).contains("wecom_client_breakers_open 1\n"));

    world.fake.heal();
    tokio::time::sleep(TIMEOUT * 4).await;
    for _ in 0..4 {
        world.client.list_links(&ill, None).await.unwrap();
    }
    assert!(text(&registry).contains("wecom_client_breakers_open 0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_do_not_open_the_breaker() {
    let world = World::warm().await;
    let fault = Fault::Code(60011);
    world.fake.fail(Switch::for_good("list_link", fault));
    for _ in 0..30 {
        let refused = world.client.list_links(&corp(1, SECRET), None).await;
        assert_eq!(refused, Err(Error::Refused { code: 60011 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corp_has_so_many_calls_a_minute() {
    // One a second, six at once.
    let world = World::with_calls_per_minute(60).await;
    let (busy, other) = (corp(1, SECRET), corp(2, SECRET));
    for _ in 0..5 {
        world.client.quota(&busy).await.unwrap();
    }
    let begun = Instant::now();
    let held = world.client.quota(&busy).await.unwrap_err();
    assert_eq!(
        held.to_string(),
        "WeCom is away: too many calls of this corp"
    );
    assert!(begun.elapsed() < TIMEOUT * 2);
    assert_eq!(world.counts("customer_acquisition_quota"), (1, 5));
    world.client.quota(&other).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    world.client.quota(&busy).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_leaves_the_token_to_others() {
    let world = World::new().await;
    let corp = corp(1, SECRET);
    world.fake.fail(Switch::once("gettoken", Fault::Hang));
    let gone = tokio::time::timeout(TIMEOUT / 3, world.client.quota(&corp)).await;
    assert!(gone.is_err());
    let begun = Instant::now();
    world.client.quota(&corp).await.unwrap();
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    assert_eq!(world.fake.count("gettoken"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_for_a_token_share_its_failure() {
    let world = World::new().await;
    world.fake.fail(Switch::for_good("gettoken", Fault::Hang));
    let begun = Instant::now();
    for answer in world.crowd(&corp(1, SECRET)).await {
        assert!(matches!(answer, Err(Error::Away { .. })), "{answer:?}");
    }
    assert!(begun.elapsed() < TIMEOUT * 4, "{:?}", begun.elapsed());
    let asked = world.fake.count("gettoken");
    assert!((2..=8).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_is_read() {
    let world = World::new().await;
    let balance = world.client.quota(&corp(1, SECRET)).await.unwrap();
    assert_eq!((balance.total, balance.balance), (1000, 1000));
    assert_eq!(balance.batches.len(), 1);
    assert!(balance.batches[0].expires > world.fake.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted() {
    let world = World::warm().await;
    let corp = corp(1, SECRET);
    let mut registry = Registry::default();
    world.client.register(&mut registry);
    let fault = Fault::Code(60011);
    world.fake.fail(Switch::once("list_link", fault));
    world.client.list_links(&corp, None).await.unwrap_err();
    let text = text(&registry);
    for line in [
        r#"_count{endpoint="gettoken",outcome="ok"} 1"#,
        r#"_count{endpoint="customer_acquisition_quota",outcome="ok"} 1"#,
        r#"_count{endpoint="list_link",outcome="refused"} 1"#,
    ] {
        let line = format!("wecom_client_attempt_duration_seconds{line}\n");
        assert!(text.contains(&line), "{text}");
    }
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

/// What is logged.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One thread: the subscriber is of a thread.
#[tokio::test]
async fn neither_errors_nor_logs_tell_a_secret_or_what_wecom_says() {
    let sink = Sink::default();
    let writer = sink.clone();
    let logs = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logs = tracing::subscriber::set_default(logs);
    let world = World::new().await;
    let corp = corp(1, SECRET);
    let warm = client(&world.fake.base_url(), 1000, &world.clock);
    warm.quota(&corp).await.unwrap();
    let token = world.fake.tokens().pop().unwrap();
    let mut said = String::new();
    for endpoint in ["gettoken", "list_link"] {
        for fault in [
            Fault::Code(-1),
            Fault::Code(40014),
            Fault::Code(60011),
            Fault::Hang,
            Fault::ResetAfter,
            Fault::Malformed,
            Fault::Status(500),
        ] {
            let fresh = client(&world.fake.base_url(), 1000, &world.clock);
            world.fake.fail(Switch::for_good(endpoint, fault));
            let error = fresh.list_links(&corp, None).await.unwrap_err();
            said += &format!("{error} {error:?} {fresh:?}\n");
            world.fake.heal();
        }
    }
    said += &String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("not done"), "nothing was logged");
    let ours = |line: &&str| !line.contains("mingpian::wecom::fake");
    let said: String = said.lines().filter(ours).collect();
    for secret in [SECRET, &token, "hint", "e0fa1b5d3c", "cgi-bin"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
