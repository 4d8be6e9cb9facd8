//! What is served while WeCom is well, and while it is not.

use std::time::Duration;

use mingpian::{
    api::pb::{
        self, environment::Container, explain_serving_response::gate::Kind as Gate,
        wecom_service_client::WecomServiceClient,
    },
    domain::Micros,
    wecom::fake::Fake,
};
use tonic::Code;

use crate::{
    on_both_engines,
    support::{
        CardClient, Clock, Engine, PlacementClient, Scratch, ServingClient, TestServer,
        create_card, create_corp, get_menu, in_menu, on_note, phone, place, refused, tap, viewer,
    },
};

on_both_engines!(
    a_card_leads_by_a_link_that_is_managed_here,
    without_adds_left_the_link_steps_aside_and_comes_back,
    a_link_that_fails_steps_aside_and_says_why,
    a_managed_link_by_its_address_fails_as_the_link_does,
    a_managed_link_by_its_address_is_its_corps,
    a_corp_that_does_not_name_the_merchant_is_no_ones_to_use,
);

const TOKEN: &str = "QDG6eK";
const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
const CORP_ID: &str = "wx5823bf96d3bd56c7";
const KF: &str = "https://work.weixin.qq.com/kfid/kfc0123456789abcdef";
const LINK: &str = "corps/klook/acquisitionLinks/main";

/// A server, a fake WeCom, and a corp with a link there.
struct Shop {
    server: TestServer,
    cards: CardClient,
    placements: PlacementClient,
    serving: ServingClient,
    fake: Fake,
    corps: WecomServiceClient<tonic::transport::Channel>,
}

