//! The main street: a card is created, placed, fetched and opened with one tap.

use mingpian::api::pb::{self, environment::Container, step::Kind};
use tonic::Code;

use crate::{
    on_both_engines,
    support::{Engine, LINK, TestServer, create_card, get_menu, in_menu, place, refused, tap},
};

on_both_engines!(from_card_to_tap);

async fn from_card_to_tap(engine: Engine) {
    let server = TestServer::start(engine).await;
    let card = server
        .cards()
        .await
        .create_card(create_card("klook", "main"))
        .await;
    let card = card.unwrap().into_inner();
    assert_eq!(card.name, "merchants/klook/cards/main");

    let mut placements = server.placements().await;
    let placed = placements
        .create_placement(place("klook", "main", "menu", in_menu(1)))
        .await;
    assert_eq!(
        placed.unwrap().into_inner().state(),
        pb::placement::State::Live
    );

    let mut serving = server.serving().await;
    let menu = serving
        .get_chat_menu(get_menu("klook"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(menu.items.len(), 3);
    let token = &menu.items[0].tap_token;
    let plan = serving
        .open_card(tap(token, Container::NativeApp))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(plan.steps[0].kind(), Kind::UrlScheme);
    assert_eq!(
        plan.steps[0].uri,
        "weixin://biz/ww/profile/https%3A%2F%2Fwork.weixin.qq.com%2Fca%2Fcawcdea7783d7330c6\
         %3Fcustomer_channel%3D"
            .to_owned()
            + token
    );
    let plan = serving
        .open_card(tap(token, Container::WechatWebview))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(
        plan.steps[0].uri,
        format!("{LINK}?customer_channel={token}")
    );

    let name = "merchants/klook/placements/menu".to_owned();
    let pause = pb::PausePlacementRequest {
        name,
        ..Default::default()
    };
    placements.pause_placement(pause).await.unwrap();
    let answer = serving.open_card(tap(token, Container::NativeApp)).await;
    refused(answer, Code::FailedPrecondition, "PLACEMENT_NOT_LIVE");
}
