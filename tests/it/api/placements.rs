//! `PlacementService`: who holds a slot, and for how long.

use std::time::Duration;

use mingpian::api::pb::{
    self,
    contact::Kind,
    placement::{State, Surface},
};
use tonic::Code;
use tonic_types::StatusExt;

use super::{
    Api, MICROSECOND, PATIENT, card_name, malformed, mask, micros, placement_name, refused, time,
};
use crate::{
    on_both_engines,
    support::{Engine, create_card, in_menu, on_note, phone, place, wecom},
};

on_both_engines!(
    a_live_placement_holds_its_slot_whatever_its_window,
    an_ended_placement_gives_way_and_is_paused,
    a_paused_placement_gives_its_slot_free,
    a_note_wanted_by_many_at_once_goes_to_one,
    a_merchant_has_so_many_placements,
);

fn state(placement: &pb::Placement) -> State {
    placement.state()
}

fn sent(conversation: &str, id: &str) -> pb::SendCardRequest {
    pb::SendCardRequest {
        card: card_name("main"),
        conversation: format!("conversations/{conversation}"),
        placement_id: id.into(),
        ..Default::default()
    }
}

async fn a_live_placement_holds_its_slot_whatever_its_window(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    let later = time(api.server.clock.now() + Duration::from_secs(3600));
    let note = on_note("64ab_-X");
    for (id, surface) in [("menu", in_menu(2)), ("note", note)] {
        let placed = api.place_as(id, surface.clone(), |p| p.start_time = later);
        assert_eq!(state(&placed.await.unwrap()), State::Live);
        let second = api.place("second", surface).await;
        let status = refused(second, Code::AlreadyExists, "SLOT_TAKEN");
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["placement"], placement_name(id));
        let resource = status.get_details_resource_info().unwrap();
        assert_eq!(resource.resource_name, placement_name("second"));
    }
    // Other positions and other merchants' menus are other slots; notes are everybody's.
    api.place("other-position", in_menu(3)).await.unwrap();
    let mut cards = api.cards.clone();
    cards
        .create_card(create_card("other", "main"))
        .await
        .unwrap();
    let theirs = place("other", "main", "menu", in_menu(2));
    api.placements.create_placement(theirs).await.unwrap();
    let theirs = place("other", "main", "note", on_note("64ab_-X"));
    let theirs = api.placements.create_placement(theirs).await;
    refused(theirs, Code::AlreadyExists, "SLOT_TAKEN");
    // A message holds nothing.
    for id in ["m1", "m2"] {
        let message = api.placements.send_card(sent("c-1", id)).await;
        assert_eq!(state(message.unwrap().get_ref()), State::Live);
    }
}

async fn an_ended_placement_gives_way_and_is_paused(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    let end = api.stop_clock() + Duration::from_secs(60);
    let placed = api.place_as("first", in_menu(1), |p| p.end_time = time(end));
    placed.await.unwrap();
    api.server
        .clock
        .stop_at(mingpian::domain::Micros(end.0 - 1));
    let early = api.place("second", in_menu(1)).await;
    refused(early, Code::AlreadyExists, "SLOT_TAKEN");
    api.server.clock.stop_at(end);
    assert_eq!(state(&api.placement("first").await.unwrap()), State::Live);
    api.place("second", in_menu(1)).await.unwrap();
    assert_eq!(state(&api.placement("first").await.unwrap()), State::Paused);
    let resume = api.resume("first").await;
    refused(resume, Code::AlreadyExists, "SLOT_TAKEN");
}

async fn a_paused_placement_gives_its_slot_free(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    api.place("first", in_menu(1)).await.unwrap();
    let live = api.resume("first").await;
    refused(live, Code::FailedPrecondition, "STATE_TRANSITION");
    let paused = api.pause("first").await.unwrap();
    assert_eq!(state(&paused), State::Paused);
    let twice = api.pause("first").await;
    refused(twice, Code::FailedPrecondition, "STATE_TRANSITION");

    api.place("second", in_menu(1)).await.unwrap();
    refused(api.resume("first").await, Code::AlreadyExists, "SLOT_TAKEN");
    let gone = api.withdraw("second").await.unwrap();
    assert_eq!(
        (state(&gone), gone.delete_time),
        (State::Deleted, gone.update_time)
    );
    assert_eq!(state(&api.resume("first").await.unwrap()), State::Live);

    for again in [
        api.withdraw("second").await,
        api.pause("second").await,
        api.resume("second").await,
    ] {
        refused(again, Code::FailedPrecondition, "STATE_TRANSITION");
    }
    let moved = pb::Placement {
        name: placement_name("second"),
        surface: Some(in_menu(3)),
        ..Default::default()
    };
    let moved = api.change(moved, &[]).await;
    refused(moved, Code::FailedPrecondition, "PLACEMENT_NOT_LIVE");
    let name = api.place("second", in_menu(3)).await;
    refused(name, Code::AlreadyExists, "PLACEMENT_EXISTS");
}

