//! Appeals: against what, until when, once; and what an upheld one says was lost.

use super::*;

on_both_engines!(
    an_appeal_is_possible_until_its_time_and_once,
    a_sanction_goes_with_the_violation_that_it_follows_from,
    what_followed_after_an_appeal_was_decided_is_heard_by_itself,
    an_appeal_against_a_sanction_leaves_the_points,
    what_had_ended_before_is_told_as_lost_and_told_once,
    an_appeal_becomes_overdue_and_is_decided_once,
);

fn seconds(duration: Option<prost_types::Duration>) -> i64 {
    duration.unwrap().seconds
}

#[track_caller]
fn exists(answer: Answer<pb::Appeal>, id: &str) {
    let status = refused(answer, Code::AlreadyExists, "APPEAL_EXISTS");
    let metadata = status.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["appeal"], appeal_name(id));
}

async fn an_appeal_is_possible_until_its_time_and_once(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.stop_clock();
    api.report("v", cases::violation("phone")).await.unwrap();
    let early = api.appeal("early", against_violation("v")).await;
    let early = refused(early, Code::FailedPrecondition, "STATE_TRANSITION");
    let metadata = early.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["state"], "REPORTED");
    let confirmed = api.confirm("v").await.unwrap();
    let end = super::super::micros(confirmed.appeal_end_time);
    assert_eq!(end, super::super::micros(confirmed.decide_time) + 15 * DAY);
    let set = api.set("s", cases::sanction(Kind::Warning)).await.unwrap();
    let sanction_end = super::super::micros(set.create_time) + 15 * DAY;
    for (id, word) in [("v", "VIOLATION"), ("s", "SANCTION")] {
        let subject = match id {
            "v" => against_violation("gone"),
            _ => against_sanction("gone"),
        };
        let gone = api.appeal("gone", subject).await;
        refused(gone, Code::NotFound, &format!("{word}_NOT_FOUND"));
    }

    api.server.clock.stop_at(end);
    let late = api.appeal("late", against_violation("v")).await;
    let late = refused(late, Code::FailedPrecondition, "APPEAL_CLOSED");
    let metadata = late.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["appealEndTime"], end.to_string());
    api.server.clock.stop_at(sanction_end);
    let late = api.appeal("late", against_sanction("s")).await;
    refused(late, Code::FailedPrecondition, "APPEAL_CLOSED");

    api.server.clock.stop_at(Micros(sanction_end.0 - 1));
    api.appeal("of-s", against_sanction("s")).await.unwrap();
    api.server.clock.stop_at(Micros(end.0 - 1));
    let appeal = api.appeal("a", against_violation("v")).await.unwrap();
    assert_eq!(appeal.state(), pb::appeal::State::Pending);
    exists(api.appeal("b", against_violation("v")).await, "a");
    exists(api.appeal("a", against_violation("v")).await, "a");
    exists(api.appeal("b", against_sanction("s")).await, "of-s");
    api.reject("a").await.unwrap();
    // Who was heard once is not heard again.
    exists(api.appeal("b", against_violation("v")).await, "a");
}

async fn a_sanction_goes_with_the_violation_that_it_follows_from(engine: Engine) {
    let mut api = Api::start(engine).await;
    let confirmed = api.broken("v", "wechat-id").await;
    let own = Subject::Sanction(confirmed.sanctions[0].clone());
    api.appeal("a", against_violation("v")).await.unwrap();
    exists(api.appeal("b", own.clone()).await, "a");
    let upheld = api.uphold("a").await.unwrap();
    assert_eq!(upheld.state(), pb::appeal::State::Upheld);
    exists(api.appeal("b", own).await, "a");
    for name in &confirmed.sanctions {
        let lifted = api.sanction(name).await;
        assert_eq!(lifted.state(), State::Lifted);
        assert_eq!(lifted.appeal, appeal_name("a"));
        assert_eq!(lifted.lift_reason, "申诉成立");
    }
    let overturned = api.violation("v").await;
    assert_eq!(overturned.state(), pb::violation::State::Overturned);
    assert_eq!(overturned.balance, 6, "what it was right after");
    assert_eq!(overturned.appeal_end_time, None);

    // Of one that was rejected the sanctions are covered too.
    let confirmed = api.broken("w", "wechat-id").await;
    api.appeal("c", against_violation("w")).await.unwrap();
    api.reject("c").await.unwrap();
    let own = Subject::Sanction(confirmed.sanctions[0].clone());
    exists(api.appeal("d", own).await, "c");
    assert_eq!(api.menu_absence().await, ErrorReason::PlacementNotFound);
    let states = api.sanction(&confirmed.sanctions[0]).await.state();
    assert_eq!(states, State::Active);
}

