//! Versions: what was shown at a moment.

use mingpian::domain::{Card, CardState, Micros, Placement, PlacementState};

use super::{
    AUTHOR, NOW, SECOND, Stage, card, clearance, insert_card, insert_placement, menu, note,
    placement,
};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    every_change_appends_a_version_with_its_author,
    a_rolled_back_change_leaves_no_version,
    a_version_holds_from_its_microsecond_until_the_next,
    a_card_that_changes_after_the_placement_is_shown_as_it_stood,
    versions_are_told_apart_by_number_of_version,
    the_same_version_twice_is_a_conflict,
    a_menu_of_the_past_has_what_was_live_then,
);

/// Versions of cards, then of placements, as `no/version/time/author`.
async fn versions(s: &Stage) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["card_versions", "placement_versions"] {
        let sql = format!(
            "SELECT '{table}/' || version || '/' || time || '/' || author FROM {table} \
             ORDER BY no, version"
        );
        all.extend(s.select(&sql).await);
    }
    all
}

async fn change(s: &Stage, card: &Card, author: &str) {
    let clear = clearance(card.merchant());
    s.write(async |tx| tx.change_card(&clear, card, author).await.unwrap())
        .await;
}

async fn every_change_appends_a_version_with_its_author(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&first, "p", menu(1))).await;
    let second = first.next(NOW);
    change(&s, &second, "另一位").await;
    let gone = second.deleted(NOW + SECOND, SECOND);
    let paused = p.to(PlacementState::Paused, NOW + SECOND);
    let clear = clearance(first.merchant());
    let live = paused.to(PlacementState::Live, NOW);
    s.write(async |tx| {
        tx.withdraw_card(&gone, AUTHOR).await.unwrap();
        tx.withdraw_placement(&paused, AUTHOR).await.unwrap();
        tx.change_placement(&clear, &live, AUTHOR).await.unwrap();
    })
    .await;
    let (one, next) = (NOW.0 + 1, NOW.0 + 1_000_000);
    assert_eq!(
        versions(&s).await,
        [
            format!("card_versions/1/{}/tester", NOW.0),
            // Versions never have the same time, whatever the clock says.
            format!("card_versions/2/{one}/另一位"),
            format!("card_versions/3/{next}/tester"),
            format!("placement_versions/1/{}/tester", NOW.0),
            format!("placement_versions/2/{next}/tester"),
            format!("placement_versions/3/{}/tester", next + 1),
        ]
    );
}

async fn a_rolled_back_change_leaves_no_version(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&first, "p", menu(1))).await;
    let before = versions(&s).await;
    let clear = clearance(first.merchant());
    for by_hand in [true, false] {
        let tx = s.store.begin().await.unwrap();
        let next = first.next(NOW);
        tx.change_card(&clear, &next, AUTHOR).await.unwrap();
        let paused = p.to(PlacementState::Paused, NOW);
        tx.withdraw_placement(&paused, AUTHOR).await.unwrap();
        insert_card(&tx, card("klook", "other")).await.unwrap();
        let q = placement(&first, "q", menu(2));
        insert_placement(&tx, q).await.unwrap();
        if by_hand {
            tx.rollback().await.unwrap();
        } else {
            drop(tx);
        }
        assert_eq!(versions(&s).await, before);
    }
    assert_eq!(
        s.store.reads().card(&first.name).await.unwrap(),
        Some(first)
    );
}

async fn a_version_holds_from_its_microsecond_until_the_next(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    let mut stood: Vec<Placement> = vec![s.add_placement(placement(&card, "p", menu(1))).await];
    for (i, state) in [
        PlacementState::Paused,
        PlacementState::Live,
        PlacementState::Deleted,
    ]
    .into_iter()
    .enumerate()
    {
        // The second change comes one microsecond after the first.
        let at = if i == 1 {
            NOW + SECOND
        } else {
            NOW + (i as u32 + 1) * SECOND
        };
        let next = stood[i].to(state, at);
        let clear = clearance(card.merchant());
        s.write(async |tx| match state {
            PlacementState::Live => tx.change_placement(&clear, &next, AUTHOR).await.unwrap(),
            _ => tx.withdraw_placement(&next, AUTHOR).await.unwrap(),
        })
        .await;
        stood.push(next);
    }
    assert_eq!(stood[2].update_time.0, stood[1].update_time.0 + 1);

    let no = stood[0].no;
    let at = async |time: i64| {
        let shown = s.store.reads().shown_at(no, Micros(time)).await.unwrap();
        shown.map(|(p, c)| {
            assert_eq!(c, card);
            p
        })
    };
    assert_eq!(at(NOW.0 - 1).await, None);
    for (i, version) in stood.iter().enumerate() {
        let begin = version.update_time.0;
        let end = stood
            .get(i + 1)
            .map_or(begin + 10_000_000, |v| v.update_time.0);
        for time in [begin, begin.midpoint(end), end - 1] {
            assert_eq!(at(time).await.as_ref(), Some(version), "at {time}");
        }
    }
    let none = s.store.reads().shown_at(no + 1, NOW).await.unwrap();
    assert_eq!(none, None);
}

