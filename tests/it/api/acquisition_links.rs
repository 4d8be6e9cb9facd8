//! Acquisition links against a fake WeCom: whatever it does, nothing is lost or made twice.

use std::time::Duration;

use mingpian::{
    api::pb::{self, acquisition_link::State, acquisition_quota},
    server::Server,
    wecom::fake::{Fault, Link, Switch},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{Api, PATIENT, malformed, mask, refused};
use crate::{
    on_both_engines,
    support::{
        APP_SECRET, CORP_ID, Engine, Scratch, TestServer, acquisition_link,
        create_acquisition_link, create_corp,
    },
};

on_both_engines!(
    a_link_is_made_changed_and_deleted_at_wecom,
    two_hundred_timeouts_make_two_hundred_links,
    a_call_cut_off_is_finished_and_its_id_answers_the_link,
    a_caller_who_is_in_a_hurry_has_an_answer,
    a_refusal_leaves_nothing_behind,
    a_refusal_heard_later_stays_to_be_seen,
    what_waits_for_wecom_is_told_to_it_later,
    a_link_made_while_others_are_looked_at_is_not_made_again,
    a_change_that_comes_late_does_not_undo_a_newer_one,
    a_link_deleted_while_it_is_made_is_deleted_at_wecom,
    wecoms_word_is_taken_for_what_changed_there,
    a_quota_is_as_wecom_last_said,
);

/// Calls to WeCom are given up soon.
const HASTY: &str = "[wecom]\ntimeout_millis = 300\n";
/// Longer than any call may yet have an effect.
const SETTLED: Duration = Duration::from_secs(70);
const HOUR: Duration = Duration::from_secs(3600);

async fn start(engine: Engine, more: &str) -> Api {
    let mut api = Api::start_with(engine, more).await;
    api.server.scratch.wecom.add_app(CORP_ID, APP_SECRET);
    api.wecom.create_corp(create_corp("klook")).await.unwrap();
    api
}

fn name(id: &str) -> String {
    format!("corps/klook/acquisitionLinks/{id}")
}

fn named(id: &str) -> pb::AcquisitionLink {
    pb::AcquisitionLink {
        name: name(id),
        ..Default::default()
    }
}

impl Api {
    async fn make(&mut self, id: &str) -> Result<pb::AcquisitionLink, Status> {
        let request = create_acquisition_link("klook", id);
        let made = self.wecom.create_acquisition_link(request).await;
        made.map(tonic::Response::into_inner)
    }

    async fn change_link(
        &mut self,
        link: pb::AcquisitionLink,
        paths: &[&str],
    ) -> Result<pb::AcquisitionLink, Status> {
        let request = pb::UpdateAcquisitionLinkRequest {
            acquisition_link: Some(link),
            update_mask: mask(paths),
            ..Default::default()
        };
        let changed = self.wecom.update_acquisition_link(request).await;
        changed.map(tonic::Response::into_inner)
    }

    async fn unmake(&mut self, id: &str, etag: &str) -> Result<(), Status> {
        let request = pb::DeleteAcquisitionLinkRequest {
            name: name(id),
            etag: etag.into(),
            ..Default::default()
        };
        self.wecom
            .delete_acquisition_link(request)
            .await
            .map(|_| ())
    }

    async fn made_links(&mut self) -> Vec<pb::AcquisitionLink> {
        self.links_of("klook").await
    }

    async fn links_of_all(&mut self, corps: &[String]) -> Vec<pb::AcquisitionLink> {
        let mut links = Vec::new();
        for corp in corps {
            links.extend(self.links_of(corp).await);
        }
        links
    }

    async fn links_of(&mut self, corp: &str) -> Vec<pb::AcquisitionLink> {
        let (mut links, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListAcquisitionLinksRequest {
                parent: format!("corps/{corp}"),
                page_size: 100,
                page_token,
            };
            let page = self.wecom.list_acquisition_links(request).await;
            let page = page.unwrap().into_inner();
            links.extend(page.acquisition_links);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return links;
            }
        }
    }

    /// Lets time go by until `holds`.
    async fn until(&mut self, step: Duration, holds: impl Fn(&[pb::AcquisitionLink]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let links = self.made_links().await;
            if holds(&links) {
                return;
            }
            assert!(Instant::now() < deadline, "{links:?}");
            self.advance(step);
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn at_wecom(&self) -> Vec<Link> {
        self.server.scratch.wecom.links()
    }

    fn fail(&self, endpoint: &str, fault: Fault) {
        let switch = Switch::for_good(endpoint, fault);
        self.server.scratch.wecom.fail(switch);
    }

    fn fail_once(&self, endpoint: &str, fault: Fault) {
        let switch = Switch::once(endpoint, fault);
        self.server.scratch.wecom.fail(switch);
    }

    fn heal(&self) {
        self.server.scratch.wecom.heal();
    }

    /// Calls WeCom beside the service, as the same app.
    async fn beside(&self, operation: &str, body: Value) {
        let base = format!("{}/cgi-bin", self.server.scratch.wecom.base_url());
        let http = reqwest::Client::new();
        let token = format!("{base}/gettoken?corpid={CORP_ID}&corpsecret={APP_SECRET}");
        let token = http.get(token).send().await.unwrap();
        let token: Value = token.json().await.unwrap();
        let token = token["access_token"].as_str().unwrap();
        let folder = format!("{base}/externalcontact/customer_acquisition");
        let url = format!("{folder}/{operation}?access_token={token}");
        let answer = http.post(url).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["errcode"], 0, "{answer}");
    }

    async fn quota(&mut self, corp: &str) -> Result<pb::AcquisitionQuota, Status> {
        let name = format!("corps/{corp}/acquisitionQuota");
        let request = pb::GetAcquisitionQuotaRequest { name };
        let quota = self.wecom.get_acquisition_quota(request).await;
        quota.map(tonic::Response::into_inner)
    }
}

async fn a_link_is_made_changed_and_deleted_at_wecom(engine: Engine) {
    let mut api = start(engine, "").await;
    let create = pb::CreateAcquisitionLinkRequest {
        request_id: Uuid::now_v7().to_string(),
        ..create_acquisition_link("klook", "main")
    };
    let made = api.wecom.create_acquisition_link(create.clone()).await;
    let made = made.unwrap().into_inner();
    assert_eq!((made.state(), made.pending), (State::Active, false));
    assert_eq!(made.skip_verify, Some(true));
    let [there] = &api.at_wecom()[..] else {
        panic!("one link");
    };
    assert_eq!(made.uri, there.url);
    let (title, tag) = there.name.rsplit_once(' ').unwrap();
    assert_eq!((title, tag.len()), ("官网 link", 8));
    assert_eq!(
        (&there.users, &there.departments),
        (&made.user_ids, &vec![7])
    );
    assert_eq!(api.made_links().await, std::slice::from_ref(&made));

    let change = pb::AcquisitionLink {
        user_ids: vec!["li.si".into(), "wangwu@x".into()],
        etag: made.etag.clone(),
        ..named("main")
    };
    let paths = ["user_ids", "department_ids", "skip_verify"];
    let changed = api.change_link(change.clone(), &paths).await.unwrap();
    assert_eq!((changed.state(), changed.pending), (State::Active, false));
    assert_eq!(api.made_links().await, std::slice::from_ref(&changed));
    let there = api.at_wecom().remove(0);
    assert_eq!(there.users, change.user_ids);
    assert_eq!(there.departments, Vec::<i64>::new());
    let stale = api.change_link(change, &[]).await;
    refused(stale, Code::Aborted, "ETAG_MISMATCH");
    let stale = api.unmake("main", &made.etag).await;
    refused(stale, Code::Aborted, "ETAG_MISMATCH");

    api.unmake("main", &changed.etag).await.unwrap();
    assert_eq!(api.at_wecom(), []);
    assert_eq!(api.made_links().await, []);
    for gone in [
        api.unmake("main", "").await,
        api.change_link(changed, &[]).await.map(|_| ()),
    ] {
        refused(gone, Code::NotFound, "ACQUISITION_LINK_NOT_FOUND");
    }
    // Nor does the id that made it find it.
    let again = api.wecom.create_acquisition_link(create).await;
    refused(again, Code::NotFound, "ACQUISITION_LINK_NOT_FOUND");
    let taken = api.make("main").await;
    refused(taken, Code::AlreadyExists, "ACQUISITION_LINK_EXISTS");
    let nowhere = create_acquisition_link("other", "main");
    let nowhere = api.wecom.create_acquisition_link(nowhere).await;
    refused(nowhere, Code::NotFound, "CORP_NOT_FOUND");
    assert_eq!(api.server.scratch.wecom.count("create_link"), 1);
}

/// On two replicas, that look for what was made twice after the comparison only. Of 20 corps:
/// what one has to bear opens its own breaker alone.
async fn two_hundred_timeouts_make_two_hundred_links(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let settings = scratch.settings(&format!("{PATIENT}{HASTY}sync_minutes = 1440\n"));
    let mut api = Api::on(TestServer::on(scratch, &settings).await).await;
    let other = Server::bind(&settings, api.server.clock.ambient());
    let (stop, cut) = (api.server.stop.clone(), api.server.cut.clone());
    let other = tokio::spawn(other.await.unwrap().serve(stop, cut));
    for (fault, times) in [
        (Fault::ResetAfter, 80),
        (Fault::HangAfter, 40),
        (Fault::Malformed, 30),
        (Fault::Hang, 30),
        (Fault::Reset, 20),
    ] {
        let switch = Switch::times("create_link", fault, times);
        api.server.scratch.wecom.fail(switch);
    }
    let corps: Vec<_> = (0..20).map(|i| format!("c{i}")).collect();
    for corp in &corps {
        let corp_id = format!("ww-{corp}");
        api.server.scratch.wecom.add_app(&corp_id, APP_SECRET);
        let mut create = create_corp(corp);
        create.corp.as_mut().unwrap().corp_id = corp_id;
        api.wecom.create_corp(create).await.unwrap();
    }
    let calls = (0..200).map(|i| {
        let mut client = api.wecom.clone();
        let request = create_acquisition_link(&corps[i % 20], &format!("l{i}"));
        async move {
            let made = client.create_acquisition_link(request).await;
            assert_eq!(made.unwrap().into_inner().state(), State::Creating);
        }
    });
    futures_util::future::join_all(calls).await;
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let links = api.links_of_all(&corps).await;
        let waiting = links.iter().filter(|l| l.state() != State::Active).count();
        if waiting == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{waiting} are not made");
        api.advance(SETTLED);
        sleep(Duration::from_millis(500)).await;
    }
    let wecom = &api.server.scratch.wecom;
    let mut ever = wecom.ever_made();
    ever.sort();
    ever.dedup();
    let (asked, made) = (wecom.count("create_link"), wecom.ever_made().len());
    println!("create_link was called {asked} times for 200 links");
    assert_eq!((made, ever.len()), (200, 200), "none was ever made twice");
    assert_eq!(wecom.count("delete_link"), 0);
    // Of the first 200 calls 50 had no effect.
    assert_eq!(asked, 250);
    // Whoever looks again finds nothing to do.
    let looked = wecom.count("list_link");
    api.advance(25 * HOUR);
    let deadline = Instant::now() + Duration::from_secs(60);
    while api.server.scratch.wecom.count("list_link") < looked + 20 {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(200)).await;
    }
    sleep(Duration::from_secs(1)).await;
    let ours = api.links_of_all(&corps).await.into_iter().map(|l| l.uri);
    let mut ours: Vec<_> = ours.collect();
    let mut there: Vec<_> = api.at_wecom().into_iter().map(|l| l.url).collect();
    ours.sort();
    there.sort();
    assert_eq!(ours.len(), 200);
    assert_eq!(ours, there);
    assert_eq!(api.server.scratch.wecom.count("delete_link"), 0);
    api.server.end().await;
    other.await.unwrap();
}

