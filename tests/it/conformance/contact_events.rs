//! What came of taps.

use std::collections::BTreeMap;

use mingpian::{
    domain::{
        ContactEvent, ContactKind, Corp, CorpName, Micros, Unattributed,
        contact_event::{Credit, Event, EventKind, Fact, History, Place, Source, State, Tapped},
    },
    store::{Learned, Of},
};
use uuid::Uuid;

use super::{AUTHOR, NOW, SECOND, Stage, card, clearance, link, merchant, note, placement};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    events_read_back_as_written_with_what_they_name,
    an_event_of_which_more_is_known_keeps_its_place,
    histories_are_kept_by_contact,
);

async fn corp(s: &Stage, id: &str) -> i64 {
    let corp = Corp {
        no: 0,
        name: CorpName::new(id).unwrap(),
        display_name: "Klook".into(),
        merchants: vec![merchant("klook")],
        corp_id: "ww1234567890abcdef".into(),
        secrets: vec![1],
        version: 1,
        create_time: NOW,
        update_time: NOW,
        delete_time: None,
    };
    let inserted = s.write(async |tx| tx.insert_corp(corp, AUTHOR).await.unwrap());
    inserted.await.unwrap().no
}

fn event(kind: EventKind, credit: Result<Credit, Unattributed>) -> Event {
    Event {
        kind,
        time: Micros(NOW.0 - 7),
        source: Source::Callback,
        credit,
    }
}

fn learned(n: u128, corp_no: i64, event: Event) -> Learned {
    Learned {
        id: Uuid::from_u128(n),
        corp_no,
        contact: Some([n.to_le_bytes()[0]; 16]),
        event,
    }
}

fn credit(placement_no: i64, tapped: Tapped) -> Credit {
    Credit {
        merchant: merchant("klook"),
        placement_no,
        kind: ContactKind::Wecom,
        tapped,
    }
}

fn item() -> Tapped {
    Tapped::Item {
        // Beyond what an i64 has.
        viewer: u64::MAX - 1,
        tap: Uuid::from_u128(77),
    }
}

async fn page(s: &Stage, of: Of<'_>) -> Vec<ContactEvent> {
    let reads = s.store.reads();
    reads.contact_events_page(of, None, 100).await.unwrap()
}

async fn events_read_back_as_written_with_what_they_name(engine: Engine) {
    let s = Stage::new(engine).await;
    let (klook, other) = (corp(&s, "klook").await, corp(&s, "other").await);
    let card = s.add_card(card("klook", "main")).await;
    let placed = s.add_placement(placement(&card, "p", note("n-1"))).await;
    let clear = clearance(&merchant("klook"));
    let published = s.write(async |tx| tx.insert_link(&clear, link("klook", "l")).await.unwrap());
    let published = published.await.unwrap();

    let tapped = event(EventKind::Added, Ok(credit(placed.no, item())));
    let by_link = credit(placed.no, Tapped::Link { no: published.no });
    let by_link = Event {
        source: Source::Pull,
        ..event(EventKind::WecomOpening, Ok(by_link))
    };
    let mut wanted = vec![
        (learned(1, klook, tapped), None),
        (
            learned(2, klook, by_link),
            Some((published.name, published.channel)),
        ),
    ];
    for (n, why) in (3..).zip(Unattributed::ALL) {
        let kind = EventKind::ALL[n as usize % 4];
        let nobody = Learned {
            contact: None,
            ..learned(n, other, event(kind, Err(*why)))
        };
        wanted.push((nobody, None));
    }
    let rows: Vec<_> = wanted.iter().map(|(learned, _)| learned.clone()).collect();
    s.write(async |tx| tx.insert_contact_events(&rows, NOW + SECOND).await.unwrap())
        .await;

    let mut found = page(&s, Of::Corp { no: klook }).await;
    assert_eq!(found, page(&s, Of::Merchant(&merchant("klook"))).await);
    assert_eq!(page(&s, Of::Merchant(&merchant("other"))).await, []);
    let more = page(&s, Of::Corp { no: other }).await;
    assert!(more.iter().chain(&found).is_sorted_by(|a, b| a.no > b.no));
    found.splice(0..0, more);
    found.reverse();
    assert_eq!(found.len(), wanted.len());
    for (found, (learned, link)) in found.iter().zip(&wanted) {
        let id = if learned.corp_no == klook {
            "klook"
        } else {
            "other"
        };
        assert_eq!(found.corp.id(), id);
        assert_eq!((found.id, found.contact), (learned.id, learned.contact));
        assert_eq!(found.event, learned.event);
        let place = learned.event.credit.is_ok().then(|| Place {
            placement: placed.name.clone(),
            note: Some("n-1".into()),
            link: link.clone(),
        });
        assert_eq!(found.place, place);
    }
    let before = Some(found[4].no);
    let reads = s.store.reads();
    let of = Of::Corp { no: other };
    let page = reads.contact_events_page(of, before, 1).await.unwrap();
    assert_eq!(page, found[3..4]);
}

