//! Listings: every row once, in pages whose tokens fit nothing else.

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use mingpian::api::pb;
use tonic::Code;

use super::{Api, malformed, refused};
use crate::{
    on_both_engines,
    support::{Engine, create_card, place},
};

on_both_engines!(
    pages_show_every_row_once_while_rows_are_added,
    deleted_rows_are_listed_when_asked_for,
);

fn cards(page_size: i32, page_token: &str) -> pb::ListCardsRequest {
    pb::ListCardsRequest {
        parent: "merchants/klook".into(),
        page_size,
        page_token: page_token.into(),
        ..Default::default()
    }
}

fn placements(page_token: &str) -> pb::ListPlacementsRequest {
    pb::ListPlacementsRequest {
        parent: "merchants/klook".into(),
        page_size: 1,
        page_token: page_token.into(),
        ..Default::default()
    }
}

fn links(page_token: &str) -> pb::ListLinksRequest {
    pb::ListLinksRequest {
        parent: "merchants/klook".into(),
        page_size: 1,
        page_token: page_token.into(),
    }
}

async fn pages_show_every_row_once_while_rows_are_added(engine: Engine) {
    let mut api = Api::start(engine).await;
    // Collation would sort these otherwise: `-` before digits before letters, by byte.
    for id in ["b", "a-b", "a0", "ab", "a", "b-1", "b1", "ba"] {
        api.create(id).await.unwrap();
    }
    let (mut seen, mut token, mut added) = (Vec::new(), String::new(), 0);
    loop {
        let page = api.cards.list_cards(cards(3, &token)).await.unwrap();
        let page = page.into_inner();
        assert!(page.cards.len() <= 3);
        seen.extend(page.cards.into_iter().map(|card| card.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        // Behind and ahead of where the listing stands.
        api.create(&format!("a-a{added}")).await.unwrap();
        api.create(&format!("z{added}")).await.unwrap();
        added += 1;
        assert!(added < 10, "the listing does not end");
    }
    let distinct: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(distinct.len(), seen.len(), "{seen:?}");
    assert!(seen.is_sorted(), "{seen:?}");
    for id in ["a", "a-b", "a0", "ab", "b", "b-1", "b1", "ba", "z0", "z1"] {
        let name = format!("merchants/klook/cards/{id}");
        assert!(distinct.contains(&name), "{id} is not in {seen:?}");
    }
}

async fn deleted_rows_are_listed_when_asked_for(engine: Engine) {
    let mut api = Api::start(engine).await;
    for id in ["a", "b", "c"] {
        api.create(id).await.unwrap();
        let note = crate::support::on_note(id);
        let request = place("klook", id, id, note);
        api.placements.create_placement(request).await.unwrap();
    }
    api.delete("b").await.unwrap();
    api.withdraw("b").await.unwrap();
    for (show_deleted, expected) in [(false, 2), (true, 3)] {
        let request = pb::ListCardsRequest {
            show_deleted,
            ..cards(0, "")
        };
        let page = api.cards.list_cards(request).await.unwrap().into_inner();
        assert_eq!(
            (page.cards.len(), page.next_page_token.as_str()),
            (expected, "")
        );
        let request = pb::ListPlacementsRequest {
            show_deleted,
            page_size: 1_000,
            ..placements("")
        };
        let page = api.placements.list_placements(request).await.unwrap();
        assert_eq!(page.get_ref().placements.len(), expected);
    }
}

/// A merchant with two rows in each listing, and the token of each second page.
async fn two_of_each(api: &mut Api) -> [String; 3] {
    for n in [1, 2] {
        let id = format!("r{n}");
        api.cards
            .create_card(create_card("other", &id))
            .await
            .unwrap();
        api.create(&id).await.unwrap();
        let request = place("klook", &id, &id, crate::support::in_menu(n));
        api.placements.create_placement(request).await.unwrap();
        let link = pb::Link {
            placement: format!("merchants/klook/placements/{id}"),
            ..Default::default()
        };
        api.link(&id, link).await.unwrap();
    }
    let cards = api.cards.list_cards(cards(1, "")).await.unwrap();
    let placements = api
        .placements
        .list_placements(placements(""))
        .await
        .unwrap();
    let links = api.links.list_links(links("")).await.unwrap();
    let tokens = [
        cards.into_inner().next_page_token,
        placements.into_inner().next_page_token,
        links.into_inner().next_page_token,
    ];
    assert!(tokens.iter().all(|token| !token.is_empty()));
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_of_one_listing() {
    let mut api = Api::start(Engine::Sqlite).await;
    let [of_cards, of_placements, of_links] = two_of_each(&mut api).await;
    let next = api.cards.list_cards(cards(9, &of_cards)).await.unwrap();
    assert_eq!(next.get_ref().cards[0].name, "merchants/klook/cards/r2");
    let next = api.placements.list_placements(placements(&of_placements));
    assert_eq!(next.await.unwrap().get_ref().placements.len(), 1);
    let next = api.links.list_links(links(&of_links)).await.unwrap();
    assert_eq!(next.get_ref().links.len(), 1);

    let other_parent = pb::ListCardsRequest {
        parent: "merchants/other".into(),
        ..cards(1, &of_cards)
    };
    let with_deleted = pb::ListCardsRequest {
        show_deleted: true,
        ..cards(1, &of_cards)
    };
    let refuse = |status| drop(refused(status, Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
    for request in [
        other_parent,
        with_deleted,
        cards(1, &of_placements),
        cards(1, &of_links),
        cards(1, &of_cards[1..]),
        cards(1, &format!("{of_cards}A")),
    ] {
        refuse(api.cards.list_cards(request).await.map(drop));
    }
    let of_others = placements(&of_cards);
    refuse(api.placements.list_placements(of_others).await.map(drop));
    refuse(api.links.list_links(links(&of_cards)).await.map(drop));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_page_tokens_are_refused_one_and_all() {
    let api = Api::start(Engine::Sqlite).await;
    // 10,000 in 10 lanes.
    let lanes = (0..10).map(|lane| {
        let mut api_cards = api.cards.clone();
        async move {
            for n in 0..1_000 {
                let mut bytes = vec![0; (n * 7 + lane) % 97];
                rand::fill(&mut bytes[..]);
                // An id that is in use gets further.
                if let Some(id) = bytes.first_mut().filter(|_| n % 3 == 0) {
                    *id = 1;
                }
                let token = match n % 2 {
                    0 => B64.encode(&bytes),
                    _ => String::from_utf8_lossy(&bytes).into_owned(),
                };
                if token.is_empty() {
                    continue;
                }
                let page = api_cards.list_cards(cards(1, &token)).await;
                refused(page, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
            }
        }
    });
    futures_util::future::join_all(lanes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_50_rows_unless_asked_and_100_at_most() {
    let mut api = Api::start_with(Engine::Sqlite, "[cards]\nper_merchant = 120\n").await;
    for n in 0..101 {
        api.create(&format!("c{n:03}")).await.unwrap();
    }
    for (asked, given) in [(0, 50), (7, 7), (100, 100), (101, 100), (i32::MAX, 100)] {
        let page = api.cards.list_cards(cards(asked, "")).await.unwrap();
        assert_eq!(page.get_ref().cards.len(), given, "{asked}");
    }
    let page = api.cards.list_cards(cards(-1, "")).await;
    malformed(page, &["page_size"]);
}