async fn a_call_cut_off_is_finished_and_its_id_answers_the_link(engine: Engine) {
    let mut api = start(engine, "").await;
    for (fault, id) in [(Fault::HangAfter, "after"), (Fault::Hang, "before")] {
        api.fail_once("create_link", fault);
        let create = pb::CreateAcquisitionLinkRequest {
            request_id: Uuid::now_v7().to_string(),
            ..create_acquisition_link("klook", id)
        };
        let mut cut = Request::new(create.clone());
        cut.set_timeout(Duration::from_secs(10));
        let asked = api.server.scratch.wecom.count("create_link");
        let call = api.wecom.create_acquisition_link(cut);
        let gone = tokio::time::timeout(Duration::from_millis(200), call).await;
        assert!(gone.is_err(), "the caller did not wait");
        assert_eq!(api.server.scratch.wecom.count("create_link"), asked + 1);
        let again = api.wecom.create_acquisition_link(create.clone()).await;
        let again = again.unwrap().into_inner();
        assert_eq!((again.state(), &*again.uri), (State::Creating, ""));
        let early = api.change_link(acquisition_link_of(id), &[]).await;
        refused(early, Code::FailedPrecondition, "STATE_TRANSITION");

        let ready =
            |links: &[pb::AcquisitionLink]| links.iter().all(|l| l.state() == State::Active);
        api.until(SETTLED, ready).await;
        let again = api.wecom.create_acquisition_link(create).await;
        let again = again.unwrap().into_inner();
        assert!(api.made_links().await.contains(&again));
        assert!(!again.uri.is_empty());
    }
    assert_eq!(api.at_wecom().len(), 2);
}

