//! `LinkService`: the life of a stored link.

use std::time::Duration;

use mingpian::{
    api::pb::{self, contact::Kind, link::State},
    domain::Micros,
    keys,
};
use tonic::Code;
use tonic_types::StatusExt;

use super::{Api, DAY, PATIENT, card_name, malformed, micros, placement_name, refused};
use crate::{
    on_both_engines,
    support::{Engine, Scratch, TestServer, in_menu, on_note, phone},
};

on_both_engines!(
    a_link_opens_until_it_expires_or_is_revoked,
    tokens_outlive_a_rotation_of_keys,
    a_merchant_has_so_many_links_that_open,
    making_and_revoking_leave_a_row_each,
);

fn to(placement: &str) -> pb::Link {
    pb::Link {
        placement: placement_name(placement),
        ..Default::default()
    }
}

fn seconds(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

async fn with_menu(engine: Engine) -> Api {
    let mut api = Api::with_card(engine).await;
    api.place("menu", in_menu(1)).await.unwrap();
    api
}

async fn a_link_opens_until_it_expires_or_is_revoked(engine: Engine) {
    let mut api = with_menu(engine).await;
    let now = api.stop_clock();
    let wanted = pb::Link {
        kind: Kind::Phone.into(),
        channel: "双十一".into(),
        ttl: seconds(3600, 0),
        ..to("menu")
    };
    let link = api.link("l1", wanted).await.unwrap();
    assert_eq!(link.name, "merchants/klook/links/l1");
    assert_eq!((link.state(), link.kind()), (State::Active, Kind::Phone));
    assert_eq!((link.channel.as_str(), link.token.len()), ("双十一", 64));
    assert!(link.uri.ends_with(&format!("/t/{}", link.token)));
    assert_eq!((link.ttl, link.revoke_time), (None, None));
    let ends = now + Duration::from_secs(3600);
    assert_eq!(micros(link.expire_time), ends);
    let get = pb::GetLinkRequest {
        name: link.name.clone(),
    };
    let got = api.links.get_link(get.clone()).await.unwrap();
    assert_eq!(got.get_ref(), &link);

    api.server.clock.stop_at(Micros(ends.0 - 1));
    let plan = api.tap(&link.token).await.unwrap();
    assert_eq!(plan.steps[0].uri, "tel:+8613800138000");
    assert_eq!(micros(plan.expire_time), ends);
    api.server.clock.stop_at(ends);
    let late = api.tap(&link.token).await;
    refused(late, Code::FailedPrecondition, "TOKEN_EXPIRED");
    let got = api.links.get_link(get.clone()).await.unwrap();
    assert_eq!(got.get_ref().state(), State::Expired);

    let second = api.link("l2", to("menu")).await.unwrap();
    assert_eq!(micros(second.expire_time), ends + 7 * DAY);
    assert_eq!(second.kind(), Kind::Wecom, "the first that is shown");
    let revoked = api.revoke("l2").await.unwrap();
    assert_eq!(revoked.state(), State::Revoked);
    assert_eq!(micros(revoked.revoke_time), ends);
    assert_ne!(revoked.etag, second.etag);
    let tap = refused(
        api.tap(&second.token).await,
        Code::FailedPrecondition,
        "TOKEN_REVOKED",
    );
    let metadata = tap.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["link"], second.name);
    let twice = api.revoke("l2").await;
    refused(twice, Code::FailedPrecondition, "STATE_TRANSITION");
    let list = pb::ListLinksRequest {
        parent: "merchants/klook".into(),
        ..Default::default()
    };
    let list = api.links.list_links(list).await.unwrap().into_inner();
    let states = list
        .links
        .iter()
        .map(|link| (link.name.as_str(), link.state()));
    assert!(states.eq([
        ("merchants/klook/links/l1", State::Expired),
        ("merchants/klook/links/l2", State::Revoked)
    ]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_checked_field_by_field() {
    let mut api = with_menu(Engine::Sqlite).await;
    for ttl in [
        seconds(0, 999_999_999),
        seconds(30 * 24 * 3600, 1),
        seconds(-1, 0),
        seconds(i64::MIN, 0),
        seconds(5, -1),
        seconds(1, 1_000_000_000),
    ] {
        let link = pb::Link { ttl, ..to("menu") };
        malformed(api.link("", link).await, &["link.ttl"]);
    }
    for ttl in [seconds(1, 0), seconds(30 * 24 * 3600, 0)] {
        let link = pb::Link { ttl, ..to("menu") };
        api.link("", link).await.unwrap();
    }
    let all = pb::Link {
        placement: "merchants/other/placements/menu".into(),
        kind: 9,
        channel: "名".repeat(33),
        ttl: seconds(0, 0),
        ..Default::default()
    };
    malformed(
        api.link("-", all).await,
        &[
            "link.placement",
            "link.kind",
            "link.channel",
            "link.ttl",
            "link_id",
        ],
    );
    let long = pb::Link {
        channel: "e\u{301}".repeat(32),
        ..to("menu")
    };
    let long = api.link("", long).await.unwrap();
    assert_eq!(long.channel, "é".repeat(32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_to_what_a_placement_shows() {
    let mut api = with_menu(Engine::Sqlite).await;
    api.place("note", on_note("n")).await.unwrap();
    let ghost = api.link("l", to("ghost")).await;
    refused(ghost, Code::NotFound, "PLACEMENT_NOT_FOUND");
    // A capsule shows its first kind only.
    let second = pb::Link {
        kind: Kind::Phone.into(),
        ..to("note")
    };
    let second = api.link("l", second).await;
    refused(second, Code::FailedPrecondition, "KIND_NOT_SHOWN");
    api.link("l", to("note")).await.unwrap();
    let taken = api.link("l", to("menu")).await;
    refused(taken, Code::AlreadyExists, "LINK_EXISTS");

    // A paused placement may be linked; its link opens once it is live.
    api.pause("menu").await.unwrap();
    let link = api.link("paused", to("menu")).await.unwrap();
    let early = api.tap(&link.token).await;
    refused(early, Code::FailedPrecondition, "PLACEMENT_NOT_LIVE");
    api.resume("menu").await.unwrap();
    api.tap(&link.token).await.unwrap();
    api.withdraw("menu").await.unwrap();
    let gone = api.link("gone", to("menu")).await;
    refused(gone, Code::FailedPrecondition, "PLACEMENT_NOT_LIVE");
    api.delete("main").await.unwrap();
    let gone = api.link("gone", to("note")).await;
    refused(gone, Code::FailedPrecondition, "CARD_NOT_ACTIVE");

    let ghost = api.revoke("ghost").await;
    refused(ghost, Code::NotFound, "LINK_NOT_FOUND");
    let old = pb::RevokeLinkRequest {
        name: link.name,
        etag: "0-0".into(),
        ..Default::default()
    };
    let old = api.links.revoke_link(old).await;
    refused(old, Code::Aborted, "ETAG_MISMATCH");
}

async fn a_merchant_has_so_many_links_that_open(engine: Engine) {
    let settings = format!("{PATIENT}[links]\nper_merchant = 3\n");
    let mut api = Api::start_with(engine, &settings).await;
    api.create("main").await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    let now = api.stop_clock();
    let brief = pb::Link {
        ttl: seconds(60, 0),
        ..to("menu")
    };
    api.link("brief", brief).await.unwrap();
    // Of those that ask at once, two more are let in.
    let asking = (0..6).map(|n| {
        let mut links = api.links.clone();
        let request = pb::CreateLinkRequest {
            parent: "merchants/klook".into(),
            link: Some(to("menu")),
            link_id: format!("l{n}"),
            ..Default::default()
        };
        async move { links.create_link(request).await }
    });
    let mut made = Vec::new();
    for answer in futures_util::future::join_all(asking).await {
        match answer {
            Ok(link) => made.push(link.into_inner().name),
            full => {
                let status = refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
                let metadata = status.get_details_error_info().unwrap().metadata;
                assert_eq!(metadata["limit"], "3");
            }
        }
    }
    assert_eq!(made.len(), 2);
    // What is there already, or is not there, says so first.
    let taken = api.link("brief", to("menu")).await;
    refused(taken, Code::AlreadyExists, "LINK_EXISTS");
    let ghost = api.link("more", to("ghost")).await;
    refused(ghost, Code::NotFound, "PLACEMENT_NOT_FOUND");

    let id = made[0].rsplit('/').next().unwrap();
    api.revoke(id).await.unwrap();
    api.link("after-revoking", to("menu")).await.unwrap();
    let full = api.link("more", to("menu")).await;
    refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    api.server.clock.stop_at(now + Duration::from_secs(60));
    api.link("after-expiry", to("menu")).await.unwrap();
}

async fn making_and_revoking_leave_a_row_each(engine: Engine) {
    let mut api = with_menu(engine).await;
    let now = api.stop_clock();
    let request = pb::CreateLinkRequest {
        parent: "merchants/klook".into(),
        link: Some(to("menu")),
        link_id: "l".into(),
        validate_only: true,
        ..Default::default()
    };
    api.links.create_link(request).await.unwrap();
    let store = api.server.app.store.clone();
    let rows = async || {
        let rows = store.reads().audit_of("merchants/klook/links/l").await;
        let rows = rows.unwrap().into_iter();
        let rows = rows.map(|row| (row.time, row.actor, row.action, row.detail));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(rows().await, [], "a rehearsal leaves none");
    let link = api.link("l", to("menu")).await.unwrap();
    api.revoke("l").await.unwrap();
    api.revoke("l").await.unwrap_err();
    let expires = now + 7 * DAY;
    let made = format!("placement={} kind=WECOM expires={expires}", link.placement);
    let row = |action: &str, detail| (now, "anonymous".to_owned(), action.to_owned(), detail);
    let all = [row("CreateLink", made), row("RevokeLink", String::new())];
    assert_eq!(rows().await, all);
}

async fn tokens_outlive_a_rotation_of_keys(engine: Engine) {
    let mut api = with_menu(engine).await;
    let link = api.link("l", to("menu")).await.unwrap();
    let served = api.menu().await.items.remove(1).tap_token;
    let scratch: Scratch = api.server.end().await;
    let file = scratch.file("keys.toml");
    let id = keys::add(&file, [9; 64]).unwrap();
    keys::activate(&file, id).unwrap();

    let settings = scratch.settings("");
    let mut api = Api::on(TestServer::on(scratch, &settings).await).await;
    let plan = api.tap(&served).await.unwrap();
    assert_eq!(plan.steps[0].uri, "tel:+8613800138000");
    let plan = api.tap(&link.token).await.unwrap();
    assert!(plan.steps[1].uri.ends_with(&link.token));
    let get = pb::GetLinkRequest {
        name: link.name.clone(),
    };
    let kept = api.links.get_link(get).await.unwrap();
    assert_eq!(kept.get_ref().token, link.token);
    assert_eq!(
        api.reveal("main", Kind::Phone).await.unwrap(),
        "+8613800138000"
    );

    // What is made from now on is the new key's, and old secrets move with a new version.
    let of_key = |token: &str| {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as B64};
        B64.decode(token).unwrap()[0]
    };
    let fresh = api.menu().await.items.remove(0).tap_token;
    assert_eq!((of_key(&link.token), of_key(&fresh)), (1, id));
    let rewritten = pb::Card {
        name: card_name("main"),
        contacts: vec![phone("")],
        ..Default::default()
    };
    api.update(rewritten, &["contacts"]).await.unwrap();
    assert_eq!(
        api.reveal("main", Kind::Phone).await.unwrap(),
        "+8613800138000"
    );
}
