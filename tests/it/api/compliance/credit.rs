//! Credit points: what is lost, what follows, what comes back.

use futures_util::future::join_all;
use mingpian::api::pb::credit_account::entry::Cause;

use super::*;

on_both_engines!(
    points_are_lost_step_by_step_and_come_back_by_themselves,
    confirmations_at_once_count_one_after_the_other,
    products_of_a_violation_are_left_out_everywhere,
    an_account_says_what_restores_points,
    a_table_of_ones_own_decides,
);

async fn points_are_lost_step_by_step_and_come_back_by_themselves(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.stop_clock();
    let untouched = api.account(None).await.unwrap();
    assert_eq!((untouched.balance, untouched.initial_balance), (12, 12));
    assert!(untouched.history.is_empty() && untouched.restorations.is_empty());
    let mut days = 0;
    for (id, rule, balance, kinds) in [
        ("a", "solicit", 10, &[Kind::Warning][..]),
        (
            "b",
            "phone",
            6,
            &[Kind::CardsSuspended, Kind::ReleaseRestricted],
        ),
        (
            "c",
            "qr-code",
            0,
            &[
                Kind::CardsSuspended,
                Kind::TrafficRestricted,
                Kind::StoreFrozen,
            ],
        ),
    ] {
        let violation = api.broken(id, rule).await;
        assert_eq!(violation.balance, balance);
        let mut set = Vec::new();
        for name in &violation.sanctions {
            let sanction = api.sanction(name).await;
            assert_eq!(sanction.violation, violation.name);
            assert_eq!((&*sanction.rule, &*sanction.reason), (rule, "属实"));
            assert_eq!(sanction.start_time, violation.decide_time);
            set.push(sanction.kind());
        }
        assert_eq!(set, kinds, "{id}");
        api.advance(DAY);
        days += 1;
    }
    let account = api.account(None).await.unwrap();
    let changes: Vec<_> = account
        .history
        .iter()
        .map(|e| (e.points, e.balance))
        .collect();
    assert_eq!(changes, [(-6, 0), (-4, 6), (-2, 10)], "the latest first");
    assert!(account.history.iter().all(|e| e.author == "anonymous"));

    let first = api.violation("a").await;
    let returns = super::super::micros(first.points_return_time);
    assert_eq!(returns, super::super::micros(first.decide_time) + 365 * DAY);
    api.server.clock.stop_at(returns);
    let account = api.account(None).await.unwrap();
    // 14 were lost: with 2 of them back, 12 are still missing.
    assert_eq!((account.balance, account.history[0].points), (0, 0));
    assert_eq!(account.history[0].cause(), Cause::Returned);
    assert_eq!(account.history[0].author, "");
    api.advance(days * DAY);
    assert_eq!(api.account(None).await.unwrap().balance, 12);
    assert_eq!(api.account(Some(returns)).await.unwrap().balance, 0);
    let future = api.account(Some(api.server.clock.now() + SECOND)).await;
    super::super::malformed(future, &["as_of"]);
}

async fn confirmations_at_once_count_one_after_the_other(engine: Engine) {
    let mut api = Api::start_with(engine, super::super::PATIENT).await;
    let ids: Vec<_> = (0..6).map(|i| format!("v{i}")).collect();
    for id in &ids {
        api.report(id, cases::violation("solicit")).await.unwrap();
    }
    let all = ids.iter().map(|id| {
        let mut compliance = api.compliance.clone();
        let request = pb::ConfirmViolationRequest {
            name: violation_name(id),
            decision: "属实".into(),
            ..Default::default()
        };
        async move { compliance.confirm_violation(request).await.unwrap() }
    });
    let confirmed = join_all(all).await;
    let mut balances: Vec<_> = confirmed.iter().map(|v| v.get_ref().balance).collect();
    balances.sort_unstable();
    assert_eq!(balances, [0, 2, 4, 6, 8, 10]);
    let account = api.account(None).await.unwrap();
    let told: Vec<_> = account.history.iter().map(|e| e.balance).collect();
    assert_eq!((account.balance, told), (0, vec![0, 2, 4, 6, 8, 10]));
}

