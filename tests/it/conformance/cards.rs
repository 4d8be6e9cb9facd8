//! Cards: names, pages, counts, locks.

use futures_util::future::join_all;
use mingpian::{
    app::{Call, Error, Principal},
    domain::{
        CardDraft, CardState, ContactDraft, ContactKind, DetailDraft, Door, Facts, Micros, Reason,
        gate,
    },
};

use super::{
    AUTHOR, NOW, SECOND, SORTED_IDS, Stage, card, card_name, clearance, insert_card,
    insert_card_as, merchant, wecom,
};
use crate::{
    on_both_engines,
    support::{Engine, TestServer},
};

on_both_engines!(
    a_card_reads_back_as_written,
    a_change_reads_back_as_written,
    a_taken_name_is_none_and_the_transaction_goes_on,
    a_name_is_taken_by_one_merchant_only,
    pages_are_sorted_by_the_bytes_of_the_id,
    pages_begin_after_an_id_and_end_at_the_limit,
    a_deleted_card_is_listed_on_request_until_its_purge_time,
    deleted_cards_do_not_count,
    a_write_asks_for_the_clearance_of_its_merchant_and_door,
    only_a_deleted_card_is_withdrawn,
    concurrent_changes_under_the_lock_are_all_kept,
    of_concurrent_cards_with_one_name_one_is_made,
    the_limit_of_cards_holds_under_concurrency,
);

async fn a_card_reads_back_as_written(engine: Engine) {
    let s = Stage::new(engine).await;
    let written = s.add_card(card("klook", "main")).await;
    assert!(written.no > 0);
    let read = s.store.reads().card(&written.name).await.unwrap();
    assert_eq!(read, Some(written));
    let other = s.store.reads().card(&card_name("klook", "other")).await;
    assert_eq!(other.unwrap(), None);
}

async fn a_change_reads_back_as_written(engine: Engine) {
    let s = Stage::new(engine).await;
    let old = s.add_card(card("klook", "main")).await;
    let mut new = old.next(NOW + SECOND);
    new.display_name = "新".into();
    new.headline = "官方客服".into();
    new.avatar_uri = "https://img.example/a.png".into();
    new.contacts.pop();
    let clear = clearance(new.merchant());
    s.write(async |tx| tx.change_card(&clear, &new, AUTHOR).await.unwrap())
        .await;
    assert_eq!(
        s.store.reads().card(&old.name).await.unwrap(),
        Some(new.clone())
    );

    let deleted = new.deleted(NOW + 2 * SECOND, SECOND);
    s.write(async |tx| tx.withdraw_card(&deleted, AUTHOR).await.unwrap())
        .await;
    assert_eq!(
        s.store.reads().card(&old.name).await.unwrap(),
        Some(deleted)
    );
}

async fn a_taken_name_is_none_and_the_transaction_goes_on(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.add_card(card("klook", "main")).await;
    let second = s
        .write(async |tx| {
            assert_eq!(insert_card(tx, card("klook", "main")).await, None);
            assert_eq!(tx.card(&first.name).await.unwrap(), Some(first.clone()));
            insert_card(tx, card("klook", "second")).await.unwrap()
        })
        .await;
    assert_ne!(second.no, first.no);
    assert_eq!(
        s.store.reads().card(&second.name).await.unwrap(),
        Some(second)
    );
}

async fn a_name_is_taken_by_one_merchant_only(engine: Engine) {
    let s = Stage::new(engine).await;
    let a = s.add_card(card("a", "main")).await;
    let b = s.add_card(card("b", "main")).await;
    assert_eq!(s.store.reads().card(&a.name).await.unwrap(), Some(a));
    assert_eq!(s.store.reads().card(&b.name).await.unwrap(), Some(b));
}

async fn pages_are_sorted_by_the_bytes_of_the_id(engine: Engine) {
    let s = Stage::new(engine).await;
    for id in SORTED_IDS.iter().rev() {
        s.add_card(card("klook", id)).await;
    }
    assert_eq!(page(&s, "", 99, false, NOW).await, SORTED_IDS);
    for (i, id) in SORTED_IDS.iter().enumerate() {
        assert_eq!(page(&s, id, 99, false, NOW).await, SORTED_IDS[i + 1..]);
    }
}

async fn pages_begin_after_an_id_and_end_at_the_limit(engine: Engine) {
    let s = Stage::new(engine).await;
    for id in ["a", "b", "c"] {
        s.add_card(card("klook", id)).await;
        s.add_card(card("other", id)).await;
    }
    assert_eq!(page(&s, "", 2, false, NOW).await, ["a", "b"]);
    assert_eq!(page(&s, "b", 2, false, NOW).await, ["c"]);
    assert_eq!(page(&s, "aa", 1, false, NOW).await, ["b"]);
    assert!(page(&s, "c", 2, false, NOW).await.is_empty());
    assert!(page(&s, "", 0, false, NOW).await.is_empty());
}

