//! The purge: what is left of a card, and of what showed it.

use mingpian::domain::{Card, Contact, Detail, Micros, PlacementState};

use super::{AUTHOR, NOW, SECOND, Stage, card, clearance, menu, note, placement, sealed};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    a_card_is_due_at_its_purge_time_and_not_before,
    cards_are_due_by_number_and_as_many_as_asked,
    a_purge_erases_what_is_sealed_in_every_version,
    a_purge_withdraws_placements_and_keeps_the_rest_of_history,
    a_purged_name_is_taken_again_with_another_number,
    the_number_of_a_purged_card_is_never_used_again,
    a_card_undeleted_meanwhile_is_not_due,
);

/// Deletes the card; it is due a second after `NOW`.
async fn delete(s: &Stage, card: &Card) -> Card {
    let gone = card.deleted(NOW, SECOND);
    s.write(async |tx| tx.withdraw_card(&gone, AUTHOR).await.unwrap())
        .await;
    gone
}

/// The numbers of the cards that are due, after this one.
async fn due(s: &Stage, now: Micros, after: i64, limit: u64) -> Vec<i64> {
    let due = s.store.reads().cards_to_purge(now, after, limit).await;
    due.unwrap()
}

async fn purge(s: &Stage, now: Micros) {
    for no in due(s, now, 0, 99).await {
        s.write(async |tx| {
            if let Some(card) = tx.lock_card_to_purge(no, now).await.unwrap() {
                tx.purge_card(&card, now).await.unwrap();
            }
        })
        .await;
    }
}

async fn a_card_is_due_at_its_purge_time_and_not_before(engine: Engine) {
    let s = Stage::new(engine).await;
    s.add_card(card("klook", "kept")).await;
    let gone = delete(&s, &s.add_card(card("klook", "gone")).await).await;
    let at = gone.purge_time.unwrap();
    let early = Micros(at.0 - 1);
    assert!(due(&s, early, 0, 9).await.is_empty());
    assert_eq!(due(&s, at, 0, 9).await, [gone.no]);
    let tx = s.store.begin().await.unwrap();
    let lock = async |at| tx.lock_card_to_purge(gone.no, at).await.unwrap();
    assert_eq!(lock(early).await, None);
    assert_eq!(lock(at).await, Some(gone.clone()));
}

async fn cards_are_due_by_number_and_as_many_as_asked(engine: Engine) {
    let s = Stage::new(engine).await;
    let mut all = Vec::new();
    for id in ["b", "c", "a"] {
        let gone = delete(&s, &s.add_card(card("klook", id)).await).await;
        all.push(gone.no);
    }
    assert_eq!(due(&s, Micros::MAX, 0, 2).await, all[..2]);
    assert_eq!(due(&s, Micros::MAX, 0, 9).await, all);
    assert_eq!(due(&s, Micros::MAX, all[0], 9).await, all[1..]);
}

async fn a_purge_erases_what_is_sealed_in_every_version(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let mut second = first.next(NOW);
    second.contacts[1].detail = Detail::Phone(sealed("139****9000", "YW5vdGhlciBudW1iZXI"));
    let clear = clearance(first.merchant());
    s.write(async |tx| tx.change_card(&clear, &second, AUTHOR).await.unwrap())
        .await;
    let other = s.add_card(card("klook", "other")).await;
    delete(&s, &second).await;

    let bodies = "SELECT body FROM card_versions ORDER BY no, version";
    let before = s.select(bodies).await;
    purge(&s, Micros::MAX).await;
    let after = s.select(bodies).await;

    assert_eq!(after.len(), 4);
    assert_eq!(after[3], before[3], "{}", other.name);
    for (before, after) in before.iter().zip(&after).take(3) {
        let [mut was, is]: [Card; 2] = [before, after].map(|b| serde_json::from_str(b).unwrap());
        was.contacts.iter_mut().for_each(blank);
        assert_eq!(is, was);
    }
    let left: String = s.select("SELECT contacts FROM cards").await.concat() + &after[..3].concat();
    for secret in ["139****9000", "YW5vdGhlciBudW1iZXI"] {
        assert!(before[1].contains(secret) && !left.contains(secret));
    }
}