async fn a_caller_who_is_in_a_hurry_has_an_answer(engine: Engine) {
    let mut api = start(engine, "").await;
    for (id, millis, asked) in [("soon", 1500, 1), ("at-once", 450, 1)] {
        api.fail_once("create_link", Fault::HangAfter);
        let mut create = Request::new(create_acquisition_link("klook", id));
        create.set_timeout(Duration::from_millis(millis));
        let made = api.wecom.create_acquisition_link(create).await.unwrap();
        assert_eq!(made.into_inner().state(), State::Creating);
        assert_eq!(api.server.scratch.wecom.count("create_link"), asked);
    }
    let mut hurry = Request::new(pb::GetAcquisitionQuotaRequest {
        name: "corps/klook/acquisitionQuota".into(),
    });
    hurry.set_timeout(Duration::from_millis(1500));
    api.quota("klook").await.unwrap();
    api.fail("customer_acquisition_quota", Fault::Hang);
    api.wecom.get_acquisition_quota(hurry).await.unwrap();
}

fn acquisition_link_of(id: &str) -> pb::AcquisitionLink {
    pb::AcquisitionLink {
        name: name(id),
        ..acquisition_link()
    }
}

async fn a_refusal_leaves_nothing_behind(engine: Engine) {
    let mut api = start(engine, "").await;
    let create = pb::CreateAcquisitionLinkRequest {
        request_id: Uuid::now_v7().to_string(),
        ..create_acquisition_link("klook", "main")
    };
    for (code, canonical, word) in [
        (40058, Code::FailedPrecondition, "WECOM_REFUSED"),
        (48002, Code::FailedPrecondition, "WECOM_REFUSED"),
        (41095, Code::ResourceExhausted, "QUOTA_EXHAUSTED"),
    ] {
        api.fail_once("create_link", Fault::Code(code));
        let made = api.wecom.create_acquisition_link(create.clone()).await;
        let status = refused(made, canonical, word);
        let metadata = status.get_details_error_info().unwrap().metadata;
        if word == "WECOM_REFUSED" {
            assert_eq!(metadata["wecomCode"], code.to_string());
        }
        assert_eq!(api.made_links().await, []);
    }
    // The name and the id are free.
    let made = api.wecom.create_acquisition_link(create).await.unwrap();
    let made = made.into_inner();
    api.fail_once("update_link", Fault::Code(40058));
    let change = pb::AcquisitionLink {
        display_name: "Other".into(),
        ..named("main")
    };
    let status = api.change_link(change, &[]).await;
    refused(status, Code::FailedPrecondition, "WECOM_REFUSED");
    let present = api.made_links().await.remove(0);
    let before = pb::AcquisitionLink {
        etag: present.etag.clone(),
        update_time: present.update_time,
        ..made
    };
    assert_eq!(present, before);
}

