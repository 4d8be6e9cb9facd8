//! Placements: slots, pages, and the reads that serve them.

use std::sync::Arc;

use futures_util::future::join_all;
use mingpian::{
    app::{Call, Error, PlacementDraft, Principal},
    domain::{ContactKind, Micros, Placement, PlacementName, PlacementState, Reason, Refusal},
};

use super::{
    AUTHOR, NOW, SECOND, SORTED_IDS, Stage, card, clearance, insert_placement, menu, merchant,
    message, note, placement,
};
use crate::{
    on_both_engines,
    support::{Engine, TestServer},
};

on_both_engines!(
    a_placement_reads_back_as_written,
    a_taken_name_or_slot_is_none_and_the_transaction_goes_on,
    placements_without_a_slot_do_not_collide,
    a_paused_or_deleted_placement_gives_its_slot_free,
    slots_of_merchants_and_positions_are_apart_and_notes_are_shared,
    of_concurrent_placements_on_one_slot_one_is_made,
    of_concurrent_resumptions_on_one_slot_one_succeeds,
    who_loses_a_race_for_a_note_hears_that_the_slot_is_taken,
    who_loses_a_race_for_a_name_hears_that_it_is_taken,
    pages_are_sorted_by_the_bytes_of_the_id,
    deleted_placements_are_listed_on_request_and_do_not_count,
    a_menu_has_the_live_ones_and_one_more_with_their_cards,
    capsules_are_those_of_the_asked_notes,
    capsules_are_at_most_two_a_note_and_those_of_the_asked_merchants,
    a_shown_placement_comes_with_its_card_by_name_and_by_number,
    a_live_placement_is_never_withdrawn,
);

async fn a_placement_reads_back_as_written(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    for (id, surface) in [
        ("menu", menu(3)),
        ("note", note("64Ab_-x")),
        ("message", message("Conv-1")),
    ] {
        let mut wanted = placement(&card, id, surface);
        wanted.kinds = vec![ContactKind::Wecom, ContactKind::WechatId];
        wanted.start_time = Some(Micros(NOW.0 + 1));
        wanted.end_time = Some(NOW + SECOND);
        let written = s.add_placement(wanted).await;
        assert_eq!(read(&s, &written).await, written);

        let deleted = written.to(PlacementState::Deleted, NOW + SECOND);
        withdraw(&s, &deleted).await;
        assert_eq!(read(&s, &written).await, deleted);
    }
}

async fn a_taken_name_or_slot_is_none_and_the_transaction_goes_on(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    s.add_placement(placement(&card, "first", menu(1))).await;
    let third = s
        .write(async |tx| {
            let name_taken = placement(&card, "first", menu(2));
            assert_eq!(insert_placement(tx, name_taken).await, None);
            let slot_taken = placement(&card, "second", menu(1));
            assert_eq!(insert_placement(tx, slot_taken).await, None);
            let third = placement(&card, "third", menu(2));
            insert_placement(tx, third).await.unwrap()
        })
        .await;
    assert_eq!(read(&s, &third).await, third);
    assert_eq!(ids(&s, "", true).await, ["first", "third"]);
}

async fn placements_without_a_slot_do_not_collide(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    for id in ["a", "b"] {
        let made = s.add_placement(placement(&card, id, message("same"))).await;
        assert_eq!(made.slot(), None);
    }
    for id in ["c", "d"] {
        let mut paused = placement(&card, id, menu(1));
        paused.state = PlacementState::Paused;
        s.add_placement(paused).await;
    }
    assert_eq!(ids(&s, "", false).await, ["a", "b", "c", "d"]);
}

async fn a_paused_or_deleted_placement_gives_its_slot_free(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    let mut holder = s.add_placement(placement(&card, "p0", note("n"))).await;
    for (i, state) in [PlacementState::Paused, PlacementState::Deleted]
        .into_iter()
        .enumerate()
    {
        let next = placement(&card, &format!("p{}", i + 1), note("n"));
        let tried = next.clone();
        let taken = s.write(async |tx| insert_placement(tx, tried).await).await;
        assert_eq!(taken, None);
        withdraw(&s, &holder.to(state, NOW)).await;
        holder = s.add_placement(next).await;
        let found = s.write(async |tx| tx.lock_holder("note/n").await.unwrap());
        assert_eq!(found.await, Some(holder.clone()));
    }
}

async fn slots_of_merchants_and_positions_are_apart_and_notes_are_shared(engine: Engine) {
    let s = Stage::new(engine).await;
    let (a, b) = (card("a", "main"), card("b", "main"));
    let (a, b) = (s.add_card(a).await, s.add_card(b).await);
    for card in [&a, &b] {
        s.add_placement(placement(card, "p1", menu(1))).await;
        s.add_placement(placement(card, "p2", menu(2))).await;
    }
    s.add_placement(placement(&a, "n1", note("Note"))).await;
    // Ids are told apart by case.
    s.add_placement(placement(&b, "n1", note("note"))).await;
    let second = placement(&b, "n2", note("Note"));
    let taken = s.write(async |tx| insert_placement(tx, second).await).await;
    assert_eq!(taken, None);
}

