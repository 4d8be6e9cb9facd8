//! `CardService`: what a card may say, and its life from creation to purge.

mod together;

use std::time::Duration;

use mingpian::{
    api::pb::{self, card::State, contact::Details, contact::Kind, wecom_contact::Target},
    domain::Micros,
};
use prost::Message;
use tonic::Code;

use super::{Api, DAY, MICROSECOND, malformed, micros, refused};
use crate::{
    on_both_engines,
    support::{
        Engine, LINK, MOBILE, SERVICE_NUMBER, WECHAT_ID, card, create_card, phone, wechat, wecom,
    },
};

on_both_engines!(
    a_card_lives_until_its_purge_time,
    a_purged_cards_name_is_free_and_its_placements_are_gone,
    a_merchant_has_at_most_20_cards,
    an_update_without_a_secret_keeps_it,
);

/// Creates the card `main`, changed so.
async fn create_as(
    api: &mut Api,
    change: impl FnOnce(&mut pb::Card),
) -> Result<pb::Card, tonic::Status> {
    let mut request = create_card("klook", "");
    change(request.card.as_mut().unwrap());
    let made = api.cards.create_card(request).await;
    made.map(tonic::Response::into_inner)
}

fn wecom_at(target: Target) -> pb::Contact {
    let mut contact = wecom();
    contact.details = Some(Details::Wecom(pb::WecomContact {
        target: Some(target),
        ..Default::default()
    }));
    contact
}

fn labeled(label: &str, mut contact: pb::Contact) -> pb::Contact {
    contact.label = label.into();
    contact
}