async fn a_refusal_heard_later_stays_to_be_seen(engine: Engine) {
    let mut api = start(engine, HASTY).await;
    api.fail_once("create_link", Fault::Reset);
    let made = api.make("main").await.unwrap();
    assert_eq!(made.state(), State::Creating);
    api.fail("create_link", Fault::Code(40058));
    let refused_at = |links: &[pb::AcquisitionLink]| links[0].state() == State::Refused;
    api.until(SETTLED, refused_at).await;
    let change = api.change_link(acquisition_link_of("main"), &[]).await;
    refused(change, Code::FailedPrecondition, "STATE_TRANSITION");
    api.unmake("main", "").await.unwrap();
    assert_eq!(api.made_links().await, []);

    // A change refused later: WeCom's word stands.
    api.heal();
    let made = api.make("second").await.unwrap();
    api.fail_once("update_link", Fault::Hang);
    // Idempotent calls are repeated at once; this one hears nothing.
    api.fail("update_link", Fault::Hang);
    let change = pb::AcquisitionLink {
        user_ids: vec!["nobody".into()],
        ..named("second")
    };
    let waiting = api.change_link(change, &[]).await.unwrap();
    assert!(waiting.pending);
    assert_eq!(waiting.user_ids, ["nobody"]);
    api.heal();
    api.fail("update_link", Fault::Code(40003));
    api.until(SETTLED, |links| !links[0].pending).await;
    let present = api.made_links().await.remove(0);
    assert_eq!(present.user_ids, made.user_ids);
    assert_eq!(present.state(), State::Active);
}

