//! `request_id`, and `validate_only`: for every write of the contract.

use std::{collections::BTreeSet, time::Duration};

use mingpian::api::pb;
use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{
    Api, DAY, MICROSECOND, PATIENT, card_name,
    cases::{Names, request, stage},
    malformed, refused,
    rpc::{Method, methods},
};
use crate::{
    on_both_engines,
    support::{Engine, create_card},
};

on_both_engines!(
    the_same_id_has_the_same_answer_for_seven_days,
    duplicates_at_once_have_one_effect,
    a_dry_run_writes_nothing_and_claims_nothing,
);

/// Each method has a merchant of its own, with two programs.
const ROOMY: &str = "[programs]\nmost = 500\n";

fn writes() -> Vec<Method> {
    let mut writes = methods();
    writes.retain(|method| method.has("request_id"));
    assert!(writes.len() >= 12);
    writes
}

fn id() -> String {
    Uuid::now_v7().to_string()
}

/// A merchant of its own for each method.
async fn staged(api: &mut Api, method: &Method) -> Names {
    let merchant = method.name.replace('.', "-").to_lowercase();
    let names = stage(api, &merchant).await;
    if method.name.ends_with("CreateExperiment") {
        // One runs at a time.
        let stop = pb::StopExperimentRequest {
            name: names.experiment.clone(),
            ..Default::default()
        };
        api.measurement.stop_experiment(stop).await.unwrap();
    }
    names
}

/// Deletes and revokes all that a merchant has, and ends its programs.
async fn wreck(api: &mut Api, merchant: &str) {
    let parent = format!("merchants/{merchant}");
    for name in programs_of(merchant) {
        let delete = pb::DeleteEnrollmentRequest {
            name: format!("{name}/enrollments/{merchant}"),
            ..Default::default()
        };
        let _ = api.programs.delete_enrollment(delete).await;
        let end = pb::EndProgramRequest {
            name,
            ..Default::default()
        };
        // One that has ended already stays so.
        let _ = api.programs.end_program(end).await;
    }
    let list = pb::ListCardsRequest {
        parent: parent.clone(),
        ..Default::default()
    };
    for card in api.cards.list_cards(list).await.unwrap().into_inner().cards {
        let delete = pb::DeleteCardRequest {
            name: card.name,
            ..Default::default()
        };
        api.cards.delete_card(delete).await.unwrap();
    }
    let list = pb::ListPlacementsRequest {
        parent: parent.clone(),
        ..Default::default()
    };
    let placements = api.placements.list_placements(list).await.unwrap();
    for placement in placements.into_inner().placements {
        let delete = pb::DeletePlacementRequest {
            name: placement.name,
            ..Default::default()
        };
        api.placements.delete_placement(delete).await.unwrap();
    }
    let list = pb::ListLinksRequest {
        parent,
        ..Default::default()
    };
    for link in api.links.list_links(list).await.unwrap().into_inner().links {
        let revoke = pb::RevokeLinkRequest {
            name: link.name,
            ..Default::default()
        };
        // One that is revoked already stays so.
        let _ = api.links.revoke_link(revoke).await;
    }
}

/// As `cases::stage` makes them.
fn programs_of(merchant: &str) -> [String; 2] {
    [
        format!("programs/of-{merchant}"),
        format!("programs/paused-{merchant}"),
    ]
}