async fn products_of_a_violation_are_left_out_everywhere(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.stop_clock();
    let planted = pb::Violation {
        item_ids: vec!["p-1".into(), "P_2".into()],
        ..cases::violation("qr-code")
    };
    api.report("v", planted).await.unwrap();
    let confirmed = api.confirm("v").await.unwrap();
    let last = confirmed.sanctions.last().unwrap();
    let blocked = api.sanction(last).await;
    assert_eq!(blocked.kind(), Kind::ItemsBlocked);
    assert_eq!(blocked.item_ids, ["p-1", "P_2"]);
    assert_eq!(blocked.channels, [1, 2, 3]);
    let (start, end) = (blocked.start_time, blocked.end_time);
    assert_eq!(
        super::super::micros(end),
        super::super::micros(start) + 14 * DAY
    );
}

async fn an_account_says_what_restores_points(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.stop_clock();
    api.broken("v", "phone").await;
    api.advance(DAY);
    api.broken("w", "solicit").await;
    api.advance(DAY);
    let asked = api.server.clock.now();
    let account = api.account(None).await.unwrap();
    let [v, w] = &account.restorations[..] else {
        panic!("{account:?}")
    };
    assert_eq!((&*v.violation, v.points), (&*violation_name("v"), 4));
    assert_eq!((&*w.violation, w.points), (&*violation_name("w"), 2));
    let violation = api.violation("v").await;
    assert_eq!(v.return_time, violation.points_return_time);
    assert_eq!(v.appeal_end_time, violation.appeal_end_time);
    assert_eq!(v.pending_appeal, "");
    // A warning is over at once.
    assert_eq!(account.sanctions.len(), 1 + 2, "what the ladder set");

    api.advance(SECOND);
    api.appeal("a", against_violation("v")).await.unwrap();
    let pending = &api.account(None).await.unwrap().restorations[0];
    assert_eq!(pending.pending_appeal, appeal_name("a"));
    api.advance(SECOND);
    api.reject("a").await.unwrap();
    let rejected = &api.account(None).await.unwrap().restorations[0];
    assert_eq!(
        (&*rejected.pending_appeal, rejected.appeal_end_time),
        ("", None)
    );
    // As known then nobody had appealed.
    assert_eq!(api.account(Some(asked)).await.unwrap(), account);
    api.advance(15 * DAY);
    let late = &api.account(None).await.unwrap().restorations[1];
    assert_eq!(late.appeal_end_time, None);
}

async fn a_table_of_ones_own_decides(engine: Engine) {
    let scratch = crate::support::Scratch::new(engine).await;
    let table = scratch.file("conduct.toml");
    let text = "version = \"own\"\n\
                rules = [{ id = \"spam\", points = 12, title_zh = \"a\", title_en = \"a\", why = \"a\" }]\n\
                ladder = [{ balance = 0, sanctions = [{ kind = \"STORE_FROZEN\", days = 1 }] }]\n";
    std::fs::write(&table, text).unwrap();
    let settings = scratch.settings(&format!(
        "[compliance]\nconduct = \"{}\"\npoints_return_days = 0\nappeal_days = 1\n",
        table.display()
    ));
    let server = crate::support::TestServer::on(scratch, &settings).await;
    let mut api = Api::on(server).await;
    let unknown = api.report("v", cases::violation("phone")).await;
    super::super::malformed(unknown, &["violation.rule"]);
    let violation = api.broken("v", "spam").await;
    assert_eq!(violation.conduct_version, "own");
    assert_eq!((violation.balance, violation.points_return_time), (0, None));
    let decided = super::super::micros(violation.decide_time);
    assert_eq!(
        super::super::micros(violation.appeal_end_time),
        decided + DAY
    );
    let frozen = api.sanction(&violation.sanctions[0]).await;
    assert_eq!(frozen.kind(), Kind::StoreFrozen);
}