async fn what_waits_for_wecom_is_told_to_it_later(engine: Engine) {
    let mut api = start(engine, HASTY).await;
    api.make("main").await.unwrap();
    api.make("gone").await.unwrap();
    api.fail("*", Fault::Hang);
    let change = pb::AcquisitionLink {
        display_name: "Other".into(),
        ..named("main")
    };
    let waiting = api.change_link(change.clone(), &[]).await.unwrap();
    assert!(waiting.pending && waiting.state() == State::Active);
    // The last word is the one that WeCom is told.
    let last = pb::AcquisitionLink {
        display_name: "Last".into(),
        ..change
    };
    assert!(api.change_link(last, &[]).await.unwrap().pending);
    api.unmake("gone", "").await.unwrap();
    assert_eq!(api.made_links().await.len(), 1);
    assert_eq!(api.at_wecom().len(), 2);
    api.heal();
    api.until(SETTLED, |links| !links[0].pending).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while api.at_wecom().len() > 1 {
        assert!(Instant::now() < deadline);
        api.advance(SETTLED);
        sleep(Duration::from_millis(500)).await;
    }
    assert!(api.at_wecom()[0].name.starts_with("Last "));
}

async fn a_link_made_while_others_are_looked_at_is_not_made_again(engine: Engine) {
    let mut api = start(engine, "[wecom]\ntimeout_millis = 2000\n").await;
    let range = json!({"user_list": ["a"], "department_list": []});
    let foreign = json!({"link_name": "another system's", "range": range});
    api.beside("create_link", foreign).await;
    // The first look of all is over.
    while api.server.scratch.wecom.count("customer_acquisition_quota") == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_millis(500)).await;
    api.fail_once("create_link", Fault::Late);
    let made = api.make("main").await.unwrap();
    assert_eq!(made.state(), State::Creating);
    // A look that has its list, and still asks for the other one.
    let asked = api.server.scratch.wecom.count("get");
    api.fail_once("get", Fault::Slow(1500));
    api.advance(Duration::from_secs(20));
    let deadline = Instant::now() + Duration::from_secs(30);
    while api.server.scratch.wecom.count("get") == asked {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    }
    api.server.scratch.wecom.let_go().await;
    assert_eq!(api.at_wecom().len(), 2);
    api.advance(SETTLED);
    let ready = |links: &[pb::AcquisitionLink]| links[0].state() == State::Active;
    api.until(SETTLED, ready).await;
    assert_eq!(api.server.scratch.wecom.ever_made().len(), 2);
}