async fn what_followed_after_an_appeal_was_decided_is_heard_by_itself(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.stop_clock();
    api.broken("v", "phone").await;
    let follows = pb::Sanction {
        violation: violation_name("v"),
        ..cases::sanction(Kind::TrafficRestricted)
    };
    api.set("before", follows.clone()).await.unwrap();
    api.advance(SECOND);
    api.appeal("whole", against_violation("v")).await.unwrap();
    exists(
        api.appeal("early", against_sanction("before")).await,
        "whole",
    );
    api.advance(SECOND);
    api.reject("whole").await.unwrap();
    api.advance(SECOND);
    api.set("after", follows).await.unwrap();
    exists(
        api.appeal("late", against_sanction("before")).await,
        "whole",
    );
    api.appeal("late", against_sanction("after")).await.unwrap();
    exists(api.appeal("again", against_sanction("after")).await, "late");
}

async fn an_appeal_against_a_sanction_leaves_the_points(engine: Engine) {
    let (mut api, _) = placed(engine).await;
    let confirmed = api.broken("v", "wechat-id").await;
    let suspended = confirmed.sanctions[0].clone();
    api.advance(5 * SECOND);
    let subject = Subject::Sanction(suspended.clone());
    api.appeal("a", subject.clone()).await.unwrap();
    let upheld = api.uphold("a").await.unwrap();
    let loss = upheld.loss.unwrap();
    assert_eq!((loss.points, loss.effects.len()), (0, 1));
    assert_eq!(loss.effects[0].sanction, suspended);
    assert_eq!(seconds(loss.effects[0].duration), 5);
    assert_eq!(api.menu().await.items.len(), 3);
    assert_eq!(api.account(None).await.unwrap().balance, 6);
    let other = api.sanction(&confirmed.sanctions[1]).await;
    assert_eq!(other.state(), State::Active);
    exists(api.appeal("b", subject).await, "a");

    // One that was lifted by hand is nothing to object to.
    let slow = cases::sanction(Kind::TrafficRestricted);
    api.set("s", slow).await.unwrap();
    api.lift("s").await.unwrap();
    let lifted = api.appeal("b", against_sanction("s")).await;
    let lifted = refused(lifted, Code::FailedPrecondition, "STATE_TRANSITION");
    let metadata = lifted.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["state"], "LIFTED");

    // The whole, after a part: the part's loss was told.
    api.appeal("c", against_violation("v")).await.unwrap();
    let loss = api.uphold("c").await.unwrap().loss.unwrap();
    let told: Vec<_> = loss.effects.iter().map(|e| e.sanction.as_str()).collect();
    assert_eq!((loss.points, told), (6, vec![&*confirmed.sanctions[1]]));
}

