//! The tap: where a token leads in each environment, and what refuses it.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use mingpian::{
    api::pb::{
        self,
        contact::Kind,
        environment::Container,
        step::Kind::{CopyText, Dial, Https, ShowQr, UrlScheme},
        viewer::Platform,
    },
    domain::Micros,
};
use tonic::Code;
use tonic_types::StatusExt;

use super::{Api, DAY, card_name, malformed, micros, placement_name, refused, time};
use crate::{
    lifecycle::{column, database},
    on_both_engines,
    support::{Engine, LINK, WECHAT_ID, in_menu, on_note, phone, wecom},
};

on_both_engines!(
    a_tap_looks_at_what_holds_now,
    a_token_that_is_opened_on_two_days_is_one_tap,
);

/// With the card `main` in the menu; the tokens of its items by kind.
async fn shown(engine: Engine) -> (Api, [String; 3]) {
    let mut api = Api::with_card(engine).await;
    api.place("menu", in_menu(1)).await.unwrap();
    let items = api.menu().await.items.into_iter();
    let tokens: Vec<_> = items.map(|item| item.tap_token).collect();
    (api, tokens.try_into().unwrap())
}

/// The steps as text.
async fn steps(
    api: &mut Api,
    token: &str,
    platform: Platform,
    container: Container,
) -> Vec<String> {
    let mut request = crate::support::tap(token, container);
    request.environment.as_mut().unwrap().platform = platform.into();
    let plan = api.serving.open_card(request).await.unwrap().into_inner();
    let told = plan.steps.iter().map(|step| {
        let app = if step.kind() == UrlScheme {
            "wechat"
        } else {
            ""
        };
        assert_eq!(step.requires_app, app);
        match step.kind() {
            UrlScheme => format!("scheme {}", step.uri),
            Https => format!("https {}", step.uri),
            CopyText => format!("copy {}", step.text),
            Dial => format!("dial {}", step.uri),
            ShowQr => format!("qr {}", step.uri),
            pb::step::Kind::Unspecified => panic!("{step:?}"),
        }
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_environment_gets_the_steps_it_can_do() {
    let (mut api, [of_wecom, of_phone, of_wechat]) = shown(Engine::Sqlite).await;
    let link = format!("{LINK}?customer_channel={of_wecom}");
    let scheme = format!(
        "scheme weixin://biz/ww/profile/https%3A%2F%2Fwork.weixin.qq.com%2Fca%2F\
         cawcdea7783d7330c6%3Fcustomer_channel%3D{of_wecom}"
    );
    let (https, qr) = (format!("https {link}"), format!("qr {link}"));
    for (platform, container, of_link) in [
        (Platform::Ios, Container::NativeApp, vec![&scheme, &https]),
        (Platform::Android, Container::Browser, vec![&scheme, &https]),
        (
            Platform::Harmony,
            Container::NativeApp,
            vec![&https, &scheme],
        ),
        (Platform::Ios, Container::WechatWebview, vec![&https]),
        (Platform::Web, Container::Desktop, vec![&qr]),
        (Platform::Web, Container::Unspecified, vec![&scheme, &https]),
    ] {
        let told = steps(&mut api, &of_wecom, platform, container).await;
        assert!(
            told.iter().eq(of_link),
            "{platform:?} {container:?} {told:?}"
        );
        let dial = match container {
            Container::Desktop => "copy +8613800138000",
            _ => "dial tel:+8613800138000",
        };
        assert_eq!(
            steps(&mut api, &of_phone, platform, container).await,
            [dial]
        );
        let copy = format!("copy {WECHAT_ID}");
        let id: Vec<&str> = match container {
            Container::Desktop | Container::WechatWebview => vec![&copy],
            _ => vec![&copy, "scheme weixin://"],
        };
        assert_eq!(steps(&mut api, &of_wechat, platform, container).await, id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_its_tap_and_ends_with_its_token() {
    let (mut api, [token, other, ..]) = shown(Engine::Sqlite).await;
    let now = api.server.clock.now();
    let first = api.tap(&token).await.unwrap();
    let second = api.tap(&token).await.unwrap();
    assert_eq!(first.kind(), Kind::Wecom);
    assert_eq!(first.event_id, second.event_id);
    assert_ne!(first.event_id, api.tap(&other).await.unwrap().event_id);
    let id: uuid::Uuid = first.event_id.parse().unwrap();
    assert_eq!(id.get_version_num(), 8);
    let ends = micros(first.expire_time);
    assert_eq!(ends.0 % 1_000_000, 0);
    assert!(ends <= now + Duration::from_secs(900) && ends > now + Duration::from_secs(890));

    api.server.clock.stop_at(Micros(ends.0 - 1));
    api.tap(&token).await.unwrap();
    api.server.clock.stop_at(ends);
    let late = refused(
        api.tap(&token).await,
        Code::FailedPrecondition,
        "TOKEN_EXPIRED",
    );
    let metadata = late.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["expireTime"], time(ends).unwrap().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_does_not_outlive_the_schedule() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let end = api.stop_clock() + Duration::from_secs(10);
    let placed = api.place_as("menu", in_menu(1), |p| p.end_time = time(end));
    placed.await.unwrap();
    let token = api.menu().await.items.remove(0).tap_token;
    let plan = api.tap(&token).await.unwrap();
    assert_eq!(micros(plan.expire_time), end);
    api.server.clock.stop_at(end);
    let over = api.tap(&token).await;
    refused(over, Code::FailedPrecondition, "OUTSIDE_SCHEDULE");
}

async fn a_tap_looks_at_what_holds_now(engine: Engine) {
    let (mut api, [of_wecom, of_phone, _]) = shown(engine).await;
    let refuse = |answer, word| drop(refused(answer, Code::FailedPrecondition, word));
    api.pause("menu").await.unwrap();
    refuse(api.tap(&of_wecom).await, "PLACEMENT_NOT_LIVE");
    api.resume("menu").await.unwrap();
    api.delete("main").await.unwrap();
    refuse(api.tap(&of_wecom).await, "CARD_NOT_ACTIVE");
    api.undelete("main").await.unwrap();
    let later = time(api.server.clock.now() + DAY);
    let mut rescheduled = pb::Placement {
        name: placement_name("menu"),
        start_time: later,
        ..Default::default()
    };
    api.change(rescheduled.clone(), &["start_time"])
        .await
        .unwrap();
    refuse(api.tap(&of_wecom).await, "OUTSIDE_SCHEDULE");
    rescheduled.start_time = None;
    rescheduled.contact_kinds = vec![Kind::Phone.into()];
    let paths = ["start_time", "contact_kinds"];
    api.change(rescheduled, &paths).await.unwrap();
    refuse(api.tap(&of_wecom).await, "KIND_NOT_SHOWN");
    api.tap(&of_phone).await.unwrap();

    let without = pb::Card {
        name: card_name("main"),
        contacts: vec![wecom()],
        ..Default::default()
    };
    api.update(without, &["contacts"]).await.unwrap();
    refuse(api.tap(&of_phone).await, "KIND_NOT_SHOWN");
    let other = pb::Card {
        name: card_name("main"),
        contacts: vec![phone("4008001234")],
        ..Default::default()
    };
    api.update(other, &["contacts"]).await.unwrap();
    let plan = api.tap(&of_phone).await.unwrap();
    assert_eq!(plan.steps[0].uri, "tel:4008001234", "what holds now");

    api.withdraw("menu").await.unwrap();
    refuse(api.tap(&of_phone).await, "PLACEMENT_NOT_LIVE");
    api.delete("main").await.unwrap();
    api.advance(Duration::from_secs(60));
    refuse(api.tap(&of_phone).await, "CARD_NOT_ACTIVE");
}

/// What a purge leaves of a card opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_purged_card_is_refused() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    api.place("note", on_note("n")).await.unwrap();
    let link = pb::Link {
        placement: placement_name("note"),
        ttl: Some(prost_types::Duration {
            seconds: 30 * 24 * 3600,
            nanos: 0,
        }),
        ..Default::default()
    };
    let link = api.link("l", link).await.unwrap();
    let mut card = api.delete("main").await.unwrap();
    let purge = micros(card.purge_time.take());
    api.server
        .clock
        .stop_at(Micros(micros(link.expire_time).0 - 1));
    let before = api.tap(&link.token).await;
    refused(before, Code::FailedPrecondition, "CARD_NOT_ACTIVE");
    // The row is removed early, so that the link outlives it.
    let app = api.server.app.clone();
    api.server.clock.stop_at(purge);
    assert_eq!(app.sweep().await.unwrap(), 1);
    api.server
        .clock
        .stop_at(Micros(micros(link.expire_time).0 - 1));
    let after = api.tap(&link.token).await;
    refused(after, Code::FailedPrecondition, "CARD_NOT_ACTIVE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_touched_is_malformed_or_forged() {
    let (mut api, [token, ..]) = shown(Engine::Sqlite).await;
    for touched in [
        "",
        &token[1..],
        &format!("{token}A"),
        &format!("{}=", &token[1..]),
        &format!("{}/", &token[1..]),
        &"名".repeat(64),
    ] {
        let answer = api.tap(touched).await;
        refused(answer, Code::InvalidArgument, "TOKEN_MALFORMED");
    }
    for at in 0..48 {
        let mut bytes = B64.decode(&token).unwrap();
        bytes[at] ^= 1;
        let answer = api.tap(&B64.encode(bytes)).await;
        refused(answer, Code::InvalidArgument, "TOKEN_FORGED");
    }
    let mut request = crate::support::tap(&token, Container::NativeApp);
    request.viewer = None;
    let environment = request.environment.as_mut().unwrap();
    (environment.platform, environment.container) = (9, 9);
    let answer = api.serving.open_card(request.clone()).await;
    malformed(answer, &["viewer", "environment.platform"]);
    request.environment.as_mut().unwrap().platform = 0;
    let answer = api.serving.open_card(request).await;
    malformed(answer, &["viewer", "environment.container"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_tokens_are_malformed_or_forged_one_and_all() {
    let (api, _) = shown(Engine::Sqlite).await;
    // 10,000 in 10 lanes.
    let lanes = (0..10).map(|lane| {
        let mut serving = api.serving.clone();
        async move {
            for n in 0..1_000 {
                let mut bytes = [0; 48];
                rand::fill(&mut bytes[..]);
                // The id of a key that is there gets further.
                bytes[0] = if n % 4 == 0 { 1 } else { bytes[0] };
                let (token, word) = match (n + lane) % 2 {
                    0 => (B64.encode(bytes), "TOKEN_FORGED"),
                    _ => (
                        String::from_utf8_lossy(&bytes).into_owned(),
                        "TOKEN_MALFORMED",
                    ),
                };
                let request = crate::support::tap(&token, Container::NativeApp);
                let answer = serving.open_card(request).await;
                refused(answer, Code::InvalidArgument, word);
            }
        }
    });
    futures_util::future::join_all(lanes).await;
}

/// Each viewer has so many taps, by whichever door; others, and tokens that are forged, take none.
#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_taps_so_often_on_both_doors_and_no_more() {
    let limits = "[limits]\nviewer_taps_per_minute = 3\n";
    let mut api = Api::start_with(Engine::Sqlite, limits).await;
    api.create("main").await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    let token = api.menu().await.items.remove(0).tap_token;
    let url = format!("http://{}/t/{token}", api.server.http);
    let opened = async || reqwest::get(&url).await.unwrap();
    for _ in 0..4 {
        let forged = api.tap(&"A".repeat(64)).await;
        refused(forged, Code::InvalidArgument, "TOKEN_FORGED");
    }
    api.tap(&token).await.unwrap();
    assert_eq!(opened().await.status(), 200);
    api.tap(&token).await.unwrap();

    let over = refused(
        api.tap(&token).await,
        Code::ResourceExhausted,
        "RATE_LIMITED",
    );
    let retry = over.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(retry > Duration::from_secs(10) && retry <= Duration::from_secs(20));
    let over = opened().await;
    assert_eq!(over.status(), 429);
    let seconds: u64 = over.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((10..=20).contains(&seconds), "{seconds}");

    let mut another = crate::support::tap(&token, Container::NativeApp);
    another.viewer.as_mut().unwrap().viewer_id = "another".to_owned();
    api.serving.open_card(another).await.unwrap();
}

/// A link that was published is tapped by many.
#[tokio::test(flavor = "multi_thread")]
async fn a_links_taps_on_the_public_door_are_nobodys() {
    let limits = "[limits]\nviewer_taps_per_minute = 1\n";
    let mut api = Api::start_with(Engine::Sqlite, limits).await;
    api.create("main").await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    let link = pb::Link {
        placement: placement_name("menu"),
        ..Default::default()
    };
    let token = api.link("l", link).await.unwrap().token;
    let url = format!("http://{}/t/{token}", api.server.http);
    for _ in 0..3 {
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    }
    api.tap(&token).await.unwrap();
    refused(
        api.tap(&token).await,
        Code::ResourceExhausted,
        "RATE_LIMITED",
    );
}

/// Days of events begin at midnight in UTC.
async fn a_token_that_is_opened_on_two_days_is_one_tap(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    let now = u64::try_from(api.server.clock.now().seconds()).unwrap();
    let day = DAY.as_secs();
    let midnight = i64::try_from((now / day + 2) * day).unwrap() * 1_000_000;
    api.server.clock.stop_at(Micros(midnight - 600_000_000));
    api.place("menu", in_menu(1)).await.unwrap();
    let token = api.menu().await.items.remove(0).tap_token;
    api.server.clock.stop_at(Micros(midnight - 1));
    api.tap(&token).await.unwrap();
    api.server.clock.stop_at(Micros(midnight + 200_000_000));
    api.tap(&token).await.unwrap();
    let db = database(&api.server.scratch).await;
    let taps = "SELECT CAST(count(*) AS text) FROM events WHERE stage = 2";
    assert_eq!(column(&db, taps).await, ["1"]);
}
