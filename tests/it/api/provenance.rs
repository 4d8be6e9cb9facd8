//! `VerifyProvenance`: whether something came through an official card, then and now.

use std::time::Duration;

use mingpian::{
    api::pb::{
        self, ErrorReason,
        contact::Kind,
        verify_provenance_request::Evidence,
        verify_provenance_response::Verdict::{self, Expired, Forged, None, Official, Revoked},
    },
    domain::Micros,
};
use tonic::{Code, Status};

use super::{Api, card_name, malformed, micros, placement_name, refused, time};
use crate::{
    on_both_engines,
    support::{Engine, in_menu, wecom},
};

on_both_engines!(the_past_is_judged_as_it_was);

async fn verify(
    api: &mut Api,
    evidence: Evidence,
    at: Option<Micros>,
) -> Result<pb::VerifyProvenanceResponse, Status> {
    let request = pb::VerifyProvenanceRequest {
        evidence: Some(evidence),
        at: at.and_then(time),
    };
    let answer = api.links.verify_provenance(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn of_token(api: &mut Api, token: &str, at: Option<Micros>) -> pb::VerifyProvenanceResponse {
    let token = Evidence::Token(token.into());
    verify(api, token, at).await.unwrap()
}

async fn of_text(api: &mut Api, text: &str) -> Verdict {
    let text = Evidence::Text(text.into());
    verify(api, text, Option::None).await.unwrap().verdict()
}

/// What the gate's word on a moment was: nothing for yes.
fn judged(answer: &pb::VerifyProvenanceResponse) -> (Verdict, &str) {
    let refusal = match answer.refusal() {
        ErrorReason::Unspecified => "",
        reason => reason.as_str_name(),
    };
    assert_eq!(answer.entitled_at, refusal.is_empty());
    (answer.verdict(), refusal)
}

/// With the card `main` in the menu and a link to its phone; the item's token and the link.
async fn linked(engine: Engine) -> (Api, String, pb::Link) {
    let mut api = Api::with_card(engine).await;
    api.place("menu", in_menu(1)).await.unwrap();
    let link = pb::Link {
        placement: placement_name("menu"),
        kind: Kind::Phone.into(),
        ..Default::default()
    };
    let link = api.link("l", link).await.unwrap();
    let token = api.menu().await.items.remove(0).tap_token;
    (api, token, link)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_tells_where_it_is_from() {
    let (mut api, token, link) = linked(Engine::Sqlite).await;
    let now = api.server.clock.now();
    let answer = of_token(&mut api, &token, Option::None).await;
    assert_eq!(judged(&answer), (Official, ""));
    assert_eq!(answer.placement, placement_name("menu"));
    assert_eq!(answer.merchant, "merchants/klook");
    assert_eq!((answer.link.as_str(), answer.kind()), ("", Kind::Wecom));
    let issued = micros(answer.issue_time);
    assert!(issued <= now && now < issued + Duration::from_secs(10));

    let answer = of_token(&mut api, &link.token, Option::None).await;
    assert_eq!(judged(&answer), (Official, ""));
    assert_eq!((&answer.link, answer.kind()), (&link.name, Kind::Phone));

    let forged = of_token(&mut api, &"A".repeat(64), Option::None).await;
    let nothing = pb::VerifyProvenanceResponse {
        verdict: Forged.into(),
        ..Default::default()
    };
    assert_eq!(forged, nothing);
    for other in ["", "abc", &token[1..], "名片"] {
        let answer = of_token(&mut api, other, Option::None).await;
        assert_eq!(answer.verdict(), None, "{other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_counts_by_the_first_token_in_it() {
    let (mut api, token, link) = linked(Engine::Sqlite).await;
    let door = link.uri.strip_suffix(&link.token).unwrap().to_owned();
    let plan = api.tap(&token).await.unwrap();
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let mut long = "名".repeat(9_900);
    long.push_str(&token);
    for (text, verdict) in [
        (format!("请点{} 谢谢", link.uri), Official),
        (format!("请点{token}，谢谢"), Official),
        (plan.steps[0].uri.clone(), Official),
        (plan.steps[1].uri.clone(), Official),
        (long, Official),
        (format!("{digest} {token}"), Official),
        (digest.to_owned(), None),
        (format!("sha256:{digest}"), None),
        (format!("{door}{digest}"), Forged),
        (format!("{token}A"), None),
        ("加微信 klook_demo88".to_owned(), None),
        (crate::support::LINK.to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(of_text(&mut api, &text).await, verdict, "{text}");
    }
    let text = Evidence::Text("名".repeat(10_001));
    malformed(verify(&mut api, text, Option::None).await, &["text"]);
    let request = pb::VerifyProvenanceRequest {
        at: Some(prost_types::Timestamp {
            seconds: 0,
            nanos: -1,
        }),
        ..Default::default()
    };
    malformed(
        api.links.verify_provenance(request).await,
        &["evidence", "at"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tokens_time_passes() {
    let (mut api, token, link) = linked(Engine::Sqlite).await;
    let now = api.stop_clock();
    let issued = micros(of_token(&mut api, &token, Option::None).await.issue_time);
    let ends = issued + Duration::from_secs(900);
    api.server.clock.stop_at(ends);
    let at = async |api: &mut Api, at: Micros| {
        let answer = of_token(api, &token, Some(at)).await;
        answer.verdict()
    };
    assert_eq!(at(&mut api, Micros(ends.0 - 1)).await, Official);
    assert_eq!(at(&mut api, ends).await, Expired);
    assert_eq!(at(&mut api, Micros(issued.0 - 1)).await, Expired);

    let revoked = api.revoke("l").await.unwrap();
    let when = micros(revoked.revoke_time);
    for (at, verdict) in [
        (now, Official),
        (Micros(when.0 - 1), Official),
        (when, Revoked),
    ] {
        let answer = of_token(&mut api, &link.token, Some(at)).await;
        assert_eq!(judged(&answer), (verdict, ""));
    }
    let future = Evidence::Token(token.clone());
    let future = verify(&mut api, future, Some(Micros(ends.0 + 1))).await;
    malformed(future, &["at"]);
}

async fn the_past_is_judged_as_it_was(engine: Engine) {
    let (mut api, _, link) = linked(engine).await;
    let token = link.token;
    // One event every 10 seconds, and a question in the middle of each.
    let start = api.stop_clock();
    let step = Duration::from_secs(10);
    let next = async |api: &mut Api| api.advance(step);
    next(&mut api).await;
    api.pause("menu").await.unwrap();
    next(&mut api).await;
    api.resume("menu").await.unwrap();
    next(&mut api).await;
    api.delete("main").await.unwrap();
    next(&mut api).await;
    api.undelete("main").await.unwrap();
    next(&mut api).await;
    let without = pb::Card {
        name: card_name("main"),
        contacts: vec![wecom()],
        ..Default::default()
    };
    api.update(without, &["contacts"]).await.unwrap();
    next(&mut api).await;
    api.withdraw("menu").await.unwrap();
    next(&mut api).await;

    let story = [
        "",
        "PLACEMENT_NOT_LIVE",
        "",
        "CARD_NOT_ACTIVE",
        "",
        "KIND_NOT_SHOWN",
        "PLACEMENT_NOT_LIVE",
    ];
    for (n, refusal) in (0..).zip(story) {
        let begins = start + step * n;
        let last = Micros((begins + step).0 - 1);
        for at in [begins, last] {
            let answer = of_token(&mut api, &token, Some(at)).await;
            assert_eq!(judged(&answer), (Official, refusal), "step {n}");
        }
    }
    let before = Micros(start.0 - 10_000_000);
    let answer = of_token(&mut api, &token, Some(before)).await;
    assert_eq!(judged(&answer), (Expired, "PLACEMENT_NOT_FOUND"));
    let tap = api.tap(&token).await;
    refused(tap, Code::FailedPrecondition, "PLACEMENT_NOT_LIVE");
}