async fn a_deleted_card_is_listed_on_request_until_its_purge_time(engine: Engine) {
    let s = Stage::new(engine).await;
    s.add_card(card("klook", "kept")).await;
    let gone = s.add_card(card("klook", "gone")).await;
    let gone = gone.deleted(NOW, SECOND);
    s.write(async |tx| tx.withdraw_card(&gone, AUTHOR).await.unwrap())
        .await;
    let purge = gone.purge_time.unwrap();
    let before = Micros(purge.0 - 1);
    assert_eq!(page(&s, "", 9, false, before).await, ["kept"]);
    assert_eq!(page(&s, "", 9, true, before).await, ["gone", "kept"]);
    assert_eq!(page(&s, "", 9, true, purge).await, ["kept"]);
}

async fn page(s: &Stage, after: &str, limit: u64, deleted: bool, now: Micros) -> Vec<String> {
    let klook = merchant("klook");
    let reads = s.store.reads();
    let page = reads.cards_page(&klook, after, limit, deleted, now).await;
    let ids = page.unwrap().into_iter().map(|c| c.name.id().to_owned());
    ids.collect()
}

async fn deleted_cards_do_not_count(engine: Engine) {
    let s = Stage::new(engine).await;
    s.add_card(card("klook", "a")).await;
    let b = s.add_card(card("klook", "b")).await;
    s.add_card(card("other", "c")).await;
    let count = async || {
        s.store
            .reads()
            .count_cards(&merchant("klook"))
            .await
            .unwrap()
    };
    assert_eq!(count().await, 2);
    s.write(async |tx| {
        tx.withdraw_card(&b.deleted(NOW, SECOND), AUTHOR)
            .await
            .unwrap()
    })
    .await;
    assert_eq!(count().await, 1);
}

async fn a_write_asks_for_the_clearance_of_its_merchant_and_door(engine: Engine) {
    let s = Stage::new(engine).await;
    let old = s.add_card(card("klook", "main")).await;
    let others = clearance(&merchant("other"));
    let to_serve = {
        let standing = crate::support::open_standing(&merchant("klook"));
        gate::judge(Door::Serve, Facts::merchant(&standing), NOW).unwrap()
    };
    let tx = s.store.begin().await.unwrap();
    for wrong in [others, to_serve] {
        let new = card("klook", "new");
        let next = old.next(NOW);
        tx.change_card(&wrong, &next, AUTHOR).await.unwrap_err();
        insert_card_as(&tx, wrong, new, AUTHOR).await.unwrap_err();
    }
    tx.commit().await.unwrap();
    assert_eq!(page(&s, "", 9, true, NOW).await, ["main"]);
}

async fn only_a_deleted_card_is_withdrawn(engine: Engine) {
    let s = Stage::new(engine).await;
    let card = s.add_card(card("klook", "main")).await;
    let tx = s.store.begin().await.unwrap();
    let next = card.next(NOW);
    tx.withdraw_card(&next, AUTHOR).await.unwrap_err();
    assert_eq!(next.state, CardState::Active);
}

async fn concurrent_changes_under_the_lock_are_all_kept(engine: Engine) {
    const WRITERS: i64 = 64;
    let s = Stage::new(engine).await;
    let mut first = card("klook", "main");
    first.headline = "0".into();
    let first = s.add_card(first).await;
    let clear = clearance(first.merchant());
    let add_one = || {
        s.write(async |tx| {
            let mut card = tx.lock_card(&first.name).await.unwrap().unwrap();
            let count: i64 = card.headline.parse().unwrap();
            card = card.next(NOW);
            card.headline = (count + 1).to_string();
            tx.change_card(&clear, &card, AUTHOR).await.unwrap();
        })
    };
    join_all((0..WRITERS).map(|_| add_one())).await;
    let last = s.store.reads().card(&first.name).await.unwrap().unwrap();
    assert_eq!(last.headline, WRITERS.to_string());
    assert_eq!(last.version, 1 + WRITERS);
}

async fn of_concurrent_cards_with_one_name_one_is_made(engine: Engine) {
    let s = Stage::new(engine).await;
    let made =
        join_all((0..16).map(|_| s.write(async |tx| insert_card(tx, card("klook", "main")).await)));
    let made: Vec<_> = made.await.into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    let read = s.store.reads().card(&made[0].name).await.unwrap();
    assert_eq!(read.as_ref(), Some(&made[0]));
}

async fn the_limit_of_cards_holds_under_concurrency(engine: Engine) {
    let server = TestServer::start(engine).await;
    let limit = server.app.rules.cards_per_merchant;
    let call = Call {
        principal: Principal::anonymous().into(),
        request: None,
        dry_run: false,
        until: None,
    };
    let create = async |i: u64| {
        let draft = CardDraft {
            display_name: "a".into(),
            headline: String::new(),
            avatar_uri: String::new(),
            contacts: vec![ContactDraft {
                label: String::new(),
                detail: DetailDraft::Wecom(wecom()),
            }],
        };
        let name = card_name("klook", &format!("c{i}"));
        server.app.create_card(&call, name, draft).await
    };
    let answers = join_all((0..limit + 10).map(create)).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((made.len() as u64, refused.len()), (limit, 10));
    for answer in refused {
        let Err(Error::Refused(refusal)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(refusal.reason, Reason::QuotaExhausted);
    }
    let kinds = made[0].as_ref().map(|c| c.contacts[0].kind());
    assert_eq!(kinds.ok(), Some(ContactKind::Wecom));
}