fn blank(contact: &mut Contact) {
    if let Detail::Phone(secret) | Detail::WechatId(secret) = &mut contact.detail {
        *secret = sealed("", "");
    }
}

async fn a_purge_withdraws_placements_and_keeps_the_rest_of_history(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let live = s.add_placement(placement(&first, "live", note("n"))).await;
    let paused = s.add_placement(placement(&first, "paused", menu(1))).await;
    let paused = paused.to(PlacementState::Paused, NOW);
    s.write(async |tx| tx.withdraw_placement(&paused, AUTHOR).await.unwrap())
        .await;
    let other = s.add_card(card("klook", "other")).await;
    let others = s.add_placement(placement(&other, "others", menu(1))).await;
    delete(&s, &first).await;
    let at = NOW + 9 * SECOND;
    purge(&s, at).await;

    let reads = s.store.reads();
    assert_eq!(reads.card(&first.name).await.unwrap(), None);
    for before in [&live, &paused] {
        let (now, card) = reads.shown(&before.name).await.unwrap().unwrap();
        assert_eq!(now, before.to(PlacementState::Deleted, at));
        assert_eq!(card, None);
    }
    assert_eq!(reads.placement(&others.name).await.unwrap(), Some(others));
    let author = "SELECT author FROM placement_versions WHERE version = 2 AND no = ";
    assert_eq!(
        s.select(&format!("{author}{}", live.no)).await,
        ["mingpian"]
    );

    // The note is free again, and what was shown then is still known.
    s.add_placement(placement(&other, "next", note("n"))).await;
    let (then, card) = reads.shown_at(live.no, NOW).await.unwrap().unwrap();
    assert_eq!((then, card.version), (live.clone(), 1));
    assert_eq!(card.contacts[0], first.contacts[0]);
    let (gone, _) = reads.shown_at(live.no, at).await.unwrap().unwrap();
    assert_eq!(gone.state, PlacementState::Deleted);
}

async fn a_purged_name_is_taken_again_with_another_number(engine: Engine) {
    let s = Stage::new(engine).await;
    let old = s.add_card(card("klook", "main")).await;
    let p = s.add_placement(placement(&old, "p", menu(1))).await;
    delete(&s, &old).await;
    purge(&s, Micros::MAX).await;
    let new = s.add_card(card("klook", "main")).await;
    assert_ne!(new.no, old.no);
    assert_ne!(new.etag(), old.etag());
    // Its placements stay with the old one.
    let (_, card) = s.store.reads().shown(&p.name).await.unwrap().unwrap();
    assert_eq!(card, None);
}

async fn the_number_of_a_purged_card_is_never_used_again(engine: Engine) {
    let s = Stage::new(engine).await;
    let mut last = 0;
    for i in 0..4 {
        let made = s.add_card(card("klook", &format!("c{i}"))).await;
        assert!(made.no > last, "{} after {last}", made.no);
        last = made.no;
        delete(&s, &made).await;
        purge(&s, Micros::MAX).await;
    }
}

/// Undeleted in the last moment, committed after the sweep has begun.
async fn a_card_undeleted_meanwhile_is_not_due(engine: Engine) {
    let s = Stage::new(engine).await;
    let gone = delete(&s, &s.add_card(card("klook", "main")).await).await;
    let clear = clearance(gone.merchant());
    let tx = s.store.begin().await.unwrap();
    let locked = tx.lock_card(&gone.name).await.unwrap().unwrap();
    let back = locked.undeleted(NOW);
    tx.change_card(&clear, &back, AUTHOR).await.unwrap();
    tokio::join!(purge(&s, gone.purge_time.unwrap()), async {
        s.someone_waits().await;
        tx.commit().await.unwrap();
    });
    assert_eq!(s.store.reads().card(&back.name).await.unwrap(), Some(back));
}
