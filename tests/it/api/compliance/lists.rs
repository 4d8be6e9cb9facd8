//! Listings: the latest first, in pages, of one merchant or of all.

use super::*;
use crate::api::malformed;

on_both_engines!(
    the_latest_come_first_in_pages_that_end,
    sanctions_of_all_merchants_are_listed_by_kind_up_to_a_revision,
);

/// Every name, by pages of two.
macro_rules! all {
    ($api:expr, $rpc:ident, $rows:ident, $request:expr) => {{
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let mut request = $request;
            (request.page_size, request.page_token) = (2, token);
            let page = $api.compliance.$rpc(request).await.unwrap().into_inner();
            assert!(page.$rows.len() <= 2);
            names.extend(page.$rows.into_iter().map(|row| row.name));
            token = page.next_page_token;
            if token.is_empty() {
                break names;
            }
        }
    }};
}

async fn the_latest_come_first_in_pages_that_end(engine: Engine) {
    let mut api = Api::start(engine).await;
    let ids = ["b", "a", "d", "c", "e"];
    for id in ids {
        api.report(id, cases::violation("solicit")).await.unwrap();
        api.set(id, cases::sanction(Kind::Warning)).await.unwrap();
        api.appeal(id, against_sanction(id)).await.unwrap();
    }
    let parent = PARENT.to_owned();
    let names = |name: fn(&str) -> String| ids.iter().rev().map(|id| name(id)).collect::<Vec<_>>();
    let violations = pb::ListViolationsRequest {
        parent: parent.clone(),
        ..Default::default()
    };
    let listed = all!(api, list_violations, violations, violations.clone());
    assert_eq!(listed, names(violation_name));
    let sanctions = pb::ListSanctionsRequest {
        parent: parent.clone(),
        ..Default::default()
    };
    let listed = all!(api, list_sanctions, sanctions, sanctions.clone());
    assert_eq!(listed, names(sanction_name));
    let appeals = pb::ListAppealsRequest {
        parent,
        ..Default::default()
    };
    let listed = all!(api, list_appeals, appeals, appeals.clone());
    assert_eq!(listed, names(appeal_name));

    api.confirm("d").await.unwrap();
    api.dismiss("a").await.unwrap();
    let reported = pb::ListViolationsRequest {
        state: pb::violation::State::Reported.into(),
        ..violations.clone()
    };
    let listed = all!(api, list_violations, violations, reported.clone());
    assert_eq!(listed, ["e", "c", "b"].map(violation_name));
    api.reject("e").await.unwrap();
    api.uphold("a").await.unwrap();
    let undecided = pb::ListAppealsRequest {
        undecided: true,
        ..appeals
    };
    let listed = all!(api, list_appeals, appeals, undecided.clone());
    assert_eq!(listed, ["c", "d", "b"].map(appeal_name));

    let wrong = pb::ListViolationsRequest {
        state: 9,
        ..violations
    };
    malformed(api.compliance.list_violations(wrong).await, &["state"]);
}

async fn sanctions_of_all_merchants_are_listed_by_kind_up_to_a_revision(engine: Engine) {
    let mut api = Api::start(engine).await;
    let list = |kinds: &[Kind]| pb::ListSanctionsRequest {
        parent: "merchants/-".into(),
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
        ..Default::default()
    };
    let revision = async |api: &mut Api| {
        let page = api.compliance.list_sanctions(list(&[])).await;
        page.unwrap().get_ref().revision
    };
    assert_eq!(revision(&mut api).await, 0);
    for (i, (merchant, kind)) in [
        ("klook", Kind::TrafficRestricted),
        ("other", Kind::StoreFrozen),
        ("third", Kind::TrafficRestricted),
    ]
    .into_iter()
    .enumerate()
    {
        let request = pb::CreateSanctionRequest {
            parent: format!("merchants/{merchant}"),
            sanction: Some(cases::sanction(kind)),
            sanction_id: format!("s{i}"),
            ..Default::default()
        };
        api.compliance.create_sanction(request).await.unwrap();
    }
    let [s0, s1, s2] = [
        "klook/sanctions/s0",
        "other/sanctions/s1",
        "third/sanctions/s2",
    ]
    .map(|name| format!("merchants/{name}"));
    let everything = all!(api, list_sanctions, sanctions, list(&[]));
    assert_eq!(everything, [s2.clone(), s1.clone(), s0.clone()]);
    let restricted = all!(
        api,
        list_sanctions,
        sanctions,
        list(&[Kind::TrafficRestricted])
    );
    assert_eq!(restricted, [s2, s0]);
    let both = [Kind::StoreFrozen, Kind::ItemsBlocked];
    assert_eq!(all!(api, list_sanctions, sanctions, list(&both)), [s1]);
    // Each change is one more.
    let before = revision(&mut api).await;
    assert!(before >= 3);
    // What it leaves out would be missed by who watches from there.
    let now = pb::ListSanctionsRequest {
        in_force_at: time(api.server.clock.now()),
        ..list(&[])
    };
    let now = api.compliance.list_sanctions(now).await.unwrap();
    assert_eq!(now.get_ref().revision, 0);
    api.lift("s0").await.unwrap();
    assert!(revision(&mut api).await > before);

    let twice = list(&[Kind::TrafficRestricted, Kind::TrafficRestricted]);
    malformed(api.compliance.list_sanctions(twice).await, &["kinds[1]"]);
    let unknown = pb::ListSanctionsRequest {
        kinds: vec![0],
        ..list(&[])
    };
    malformed(api.compliance.list_sanctions(unknown).await, &["kinds[0]"]);
    let future = pb::ListSanctionsRequest {
        in_force_at: time(api.server.clock.now() + DAY),
        ..list(&[])
    };
    malformed(
        api.compliance.list_sanctions(future).await,
        &["in_force_at"],
    );
    let foreign = pb::ListSanctionsRequest {
        page_token: {
            let page = pb::ListSanctionsRequest {
                page_size: 1,
                ..list(&[])
            };
            let page = api.compliance.list_sanctions(page).await.unwrap();
            page.get_ref().next_page_token.clone()
        },
        ..list(&both)
    };
    let foreign = api.compliance.list_sanctions(foreign).await;
    refused(foreign, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
}
