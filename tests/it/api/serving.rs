//! `ServingService`, before the tap: what a viewer is shown, in which order, until when.

use std::time::Duration;

use mingpian::{
    api::pb::{
        self, ErrorReason, contact::Kind, get_card_message_response, note_capsule_result::Outcome,
    },
    domain::Micros,
};
use tonic::Code;

use super::{Api, card_name, malformed, micros, placement_name, refused, time};
use crate::{
    on_both_engines,
    support::{
        Engine, create_card, get_menu, in_menu, on_note, phone, place, viewer, wechat, wecom,
    },
};

on_both_engines!(
    a_menu_has_at_most_three_items_by_position_then_kind,
    capsules_answer_in_the_order_asked,
    an_absence_says_what_is_closest_to_being_shown,
    a_deleted_cards_items_go_and_come_back,
);

fn kinds(items: &[pb::Item]) -> Vec<(&str, Kind)> {
    let id = |item: &'_ pb::Item| -> usize { item.placement.rfind('/').unwrap() + 1 };
    let pair = |item| -> (&str, Kind) {
        let item: &pb::Item = item;
        (&item.placement[id(item)..], item.kind())
    };
    items.iter().map(pair).collect()
}

async fn a_menu_has_at_most_three_items_by_position_then_kind(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    assert_eq!(api.menu_absence().await, ErrorReason::PlacementNotFound);
    api.place("third", in_menu(3)).await.unwrap();
    let all = [Kind::Wecom, Kind::Phone, Kind::WechatId];
    assert_eq!(
        kinds(&api.menu().await.items),
        all.map(|kind| ("third", kind))
    );

    let second = api.place_as("second", in_menu(2), |p| {
        p.contact_kinds = vec![Kind::WechatId.into()];
    });
    second.await.unwrap();
    let first = api.place_as("first", in_menu(1), |p| {
        p.contact_kinds = vec![Kind::Phone.into()];
    });
    first.await.unwrap();
    let menu = api.menu().await;
    assert_eq!(
        kinds(&menu.items),
        [
            ("first", Kind::Phone),
            ("second", Kind::WechatId),
            ("third", Kind::Wecom)
        ]
    );
    assert_eq!(menu.absence, None);
    api.pause("first").await.unwrap();
    let three = [
        ("second", Kind::WechatId),
        ("third", Kind::Wecom),
        ("third", Kind::Phone),
    ];
    assert_eq!(kinds(&api.menu().await.items), three);
    for id in ["second", "third"] {
        api.pause(id).await.unwrap();
    }
    assert_eq!(api.menu_absence().await, ErrorReason::PlacementNotLive);
    for id in ["first", "second", "third"] {
        api.withdraw(id).await.unwrap();
    }
    assert_eq!(api.menu_absence().await, ErrorReason::PlacementNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_shows_the_card_and_masks_the_contact() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let dressed = pb::Card {
        name: card_name("main"),
        avatar_uri: "https://example.com/a.png".into(),
        contacts: vec![
            wecom(),
            pb::Contact {
                label: "打给我".into(),
                ..phone("")
            },
            wechat(""),
        ],
        ..Default::default()
    };
    api.update(dressed, &[]).await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    for (locale, labels) in [
        ("", ["添加企业微信", "打给我", "复制微信号"]),
        ("zh-Hant-HK", ["添加企业微信", "打给我", "复制微信号"]),
        ("en-US", ["Add on WeCom", "打给我", "Copy WeChat ID"]),
        ("fr", ["Add on WeCom", "打给我", "Copy WeChat ID"]),
    ] {
        let mut request = get_menu("klook");
        request.viewer.as_mut().unwrap().locale = locale.into();
        let menu = api.serving.get_chat_menu(request).await.unwrap();
        let told = menu.get_ref().items.iter().map(|item| item.label.as_str());
        assert!(told.eq(labels), "{locale}: {menu:?}");
    }
    let items = api.menu().await.items;
    let previews = items
        .iter()
        .map(|item| (item.preview.as_str(), &*item.icon));
    assert!(previews.eq([
        ("Klook 客路", "wecom"),
        ("138****8000", "phone"),
        ("kl***88", "wechat")
    ]));
    for item in items {
        assert_eq!(item.tap_token.len(), 64);
        assert!(item.open_uri.ends_with(&format!("/t/{}", item.tap_token)));
        assert_eq!(item.display_name, "Klook 客路");
        assert_eq!(item.headline, "官方客服");
        assert_eq!(item.avatar_uri, "https://example.com/a.png");
    }
}

async fn capsules_answer_in_the_order_asked(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    for note in ["n1", "N1", "n2"] {
        let id = format!("p-{}", note.replace('N', "big"));
        api.place(&id, on_note(note)).await.unwrap();
    }
    let asked = ["n2", "none", "n1", "N1", "n2"];
    let answer = api.capsules(&asked).await;
    let told = answer.results.iter().map(|result| match &result.outcome {
        Some(Outcome::Item(item)) => (result.note.as_str(), item.placement.clone()),
        Some(Outcome::Absence(absence)) => {
            assert_eq!(absence.reason(), ErrorReason::PlacementNotFound);
            (result.note.as_str(), String::new())
        }
        None => panic!("neither item nor absence"),
    });
    assert!(told.eq([
        ("notes/n2", placement_name("p-n2")),
        ("notes/none", String::new()),
        ("notes/n1", placement_name("p-n1")),
        ("notes/N1", placement_name("p-big1")),
        ("notes/n2", placement_name("p-n2")),
    ]));
    // The first kind only, and of one viewer's two askings two tokens.
    let items: Vec<_> = answer.results.into_iter().filter_map(item).collect();
    assert!(items.iter().all(|item| item.kind() == Kind::Wecom));
    assert_ne!(items[0].tap_token, items[3].tap_token);
    let subset = pb::Placement {
        name: placement_name("p-n1"),
        contact_kinds: vec![Kind::WechatId.into(), Kind::Phone.into()],
        ..Default::default()
    };
    api.change(subset, &[]).await.unwrap();
    let shown = api.capsules(&["n1"]).await.results.remove(0);
    assert_eq!(item(shown).unwrap().kind(), Kind::Phone);
}

fn item(result: pb::NoteCapsuleResult) -> Option<pb::Item> {
    match result.outcome {
        Some(Outcome::Item(item)) => Some(item),
        _ => None,
    }
}

fn absence(result: pb::NoteCapsuleResult) -> ErrorReason {
    match result.outcome {
        Some(Outcome::Absence(absence)) => absence.reason(),
        other => panic!("{other:?}"),
    }
}

/// A live placement that waits for its time outranks those that somebody paused.
async fn an_absence_says_what_is_closest_to_being_shown(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    let later = time(api.server.clock.now() + Duration::from_secs(3600));
    for (surface, prefix) in [(in_menu(1), "menu"), (on_note("n"), "note")] {
        for n in 0..4 {
            let id = format!("{prefix}{n}");
            api.place(&id, surface.clone()).await.unwrap();
            api.pause(&id).await.unwrap();
        }
        let id = format!("{prefix}-live");
        let live = api.place_as(&id, surface, |p| p.start_time = later);
        live.await.unwrap();
        // Written last, though made first.
        let touched = pb::Placement {
            name: placement_name(&format!("{prefix}0")),
            contact_kinds: vec![Kind::Phone.into()],
            ..Default::default()
        };
        api.change(touched, &[]).await.unwrap();
    }
    assert_eq!(api.menu_absence().await, ErrorReason::OutsideSchedule);
    let shown = api.capsules(&["n"]).await.results.remove(0);
    assert_eq!(absence(shown), ErrorReason::OutsideSchedule);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_1_to_200_notes_and_names_a_viewer() {
    let mut api = Api::start(Engine::Sqlite).await;
    let mut ask = async |notes: Vec<String>, viewer| {
        let request = pb::BatchGetNoteCapsulesRequest { notes, viewer };
        api.serving.batch_get_note_capsules(request).await
    };
    let note = || "notes/n".to_owned();
    malformed(ask(vec![], viewer()).await, &["notes"]);
    malformed(ask(vec![note(); 201], viewer()).await, &["notes"]);
    let full = ask(vec![note(); 200], viewer()).await.unwrap();
    assert_eq!(full.get_ref().results.len(), 200);
    let wrong = ask(vec![note(), "note/n".into(), "notes/a b".into()], None).await;
    malformed(wrong, &["notes[1]", "notes[2]", "viewer"]);

    let bad = Some(pb::Viewer {
        viewer_id: "138 0013 8000".into(),
        platform: 9,
        app_version: "1".repeat(33),
        locale: "z".repeat(36),
    });
    let fields = ["viewer_id", "platform", "app_version", "locale"];
    let fields = fields.map(|field| format!("viewer.{field}"));
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    malformed(ask(vec![note()], bad.clone()).await, &fields);
    let request = pb::GetChatMenuRequest {
        viewer: bad,
        ..get_menu("klook")
    };
    malformed(api.serving.get_chat_menu(request).await, &fields);
    for control in ['\0', '\n', '\u{1b}', '\u{85}'] {
        let mut request = get_menu("klook");
        let viewer = request.viewer.as_mut().unwrap();
        viewer.app_version = format!("8{control}1");
        viewer.locale = format!("zh{control}");
        malformed(api.serving.get_chat_menu(request).await, &fields[2..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_kept_to_the_microsecond() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let now = api.stop_clock();
    let (start, end) = (Micros(now.0 + 20_000_003), Micros(now.0 + 40_000_007));
    for (id, surface) in [("menu", in_menu(1)), ("note", on_note("n"))] {
        let placed = api.place_as(id, surface, |p| {
            p.start_time = time(start);
            p.end_time = time(end);
        });
        placed.await.unwrap();
    }
    let outside = ErrorReason::OutsideSchedule;
    for (at, shown, until) in [
        (now, false, start),
        (Micros(start.0 - 1), false, start),
        (start, true, end),
        (Micros(end.0 - 1), true, end),
        (end, false, end + Duration::from_secs(60)),
    ] {
        api.server.clock.stop_at(at);
        let menu = api.menu().await;
        let capsules = api.capsules(&["n", "none"]).await;
        assert_eq!(micros(menu.valid_until), until);
        assert_eq!(micros(capsules.valid_until), until);
        let capsule = capsules.results.into_iter().next().unwrap();
        if shown {
            assert_eq!(menu.items.len(), 3);
            assert!(item(capsule).is_some());
        } else {
            assert_eq!(menu.absence.unwrap().reason(), outside);
            assert_eq!(absence(capsule), outside);
        }
    }
}

async fn a_deleted_cards_items_go_and_come_back(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    api.place("menu", in_menu(1)).await.unwrap();
    api.place("note", on_note("n")).await.unwrap();
    api.delete("main").await.unwrap();
    assert_eq!(api.menu_absence().await, ErrorReason::CardNotActive);
    let gone = api.capsules(&["n"]).await.results.remove(0);
    assert_eq!(absence(gone), ErrorReason::CardNotActive);
    api.undelete("main").await.unwrap();
    assert_eq!(api.menu().await.items.len(), 3);
    assert!(item(api.capsules(&["n"]).await.results.remove(0)).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placement_whose_kind_left_the_card_shows_nothing() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let placed = api.place_as("menu", in_menu(1), |p| {
        p.contact_kinds = vec![Kind::Phone.into()];
    });
    placed.await.unwrap();
    let without = pb::Card {
        name: card_name("main"),
        contacts: vec![wecom()],
        ..Default::default()
    };
    api.update(without, &[]).await.unwrap();
    assert_eq!(api.menu_absence().await, ErrorReason::KindNotShown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_menu_is_not_sent_again_while_it_holds() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    api.place("menu", in_menu(1)).await.unwrap();
    let now = api.stop_clock();
    let issued = Micros(now.0 - now.0.rem_euclid(1_000_000));
    let first = api.menu().await;
    assert!(first.version.len() <= 32 && !first.not_modified);
    assert_eq!(micros(first.valid_until), now + Duration::from_secs(60));
    let again = async |api: &mut Api, version: &str, locale: &str| {
        let mut request = get_menu("klook");
        request.known_version = version.into();
        request.viewer.as_mut().unwrap().locale = locale.into();
        api.serving
            .get_chat_menu(request)
            .await
            .unwrap()
            .into_inner()
    };
    // The tokens open for 15 minutes.
    let half = Duration::from_secs(450);
    let held = again(&mut api, &first.version, "").await;
    assert!(held.not_modified && held.items.is_empty() && held.absence.is_none());
    assert_eq!(held.version, first.version);
    api.server.clock.stop_at(Micros((issued + half).0 - 1));
    let held = again(&mut api, &first.version, "").await;
    assert!(held.not_modified);
    let longest = api.server.clock.now() + Duration::from_secs(60);
    assert_eq!(micros(held.valid_until), longest);
    api.server.clock.stop_at(issued + half);
    let renewed = again(&mut api, &first.version, "").await;
    assert!(!renewed.not_modified && renewed.items.len() == 3);
    assert_ne!(renewed.version, first.version);

    for other in ["", "AAAA", "not base64!", &first.version, &"A".repeat(16)] {
        assert!(!again(&mut api, other, "").await.not_modified, "{other}");
    }
    let fresh = renewed.version.as_str();
    assert!(again(&mut api, fresh, "zh-CN").await.not_modified);
    assert!(!again(&mut api, fresh, "en").await.not_modified);
    let renamed = pb::Card {
        name: card_name("main"),
        headline: "new".into(),
        ..Default::default()
    };
    api.update(renamed, &[]).await.unwrap();
    let changed = again(&mut api, fresh, "").await;
    assert_eq!(changed.items[0].headline, "new");
    api.pause("menu").await.unwrap();
    let gone = again(&mut api, &changed.version, "").await;
    assert_eq!(
        gone.absence.unwrap().reason(),
        ErrorReason::PlacementNotLive
    );
    assert!(again(&mut api, &gone.version, "").await.not_modified);
}

/// The longest answer must not outlive its tokens.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_outlives_its_tokens() {
    let more = "[serving]\nmax_age_seconds = 3600\n";
    let mut api = Api::start_with(Engine::Sqlite, more).await;
    api.create("main").await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    let now = api.stop_clock();
    let ends = Micros(now.0 - now.0.rem_euclid(1_000_000)) + Duration::from_secs(900);
    let menu = api.menu().await;
    assert_eq!(micros(menu.valid_until), ends);
    api.advance(Duration::from_secs(400));
    let mut request = get_menu("klook");
    request.known_version = menu.version;
    let held = api.serving.get_chat_menu(request).await.unwrap();
    assert!(held.get_ref().not_modified);
    assert_eq!(
        micros(held.get_ref().valid_until),
        ends,
        "of the tokens it holds"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_shows_its_first_kind_to_whoever_has_its_name() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let end = api.stop_clock() + Duration::from_secs(5);
    let send = pb::SendCardRequest {
        card: card_name("main"),
        conversation: "conversations/c1".into(),
        contact_kinds: vec![Kind::WechatId.into(), Kind::Phone.into()],
        end_time: time(end),
        ..Default::default()
    };
    let sent = api.placements.send_card(send).await.unwrap().into_inner();
    let mut message = async |placement: &str| {
        let request = pb::GetCardMessageRequest {
            placement: placement.into(),
            viewer: viewer(),
        };
        let answer = api.serving.get_card_message(request).await;
        answer.map(tonic::Response::into_inner)
    };
    use get_card_message_response::Outcome;
    let shown = message(&sent.name).await.unwrap();
    assert_eq!(micros(shown.valid_until), end);
    let Some(Outcome::Item(item)) = shown.outcome else {
        panic!("{shown:?}")
    };
    assert_eq!(
        (item.kind(), item.preview.as_str()),
        (Kind::Phone, "138****8000")
    );
    api.server.clock.stop_at(end);
    let over = message(&sent.name).await.unwrap().outcome;
    let Some(Outcome::Absence(absence)) = over else {
        panic!("{over:?}")
    };
    assert_eq!(absence.reason(), ErrorReason::OutsideSchedule);

    let ghost = message(&placement_name("ghost")).await;
    refused(ghost, Code::NotFound, "PLACEMENT_NOT_FOUND");
    malformed(message("placements/x").await, &["placement"]);
    api.cards
        .create_card(create_card("klook", "two"))
        .await
        .unwrap();
    for (id, surface) in [("menu", in_menu(1)), ("note", on_note("n"))] {
        let request = place("klook", "two", id, surface);
        api.placements.create_placement(request).await.unwrap();
        let request = pb::GetCardMessageRequest {
            placement: placement_name(id),
            viewer: viewer(),
        };
        let elsewhere = api.serving.get_card_message(request).await;
        refused(elsewhere, Code::NotFound, "PLACEMENT_NOT_FOUND");
    }
}
