//! What is taken and what is refused, field by field; and how many there may be.

use mingpian::api::common::Money;

use super::*;
use crate::api::malformed;

fn yuan(units: i64) -> Option<Money> {
    Some(Money {
        currency_code: "CNY".into(),
        units,
        nanos: 0,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_violation_is_taken_whole_or_refused_with_every_wrong_field() {
    let mut api = Api::start(Engine::Sqlite).await;
    let now = api.stop_clock();
    let most = pb::Violation {
        description: "名".repeat(500),
        evidence: vec!["e".repeat(500); 10],
        item_ids: (0..100).map(|i| format!("{i:0>64}")).collect(),
        event_time: time(now),
        ..cases::violation("qq")
    };
    let made = api.report("most", most.clone()).await.unwrap();
    assert_eq!(
        (&made.description, &made.evidence),
        (&most.description, &most.evidence)
    );
    assert_eq!(
        (&made.item_ids, made.event_time),
        (&most.item_ids, time(now))
    );
    assert_eq!((made.points, &*made.reporter), (6, "anonymous"));
    let wrong = pb::Violation {
        rule: "QQ".into(),
        description: String::new(),
        evidence: vec!["ok".into(), "a\nb".into()],
        item_ids: vec!["a".into(), "a".into()],
        ..Default::default()
    };
    let fields = [
        "violation.rule",
        "violation.description",
        "violation.evidence[1]",
        "violation.item_ids[1]",
    ];
    malformed(api.report("", wrong).await, &fields);
    let change = |change: fn(&mut pb::Violation)| {
        let mut violation = cases::violation("qq");
        change(&mut violation);
        violation
    };
    for (wrong, field) in [
        (
            change(|v| v.description = "名".repeat(501)),
            "violation.description",
        ),
        (
            change(|v| v.evidence = vec!["e".into(); 11]),
            "violation.evidence",
        ),
        (
            change(|v| v.evidence = vec!["e".repeat(501)]),
            "violation.evidence[0]",
        ),
        (
            change(|v| v.item_ids = vec!["a".into(); 101]),
            "violation.item_ids",
        ),
        (
            change(|v| v.item_ids = vec!["a b".into()]),
            "violation.item_ids[0]",
        ),
        (
            change(|v| v.item_ids = vec!["a".repeat(65)]),
            "violation.item_ids[0]",
        ),
    ] {
        malformed(api.report("", wrong).await, &[field]);
    }
    let future = pb::Violation {
        event_time: time(now + MICROSECOND),
        ..cases::violation("qq")
    };
    malformed(api.report("", future).await, &["violation.event_time"]);
    malformed(
        api.report("A", cases::violation("qq")).await,
        &["violation_id"],
    );
    let why = pb::ConfirmViolationRequest {
        name: violation_name("most"),
        ..Default::default()
    };
    malformed(api.compliance.confirm_violation(why).await, &["decision"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sanction_has_what_its_kind_asks_for_and_nothing_else() {
    let mut api = Api::start(Engine::Sqlite).await;
    let now = api.stop_clock();
    let blocks = pb::Sanction {
        item_ids: vec!["p".into()],
        channels: vec![3, 1],
        ..cases::sanction(Kind::ItemsBlocked)
    };
    let made = api.set("blocks", blocks.clone()).await.unwrap();
    assert_eq!(made.channels, [1, 3]);
    let deducts = pb::Sanction {
        amount: yuan(1),
        ..cases::sanction(Kind::DamagesDeducted)
    };
    let made = api.set("deducts", deducts.clone()).await.unwrap();
    assert_eq!(made.amount, yuan(1));
    let change = |from: &pb::Sanction, change: fn(&mut pb::Sanction)| {
        let mut sanction = from.clone();
        change(&mut sanction);
        sanction
    };
    let plain = cases::sanction(Kind::Warning);
    for (wrong, field) in [
        (change(&plain, |s| s.kind = 0), "sanction.kind"),
        (change(&plain, |s| s.kind = 8), "sanction.kind"),
        (
            change(&plain, |s| s.reason = String::new()),
            "sanction.reason",
        ),
        (
            change(&plain, |s| s.reason = "名".repeat(501)),
            "sanction.reason",
        ),
        (change(&plain, |s| s.rule = String::new()), "sanction.rule"),
        (change(&plain, |s| s.rule = "nope".into()), "sanction.rule"),
        (
            change(&plain, |s| s.item_ids = vec!["p".into()]),
            "sanction.item_ids",
        ),
        (
            change(&plain, |s| s.channels = vec![1]),
            "sanction.channels",
        ),
        (change(&plain, |s| s.amount = yuan(1)), "sanction.amount"),
        (
            change(&plain, |s| s.violation = "v".into()),
            "sanction.violation",
        ),
        (
            change(&plain, |s| {
                s.violation = "merchants/other/violations/v".into()
            }),
            "sanction.violation",
        ),
        (
            change(&plain, |s| s.evidence = vec!["e".into(); 11]),
            "sanction.evidence",
        ),
        (
            change(&blocks, |s| s.item_ids = vec![]),
            "sanction.item_ids",
        ),
        (
            change(&blocks, |s| s.channels = vec![]),
            "sanction.channels",
        ),
        (
            change(&blocks, |s| s.channels = vec![1, 1]),
            "sanction.channels",
        ),
        (
            change(&blocks, |s| s.channels = vec![1, 4]),
            "sanction.channels",
        ),
        (
            change(&blocks, |s| s.channels = vec![0; 900]),
            "sanction.channels",
        ),
        (change(&deducts, |s| s.amount = None), "sanction.amount"),
        (change(&deducts, |s| s.amount = yuan(0)), "sanction.amount"),
        (change(&deducts, |s| s.amount = yuan(-1)), "sanction.amount"),
    ] {
        malformed(api.set("", wrong).await, &[field]);
    }
    let times = |start: Option<Micros>, end: Option<Micros>| pb::Sanction {
        start_time: start.and_then(time),
        end_time: end.and_then(time),
        ..cases::sanction(Kind::Warning)
    };
    let past = times(Some(Micros(now.0 - 1)), None);
    malformed(api.set("", past).await, &["sanction.start_time"]);
    for (start, end) in [(None, now), (Some(now + SECOND), now + SECOND)] {
        let empty = times(start, Some(end));
        malformed(api.set("", empty).await, &["sanction.end_time"]);
    }
    api.set("", times(Some(now), Some(now + MICROSECOND)))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appeal_says_against_what_and_why() {
    let mut api = Api::start(Engine::Sqlite).await;
    api.broken("v", "qq").await;
    let send = async |api: &mut Api, appeal: pb::Appeal| {
        let request = pb::CreateAppealRequest {
            parent: PARENT.into(),
            appeal: Some(appeal),
            ..Default::default()
        };
        api.compliance.create_appeal(request).await
    };
    let good = pb::Appeal {
        subject: Some(against_violation("v")),
        statement: "名".repeat(2000),
        evidence: vec!["e".repeat(500); 10],
        ..Default::default()
    };
    for (wrong, field) in [
        (
            pb::Appeal {
                subject: None,
                ..good.clone()
            },
            "appeal",
        ),
        (
            pb::Appeal {
                statement: String::new(),
                ..good.clone()
            },
            "appeal.statement",
        ),
        (
            pb::Appeal {
                statement: "名".repeat(2001),
                ..good.clone()
            },
            "appeal.statement",
        ),
        (
            pb::Appeal {
                evidence: vec![String::new()],
                ..good.clone()
            },
            "appeal.evidence[0]",
        ),
        (
            pb::Appeal {
                subject: Some(Subject::Sanction("merchants/other/sanctions/s".into())),
                ..good.clone()
            },
            "appeal.sanction",
        ),
        (
            pb::Appeal {
                subject: Some(Subject::Violation(sanction_name("s"))),
                ..good.clone()
            },
            "appeal.violation",
        ),
    ] {
        malformed(send(&mut api, wrong).await, &[field]);
    }
    send(&mut api, good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_has_so_many_undecided_violations_and_sanctions_at_most() {
    let few = "[compliance]\nreported_per_merchant = 2\nsanctions_per_merchant = 2\n";
    let mut api = Api::start_with(Engine::Sqlite, few).await;
    for id in ["a", "b"] {
        api.report(id, cases::violation("phone")).await.unwrap();
    }
    let full = api.report("c", cases::violation("phone")).await;
    let full = refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    assert_eq!(
        full.get_details_error_info().unwrap().metadata["limit"],
        "2"
    );
    api.dismiss("a").await.unwrap();
    api.report("c", cases::violation("wechat-id"))
        .await
        .unwrap();

    let lasting = || cases::sanction(Kind::TrafficRestricted);
    api.set("one", lasting()).await.unwrap();
    // The ladder would set one more than there may be: the balance stays, too.
    let confirmed = api.confirm("c").await;
    refused(confirmed, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    assert_eq!(api.account(None).await.unwrap().balance, 12);
    api.set("two", lasting()).await.unwrap();
    let full = api.set("three", lasting()).await;
    refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    for _ in 0..3 {
        api.set("", cases::sanction(Kind::Warning)).await.unwrap();
    }
    api.lift("one").await.unwrap();
    api.set("three", lasting()).await.unwrap();
    api.lift("two").await.unwrap();
    api.lift("three").await.unwrap();
    api.confirm("c").await.unwrap();
}
