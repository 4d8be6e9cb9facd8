//! What WeCom called back about in vain is pulled, once, and credited likewise.

use std::time::{Duration, Instant};

use mingpian::{
    api::pb::{
        self, contact_event::Source, contact_event::Type, wecom_service_client::WecomServiceClient,
    },
    app::Tally,
    config::Settings,
    domain::Micros,
    wecom::fake::{Fake, Fault, Friends, Switch},
};
use sea_orm::ConnectionTrait;
use tokio::time::sleep;

use super::sender::{CORP_ID, Sender, Told, corp};
use crate::{
    lifecycle::database,
    on_both_engines,
    support::{Clock, Engine, Scratch, TestServer, create_card, get_menu, in_menu, place},
};

on_both_engines!(
    what_was_missed_is_pulled_once_and_credited,
    a_corp_or_a_link_that_does_not_go_keeps_no_other,
    a_pull_ends_where_another_replica_leads,
);

/// A server, a fake WeCom that calls nobody back, and a link in a chat menu.
struct Scene {
    server: TestServer,
    fake: Fake,
    link: String,
}

impl Scene {
    async fn new(engine: Engine) -> (Self, Settings) {
        let listen = ([127, 0, 0, 1], 0).into();
        let fake = Fake::start(listen, Clock::default().ambient())
            .await
            .unwrap();
        fake.add_app(CORP_ID, "a-secret");
        let scratch = Scratch::new(engine).await;
        let settings = scratch.settings(&format!("[wecom]\nbase_url = \"{}\"\n", fake.base_url()));
        let server = TestServer::on(scratch, &settings).await;
        let mut corps = WecomServiceClient::new(server.channel().await);
        corps.create_corp(corp("klook", CORP_ID)).await.unwrap();
        let link = corps
            .create_acquisition_link(request("main"))
            .await
            .unwrap();
        let mut card = create_card("klook", "main");
        card.card.as_mut().unwrap().contacts = vec![contact()];
        server.cards().await.create_card(card).await.unwrap();
        let menu = place("klook", "main", "menu", in_menu(1));
        server
            .placements()
            .await
            .create_placement(menu)
            .await
            .unwrap();
        let link = link.into_inner().uri;
        (Self { server, fake, link }, settings)
    }

    /// On the real time again.
    async fn restarted(self, settings: &Settings) -> Self {
        let scratch = self.server.end().await;
        let server = TestServer::bare(scratch, settings).await;
        Self { server, ..self }
    }

    async fn token(&self) -> String {
        let menu = self
            .server
            .serving()
            .await
            .get_chat_menu(get_menu("klook"))
            .await;
        menu.unwrap().into_inner().items.remove(0).tap_token
    }

    /// A user taps, and is added.
    fn tap(&self, state: &str, user: &str) -> Friends {
        let uri = format!("{}?customer_channel={state}", self.link);
        self.fake.tap(&uri, user).friends.expect("an add")
    }

    /// How many events one more pull finds.
    async fn pull(&self) -> u64 {
        // The worker's lease is over.
        self.server.clock.advance(Duration::from_secs(61));
        let app = &self.server.app;
        let mut found = Tally::new();
        let led = app.pull_contacts("tests", &mut found).await.unwrap();
        assert!(led, "the lease");
        app.leave_contacts("tests").await.unwrap();
        found.values().sum()
    }