async fn of_concurrent_placements_on_one_slot_one_is_made(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = &s.add_card(card("klook", "main")).await;
    let place = async |i: i32| {
        let wanted = placement(card, &format!("p{i}"), menu(1));
        s.write(async |tx| insert_placement(tx, wanted).await).await
    };
    let made: Vec<_> = join_all((0..16).map(place)).await;
    assert_eq!(made.iter().flatten().count(), 1);
    assert_eq!(ids(&s, "", true).await.len(), 1);
}

async fn of_concurrent_resumptions_on_one_slot_one_succeeds(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    let mut paused = Vec::new();
    for i in 0..8 {
        let mut one = placement(&card, &format!("p{i}"), menu(1));
        one.state = PlacementState::Paused;
        paused.push(s.add_placement(one).await);
    }
    let clear = clearance(card.merchant());
    let resume = async |p: &Placement| {
        let live = p.to(PlacementState::Live, NOW);
        let tx = s.store.begin().await.unwrap();
        tx.change_placement(&clear, &live, AUTHOR).await?;
        tx.commit().await
    };
    let answers = join_all(paused.iter().map(resume)).await;
    let lost: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(lost.len(), 7);
    assert!(lost.iter().all(|e| e.is_conflict()), "{lost:?}");
}

async fn who_loses_a_race_for_a_note_hears_that_the_slot_is_taken(engine: Engine) {
    let refusal = lose(engine, "a", "p", "n").await;
    assert_eq!(refusal.reason, Reason::SlotTaken);
    // Another merchant's placement is not named.
    assert_eq!(refusal.metadata, [("placement", String::new())]);
}

async fn who_loses_a_race_for_a_name_hears_that_it_is_taken(engine: Engine) {
    let refusal = lose(engine, "b", "q", "another").await;
    assert_eq!(refusal.reason, Reason::PlacementExists);
}