async fn a_note_wanted_by_many_at_once_goes_to_one(engine: Engine) {
    const MANY: usize = 12;
    let mut api = Api::start_with(engine, PATIENT).await;
    for n in 0..MANY {
        let card = create_card(&format!("m{n}"), "main");
        api.cards.create_card(card).await.unwrap();
    }
    for round in 0..5 {
        let asking = (0..MANY).map(|n| {
            let mut placements = api.placements.clone();
            let note = on_note(&format!("note-{round}"));
            let request = place(&format!("m{n}"), "main", &format!("p{round}"), note);
            async move { placements.create_placement(request).await }
        });
        let answers = futures_util::future::join_all(asking).await;
        let mut winners = 0;
        for answer in answers {
            match answer {
                Ok(_) => winners += 1,
                refusal => drop(refused(refusal, Code::AlreadyExists, "SLOT_TAKEN")),
            }
        }
        assert_eq!(winners, 1, "round {round}");
    }
}

async fn a_merchant_has_so_many_placements(engine: Engine) {
    let mut api = Api::start_with(engine, "[placements]\nper_merchant = 3\n").await;
    api.create("main").await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    api.place("note", on_note("n1")).await.unwrap();
    api.placements
        .send_card(sent("c1", "message"))
        .await
        .unwrap();
    let full = api.place("more", on_note("n2")).await;
    let status = refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    assert_eq!(
        status.get_details_error_info().unwrap().metadata["limit"],
        "3"
    );
    let full = api.placements.send_card(sent("c1", "more")).await;
    refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    // What is not there, or is there already, says so first.
    let ghost = place("klook", "ghost", "more", on_note("n2"));
    let ghost = api.placements.create_placement(ghost).await;
    refused(ghost, Code::NotFound, "CARD_NOT_FOUND");
    let taken = api.place("menu", on_note("n2")).await;
    refused(taken, Code::AlreadyExists, "PLACEMENT_EXISTS");

    api.pause("note").await.unwrap();
    let full = api.place("more", on_note("n2")).await;
    refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    api.withdraw("note").await.unwrap();
    api.place("more", on_note("n2")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placement_is_checked_field_by_field() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let now = api.server.clock.now();
    for position in [0, 4, -1] {
        let placed = api.place("p", in_menu(position)).await;
        malformed(placed, &["placement.chat_menu.position"]);
    }
    for note in ["a b", "", "名", &"a".repeat(65), "a/b"] {
        let placed = api.place("p", on_note(note)).await;
        malformed(placed, &["placement.note_capsule.note"]);
    }
    let message = Surface::CardMessage(pb::placement::CardMessage {
        conversation: "conversations/c".into(),
    });
    malformed(api.place("p", message).await, &["placement.card_message"]);
    let all = api.place_as("P", in_menu(1), |p| {
        p.card = "merchants/other/cards/main".into();
        p.surface = None;
        p.contact_kinds = vec![Kind::Phone.into(), Kind::Phone.into()];
        p.start_time = time(now);
        p.end_time = time(now);
    });
    malformed(
        all.await,
        &[
            "placement.card",
            "placement.contact_kinds[1]",
            "placement",
            "placement.end_time",
            "placement_id",
        ],
    );
    let timeless = api.place_as("p", in_menu(1), |p| {
        let nanos = 1_000_000_000;
        p.start_time = Some(prost_types::Timestamp { seconds: 0, nanos });
        p.end_time = Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        });
    });
    malformed(
        timeless.await,
        &["placement.start_time", "placement.end_time"],
    );
    let mut request = sent("a b", "Bad Id");
    request.contact_kinds = vec![7];
    let message = api.placements.send_card(request).await;
    malformed(
        message,
        &["placement_id", "conversation", "contact_kinds[0]"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_active_card_with_the_kinds_is_placed() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let phone_only = pb::Card {
        name: card_name("main"),
        contacts: vec![phone("")],
        ..Default::default()
    };
    api.update(phone_only, &["contacts"]).await.unwrap();
    let kinds = vec![Kind::Phone.into(), Kind::Wecom.into()];
    let placed = api.place_as("p", in_menu(1), |p| p.contact_kinds = kinds.clone());
    let status = refused(placed.await, Code::FailedPrecondition, "KIND_NOT_SHOWN");
    assert_eq!(
        status.get_details_error_info().unwrap().metadata["kind"],
        "WECOM"
    );
    let mut message = sent("c", "p");
    message.contact_kinds = kinds;
    let message = api.placements.send_card(message).await;
    refused(message, Code::FailedPrecondition, "KIND_NOT_SHOWN");

    let placed = api.place("p", in_menu(1)).await.unwrap();
    assert_eq!(placed.contact_kinds, [] as [i32; 0]);
    api.pause("p").await.unwrap();
    api.delete("main").await.unwrap();
    let refuse = |answer| refused(answer, Code::FailedPrecondition, "CARD_NOT_ACTIVE");
    refuse(api.resume("p").await);
    refuse(api.place("q", in_menu(2)).await);
    let message = api.placements.send_card(sent("c", "")).await;
    refuse(message.map(tonic::Response::into_inner));
    api.withdraw("p").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_moves_reschedules_and_clears() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let now = api.server.clock.now();
    let end = time(now + Duration::from_secs(60));
    let placed = api.place_as("p", in_menu(1), |p| p.end_time = end);
    let mut placed = placed.await.unwrap();
    api.place("q", in_menu(2)).await.unwrap();

    placed.surface = Some(in_menu(2));
    let taken = api.change(placed.clone(), &["chat_menu"]).await;
    refused(taken, Code::AlreadyExists, "SLOT_TAKEN");
    placed.surface = Some(in_menu(3));
    let moved = api.change(placed.clone(), &["chat_menu"]).await.unwrap();
    assert_eq!((moved.surface, moved.end_time), (Some(in_menu(3)), end));
    api.place("r", in_menu(1))
        .await
        .expect("its old place is free");

    let bare = pb::Placement {
        name: placement_name("p"),
        contact_kinds: vec![Kind::WechatId.into(), Kind::Phone.into()],
        ..Default::default()
    };
    let kinds = api.change(bare.clone(), &[]).await.unwrap();
    assert_eq!(
        kinds.contact_kinds,
        [Kind::Phone as i32, Kind::WechatId as i32]
    );
    assert_eq!(kinds.end_time, end, "unset, so not meant");
    let cleared = api.change(bare.clone(), &["end_time"]).await.unwrap();
    assert_eq!(cleared.end_time, None);

    let backwards = pb::Placement {
        start_time: end,
        ..bare.clone()
    };
    api.change(backwards, &["start_time"]).await.unwrap();
    let backwards = pb::Placement {
        end_time: time(now),
        ..bare.clone()
    };
    let backwards = api.change(backwards, &["end_time"]).await;
    malformed(backwards, &["placement.end_time"]);
    for path in ["card", "note_capsule", "state"] {
        malformed(api.change(bare.clone(), &[path]).await, &["update_mask"]);
    }
    let all = pb::Placement {
        name: placement_name("p"),
        surface: Some(in_menu(3)),
        ..Default::default()
    };
    let all = api.change(all, &["*"]).await.unwrap();
    assert_eq!((all.start_time, all.contact_kinds.len()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capsule_and_a_message_do_not_move() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    api.place("note", on_note("n1")).await.unwrap();
    api.placements
        .send_card(sent("c1", "message"))
        .await
        .unwrap();
    for id in ["note", "message"] {
        let moved = pb::Placement {
            name: placement_name(id),
            surface: Some(in_menu(1)),
            ..Default::default()
        };
        let moved = api.change(moved, &["chat_menu"]).await;
        malformed(moved, &["placement.chat_menu"]);
        let plain = pb::Placement {
            name: placement_name(id),
            ..Default::default()
        };
        let all = api.change(plain, &["*"]).await.unwrap();
        assert_eq!(all.surface, api.placement(id).await.unwrap().surface);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_change_must_be_unset_or_as_it_is() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    api.create("other").await.unwrap();
    let menu = api.place("menu", in_menu(1)).await.unwrap();
    let note = api.place("note", on_note("n1")).await.unwrap();
    let message = api.placements.send_card(sent("c1", "message")).await;
    let message = message.unwrap().into_inner();
    let to = |conversation: &str| {
        Surface::CardMessage(pb::placement::CardMessage {
            conversation: format!("conversations/{conversation}"),
        })
    };
    let (to_menu, to_note) = ("placement.chat_menu", "placement.note_capsule");
    let to_message = "placement.card_message";
    for mask in [&[][..], &["*"]] {
        for (placement, surface, field) in [
            (&menu, on_note("n1"), to_note),
            (&menu, to("c1"), to_message),
            (&note, in_menu(2), to_menu),
            (&note, on_note("n2"), to_note),
            (&message, in_menu(2), to_menu),
            (&message, to("c2"), to_message),
        ] {
            let moved = pb::Placement {
                surface: Some(surface),
                etag: String::new(),
                ..placement.clone()
            };
            malformed(api.change(moved, mask).await, &[field]);
        }
        for card in [
            "merchants/klook/cards/other",
            "merchants/other/cards/main",
            "x",
        ] {
            let mut moved = menu.clone();
            (moved.card, moved.etag) = (card.into(), String::new());
            malformed(api.change(moved, mask).await, &["placement.card"]);
        }
        for placement in [&menu, &note, &message] {
            let mut same = placement.clone();
            same.etag.clear();
            let same = api.change(same, mask).await.unwrap();
            assert_eq!(
                (&same.surface, &same.card),
                (&placement.surface, &placement.card)
            );
        }
    }
    // Named paths are all that is meant; a path that is named needs a value.
    for surface in [None, Some(on_note("n1"))] {
        let unnamed = pb::Placement {
            surface,
            card: card_name("other"),
            name: placement_name("menu"),
            ..Default::default()
        };
        let moved = api.change(unnamed.clone(), &["chat_menu"]).await;
        malformed(moved, &["placement.chat_menu"]);
        let cleared = api.change(unnamed, &["end_time"]).await.unwrap();
        assert_eq!(
            (cleared.surface, cleared.card),
            (menu.surface.clone(), menu.card.clone())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_of_another_version_changes_nothing() {
    let mut api = Api::with_card(Engine::Sqlite).await;
    let first = api.place("p", in_menu(1)).await.unwrap();
    let second = api.pause("p").await.unwrap();
    let old = first.etag.clone();
    let name = first.name.clone();
    let resume = pb::ResumePlacementRequest {
        name: name.clone(),
        etag: old.clone(),
        ..Default::default()
    };
    let delete = pb::DeletePlacementRequest {
        name: name.clone(),
        etag: old.clone(),
        ..Default::default()
    };
    let pause = pb::PausePlacementRequest {
        name: name.clone(),
        etag: old,
        ..Default::default()
    };
    let update = pb::UpdatePlacementRequest {
        placement: Some(first),
        update_mask: mask(&["chat_menu"]),
        ..Default::default()
    };
    for answer in [
        api.placements.resume_placement(resume.clone()).await,
        api.placements.delete_placement(delete).await,
        // The etag is looked at before the state.
        api.placements.pause_placement(pause).await,
        api.placements.update_placement(update).await,
    ] {
        let status = refused(answer, Code::Aborted, "ETAG_MISMATCH");
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["etag"], second.etag);
        // A client with a retry policy does not send it again.
        assert_eq!(
            status.metadata().get("grpc-retry-pushback-ms").unwrap(),
            "-1"
        );
    }
    assert_eq!(api.placement("p").await.unwrap(), second);
    let resume = pb::ResumePlacementRequest {
        etag: second.etag,
        ..resume
    };
    let live = api.placements.resume_placement(resume).await.unwrap();
    assert!(micros(live.get_ref().update_time) >= micros(second.update_time) + MICROSECOND);
    let card = pb::Card {
        name: card_name("main"),
        contacts: vec![wecom()],
        etag: "0-0".into(),
        ..Default::default()
    };
    refused(api.update(card, &[]).await, Code::Aborted, "ETAG_MISMATCH");
    for (name, etag, code, word) in [
        (card_name("main"), "0-0", Code::Aborted, "ETAG_MISMATCH"),
        (card_name("ghost"), "0-0", Code::NotFound, "CARD_NOT_FOUND"),
    ] {
        let delete = pb::DeleteCardRequest {
            name: name.clone(),
            etag: etag.into(),
            ..Default::default()
        };
        refused(api.cards.delete_card(delete).await, code, word);
        let undelete = pb::UndeleteCardRequest {
            name,
            etag: etag.into(),
            ..Default::default()
        };
        refused(api.cards.undelete_card(undelete).await, code, word);
    }
}