    async fn events(&self, wanted: usize) -> Vec<pb::ContactEvent> {
        let mut corps = WecomServiceClient::new(self.server.channel().await);
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let request = pb::ListContactEventsRequest {
                parent: "corps/klook".into(),
                ..Default::default()
            };
            let page = corps.list_contact_events(request).await.unwrap();
            let mut events = page.into_inner().contact_events;
            if events.len() == wanted {
                events.reverse();
                return events;
            }
            assert!(Instant::now() < until, "not {wanted}: {events:#?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn request(id: &str) -> pb::CreateAcquisitionLinkRequest {
    pb::CreateAcquisitionLinkRequest {
        parent: "corps/klook".into(),
        acquisition_link: Some(pb::AcquisitionLink {
            display_name: "Klook".into(),
            user_ids: vec!["zhangsan".into()],
            ..Default::default()
        }),
        acquisition_link_id: id.into(),
        ..Default::default()
    }
}

fn contact() -> pb::Contact {
    let link = "corps/klook/acquisitionLinks/main".to_owned();
    pb::Contact {
        details: Some(pb::contact::Details::Wecom(pb::WecomContact {
            target: Some(pb::wecom_contact::Target::AcquisitionLink(link)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

async fn what_was_missed_is_pulled_once_and_credited(engine: Engine) {
    let (s, settings) = Scene::new(engine).await;
    let state = s.token().await;
    assert_eq!(s.pull().await, 0);
    let anna = s.tap(&state, "anna");
    s.tap("channel-7", "bert");
    assert_eq!(s.pull().await, 2);
    assert_eq!(s.pull().await, 0, "they are known");
    s.fake.chat(&anna);
    assert_eq!(s.pull().await, 1);
    assert_eq!(s.pull().await, 0);
    let events = s.events(3).await;
    let (credited, others): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|e| !e.merchant.is_empty());
    let types: Vec<_> = credited.iter().map(|e| e.r#type()).collect();
    assert_eq!(types, [Type::Added, Type::WecomOpening]);
    for event in &credited {
        assert_eq!(event.source(), Source::Pull);
        assert_eq!(event.placement, "merchants/klook/placements/menu");
        let tap = s.server.app.keys.tap_id(&state);
        assert_eq!(event.tap_event_id, tap.to_string());
    }
    assert_eq!(others.len(), 1);

    // What is called back after all is the same add, and says when it was.
    let sender = Sender::new("klook", CORP_ID);
    let time = s.server.clock.now().seconds() - 600;
    let http = s.server.http.to_string();
    let add = |friends: &Friends, state: &str| Told {
        user: friends.user_id.clone(),
        ..Told::contact(
            "add_external_contact",
            &friends.external_user_id,
            state,
            time,
        )
    };
    let late = add(&anna, &state);
    assert_eq!(sender.send(&http, &late).await, Some(200));
    let until = Instant::now() + Duration::from_secs(20);
    while s.events(3).await[..2]
        .iter()
        .all(|e| e.source() == Source::Pull)
    {
        assert!(Instant::now() < until, "still as it was pulled");
        sleep(Duration::from_millis(20)).await;
    }
    let told = s.events(3).await;
    let told = told.iter().find(|e| e.event_id == credited[0].event_id);
    assert_eq!(told.unwrap().event_time.unwrap().seconds, time);

    // Nor is one that was called back found again.
    let state = s.token().await;
    let carl = s.tap(&state, "carl");
    assert_eq!(sender.send(&http, &add(&carl, &state)).await, Some(200));
    s.events(4).await;
    assert_eq!(s.pull().await, 0);

    // A server that comes back looks at once for what it missed.
    let s = s.restarted(&settings).await;
    s.events(4).await;
    s.tap(&s.token().await, "dora");
    let s = s.restarted(&settings).await;
    let last = s.events(5).await.pop().unwrap();
    assert_eq!((last.source(), last.r#type()), (Source::Pull, Type::Added));
    assert_eq!(last.merchant, "merchants/klook");
}

/// What one contact has does not read, nor does one corp; and a link is not served any more.
async fn a_corp_or_a_link_that_does_not_go_keeps_no_other(engine: Engine) {
    let (s, _) = Scene::new(engine).await;
    s.tap("channel-7", "anna");
    assert_eq!(s.pull().await, 1);
    let mut corps = WecomServiceClient::new(s.server.channel().await);
    corps.create_corp(corp("before", CORP_ID)).await.unwrap();
    let other = corps.create_acquisition_link(request("other")).await;
    let uri = other.unwrap().into_inner().uri;
    let db = database(&s.server.scratch).await;
    for damage in [
        "UPDATE contact_histories SET body = 'damaged'",
        "UPDATE corps SET merchants = 'damaged' WHERE id = 'before'",
        // WeCom said so.
        "UPDATE acquisition_links SET state = 3 WHERE id = 'other'",
    ] {
        db.execute_unprepared(damage).await.unwrap();
    }
    db.close().await.unwrap();
    let uri = format!("{uri}?customer_channel=channel-7");
    s.fake.tap(&uri, "bert").friends.expect("an add");
    assert_eq!(s.pull().await, 1);
    s.events(2).await;
}

async fn a_pull_ends_where_another_replica_leads(engine: Engine) {
    let (s, _) = Scene::new(engine).await;
    s.tap("channel-7", "anna");
    s.server.clock.advance(Duration::from_secs(61));
    let app = s.server.app.clone();
    s.fake.fail(Switch::for_good("customer", Fault::Slow(500)));
    let mut found = Tally::new();
    let other = async {
        sleep(Duration::from_millis(200)).await;
        s.server.clock.advance(Duration::from_secs(61));
        let now = s.server.clock.now();
        let until = Micros(i64::MAX);
        // The server's own may be quicker.
        app.store
            .take_lease("contacts", "other", now, until)
            .await
            .unwrap();
    };
    let (led, ()) = tokio::join!(app.pull_contacts("tests", &mut found), other);
    assert!(!led.unwrap(), "another leads");
    assert_eq!(found, Tally::new());
}
