//! From the tap to the add: what WeCom calls back is credited to what was tapped, or to nobody.

use std::time::{Duration, Instant};

use mingpian::{
    api::pb::{
        self, contact::Kind, contact_event::Source, contact_event::Type,
        contact_event::Unattributed, event::Type as Stage, query_funnel_request::Scope,
        wecom_service_client::WecomServiceClient,
    },
    domain::{ContactKind, CorpName, Notice, NoticeKind, Origin, TapToken},
};
use tokio::time::sleep;
use tonic::Code;

use super::sender::{CORP_ID, Sender, Told, corp};
use crate::{
    api::rolled_up,
    lifecycle::{column, database},
    on_both_engines,
    support::{
        Engine, LINK, TestServer, create_card, fields, on_note, phone, place, refused, tap_capsule,
    },
};

on_both_engines!(
    an_add_is_credited_to_the_tap_that_led_to_it,
    what_comes_of_a_tap_is_in_the_funnel_once,
    a_contact_has_another_name_in_each_listing,
    a_published_link_is_credited_by_its_channel,
    what_cannot_be_credited_says_why,
    half_and_full_adds_count_once_in_any_order,
    what_is_balance_or_unknown_is_no_event,
    a_callback_that_does_not_read_keeps_no_other,
    events_are_listed_in_pages_the_latest_first,
);

const OTHER_CORP_ID: &str = "ww0000000000000001";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A card on a note, whose WeCom contact names `corps/klook`.
struct Scene {
    server: TestServer,
    sender: Sender,
    token: String,
    tap_event: String,
}

impl Scene {
    async fn new(engine: Engine) -> Self {
        let more = "[measurement]\nwithheld_under = 1\n";
        let server = TestServer::start_with(engine, more).await;
        let mut corps = WecomServiceClient::new(server.channel().await);
        for (id, corp_id) in [("klook", CORP_ID), ("other", OTHER_CORP_ID)] {
            corps.create_corp(corp(id, corp_id)).await.unwrap();
        }
        let mut request = create_card("klook", "main");
        request.card.as_mut().unwrap().contacts = vec![contact()];
        server.cards().await.create_card(request).await.unwrap();
        let placement = place("klook", "main", "capsule", on_note("n-1"));
        let mut placements = server.placements().await;
        placements.create_placement(placement).await.unwrap();
        let mut scene = Self {
            sender: Sender::new("klook", CORP_ID),
            token: String::new(),
            tap_event: String::new(),
            server,
        };
        (scene.token, scene.tap_event) = scene.tap().await;
        scene
    }

    /// Fetches the capsule and taps it: the State, and the tap's id.
    async fn tap(&self) -> (String, String) {
        tap_capsule(&mut self.server.serving().await, "notes/n-1").await
    }

    fn http(&self) -> String {
        self.server.http.to_string()
    }

    /// Now, as WeCom writes it.
    fn now(&self) -> i64 {
        self.server.clock.now().seconds()
    }

    async fn tell(&self, told: &Told) {
        assert_eq!(
            self.sender.send(&self.http(), told).await,
            Some(200),
            "{told:?}"
        );
    }

    async fn added(&self, who: &str, state: &str) {
        let told = Told::contact("add_external_contact", who, state, self.now());
        self.tell(&told).await;
    }

    async fn page(
        &self,
        parent: &str,
        page_size: i32,
        token: &str,
    ) -> pb::ListContactEventsResponse {
        let request = pb::ListContactEventsRequest {
            parent: parent.into(),
            page_size,
            page_token: token.into(),
        };
        let mut corps = WecomServiceClient::new(self.server.channel().await);
        corps
            .list_contact_events(request)
            .await
            .unwrap()
            .into_inner()
    }

    /// How long the bodies of all callbacks are.
    async fn bodies(&self) -> Vec<String> {
        let db = database(&self.server.scratch).await;
        let sql = "SELECT CAST(length(body) AS text) FROM callbacks";
        let bodies = column(&db, sql).await;
        db.close().await.unwrap();
        bodies
    }