async fn what_had_ended_before_is_told_as_lost_and_told_once(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.stop_clock();
    api.broken("v", "phone").await;
    let now = api.server.clock.now();
    let follows = |kind, from: Duration, until: Option<Duration>| pb::Sanction {
        violation: violation_name("v"),
        start_time: time(now + from),
        end_time: until.and_then(|until| time(now + until)),
        ..cases::sanction(kind)
    };
    let blocked = pb::Sanction {
        item_ids: vec!["p1".into(), "p2".into()],
        channels: vec![pb::sanction::Channel::Search.into()],
        ..follows(Kind::ItemsBlocked, SECOND, Some(11 * SECOND))
    };
    api.set("blocked", blocked).await.unwrap();
    let yuan = |units| {
        Some(mingpian::api::common::Money {
            currency_code: "CNY".into(),
            units,
            nanos: 0,
        })
    };
    let damages = |from| pb::Sanction {
        amount: yuan(300),
        ..follows(Kind::DamagesDeducted, from, None)
    };
    api.set("damages", damages(Duration::ZERO)).await.unwrap();
    api.set("never", damages(9 * DAY)).await.unwrap();
    api.advance(60 * SECOND);
    api.appeal("part", against_sanction("blocked"))
        .await
        .unwrap();
    api.appeal("whole", against_violation("v")).await.unwrap();
    let part = api.uphold("part").await.unwrap().loss.unwrap();
    assert_eq!(seconds(part.effects[0].duration), 10);
    // It had ended, so nothing is lifted.
    let blocked = api.sanction(&sanction_name("blocked")).await;
    assert_eq!(blocked.state(), State::Ended);

    let whole = api.uphold("whole").await.unwrap().loss.unwrap();
    assert_eq!((whole.points, seconds(whole.duration)), (4, 60));
    let told = |id: &str| {
        let name = sanction_name(id);
        whole.effects.iter().find(|effect| effect.sanction == name)
    };
    assert!(told("blocked").is_none());
    let damages = told("damages").unwrap();
    assert_eq!(
        (damages.amount.clone(), seconds(damages.duration)),
        (yuan(300), 0)
    );
    // What was done at once is paid back, not lifted.
    let done = api.sanction(&sanction_name("damages")).await;
    assert_eq!(done.state(), State::Ended);
    let never = told("never").unwrap();
    assert_eq!((&never.amount, seconds(never.duration)), (&None, 0));
}

async fn an_appeal_becomes_overdue_and_is_decided_once(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.stop_clock();
    api.broken("v", "phone").await;
    let request_id = uuid::Uuid::now_v7().to_string();
    let appeal = pb::CreateAppealRequest {
        parent: PARENT.into(),
        appeal: Some(pb::Appeal {
            subject: Some(against_violation("v")),
            ..cases::appeal("")
        }),
        appeal_id: "a".into(),
        request_id,
    };
    let made = api.compliance.create_appeal(appeal.clone()).await.unwrap();
    let due = super::super::micros(made.get_ref().due_time);
    assert_eq!(
        due,
        super::super::micros(made.get_ref().create_time) + 7 * DAY
    );
    let get = pb::GetAppealRequest {
        name: appeal_name("a"),
    };
    let state = async |api: &mut Api, at: Micros| {
        api.server.clock.stop_at(at);
        let appeal = api.compliance.get_appeal(get.clone()).await;
        appeal.unwrap().get_ref().state()
    };
    use pb::appeal::State::{Overdue, Pending, Upheld};
    assert_eq!(state(&mut api, Micros(due.0 - 1)).await, Pending);
    assert_eq!(state(&mut api, due).await, Overdue);
    // The answer of then does not age.
    let again = api.compliance.create_appeal(appeal).await.unwrap();
    assert_eq!(again.get_ref(), made.get_ref());
    let stale = pb::UpholdAppealRequest {
        name: appeal_name("a"),
        etag: "0-0".into(),
        decision: "x".into(),
        ..Default::default()
    };
    let stale = api.compliance.uphold_appeal(stale).await;
    refused(stale, Code::Aborted, "ETAG_MISMATCH");
    api.uphold("a").await.unwrap();
    assert_eq!(state(&mut api, due + DAY).await, Upheld);
    for again in [api.reject("a").await, api.uphold("a").await] {
        let again = refused(again, Code::FailedPrecondition, "STATE_TRANSITION");
        let metadata = again.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["state"], "UPHELD");
    }
}