/// Merchant b places q on note n, after this placement was made and before its commit.
async fn lose(engine: Engine, first: &str, id: &str, on: &str) -> Refusal {
    let server = TestServer::start(engine).await;
    let app = server.app.clone();
    let s = Stage {
        engine,
        store: app.store.clone(),
        scratch: server.end().await,
    };
    let a = s.add_card(card(first, "first")).await;
    let b = s.add_card(card("b", "main")).await;
    let call = Call {
        principal: Arc::new(Principal {
            merchants: Some(["b".to_owned()].into()),
            ..Principal::anonymous()
        }),
        request: None,
        dry_run: false,
        until: None,
    };
    let draft = PlacementDraft {
        card: b.name.clone(),
        kinds: Vec::new(),
        surface: note("n"),
        start_time: None,
        end_time: None,
    };
    let tx = s.store.begin().await.unwrap();
    insert_placement(&tx, placement(&a, id, note(on)))
        .await
        .unwrap();
    let name = PlacementName::new(merchant("b"), "q").unwrap();
    let (lost, ()) = tokio::join!(app.create_placement(&call, name, draft), async {
        s.someone_waits().await;
        tx.commit().await.unwrap();
    });
    match lost {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

async fn pages_are_sorted_by_the_bytes_of_the_id(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    for id in SORTED_IDS.iter().rev() {
        s.add_placement(placement(&card, id, message(id))).await;
    }
    assert_eq!(ids(&s, "", false).await, SORTED_IDS);
    for (i, id) in SORTED_IDS.iter().enumerate() {
        assert_eq!(ids(&s, id, false).await, SORTED_IDS[i + 1..]);
    }
}

async fn deleted_placements_are_listed_on_request_and_do_not_count(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    s.add_placement(placement(&card, "a", menu(1))).await;
    let b = s.add_placement(placement(&card, "b", menu(2))).await;
    let c = s.add_placement(placement(&card, "c", menu(3))).await;
    withdraw(&s, &b.to(PlacementState::Paused, NOW)).await;
    withdraw(&s, &c.to(PlacementState::Deleted, NOW)).await;
    assert_eq!(ids(&s, "", false).await, ["a", "b"]);
    assert_eq!(ids(&s, "", true).await, ["a", "b", "c"]);
    let count = s.store.reads().count_placements(&merchant("klook")).await;
    assert_eq!(count.unwrap(), 2);
}

async fn a_menu_has_the_live_ones_and_one_more_with_their_cards(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    for i in 0..5 {
        let mut paused = placement(&card, &format!("paused{i}"), menu(1));
        paused.state = PlacementState::Paused;
        s.add_placement(paused).await;
    }
    for i in 1..=3 {
        s.add_placement(placement(&card, &format!("live{i}"), menu(i)))
            .await;
    }
    s.add_placement(placement(&card, "note", note("n"))).await;
    let shown = s.store.reads().menu(&merchant("klook")).await.unwrap();
    let states: Vec<_> = shown.iter().map(|(p, _)| p.state).collect();
    let (live, paused) = (PlacementState::Live, PlacementState::Paused);
    assert_eq!(states, [live, live, live, paused]);
    assert!(shown.iter().all(|(_, c)| c.as_ref() == Some(&card)));
    let none = s.store.reads().menu(&merchant("other")).await.unwrap();
    assert!(none.is_empty());
}

async fn capsules_are_those_of_the_asked_notes(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    for id in ["n1", "n2", "N1"] {
        let name = format!("on-{}", id.to_lowercase());
        let name = if id == "N1" { "upper" } else { &name };
        s.add_placement(placement(&card, name, note(id))).await;
    }
    // A conversation may have a note's id.
    s.add_placement(placement(&card, "sent", message("n1")))
        .await;
    let gone = s.add_placement(placement(&card, "gone", note("n3"))).await;
    withdraw(&s, &gone.to(PlacementState::Deleted, NOW)).await;
    let capsules = async |notes: &[&str]| {
        let shown = s.store.reads().capsules(notes, None).await.unwrap();
        assert!(shown.iter().all(|(_, c)| c.as_ref() == Some(&card)));
        let mut ids: Vec<_> = shown.iter().map(|(p, _)| p.name.id().to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(capsules(&["n1", "n3", "none"]).await, ["on-n1"]);
    assert_eq!(capsules(&["n2", "N1"]).await, ["on-n2", "upper"]);
    assert!(capsules(&[]).await.is_empty());
}

async fn capsules_are_at_most_two_a_note_and_those_of_the_asked_merchants(engine: Engine) {
    let s = Stage::new(engine).await;
    let (a, b) = (card("a", "main"), card("b", "main"));
    let (a, b) = (s.add_card(a).await, s.add_card(b).await);
    for i in 0..5 {
        for (card, on) in [(&a, "n1"), (&b, "n1"), (&b, "n2")] {
            let mut paused = placement(card, &format!("{on}-paused{i}"), note(on));
            paused.state = PlacementState::Paused;
            s.add_placement(paused).await;
        }
    }
    s.add_placement(placement(&a, "live", note("n1"))).await;
    let capsules = async |notes: &[&str], merchants: Option<&[&str]>| {
        let only = merchants.map(|ids| ids.iter().map(ToString::to_string).collect());
        let shown = s.store.reads().capsules(notes, only.as_ref()).await;
        let names = shown.unwrap().into_iter().map(|(p, _)| p.name.to_string());
        names.collect::<Vec<_>>()
    };
    let (live, a1) = (
        "merchants/a/placements/live",
        "merchants/a/placements/n1-paused0",
    );
    let b1 = "merchants/b/placements/n1-paused0";
    let b2 = "merchants/b/placements/n2-paused0";
    assert_eq!(capsules(&["n1", "n2"], None).await, [live, a1, b2]);
    assert_eq!(capsules(&["n1", "n2"], Some(&["b"])).await, [b1, b2]);
    assert_eq!(capsules(&["n1"], Some(&["a", "b"])).await, [live, a1]);
    assert!(capsules(&["n1"], Some(&[])).await.is_empty());
    let many: Vec<_> = (0..200).map(|i| format!("n{i}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(capsules(&many, None).await, [live, a1, b2]);
}

async fn a_shown_placement_comes_with_its_card_by_name_and_by_number(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&card, "p", menu(1))).await;
    let both = Some((p.clone(), Some(card)));
    assert_eq!(s.store.reads().shown(&p.name).await.unwrap(), both);
    assert_eq!(s.store.reads().shown_by_no(p.no).await.unwrap(), both);
    assert_eq!(s.store.reads().shown_by_no(p.no + 1).await.unwrap(), None);
}

async fn a_live_placement_is_never_withdrawn(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&card, "p", menu(1))).await;
    let tx = s.store.begin().await.unwrap();
    tx.withdraw_placement(&p.next(NOW), AUTHOR)
        .await
        .unwrap_err();
    let others = clearance(&merchant("other"));
    tx.change_placement(&others, &p.next(NOW), AUTHOR)
        .await
        .unwrap_err();
}

async fn read(s: &Stage, p: &Placement) -> Placement {
    s.store.reads().placement(&p.name).await.unwrap().unwrap()
}

async fn withdraw(s: &Stage, p: &Placement) {
    s.write(async |tx| tx.withdraw_placement(p, AUTHOR).await.unwrap())
        .await;
}

async fn ids(s: &Stage, after: &str, deleted: bool) -> Vec<String> {
    let klook = merchant("klook");
    let reads = s.store.reads();
    let page = reads.placements_page(&klook, after, 99, deleted).await;
    let ids = page.unwrap().into_iter().map(|p| p.name.id().to_owned());
    ids.collect()
}