async fn a_change_that_comes_late_does_not_undo_a_newer_one(engine: Engine) {
    let mut api = start(engine, HASTY).await;
    api.make("main").await.unwrap();
    api.fail_once("update_link", Fault::Late);
    let change = |name: &str| pb::AcquisitionLink {
        display_name: name.into(),
        ..named("main")
    };
    let first = api.change_link(change("First"), &[]).await.unwrap();
    assert!(first.pending);
    // Long enough for the errands, not for the first call.
    api.advance(Duration::from_secs(20));
    sleep(Duration::from_secs(3)).await;
    let newer = api.change_link(change("Newer"), &[]).await.unwrap();
    assert!(newer.pending);
    sleep(Duration::from_secs(1)).await;
    api.server.scratch.wecom.let_go().await;
    api.until(SETTLED, |links| !links[0].pending).await;
    assert!(api.at_wecom()[0].name.starts_with("Newer "));
    assert_eq!(api.made_links().await[0].display_name, "Newer");
}

async fn a_link_deleted_while_it_is_made_is_deleted_at_wecom(engine: Engine) {
    let mut api = start(engine, HASTY).await;
    api.fail_once("create_link", Fault::ResetAfter);
    let made = api.make("main").await.unwrap();
    assert_eq!(made.state(), State::Creating);
    assert_eq!(api.at_wecom().len(), 1);
    api.unmake("main", "").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !api.at_wecom().is_empty() {
        assert!(Instant::now() < deadline);
        api.advance(SETTLED);
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(api.made_links().await, []);
}

async fn wecoms_word_is_taken_for_what_changed_there(engine: Engine) {
    let mut api = start(engine, "").await;
    for id in ["changed", "gone", "kept"] {
        api.make(id).await.unwrap();
    }
    let before = api.made_links().await;
    let there = api.at_wecom();
    let with = |i: usize| there.iter().find(|l| l.url == before[i].uri).unwrap();
    let (changed, gone, kept) = (with(0), with(1), with(2));
    let range = json!({"user_list": ["b", "a"], "department_list": []});
    let name = "Renamed over there, all of it";
    let change = json!({"link_id": changed.link_id, "link_name": name, "range": range});
    api.beside("update_link", change).await;
    api.beside("delete_link", json!({"link_id": gone.link_id}))
        .await;
    // As a request that took effect very late would leave it.
    let twice = json!({"link_name": kept.name, "range": range});
    api.beside("create_link", twice).await;
    let foreign = json!({"link_name": "another system's", "range": range});
    api.beside("create_link", foreign).await;
    assert_eq!(api.at_wecom().len(), 4);

    api.advance(2 * HOUR);
    let seen = |links: &[pb::AcquisitionLink]| links[1].state() == State::Unavailable;
    api.until(HOUR, seen).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while api.at_wecom().len() > 3 {
        assert!(Instant::now() < deadline);
        api.advance(HOUR);
        sleep(Duration::from_millis(500)).await;
    }
    let after = api.made_links().await;
    assert_eq!(after[0].user_ids, ["b", "a"]);
    assert_eq!(after[0].display_name, "Renamed over there, ");
    assert_eq!(after[0].state(), State::Active);
    assert_eq!(after[2], before[2]);
    let left: Vec<_> = api.at_wecom().into_iter().map(|l| l.link_id).collect();
    assert!(left.contains(&kept.link_id) && left.contains(&changed.link_id));

    // Nobody can change what is not there.
    let change = api.change_link(acquisition_link_of("gone"), &[]).await;
    refused(change, Code::FailedPrecondition, "WECOM_REFUSED");
    assert_eq!(api.made_links().await[1].state(), State::Unavailable);
    // What WeCom knows again works again, by itself.
    api.server.scratch.wecom.restore(gone.clone());
    let back = |links: &[pb::AcquisitionLink]| links[1].state() == State::Active;
    api.until(HOUR, back).await;
}

async fn a_quota_is_as_wecom_last_said(engine: Engine) {
    let mut api = start(engine, HASTY).await;
    api.stop_clock();
    let first = api.quota("klook").await.unwrap();
    assert_eq!(first.name, "corps/klook/acquisitionQuota");
    assert_eq!(first.state(), acquisition_quota::State::Sufficient);
    let left: i64 = first.batches.iter().map(|batch| batch.balance).sum();
    assert_eq!((first.total, first.balance), (left, left));
    assert!(left >= 20);
    let asked = first.as_of;
    api.fail("*", Fault::Hang);
    api.advance(Duration::from_secs(1));
    assert_eq!(api.quota("klook").await.unwrap().as_of, asked);
    let wrong = pb::CreateCorpRequest {
        corp: Some(pb::Corp {
            corp_id: "ww2".into(),
            ..crate::support::corp()
        }),
        ..create_corp("wrong")
    };
    api.wecom.create_corp(wrong).await.unwrap();
    let silent = api.quota("wrong").await;
    refused(silent, Code::Unavailable, "WECOM_UNAVAILABLE");
    refused(api.quota("none").await, Code::NotFound, "CORP_NOT_FOUND");
    let request = pb::GetAcquisitionQuotaRequest {
        name: "corps/klook".into(),
    };
    let malformed_name = api.wecom.get_acquisition_quota(request).await;
    malformed(malformed_name, &["name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_wecom_refuses_to_tell_is_refused() {
    let mut api = Api::start(Engine::Sqlite).await;
    api.wecom.create_corp(create_corp("klook")).await.unwrap();
    let refusal = api.quota("klook").await;
    refused(refusal, Code::FailedPrecondition, "WECOM_REFUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_of_a_link_is_named() {
    let mut api = start(Engine::Sqlite, "[wecom]\nmembers_per_link = 2\n").await;
    let create = |id: &str, link| pb::CreateAcquisitionLinkRequest {
        parent: "corps/klook".into(),
        acquisition_link: link,
        acquisition_link_id: id.into(),
        ..Default::default()
    };
    let empty = api.wecom.create_acquisition_link(create("", None)).await;
    let fields = ["acquisition_link.display_name", "acquisition_link.user_ids"];
    malformed(empty, &fields);
    let wrong = pb::AcquisitionLink {
        display_name: "名".repeat(21),
        user_ids: vec!["a".into(), "a b".into()],
        department_ids: vec![1, 0],
        ..Default::default()
    };
    let refusal = api.wecom.create_acquisition_link(create("-", Some(wrong)));
    malformed(
        refusal.await,
        &[
            "acquisition_link_id",
            "acquisition_link.display_name",
            "acquisition_link.user_ids[1]",
            "acquisition_link.department_ids[1]",
        ],
    );
    let crowd = pb::AcquisitionLink {
        user_ids: vec!["a".into(), "b".into(), "c".into()],
        department_ids: (1..=101).collect(),
        ..acquisition_link()
    };
    let refusal = api.wecom.create_acquisition_link(create("", Some(crowd)));
    malformed(
        refusal.await,
        &[
            "acquisition_link.user_ids",
            "acquisition_link.department_ids",
        ],
    );
    api.make("main").await.unwrap();
    let nobody = api.change_link(named("main"), &["user_ids", "department_ids"]);
    malformed(nobody.await, &["acquisition_link.user_ids"]);
    let unknown = api.change_link(named("main"), &["uri"]).await;
    malformed(unknown, &["update_mask"]);
    let twice = pb::AcquisitionLink {
        user_ids: vec!["a".into(), "a".into()],
        ..named("main")
    };
    let twice = api.change_link(twice, &[]).await;
    malformed(twice, &["acquisition_link.user_ids[1]"]);
    assert_eq!(api.server.scratch.wecom.count("create_link"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_counts_links_of_a_corp_that_are_not_deleted() {
    let mut api = start(Engine::Sqlite, "[wecom]\nlinks_per_corp = 1\n").await;
    api.make("one").await.unwrap();
    let full = api.make("two").await;
    let full = refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    assert_eq!(
        full.get_details_error_info().unwrap().metadata["limit"],
        "1"
    );
    api.unmake("one", "").await.unwrap();
    api.make("two").await.unwrap();
}