    /// Once nothing waits any more, and there are so many, the first learned of first.
    async fn events(&self, parent: &str, wanted: usize) -> Vec<pb::ContactEvent> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let now = self.server.clock.now();
            let waiting = self.server.app.store.reads().due_callbacks(now, 1).await;
            let mut events = self.page(parent, 100, "").await.contact_events;
            if waiting.unwrap().is_empty() && events.len() == wanted {
                events.reverse();
                return events;
            }
            assert!(Instant::now() < until, "not {wanted}: {events:#?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn contact() -> pb::Contact {
    let target = pb::wecom_contact::Target::AcquisitionUri(LINK.into());
    pb::Contact {
        details: Some(pb::contact::Details::Wecom(pb::WecomContact {
            corp: "corps/klook".into(),
            target: Some(target),
            ..Default::default()
        })),
        ..Default::default()
    }
}

async fn an_add_is_credited_to_the_tap_that_led_to_it(engine: Engine) {
    let s = Scene::new(engine).await;
    let request = Told {
        event: "customer_acquisition",
        change: "friend_request",
        link_id: "cawcde0000000001".into(),
        state: s.token.clone(),
        time: s.now(),
        ..Told::default()
    };
    s.tell(&request).await;
    s.events("corps/klook", 1).await;
    s.added("wo-1", &s.token).await;
    s.events("corps/klook", 2).await;
    let chat = Told {
        event: "customer_acquisition",
        state: String::new(),
        ..Told::contact("customer_start_chat", "wo-1", "", s.now() + 1)
    };
    s.tell(&chat).await;
    s.events("corps/klook", 3).await;
    s.tell(&Told::contact("del_follow_user", "wo-1", "", s.now() + 2))
        .await;

    let events = s.events("merchants/klook", 4).await;
    let types: Vec<_> = events.iter().map(|e| e.r#type()).collect();
    assert_eq!(
        types,
        [
            Type::AddRequested,
            Type::Added,
            Type::WecomOpening,
            Type::Removed
        ]
    );
    let keys = &s.server.app.keys;
    let viewer = keys.viewer_of("klook", keys.viewer_hash("v-1"));
    for event in &events {
        assert_eq!(event.corp, "corps/klook");
        assert_eq!(event.merchant, "merchants/klook");
        assert_eq!(event.placement, "merchants/klook/placements/capsule");
        assert_eq!(
            (event.kind(), event.note.as_str()),
            (Kind::Wecom, "notes/n-1")
        );
        assert_eq!(event.tap_event_id, s.tap_event);
        assert_eq!(
            event.viewer,
            format!("{viewer:016x}"),
            "as this merchant knows the viewer"
        );
        assert_eq!(event.source(), Source::Callback);
        assert_eq!(event.unattributed(), Unattributed::Unspecified);
        assert_eq!((event.link.as_str(), event.channel.as_str()), ("", ""));
    }
    let contacts: Vec<_> = events.iter().map(|e| e.contact.as_str()).collect();
    assert_eq!(contacts[0], "", "a request names nobody");
    assert_eq!(contacts[1].len(), 32);
    assert!(contacts[1..].iter().all(|contact| *contact == contacts[1]));
    // But for the contact's name (see below) the corp's listing has the same.
    let unnamed = |mut events: Vec<pb::ContactEvent>| {
        events.iter_mut().for_each(|event| event.contact.clear());
        events
    };
    let corps = s.events("corps/klook", 4).await;
    assert_eq!(unnamed(events), unnamed(corps));
    assert_eq!(s.events("corps/other", 0).await, []);
}

/// An add that is learned of twice counts once; one that nobody is credited with counts nowhere.
async fn what_comes_of_a_tap_is_in_the_funnel_once(engine: Engine) {
    let s = Scene::new(engine).await;
    let now = s.now();
    s.added("wo-2", "none-of-ours").await;
    for told in [
        Told::contact("add_external_contact", "wo-1", &s.token, now + 3),
        Told::contact("add_half_external_contact", "wo-1", &s.token, now + 2),
        Told::contact("del_follow_user", "wo-1", "", now + 9),
    ] {
        s.tell(&told).await;
    }
    s.events("corps/klook", 3).await;
    rolled_up(&s.server).await;
    let hour = now - now % 3600;
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let mut measurement = s.server.measurement().await;
    for (scope, viewers) in [
        (None, 1),
        (Some(Scope::Note("notes/n-1".into())), 1),
        (Some(Scope::Note("notes/n-2".into())), 0),
    ] {
        let request = pb::QueryFunnelRequest {
            merchant: "merchants/klook".into(),
            scope,
            start: at(hour),
            end: at(hour + 3600),
            ..Default::default()
        };
        let row = measurement.query_funnel(request).await.unwrap();
        let row = row.into_inner().rows.remove(0);
        let reached = row.counts.iter().filter(|c| c.viewers > 0);
        let stages: Vec<_> = reached.map(|c| (c.r#type(), c.viewers)).collect();
        let wanted = [Stage::Tap, Stage::Added, Stage::Removed].map(|stage| (stage, viewers));
        assert_eq!(stages, if viewers == 0 { &[] } else { &wanted[..] });
    }
}

/// Two merchants of one corp cannot find out whom they have in common; the platform can.
async fn a_contact_has_another_name_in_each_listing(engine: Engine) {
    let s = Scene::new(engine).await;
    s.added("wo-1", &s.token).await;
    s.added("wo-2", "none-of-ours").await;
    let corps = s.events("corps/klook", 2).await;
    s.tell(&Told::contact("del_follow_user", "wo-1", "", s.now() + 2))
        .await;
    let mine = s.events("merchants/klook", 2).await;
    assert_eq!(mine[0].event_id, corps[0].event_id);
    assert_eq!(mine[0].contact, mine[1].contact);
    assert_ne!(mine[0].contact, corps[0].contact);
    let corps = s.events("corps/klook", 3).await;
    assert_eq!(corps[0].contact, corps[2].contact);
    assert_ne!(corps[0].contact, corps[1].contact);
    assert_eq!(corps[1].contact.len(), 32);
}

async fn a_published_link_is_credited_by_its_channel(engine: Engine) {
    let s = Scene::new(engine).await;
    let request = pb::CreateLinkRequest {
        parent: "merchants/klook".into(),
        link: Some(pb::Link {
            placement: "merchants/klook/placements/capsule".into(),
            channel: "春节".into(),
            ..Default::default()
        }),
        link_id: "spring".into(),
        ..Default::default()
    };
    let link = s
        .server
        .links()
        .await
        .create_link(request)
        .await
        .unwrap()
        .into_inner();
    let token = link.uri.rsplit('/').next().unwrap();
    s.added("wo-1", token).await;
    let event = s.events("merchants/klook", 1).await.remove(0);
    assert_eq!((event.link, event.channel), (link.name, "春节".into()));
    assert_eq!(
        (event.viewer.as_str(), event.tap_event_id.as_str()),
        ("", "")
    );
    assert_eq!(event.placement, "merchants/klook/placements/capsule");
}

async fn what_cannot_be_credited_says_why(engine: Engine) {
    let s = Scene::new(engine).await;
    let flipped = |c: char| if c == 'A' { 'B' } else { 'A' };
    let forged = format!(
        "{}{}",
        &s.token[..63],
        flipped(s.token.chars().last().unwrap())
    );
    let gone = s.server.app.keys.seal_token(&TapToken {
        placement_no: 999,
        kind: ContactKind::Wecom,
        issued: u32::try_from(s.now()).unwrap(),
        origin: Origin::Served { viewer: 1, arm: 0 },
        nonce: [0; 8],
    });
    for (who, state) in [
        ("none", ""),
        ("malformed", "channel-7"),
        ("forged", forged.as_str()),
        ("gone", gone.as_str()),
    ] {
        s.added(who, state).await;
        sleep(Duration::from_millis(5)).await;
    }
    let other = Sender::new("other", OTHER_CORP_ID);
    let add = Told::contact("add_external_contact", "wo-1", &s.token, s.now());
    assert_eq!(other.send(&s.http(), &add).await, Some(200));
    s.events("corps/other", 1).await;
    s.events("corps/klook", 4).await;
    s.server.clock.advance(7 * DAY + Duration::from_secs(2));
    s.added("expired", &s.token).await;

    let mut found: Vec<_> = s.events("corps/klook", 5).await;
    found.extend(s.events("corps/other", 1).await);
    let mut reasons: Vec<_> = found.iter().map(|e| e.unattributed()).collect();
    reasons.sort_unstable();
    let wanted = [
        Unattributed::NoState,
        Unattributed::StateMalformed,
        Unattributed::StateForged,
        Unattributed::StateExpired,
        Unattributed::PlacementGone,
        Unattributed::CorpMismatch,
    ];
    assert_eq!(reasons, wanted);
    for event in found {
        assert_eq!(event.r#type(), Type::Added);
        let credited = [
            event.merchant,
            event.placement,
            event.viewer,
            event.tap_event_id,
        ];
        assert_eq!(credited, [""; 4]);
    }
    assert_eq!(s.events("merchants/klook", 0).await, []);
    let metrics = format!("http://{}/metrics", s.server.admin);
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    for why in ["NO_STATE", "STATE_FORGED", "CORP_MISMATCH"] {
        let labels = format!("kind=\"ADDED\",source=\"CALLBACK\",credit=\"{why}\"");
        let line = format!("mingpian_contact_events_total{{{labels}}} 1\n");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

async fn half_and_full_adds_count_once_in_any_order(engine: Engine) {
    let s = Scene::new(engine).await;
    let now = s.now();
    let half = |who: &str| Told::contact("add_half_external_contact", who, &s.token, now);
    let full = |who: &str| Told::contact("add_external_contact", who, &s.token, now + 3);
    let chat = |who: &str| Told {
        event: "customer_acquisition",
        ..Told::contact("customer_start_chat", who, "", now + 9)
    };
    for told in [half("a"), full("a"), chat("a"), half("a"), full("a")] {
        s.tell(&told).await;
    }
    for told in [chat("b"), full("b"), full("b"), half("b")] {
        s.tell(&told).await;
    }
    let first = s.events("merchants/klook", 4).await;
    let briefly = |events: &[pb::ContactEvent]| -> Vec<_> {
        let mut brief: Vec<_> = events
            .iter()
            .map(|e| {
                (
                    e.contact.clone(),
                    e.r#type(),
                    e.event_time.unwrap().seconds - now,
                )
            })
            .collect();
        brief.sort();
        brief
            .into_iter()
            .map(|(_, kind, time)| (kind, time))
            .collect()
    };
    let wanted = [(Type::Added, 0), (Type::WecomOpening, 9)].repeat(2);
    assert_eq!(briefly(&first), wanted);
    // One that comes once more, and was worked off, says nothing new: ids stay.
    s.tell(&half("a")).await;
    assert_eq!(s.events("merchants/klook", 4).await, first);
}

async fn what_is_balance_or_unknown_is_no_event(engine: Engine) {
    let s = Scene::new(engine).await;
    for change in [
        "balance_low",
        "open_profile",
        "something_new",
        "message_from_customer",
    ] {
        s.tell(&Told {
            event: "customer_acquisition",
            change,
            state: s.token.clone(),
            time: s.now(),
            ..Told::default()
        })
        .await;
    }
    s.tell(&Told::contact(
        "edit_external_contact",
        "wo-1",
        &s.token,
        s.now(),
    ))
    .await;
    assert_eq!(s.bodies().await.len(), 1, "the balance alone is kept");
    s.added("wo-1", &s.token).await;
    s.events("corps/klook", 1).await;
}

/// One is sealed for another place, as after a key was lost; one is of no corp.
async fn a_callback_that_does_not_read_keeps_no_other(engine: Engine) {
    let s = Scene::new(engine).await;
    let (store, now) = (&s.server.app.store, s.server.clock.now());
    let corp = CorpName::parse("corps/klook").unwrap();
    let corp = store.reads().corp(&corp).await.unwrap().unwrap();
    let body = s.server.app.keys.seal("elsewhere", b"{}", [0; 16]);
    assert!(
        store
            .put_callback([1; 32], corp.no, body, now)
            .await
            .unwrap()
    );
    let notice = Notice {
        kind: NoticeKind::Added,
        event_time: now,
        user_id: "zhangsan".into(),
        external_user_id: "wo-1".into(),
        link_id: String::new(),
        state: String::new(),
    };
    let notice = serde_json::to_vec(&notice).unwrap();
    let nobodys = s.server.app.keys.seal("callback/77", &notice, [0; 16]);
    assert!(store.put_callback([2; 32], 77, nobodys, now).await.unwrap());
    s.added("wo-1", &s.token).await;
    s.events("corps/klook", 1).await;
    for _ in 0..20 {
        s.server.clock.advance(Duration::from_secs(2 * 60 * 60));
        s.added("wo-1", &s.token).await;
        s.events("corps/klook", 1).await;
    }
    let metrics = format!("http://{}/metrics", s.server.admin);
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("mingpian_wecom_callbacks_given_up_total 2\n"),
        "{metrics}"
    );
    for body in s.bodies().await {
        assert_eq!(body, "0", "what they said is gone");
    }
    s.server.clock.advance(3 * DAY);
    s.server.app.sweep().await.unwrap();
    let kept = store
        .put_callback([1; 32], corp.no, vec![1], s.server.clock.now())
        .await;
    assert!(kept.unwrap(), "its key is forgotten");
}

async fn events_are_listed_in_pages_the_latest_first(engine: Engine) {
    let s = Scene::new(engine).await;
    for n in 1..=5 {
        s.added(&format!("wo-{n}"), &s.token).await;
        s.events("corps/klook", n).await;
    }
    for parent in ["merchants/klook", "corps/klook"] {
        let mut all = s.events(parent, 5).await;
        all.reverse();
        let (mut found, mut token) = (Vec::new(), String::new());
        for size in [2, 2, 1] {
            let page = s.page(parent, 2, &token).await;
            assert_eq!(page.contact_events.len(), size);
            found.extend(page.contact_events);
            token = page.next_page_token;
        }
        assert_eq!((found, token.as_str()), (all, ""));
    }
    let first = s.page("merchants/klook", 2, "").await.next_page_token;
    let mut corps = WecomServiceClient::new(s.server.channel().await);
    let mut list = async |parent: &str, token: &str| {
        let request = pb::ListContactEventsRequest {
            parent: parent.into(),
            page_token: token.into(),
            ..Default::default()
        };
        corps.list_contact_events(request).await
    };
    let invalid = Code::InvalidArgument;
    refused(
        list("corps/klook", &first).await,
        invalid,
        "PAGE_TOKEN_INVALID",
    );
    refused(
        list("corps/nobody", "").await,
        Code::NotFound,
        "CORP_NOT_FOUND",
    );
    for parent in ["", "klook", "merchants/", "corps/klook/acquisitionLinks/a"] {
        let status = refused(list(parent, "").await, invalid, "FIELD_INVALID");
        assert_eq!(fields(&status), ["parent"], "{parent}");
    }
}

/// A card that named the corp when it was tapped credits, though it names none any more; one
/// that named none does not, though it is another's token.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_card_said_at_the_tap_counts() {
    let s = Scene::new(Engine::Sqlite).await;
    sleep(Duration::from_millis(1100)).await;
    let request = pb::UpdateCardRequest {
        card: Some(pb::Card {
            name: "merchants/klook/cards/main".into(),
            contacts: vec![phone("13800138000")],
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["contacts".into()],
        }),
        ..Default::default()
    };
    s.server.cards().await.update_card(request).await.unwrap();
    s.server.clock.advance(Duration::from_secs(60));
    let app = &s.server.app;
    let said = app.keys.open_token(&s.token).unwrap();
    let issued = u32::try_from(s.now()).unwrap();
    let later = app.keys.seal_token(&TapToken { issued, ..said });
    s.added("wo-1", &s.token).await;
    s.events("corps/klook", 1).await;
    s.added("wo-2", &later).await;
    let events = s.events("corps/klook", 2).await;
    let whys: Vec<_> = events.iter().map(|e| e.unattributed()).collect();
    assert_eq!(
        whys,
        [Unattributed::Unspecified, Unattributed::CorpMismatch]
    );
}