async fn a_card_that_changes_after_the_placement_is_shown_as_it_stood(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&first, "p", menu(1))).await;
    let mut second = first.next(NOW + SECOND);
    second.display_name = "后来".into();
    change(&s, &second, AUTHOR).await;
    let gone = second.deleted(NOW + 2 * SECOND, SECOND);
    s.write(async |tx| tx.withdraw_card(&gone, AUTHOR).await.unwrap())
        .await;

    let at = async |time: i64| {
        let shown = s.store.reads().shown_at(p.no, Micros(time)).await.unwrap();
        shown.unwrap().1
    };
    assert_eq!(at(second.update_time.0 - 1).await, first);
    assert_eq!(at(second.update_time.0).await, second);
    assert_eq!(at(gone.update_time.0 - 1).await, second);
    assert_eq!(at(gone.update_time.0).await.state, CardState::Deleted);
}

async fn versions_are_told_apart_by_number_of_version(engine: Engine) {
    let s = Stage::new(engine).await;
    let mut newest = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&newest, "p", menu(1))).await;
    // 10 comes after 9: numbers, not text.
    for _ in 0..10 {
        newest = newest.next(NOW);
        change(&s, &newest, AUTHOR).await;
    }
    let shown = s.store.reads().shown_at(p.no, NOW + SECOND).await.unwrap();
    assert_eq!(shown.unwrap().1.version, 11);
}

async fn the_same_version_twice_is_a_conflict(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&first, "p", menu(1))).await;
    let clear = clearance(first.merchant());
    let next = first.next(NOW);
    change(&s, &next, AUTHOR).await;
    let tx = s.store.begin().await.unwrap();
    let again = tx.change_card(&clear, &next, AUTHOR).await;
    assert!(again.unwrap_err().is_conflict());
    drop(tx);
    let tx = s.store.begin().await.unwrap();
    let again = tx.change_placement(&clear, &p, AUTHOR).await;
    assert!(again.unwrap_err().is_conflict());
}

async fn a_menu_of_the_past_has_what_was_live_then(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let other = s.add_card(card("other", "main")).await;
    s.add_placement(placement(&other, "other", menu(1))).await;
    s.add_placement(placement(&first, "note", note("n"))).await;
    let two = s.add_placement(placement(&first, "two", menu(2))).await;
    let one = s.add_placement(placement(&first, "one", menu(1))).await;
    // Many that came and went while those stood.
    for i in 0..25 {
        let brief = placement(&first, &format!("brief{i}"), menu(3));
        let brief = s.add_placement(brief).await;
        let gone = brief.to(PlacementState::Deleted, NOW + SECOND);
        s.write(async |tx| tx.withdraw_placement(&gone, AUTHOR).await.unwrap())
            .await;
    }
    let paused = one.to(PlacementState::Paused, NOW + 2 * SECOND);
    let gone = two.to(PlacementState::Deleted, NOW + 4 * SECOND);
    s.write(async |tx| {
        tx.withdraw_placement(&paused, AUTHOR).await.unwrap();
        tx.withdraw_placement(&gone, AUTHOR).await.unwrap();
    })
    .await;
    let menu = async |at: i64| -> Vec<_> {
        let reads = s.store.reads();
        let shown = reads.menu_at(first.merchant(), Micros(at)).await.unwrap();
        assert!(shown.iter().all(|(_, c)| c.as_ref() == Some(&first)));
        shown.into_iter().map(|(p, _)| p).collect()
    };
    let at = |seconds: i64| NOW.0 + seconds * 1_000_000;
    assert_eq!(menu(NOW.0 - 1).await, []);
    // At most as many as a menu of now looks at, in its order.
    let then = menu(NOW.0).await;
    assert_eq!(then.len(), 4);
    assert_eq!(then[..2], [one.clone(), two.clone()]);
    assert_eq!(menu(at(1)).await, [one, two.clone()]);
    assert_eq!(menu(at(2)).await, [two, paused.clone()]);
    assert_eq!(menu(at(4)).await, [paused]);
}