async fn the_same_id_has_the_same_answer_for_seven_days(engine: Engine) {
    let mut api = Api::start(engine).await;
    let channel = api.server.channel().await;
    api.stop_clock();
    let mut asked = Vec::new();
    for method in writes() {
        let names = staged(&mut api, &method).await;
        let plain = request(&method.name, &names);
        let with_id = method.with_request_id(&plain, &id());
        let first = method.call(&channel, &with_id, None).await;
        let first = first.unwrap_or_else(|status| panic!("{}: {status:?}", method.name));
        let again = method.call(&channel, &with_id, None).await.unwrap();
        assert_eq!(again, first, "{}", method.name);
        // Also of what has changed since, and has gone.
        wreck(&mut api, &names.merchant).await;
        let again = method.call(&channel, &with_id, None).await.unwrap();
        assert_eq!(again, first, "{}", method.name);
        asked.push((method, with_id, first));
    }
    api.advance(7 * DAY);
    for (method, request, first) in &asked {
        let again = method.call(&channel, request, None).await.unwrap();
        assert_eq!(&again, first, "{} after 7 days", method.name);
    }
    api.advance(MICROSECOND);
    for (method, request, first) in &asked {
        // What a source has said once stays said.
        if method.name.ends_with("CompleteSpendDay") {
            continue;
        }
        // Taken for a new request, most are refused: their merchant has nothing any more.
        let fresh = method.call(&channel, request, None).await;
        assert_ne!(fresh.ok().as_ref(), Some(first), "{}", method.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stands_for_one_request_of_one_method() {
    let mut api = Api::start_with(Engine::Sqlite, ROOMY).await;
    let channel = api.server.channel().await;
    let writes = writes();
    for (n, method) in writes.iter().enumerate() {
        let names = staged(&mut api, method).await;
        let id = id();
        let plain = request(&method.name, &names);
        let with_id = method.with_request_id(&plain, &id);
        method.call(&channel, &with_id, None).await.unwrap();

        let absent = request(&method.name, &names.absent());
        let other = method.with_request_id(&absent, &id);
        let next = &writes[(n + 1) % writes.len()];
        let others = next.with_request_id(&request(&next.name, &names), &id);
        for answer in [
            // Before existence: what it names is not there.
            method.call(&channel, &other, None).await,
            next.call(&channel, &others, None).await,
        ] {
            let status = refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED");
            let metadata = status.get_details_error_info().unwrap().metadata;
            assert_eq!(metadata["requestId"], id, "{}", method.name);
        }
    }
}

/// Two methods whose requests are the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_a_pause_does_not_stand_for_a_deletion() {
    let mut api = Api::start(Engine::Sqlite).await;
    let names = stage(&mut api, "klook").await;
    let pause = pb::PausePlacementRequest {
        name: names.live,
        request_id: id(),
        ..Default::default()
    };
    let delete = pb::DeletePlacementRequest {
        name: pause.name.clone(),
        request_id: pause.request_id.clone(),
        ..Default::default()
    };
    assert_eq!(pause.encode_to_vec(), delete.encode_to_vec());
    api.placements.pause_placement(pause).await.unwrap();
    let delete = api.placements.delete_placement(delete).await;
    refused(delete, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_a_uuid_however_it_is_written() {
    let mut api = Api::start_with(Engine::Sqlite, ROOMY).await;
    let channel = api.server.channel().await;
    for method in writes() {
        let names = staged(&mut api, &method).await;
        let plain = request(&method.name, &names);
        for bad in ["1", "名", &"0".repeat(33), &format!("{}x", id())] {
            let bad = method.with_request_id(&plain, bad);
            malformed(method.call(&channel, &bad, None).await, &["request_id"]);
        }
        let id = id();
        let lower = method.with_request_id(&plain, &id);
        let upper = method.with_request_id(&plain, &id.to_uppercase());
        let first = method.call(&channel, &lower, None).await.unwrap();
        let again = method.call(&channel, &upper, None).await.unwrap();
        assert_eq!(first, again, "{}", method.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_claims_no_id() {
    let mut api = Api::start(Engine::Sqlite).await;
    let id = id();
    let delete = |name| pb::DeleteCardRequest {
        name,
        request_id: id.clone(),
        ..Default::default()
    };
    let ghost = api.cards.delete_card(delete(card_name("ghost"))).await;
    refused(ghost, Code::NotFound, "CARD_NOT_FOUND");
    api.create("main").await.unwrap();
    let deleted = api.cards.delete_card(delete(card_name("main"))).await;
    deleted.expect("the id is still free");
}

/// A link's state follows from the clock; an answer that was given does not.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_does_not_age() {
    let mut api = Api::start(Engine::Sqlite).await;
    let names = stage(&mut api, "klook").await;
    let create = pb::CreateLinkRequest {
        parent: "merchants/klook".into(),
        link: Some(pb::Link {
            placement: names.live,
            ttl: Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
            ..Default::default()
        }),
        request_id: id(),
        ..Default::default()
    };
    let first = api.links.create_link(create.clone()).await.unwrap();
    api.advance(Duration::from_secs(2));
    let again = api.links.create_link(create).await.unwrap();
    assert_eq!(again.get_ref(), first.get_ref());
}

async fn duplicates_at_once_have_one_effect(engine: Engine) {
    const MANY: usize = 64;
    let mut api = Api::start_with(engine, PATIENT).await;
    stage(&mut api, "klook").await;
    let send = pb::SendCardRequest {
        card: card_name("main"),
        conversation: "conversations/c1".into(),
        request_id: id(),
        ..Default::default()
    };
    let update = pb::UpdateCardRequest {
        card: Some(pb::Card {
            name: card_name("main"),
            headline: "once".into(),
            ..Default::default()
        }),
        request_id: id(),
        ..Default::default()
    };
    let before = api.get("main").await.unwrap();
    let all = (0..MANY).map(|_| {
        let (mut placements, mut cards) = (api.placements.clone(), api.cards.clone());
        let (send, update) = (send.clone(), update.clone());
        async move {
            let sent = placements.send_card(send).await.unwrap().into_inner();
            let updated = cards.update_card(update).await.unwrap().into_inner();
            (sent, updated)
        }
    });
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let list = pb::ListPlacementsRequest {
        parent: "merchants/klook".into(),
        show_deleted: true,
        ..Default::default()
    };
    let list = api.placements.list_placements(list).await.unwrap();
    let messages = list.get_ref().placements.iter();
    let messages: Vec<_> = messages.filter(|p| **p == answers[0].0).collect();
    assert_eq!(messages.len(), 1);
    let after = api.get("main").await.unwrap();
    assert_eq!(after, answers[0].1);
    let version = |card: &pb::Card| {
        let (_, version) = card.etag.split_once('-').unwrap();
        u64::from_str_radix(version, 16).unwrap()
    };
    assert_eq!(version(&after), version(&before) + 1);
}

async fn a_dry_run_writes_nothing_and_claims_nothing(engine: Engine) {
    let mut api = Api::start(engine).await;
    let channel = api.server.channel().await;
    let mut judged = 0;
    for method in methods().into_iter().filter(|m| m.has("validate_only")) {
        judged += 1;
        let names = staged(&mut api, &method).await;
        let before = everything(&mut api, &names.merchant).await;
        let id = id();
        let plain = request(&method.name, &names);
        let dry = method.with_request_id(&method.validating(&plain), &id);
        for _ in 0..2 {
            let answer = method.call(&channel, &dry, None).await;
            assert_ne!(answer.unwrap(), b"", "as if written");
        }
        assert_eq!(everything(&mut api, &names.merchant).await, before);
        // It judges: what is not there is refused.
        let absent = method.validating(&request(&method.name, &names.absent()));
        let nowhere = ["CardService.CreateCard", "ProgramService.CreateProgram"];
        if !nowhere.contains(&&*method.name) {
            let refusal = method.call(&channel, &absent, None).await.unwrap_err();
            assert_eq!(refusal.code(), Code::NotFound, "{}", method.name);
        }
        let wet = method.with_request_id(&plain, &id);
        method
            .call(&channel, &wet, None)
            .await
            .expect("the id is free");
        assert_ne!(everything(&mut api, &names.merchant).await, before);
    }
    assert!(judged >= 8);
}

/// All that a merchant has, and every program, as bytes.
async fn everything(api: &mut Api, merchant: &str) -> Vec<Vec<u8>> {
    let parent = format!("merchants/{merchant}");
    let cards = pb::ListCardsRequest {
        parent: parent.clone(),
        show_deleted: true,
        ..Default::default()
    };
    let links = pb::ListLinksRequest {
        parent: parent.clone(),
        ..Default::default()
    };
    let links = api.links.list_links(links).await.unwrap();
    let placements = pb::ListPlacementsRequest {
        parent,
        show_deleted: true,
        ..Default::default()
    };
    let programs = pb::ListProgramsRequest {
        page_size: 100,
        ..Default::default()
    };
    let programs = api.programs.list_programs(programs).await.unwrap();
    vec![
        programs.get_ref().encode_to_vec(),
        links.get_ref().encode_to_vec(),
        api.cards
            .list_cards(cards)
            .await
            .unwrap()
            .get_ref()
            .encode_to_vec(),
        api.placements
            .list_placements(placements)
            .await
            .unwrap()
            .get_ref()
            .encode_to_vec(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn names_made_here_are_all_different() {
    let mut api = Api::start(Engine::Sqlite).await;
    let mut names = BTreeSet::new();
    for _ in 0..10 {
        let made = api.cards.create_card(create_card("klook", "")).await;
        names.insert(made.unwrap().into_inner().name);
    }
    assert_eq!(names.len(), 10);
}