impl Shop {
    async fn open(engine: Engine) -> Self {
        let scratch = Scratch::new(engine).await;
        let clock = Clock::default();
        let listen = ([127, 0, 0, 1], 0).into();
        let fake = Fake::start(listen, clock.ambient()).await.unwrap();
        fake.add_app(CORP_ID, "secret");
        let more = format!("[wecom]\nbase_url = \"{}\"\n", fake.base_url());
        let settings = scratch.settings(&more);
        let server = TestServer::on(scratch, &settings).await;
        let mut corps = WecomServiceClient::new(server.channel().await);
        let request = pb::CreateCorpRequest {
            corp: Some(pb::Corp {
                display_name: "Klook".into(),
                merchants: vec!["merchants/klook".into()],
                corp_id: CORP_ID.into(),
                app_secret: "secret".into(),
                callback_token: TOKEN.into(),
                encoding_aes_key: KEY.into(),
                ..Default::default()
            }),
            corp_id: "klook".into(),
            ..Default::default()
        };
        corps.create_corp(request).await.unwrap();
        let door = format!("http://{}/wecom/callback/klook", server.http);
        let set = fake.set_callback(CORP_ID, &door, TOKEN, KEY).await;
        set.unwrap();
        let request = pb::CreateAcquisitionLinkRequest {
            parent: "corps/klook".into(),
            acquisition_link_id: "main".into(),
            acquisition_link: Some(pb::AcquisitionLink {
                display_name: "Klook 客路".into(),
                user_ids: vec!["zhangsan".into()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let link = corps.create_acquisition_link(request).await.unwrap();
        assert_eq!(
            link.into_inner().state(),
            pb::acquisition_link::State::Active
        );
        Self {
            cards: server.cards().await,
            placements: server.placements().await,
            serving: server.serving().await,
            server,
            fake,
            corps,
        }
    }

    /// A card with the link, and what else it may have, in the menu and on a note.
    async fn placed(&mut self, fallback: &str, more: Vec<pb::Contact>) {
        let mut request = create_card("klook", "main");
        let contacts = &mut request.card.as_mut().unwrap().contacts;
        *contacts = [vec![managed(LINK, fallback)], more].concat();
        self.cards.create_card(request).await.unwrap();
        for (id, surface) in [("menu", in_menu(1)), ("note", on_note("n1"))] {
            let request = place("klook", "main", id, surface);
            self.placements.create_placement(request).await.unwrap();
        }
    }

    /// A card with nothing else than this contact, on a note.
    async fn alone(&mut self, contact: pb::Contact) -> pb::Card {
        let mut request = create_card("klook", "alone");
        request.card.as_mut().unwrap().contacts = vec![contact];
        let card = self.cards.create_card(request).await.unwrap();
        let request = place("klook", "alone", "alone", on_note("n2"));
        self.placements.create_placement(request).await.unwrap();
        card.into_inner()
    }

    async fn delete_link(&mut self) {
        let request = pb::DeleteAcquisitionLinkRequest {
            name: LINK.into(),
            ..Default::default()
        };
        self.corps.delete_acquisition_link(request).await.unwrap();
    }

    /// What is on this note.
    async fn on_note(&mut self, note: &str) -> pb::note_capsule_result::Outcome {
        let request = pb::BatchGetNoteCapsulesRequest {
            notes: vec![format!("notes/{note}")],
            viewer: viewer(),
        };
        let answer = self.serving.batch_get_note_capsules(request).await;
        let result = answer.unwrap().into_inner().results.remove(0);
        result.outcome.unwrap()
    }

    async fn menu(&mut self) -> pb::GetChatMenuResponse {
        let menu = self.serving.get_chat_menu(get_menu("klook")).await;
        menu.unwrap().into_inner()
    }

    /// The kinds in the menu, once there are so many; callbacks are worked off behind the door.
    async fn menu_of(&mut self, kinds: &[&str]) -> pb::GetChatMenuResponse {
        for _ in 0..200 {
            let menu = self.menu().await;
            let shown: Vec<_> = menu.items.iter().map(|i| i.kind().as_str_name()).collect();
            if shown == kinds {
                return menu;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no {kinds:?}: {:?}", self.menu().await);
    }

    async fn card(&mut self) -> pb::Card {
        let request = pb::GetCardRequest {
            name: "merchants/klook/cards/main".into(),
        };
        self.cards.get_card(request).await.unwrap().into_inner()
    }

    /// The kind on the note.
    async fn capsule(&mut self) -> &'static str {
        match self.on_note("n1").await {
            pb::note_capsule_result::Outcome::Item(item) => item.kind().as_str_name(),
            other => panic!("{other:?}"),
        }
    }

    async fn tap(&mut self, token: &str) -> Result<String, tonic::Status> {
        let plan = self
            .serving
            .open_card(tap(token, Container::WechatWebview))
            .await?;
        Ok(plan.into_inner().steps.remove(0).uri)
    }

    async fn explained(&mut self) -> pb::explain_serving_response::Gate {
        let request = pb::ExplainServingRequest {
            subject: Some(pb::explain_serving_request::Subject::Merchant(
                "merchants/klook".into(),
            )),
            ..Default::default()
        };
        let answer = self.serving.explain_serving(request).await.unwrap();
        let mut gates = answer.into_inner().gates.into_iter();
        gates.find(|gate| gate.gate() == Gate::Link).unwrap()
    }

    /// Why the card that has nothing else is not shown.
    async fn reason_at(&mut self, at: Option<Micros>) -> &'static str {
        let request = pb::ExplainServingRequest {
            subject: Some(pb::explain_serving_request::Subject::Placement(
                "merchants/klook/placements/alone".into(),
            )),
            at: at.map(|at| prost_types::Timestamp {
                seconds: at.seconds(),
                nanos: i32::try_from(at.0.rem_euclid(1_000_000)).unwrap() * 1000,
            }),
            ..Default::default()
        };
        let answer = self.serving.explain_serving(request).await.unwrap();
        answer.into_inner().reason().as_str_name()
    }

    fn uri(&self) -> String {
        self.fake.links()[0].url.clone()
    }
}

fn managed(link: &str, fallback: &str) -> pb::Contact {
    use pb::wecom_contact::Target;
    contact(pb::WecomContact {
        target: Some(Target::AcquisitionLink(link.into())),
        fallback_kf_uri: fallback.into(),
        ..Default::default()
    })
}

/// A link by its address, and the corp that is named with it.
fn bare(uri: &str, corp: &str) -> pb::Contact {
    contact(pb::WecomContact {
        corp: corp.into(),
        target: Some(pb::wecom_contact::Target::AcquisitionUri(uri.into())),
        ..Default::default()
    })
}

fn contact(wecom: pb::WecomContact) -> pb::Contact {
    pb::Contact {
        details: Some(pb::contact::Details::Wecom(wecom)),
        ..Default::default()
    }
}

async fn a_card_leads_by_a_link_that_is_managed_here(engine: Engine) {
    let mut shop = Shop::open(engine).await;
    shop.placed("", vec![phone("400-800-1234")]).await;
    let menu = shop.menu_of(&["WECOM", "PHONE"]).await;
    let token = &menu.items[0].tap_token;
    let uri = shop.tap(token).await.unwrap();
    assert_eq!(uri, format!("{}?customer_channel={token}", shop.uri()));
    let card = shop.card().await;
    assert_eq!(wecom_of(&card).corp, "corps/klook");
    let revealed = pb::RevealContactRequest {
        name: card.name,
        kind: pb::contact::Kind::Wecom.into(),
        ..Default::default()
    };
    let revealed = shop.cards.reveal_contact(revealed).await.unwrap();
    assert_eq!(revealed.into_inner().value, shop.uri());
}

fn wecom_of(card: &pb::Card) -> &pb::WecomContact {
    match card.contacts[0].details.as_ref().unwrap() {
        pb::contact::Details::Wecom(wecom) => wecom,
        other => panic!("{other:?}"),
    }
}

async fn without_adds_left_the_link_steps_aside_and_comes_back(engine: Engine) {
    let mut shop = Shop::open(engine).await;
    shop.placed("", vec![phone("400-800-1234")]).await;
    let menu = shop.menu_of(&["WECOM", "PHONE"]).await;
    let token = menu.items[0].tap_token.clone();
    assert_eq!(shop.capsule().await, "WECOM");

    // Another card has nothing else.
    shop.alone(managed(LINK, "")).await;

    shop.fake.drain(CORP_ID);
    shop.menu_of(&["PHONE"]).await;
    assert_eq!(shop.capsule().await, "PHONE");
    let tapped = shop.tap(&token).await;
    refused(tapped, Code::FailedPrecondition, "LINK_UNAVAILABLE");
    let why = shop.explained().await;
    assert_eq!(why.facts["cause"], "EXHAUSTED");
    assert!(why.text_zh.contains("其他联系方式"), "{}", why.text_zh);
    let menu = shop.menu().await;
    let phone = menu.items[0].tap_token.clone();
    let before = shop.server.clock.now();
    shop.server.clock.advance(Duration::from_secs(1));

    shop.fake.top_up(CORP_ID, 5);
    shop.menu_of(&["WECOM", "PHONE"]).await;
    shop.tap(&token).await.unwrap();
    shop.tap(&phone).await.unwrap();

    // What was known then is known still.
    assert_eq!(shop.reason_at(Some(before)).await, "LINK_UNAVAILABLE");
    assert_eq!(shop.reason_at(None).await, "ERROR_REASON_UNSPECIFIED");
}

async fn a_link_that_fails_steps_aside_and_says_why(engine: Engine) {
    let mut shop = Shop::open(engine).await;
    shop.placed("", Vec::new()).await;
    let menu = shop.menu_of(&["WECOM"]).await;
    let token = menu.items[0].tap_token.clone();
    assert!(shop.explained().await.reason().as_str_name() == "ERROR_REASON_UNSPECIFIED");

    let link_id = shop.fake.links()[0].link_id.clone();
    shop.fake.break_link(&link_id);
    let menu = shop.menu_of(&[]).await;
    assert_eq!(
        menu.absence.unwrap().reason().as_str_name(),
        "LINK_UNAVAILABLE"
    );
    let why = shop.explained().await;
    assert_eq!(why.reason().as_str_name(), "LINK_UNAVAILABLE");
    assert_eq!(why.text_zh, "企业微信链接暂不可用。");

    // With a chat to fall back on, it is served again, and leads there.
    let mut card = shop.card().await;
    card.contacts = vec![managed(LINK, KF)];
    card.etag = String::new();
    let request = pb::UpdateCardRequest {
        card: Some(card),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["contacts".into()],
        }),
        ..Default::default()
    };
    shop.cards.update_card(request).await.unwrap();
    shop.menu_of(&["WECOM"]).await;
    assert_eq!(shop.tap(&token).await.unwrap(), KF);

    // Changed at WeCom, the link is tried again.
    let request = pb::UpdateAcquisitionLinkRequest {
        acquisition_link: Some(pb::AcquisitionLink {
            name: LINK.into(),
            user_ids: vec!["lisi".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    shop.corps.update_acquisition_link(request).await.unwrap();
    assert!(shop.tap(&token).await.unwrap().starts_with(&shop.uri()));
}

async fn a_managed_link_by_its_address_fails_as_the_link_does(engine: Engine) {
    use pb::note_capsule_result::Outcome;
    let mut shop = Shop::open(engine).await;
    let uri = format!("{}?comp_scene=YWI%3D", shop.uri());
    shop.alone(bare(&uri, "corps/klook")).await;
    let Outcome::Item(item) = shop.on_note("n2").await else {
        panic!("not served");
    };
    let token = &item.tap_token;
    let tapped = shop.tap(token).await.unwrap();
    assert_eq!(tapped, format!("{uri}&customer_channel={token}"));
    let before = shop.server.clock.now();
    shop.server.clock.advance(Duration::from_secs(1));

    shop.delete_link().await;
    let tapped = shop.tap(token).await;
    refused(tapped, Code::FailedPrecondition, "LINK_UNAVAILABLE");
    let served = shop.on_note("n2").await;
    assert!(matches!(served, Outcome::Absence(_)), "{served:?}");
    assert_eq!(shop.reason_at(None).await, "LINK_UNAVAILABLE");
    let then = shop.server.clock.now();
    shop.server.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.reason_at(Some(then)).await, "LINK_UNAVAILABLE");
    assert_eq!(
        shop.reason_at(Some(before)).await,
        "ERROR_REASON_UNSPECIFIED"
    );
}

async fn a_managed_link_by_its_address_is_its_corps(engine: Engine) {
    let mut shop = Shop::open(engine).await;
    let uri = shop.uri();
    let card = shop.alone(bare(&uri, "")).await;
    assert_eq!(wecom_of(&card).corp, "corps/klook");
    let update = |contact| pb::UpdateCardRequest {
        card: Some(pb::Card {
            name: card.name.clone(),
            contacts: vec![contact],
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut other = create_corp("other");
    other.corp.as_mut().unwrap().merchants = vec!["merchants/klook".into()];
    shop.corps.create_corp(other).await.unwrap();
    let made = shop.cards.update_card(update(bare(&uri, "corps/other")));
    refused(made.await, Code::FailedPrecondition, "CORP_NOT_OPEN");
    let scene = format!("{uri}?comp_scene=YWI%3D");
    let card = shop.cards.update_card(update(bare(&scene, ""))).await;
    assert_eq!(wecom_of(card.unwrap().get_ref()).corp, "corps/klook");

    shop.delete_link().await;
    assert_eq!(shop.reason_at(None).await, "LINK_UNAVAILABLE");
    for corp in ["", "corps/klook"] {
        let made = shop.cards.update_card(update(bare(&uri, corp))).await;
        refused(made, Code::FailedPrecondition, "CORP_NOT_OPEN");
    }
}

async fn a_corp_that_does_not_name_the_merchant_is_no_ones_to_use(engine: Engine) {
    let mut shop = Shop::open(engine).await;
    for (merchant, link) in [
        ("other", LINK),
        ("klook", "corps/klook/acquisitionLinks/none"),
        ("klook", "corps/none/acquisitionLinks/main"),
    ] {
        let mut request = create_card(merchant, "main");
        request.card.as_mut().unwrap().contacts = vec![managed(link, "")];
        let made = shop.cards.create_card(request).await;
        refused(made, Code::FailedPrecondition, "CORP_NOT_OPEN");
    }
    // Nor by the link's bare address.
    let mut request = create_card("other", "main");
    request.card.as_mut().unwrap().contacts = vec![bare(&shop.uri(), "")];
    let made = shop.cards.create_card(request).await;
    refused(made, Code::FailedPrecondition, "CORP_NOT_OPEN");

    shop.placed("", Vec::new()).await;
    let menu = shop.menu_of(&["WECOM"]).await;
    let request = pb::UpdateCorpRequest {
        corp: Some(pb::Corp {
            name: "corps/klook".into(),
            merchants: vec!["merchants/other".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    shop.corps.update_corp(request).await.unwrap();
    let tapped = shop.tap(&menu.items[0].tap_token).await;
    let tapped = refused(tapped, Code::FailedPrecondition, "LINK_UNAVAILABLE");
    let said = tonic_types::StatusExt::get_details_error_info(&tapped);
    assert_eq!(said.unwrap().metadata["cause"], "CLOSED");
}
