//! TAP: recorded by the service, once a served token; machines are kept apart.

use mingpian::{
    api::pb::{
        self, environment::Container, event::Type, query_funnel_request::Scope,
        query_funnel_response::Row,
    },
    domain::Micros,
};

use super::{ALL_TOLD, Api, placement_name, reached, whole};
use crate::{
    lifecycle::{column, database},
    on_both_engines,
    support::{Engine, on_note, tap},
};

on_both_engines!(
    a_served_token_is_one_tap_however_often_it_is_opened,
    a_machine_taps_apart,
    a_published_link_is_tapped_by_many_and_credited_by_its_channel,
);

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/605.1.15";
const CRAWLER: &str = "Mozilla/5.0 (compatible; Baiduspider/2.0)";

/// With the card `main` on a note; the token of its first item.
async fn shown(engine: Engine) -> (Api, String) {
    let mut api = Api::start_with(engine, ALL_TOLD).await;
    api.create("main").await.unwrap();
    api.place("capsule", on_note("n-1")).await.unwrap();
    let token = served(&mut api).await;
    (api, token)
}

async fn served(api: &mut Api) -> String {
    let result = api.capsules(&["n-1"]).await.results.remove(0).outcome;
    let Some(pb::note_capsule_result::Outcome::Item(item)) = result else {
        panic!("{result:?}")
    };
    item.tap_token
}

/// On the public door.
async fn open(api: &Api, token: &str, agent: &str) {
    let url = format!("http://{}/t/{token}", api.server.http);
    let request = reqwest::Client::new().get(url).header("user-agent", agent);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// What was reached today and, as nights fall during tests, yesterday.
async fn today(api: &mut Api, scope: Option<Scope>) -> Row {
    let now = api.server.clock.now().0;
    let hour = Micros(now - now % 3_600_000_000);
    let request = pb::QueryFunnelRequest {
        scope,
        ..whole(Micros(hour.0 - 86_400_000_000), 25)
    };
    api.funnel(request).await.rows.remove(0)
}

/// Each tap's viewer, `bot` and channel.
async fn taps(api: &Api) -> Vec<String> {
    let db = database(&api.server.scratch).await;
    let sql = "SELECT CASE WHEN viewer IS NULL THEN 'nobody' ELSE 'viewer' END \
               || CASE WHEN bot THEN ' bot' ELSE '' END || ' ' || channel \
               FROM events WHERE stage = 2 ORDER BY 1";
    let taps = column(&db, sql).await;
    db.close().await.unwrap();
    taps.iter().map(|tap| tap.trim_end().to_owned()).collect()
}

async fn a_served_token_is_one_tap_however_often_it_is_opened(engine: Engine) {
    let (mut api, token) = shown(engine).await;
    for _ in 0..3 {
        api.tap(&token).await.unwrap();
    }
    open(&api, &token, PHONE).await;
    assert_eq!(taps(&api).await, ["viewer"]);
    let other = served(&mut api).await;
    open(&api, &other, PHONE).await;
    assert_eq!(taps(&api).await, ["viewer"; 2]);
    // Two taps of one viewer, within a window.
    for scope in [
        None,
        Some(Scope::Placement(placement_name("capsule"))),
        Some(Scope::Note("notes/n-1".into())),
    ] {
        let row = today(&mut api, scope.clone()).await;
        assert_eq!(reached(&row), [(Type::Tap, 1)], "{scope:?}");
    }
    // A refused one is none.
    let third = served(&mut api).await;
    api.pause("capsule").await.unwrap();
    api.tap(&third).await.unwrap_err();
    assert_eq!(taps(&api).await, ["viewer"; 2]);
}

async fn a_machine_taps_apart(engine: Engine) {
    let (mut api, token) = shown(engine).await;
    open(&api, &token, CRAWLER).await;
    open(&api, &token, "").await;
    assert_eq!(taps(&api).await, ["viewer bot"; 2]);
    assert_eq!(reached(&today(&mut api, None).await), []);
    // It took nobody's tap.
    open(&api, &token, PHONE).await;
    assert_eq!(taps(&api).await, ["viewer", "viewer bot", "viewer bot"]);
    assert_eq!(reached(&today(&mut api, None).await), [(Type::Tap, 1)]);
}

async fn a_published_link_is_tapped_by_many_and_credited_by_its_channel(engine: Engine) {
    let (mut api, _) = shown(engine).await;
    let link = pb::Link {
        placement: placement_name("capsule"),
        channel: "双十一".into(),
        ..Default::default()
    };
    let link = api.link("l", link).await.unwrap();
    // Nobody knows who.
    open(&api, &link.token, PHONE).await;
    open(&api, &link.token, PHONE).await;
    open(&api, &link.token, CRAWLER).await;
    assert_eq!(reached(&today(&mut api, None).await), []);
    for viewer in ["v-1", "v-2", "v-2"] {
        let mut request = tap(&link.token, Container::NativeApp);
        request.viewer.as_mut().unwrap().viewer_id = viewer.into();
        api.serving.open_card(request).await.unwrap();
    }
    let mut wanted = vec!["nobody 双十一"; 2];
    wanted.extend([
        "nobody bot 双十一",
        "viewer 双十一",
        "viewer 双十一",
        "viewer 双十一",
    ]);
    let mut found = taps(&api).await;
    found.sort();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    for scope in [
        None,
        Some(Scope::Channel("双十一".into())),
        Some(Scope::Placement(placement_name("capsule"))),
        Some(Scope::Note("notes/n-1".into())),
    ] {
        let row = today(&mut api, scope.clone()).await;
        assert_eq!(reached(&row), [(Type::Tap, 2)], "{scope:?}");
    }
}