async fn an_event_of_which_more_is_known_keeps_its_place(engine: Engine) {
    let s = Stage::new(engine).await;
    let klook = corp(&s, "klook").await;
    let card = s.add_card(card("klook", "main")).await;
    let placed = s.add_placement(placement(&card, "p", note("n-1"))).await;
    let unknown = || event(EventKind::Added, Err(Unattributed::NoState));
    let rows: Vec<_> = (1..=3).map(|n| learned(n, klook, unknown())).collect();
    s.write(async |tx| tx.insert_contact_events(&rows, NOW).await.unwrap())
        .await;
    let before = page(&s, Of::Corp { no: klook }).await;

    let known = Event {
        time: Micros(NOW.0 - 9),
        ..event(EventKind::Added, Ok(credit(placed.no, item())))
    };
    s.write(async |tx| {
        let id = Uuid::from_u128(2);
        tx.change_contact_event(id, &known).await.unwrap();
        let gone = [Uuid::from_u128(3), Uuid::from_u128(9)];
        tx.remove_contact_events(&gone).await.unwrap();
        tx.remove_contact_events(&[]).await.unwrap();
    })
    .await;
    let after = page(&s, Of::Corp { no: klook }).await;
    assert_eq!(after.len(), 2);
    assert_eq!(
        (after[0].no, after[0].id, &after[0].event),
        (before[1].no, before[1].id, &known)
    );
    assert_eq!(after[1], before[2]);
    assert_eq!(page(&s, Of::Merchant(&merchant("klook"))).await, after[..1]);

    // Back to nobody: no part of the credit stays.
    let id = Uuid::from_u128(2);
    s.write(async |tx| tx.change_contact_event(id, &unknown()).await.unwrap())
        .await;
    assert_eq!(page(&s, Of::Corp { no: klook }).await, before[1..]);
}

async fn histories_are_kept_by_contact(engine: Engine) {
    let s = Stage::new(engine).await;
    let fact = |n: u8| Fact {
        kind: EventKind::Added,
        time: NOW,
        source: Source::Callback,
        state: Some(State {
            id: Uuid::from_u128(n.into()),
            verdict: Ok(credit(1, item())),
        }),
    };
    let history = |n: u8| {
        let mut history = History::default();
        history.learn([fact(n)], || Uuid::from_u128(n.into()));
        history
    };
    let many: BTreeMap<_, _> = (0..=255).map(|n: u8| ([n; 16], history(n))).collect();
    s.write(async |tx| tx.save_contact_histories(&many).await.unwrap())
        .await;
    let changed = BTreeMap::from([([7; 16], history(8)), ([9; 16], History::default())]);
    s.write(async |tx| {
        tx.save_contact_histories(&changed).await.unwrap();
        tx.save_contact_histories(&BTreeMap::new()).await.unwrap();
    })
    .await;
    let mut wanted = many.clone();
    wanted.extend(changed);
    let reads = s.store.reads();
    let found = reads.contact_histories(many.into_keys()).await.unwrap();
    assert_eq!(found, wanted);
    let mut other = [7; 16];
    other[0] = 8;
    let found = reads.contact_histories([[7; 16], other]).await.unwrap();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [[7; 16]]);
    let none = reads.contact_histories([]).await.unwrap();
    assert!(none.is_empty());
}