#[tokio::test(flavor = "multi_thread")]
async fn text_limits_count_code_points_after_nfc() {
    let mut api = Api::start(Engine::Sqlite).await;
    let decomposed = |n| "e\u{301}".repeat(n);
    let made = create_as(&mut api, |card| {
        card.display_name = decomposed(20);
        card.headline = "😀".repeat(30);
        card.contacts = vec![labeled(&decomposed(8), wecom())];
    });
    let made = made.await.unwrap();
    assert_eq!(made.display_name, "é".repeat(20));
    assert_eq!(made.contacts[0].label, "é".repeat(8));

    let made = create_as(&mut api, |card| {
        card.display_name = decomposed(21);
        card.headline = "名".repeat(31);
        card.contacts = vec![labeled(&"名".repeat(9), wecom())];
    });
    malformed(
        made.await,
        &[
            "card.display_name",
            "card.headline",
            "card.contacts[0].label",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_is_said_at_once() {
    let mut api = Api::start(Engine::Sqlite).await;
    let mut request = create_card("klook", "Not An Id");
    request.card = Some(pb::Card {
        display_name: " \u{3000}".into(),
        headline: "a\u{202E}b".into(),
        avatar_uri: "http://example.com/a.png".into(),
        contacts: vec![
            phone("12345678901"),
            wechat("1abcdef"),
            wecom_at(Target::KfUri("javascript:1".into())),
            wecom(),
        ],
        ..Default::default()
    });
    malformed(
        api.cards.create_card(request).await,
        &[
            "card_id",
            "card.display_name",
            "card.headline",
            "card.avatar_uri",
            "card.contacts",
            "card.contacts[3]",
            "card.contacts[0].phone.number",
            "card.contacts[1].wechat.wechat_id",
            "card.contacts[2].wecom.kf_uri",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn avatars_are_https_and_name_nobody() {
    let mut api = Api::start(Engine::Sqlite).await;
    for bad in [
        "http://example.com/a.png",
        "javascript:alert(1)",
        "data:image/png;base64,AA",
        "https://user@example.com/a.png",
        "https://user:pw@example.com/a.png",
        "https://",
        "https:///example.com/a.png",
        "//example.com/a.png",
        &format!("https://example.com/{}", "a".repeat(2048)),
        // Longer once it is percent-encoded.
        &format!("https://example.com/{}", "名".repeat(600)),
    ] {
        let made = create_as(&mut api, |card| card.avatar_uri = bad.into()).await;
        malformed(made, &["card.avatar_uri"]);
    }
    let good = "https://example.com/a.png?w=1";
    let made = create_as(&mut api, |card| card.avatar_uri = good.into()).await;
    assert_eq!(made.unwrap().avatar_uri, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_has_one_to_three_contacts_one_per_kind() {
    let mut api = Api::start(Engine::Sqlite).await;
    let none = create_as(&mut api, |card| card.contacts.clear()).await;
    malformed(none, &["card.contacts"]);
    let four = create_as(&mut api, |card| card.contacts.push(wecom())).await;
    malformed(four, &["card.contacts", "card.contacts[3]"]);
    let two = create_as(&mut api, |card| {
        card.contacts = vec![phone(MOBILE), phone(SERVICE_NUMBER)];
    });
    malformed(two.await, &["card.contacts[1]"]);
    let empty = create_as(&mut api, |card| card.contacts = vec![Default::default()]).await;
    malformed(empty, &["card.contacts[0]"]);
    let secretless = create_as(&mut api, |card| {
        card.contacts = vec![phone(""), wechat("")];
    });
    malformed(
        secretless.await,
        &[
            "card.contacts[0].phone.number",
            "card.contacts[1].wechat.wechat_id",
        ],
    );
    let mixed = create_as(&mut api, |card| card.contacts.reverse()).await;
    let kinds = mixed.unwrap().contacts.into_iter().map(|c| c.kind());
    assert!(kinds.eq([Kind::Wecom, Kind::Phone, Kind::WechatId]));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_read_as_people_write_them_and_never_told() {
    let mut api = Api::start(Engine::Sqlite).await;
    for (written, dialed, mask) in [
        ("138 0013-8000", "+8613800138000", "138****8000"),
        ("+8613800138000", "+8613800138000", "138****8000"),
        ("400-800-1234", "4008001234", "400****34"),
        ("800 810 1234", "8008101234", "800****34"),
        ("95588", "95588", "95****8"),
        ("+1 650 253 0000", "+16502530000", "+1 650****00"),
    ] {
        let made = create_as(&mut api, |card| card.contacts = vec![phone(written)]).await;
        let made = made.unwrap();
        let Some(Details::Phone(told)) = &made.contacts[0].details else {
            panic!("{made:?}")
        };
        assert_eq!((told.number.as_str(), &*told.masked_number), ("", mask));
        let id = made.name.rsplit('/').next().unwrap();
        assert_eq!(api.reveal(id, Kind::Phone).await.unwrap(), dialed);
    }
    for bad in [
        "12345678901",
        "4001",
        "40012345678",
        "95",
        "tel:95588",
        "1380013800O",
    ] {
        let made = create_as(&mut api, |card| card.contacts = vec![phone(bad)]).await;
        malformed(made, &["card.contacts[0].phone.number"]);
    }
    for bad in [
        "abcde",
        "1abcdef",
        "kl ook88",
        "名片名片名片",
        &"a".repeat(21),
    ] {
        let made = create_as(&mut api, |card| card.contacts = vec![wechat(bad)]).await;
        malformed(made, &["card.contacts[0].wechat.wechat_id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_wecoms_own_links_lead_to_wecom() {
    let mut api = Api::start(Engine::Sqlite).await;
    for bad in [
        "https://work.weixin.qq.com.evil.example/ca/x",
        "javascript:alert(1)",
        "https://work.weixin.qq.com@evil.example/ca/x",
        "http://work.weixin.qq.com/ca/x",
        "https://work.weixin.qq.com/ca/x?customer_channel=mine",
        &format!("https://work.weixin.qq.com/ca/{}", "x".repeat(512)),
    ] {
        for (target, field) in [
            (Target::AcquisitionUri(bad.into()), "acquisition_uri"),
            (Target::KfUri(bad.into()), "kf_uri"),
        ] {
            let made = create_as(&mut api, |card| card.contacts = vec![wecom_at(target)]).await;
            malformed(made, &[&format!("card.contacts[0].wecom.{field}")]);
        }
    }
    let managed = Target::AcquisitionLink("corps/a/links/b".into());
    let made = create_as(&mut api, |card| card.contacts = vec![wecom_at(managed)]).await;
    malformed(made, &["card.contacts[0].wecom.acquisition_link"]);
    let made = create_as(&mut api, |card| {
        card.contacts = vec![pb::Contact {
            details: Some(Details::Wecom(pb::WecomContact {
                corp: "corps/A B".into(),
                target: None,
                fallback_kf_uri: LINK.into(),
            })),
            ..Default::default()
        }];
    });
    malformed(
        made.await,
        &[
            "card.contacts[0].wecom",
            "card.contacts[0].wecom.corp",
            "card.contacts[0].wecom.fallback_kf_uri",
        ],
    );
    for good in [
        Target::AcquisitionUri(format!("{LINK}?comp_scene=YWI%3D")),
        Target::KfUri("https://work.weixin.qq.com/kfid/kfc1?enc_scene=E".into()),
    ] {
        let contact = wecom_at(good);
        let made = create_as(&mut api, |card| card.contacts = vec![contact.clone()]).await;
        assert_eq!(made.unwrap().contacts[0].details, contact.details);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_masks_and_none_tells() {
    let mut api = Api::start(Engine::Sqlite).await;
    let mut answers = vec![api.create("main").await.unwrap()];
    let made = &answers[0];
    assert_eq!(made.state(), State::Active);
    assert_eq!((made.delete_time, made.purge_time), (None, None));
    assert_eq!(made.create_time, made.update_time);
    answers.push(api.get("main").await.unwrap());
    let renamed = pb::Card {
        name: "merchants/klook/cards/main".into(),
        display_name: "New".into(),
        ..Default::default()
    };
    answers.push(api.update(renamed, &[]).await.unwrap());
    answers.push(api.delete("main").await.unwrap());
    answers.push(api.undelete("main").await.unwrap());
    let list = pb::ListCardsRequest {
        parent: "merchants/klook".into(),
        ..Default::default()
    };
    let list = api.cards.list_cards(list).await.unwrap().into_inner();
    answers.extend(list.cards);
    assert_eq!(answers.len(), 6);
    for card in answers {
        let bytes = card.encode_to_vec();
        let tells = |secret: &str| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(tells("138****8000") && tells("kl***88"), "{card:?}");
        assert!(!tells(&MOBILE[3..]) && !tells(WECHAT_ID), "{card:?}");
    }
}

async fn an_update_without_a_secret_keeps_it(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    let name = "merchants/klook/cards/main".to_owned();
    let relabeled = pb::Card {
        name: name.clone(),
        contacts: vec![labeled("打给我", phone("")), wechat("")],
        ..Default::default()
    };
    let updated = api.update(relabeled.clone(), &["contacts"]).await.unwrap();
    assert_eq!(updated.contacts.len(), 2, "the list is replaced as a whole");
    assert_eq!(updated.contacts[0].label, "打给我");
    assert_eq!(updated.display_name, "Klook 客路");
    assert_eq!(
        api.reveal("main", Kind::Phone).await.unwrap(),
        "+8613800138000"
    );
    assert_eq!(api.reveal("main", Kind::WechatId).await.unwrap(), WECHAT_ID);
    let gone = api.reveal("main", Kind::Wecom).await;
    refused(gone, Code::NotFound, "CONTACT_NOT_FOUND");

    let only = pb::Card {
        contacts: vec![wecom()],
        ..relabeled.clone()
    };
    api.update(only, &["contacts"]).await.unwrap();
    let again = api.update(relabeled, &["contacts"]).await;
    malformed(
        again,
        &[
            "card.contacts[0].phone.number",
            "card.contacts[1].wechat.wechat_id",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_changes_what_its_mask_names() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let wanted = pb::Card {
        name: "merchants/klook/cards/main".into(),
        display_name: "Second".into(),
        avatar_uri: "https://example.com/a.png".into(),
        ..Default::default()
    };
    let set = api.update(wanted.clone(), &[]).await.unwrap();
    assert_eq!(set.display_name, "Second");
    assert_eq!(set.headline, "官方客服", "empty, so not meant");
    assert_ne!(set.etag, "");

    let cleared = api.update(wanted.clone(), &["headline"]).await.unwrap();
    assert_eq!(cleared.headline, "");
    assert_ne!(cleared.etag, set.etag);

    for paths in [
        &["name"][..],
        &["*", "headline"],
        &["contacts.label"],
        &[""],
    ] {
        let unknown = api.update(wanted.clone(), paths).await;
        malformed(unknown, &["update_mask"]);
    }
    let all = api.update(wanted.clone(), &["*"]).await;
    malformed(all, &["card.contacts"]);
    let all = pb::Card {
        contacts: vec![phone("")],
        ..wanted
    };
    let all = api.update(all, &["*"]).await.unwrap();
    assert_eq!((all.headline.as_str(), all.contacts.len()), ("", 1));

    let nameless = api.update(card(), &[]).await;
    malformed(nameless, &["card.name"]);
    let ghost = pb::Card {
        name: "merchants/klook/cards/ghost".into(),
        ..card()
    };
    // Shape comes before existence.
    let two = pb::Card {
        contacts: vec![wecom(), wecom()],
        ..ghost.clone()
    };
    malformed(api.update(two, &[]).await, &["card.contacts[1]"]);
    refused(
        api.update(ghost, &[]).await,
        Code::NotFound,
        "CARD_NOT_FOUND",
    );
}

async fn a_card_lives_until_its_purge_time(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    api.stop_clock();
    let active = api.undelete("main").await;
    refused(active, Code::FailedPrecondition, "STATE_TRANSITION");
    let deleted = api.delete("main").await.unwrap();
    assert_eq!(deleted.state(), State::Deleted);
    let (at, purge) = (micros(deleted.delete_time), micros(deleted.purge_time));
    assert_eq!(purge, at + 30 * DAY);
    let again = api.delete("main").await;
    refused(again, Code::FailedPrecondition, "STATE_TRANSITION");
    let renamed = pb::Card {
        name: deleted.name.clone(),
        headline: "x".into(),
        ..Default::default()
    };
    let update = api.update(renamed, &[]).await;
    refused(update, Code::FailedPrecondition, "CARD_NOT_ACTIVE");
    let reveal = api.reveal("main", Kind::Phone).await;
    refused(reveal, Code::FailedPrecondition, "CARD_NOT_ACTIVE");
    refused(api.create("main").await, Code::AlreadyExists, "CARD_EXISTS");

    api.server.clock.stop_at(Micros(purge.0 - 1));
    assert_eq!(api.get("main").await.unwrap(), deleted);
    let back = api.undelete("main").await.unwrap();
    assert_eq!(back.state(), State::Active);
    assert_eq!((back.delete_time, back.purge_time), (None, None));
    assert_eq!(
        api.reveal("main", Kind::Phone).await.unwrap(),
        "+8613800138000"
    );

    let purge = micros(api.delete("main").await.unwrap().purge_time);
    api.server.clock.stop_at(purge);
    refused(api.get("main").await, Code::NotFound, "CARD_NOT_FOUND");
    refused(api.undelete("main").await, Code::NotFound, "CARD_NOT_FOUND");
    let list = pb::ListCardsRequest {
        parent: "merchants/klook".into(),
        show_deleted: true,
        ..Default::default()
    };
    let list = api.cards.list_cards(list).await.unwrap().into_inner();
    assert_eq!(list.cards, []);
}

async fn a_purged_cards_name_is_free_and_its_placements_are_gone(engine: Engine) {
    use crate::support::in_menu;
    let mut api = Api::with_card(engine).await;
    api.place("old", in_menu(1)).await.unwrap();
    let first = api.delete("main").await.unwrap();
    api.advance(30 * DAY + Duration::from_secs(1));
    let place = api.place("new", in_menu(2)).await;
    refused(place, Code::NotFound, "CARD_NOT_FOUND");
    let second = api.create("main").await.unwrap();
    assert_ne!(first.etag, second.etag);
    let old = api.placement("old").await.unwrap();
    assert_eq!(old.state(), pb::placement::State::Deleted);
    api.place("new", in_menu(1)).await.unwrap();
}

async fn a_merchant_has_at_most_20_cards(engine: Engine) {
    let mut api = Api::start(engine).await;
    for n in 0..20 {
        api.create(&format!("c{n}")).await.unwrap();
    }
    let full = |answer| refused(answer, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    full(api.create("c20").await);
    let other = api.cards.create_card(create_card("other", "c20")).await;
    other.unwrap();
    // What is not there, is there already, or is in that state says so first.
    refused(api.create("c3").await, Code::AlreadyExists, "CARD_EXISTS");
    refused(api.undelete("c20").await, Code::NotFound, "CARD_NOT_FOUND");
    let active = api.undelete("c3").await;
    refused(active, Code::FailedPrecondition, "STATE_TRANSITION");

    api.delete("c3").await.unwrap();
    api.create("c20").await.unwrap();
    full(api.undelete("c3").await);
    api.delete("c4").await.unwrap();
    api.undelete("c3").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_revealed_by_a_kind_that_is_named() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    assert_eq!(api.reveal("main", Kind::Wecom).await.unwrap(), LINK);
    let unnamed = api.reveal("main", Kind::Unspecified).await;
    malformed(unnamed, &["kind"]);
    let request = pb::RevealContactRequest {
        name: "merchants/klook/cards/main".into(),
        kind: 9,
        purpose: "名".repeat(201),
    };
    let both = api.cards.reveal_contact(request).await;
    malformed(both, &["kind", "purpose"]);
    let ghost = api.reveal("ghost", Kind::Phone).await;
    refused(ghost, Code::NotFound, "CARD_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_etags_move_with_every_version() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let first = api.get("main").await.unwrap();
    // However little time goes by, and even if none does.
    api.server.clock.stop_at(micros(first.update_time));
    let deleted = api.delete("main").await.unwrap();
    assert_eq!(
        micros(deleted.update_time),
        micros(first.update_time) + MICROSECOND
    );
    let back = api.undelete("main").await.unwrap();
    assert!(micros(back.update_time) > micros(deleted.update_time));
    let etags = [&first.etag, &deleted.etag, &back.etag];
    assert!(etags[0] != etags[1] && etags[1] != etags[2] && etags[0] != etags[2]);
    assert_eq!(back.create_time, first.create_time);
}
