//! Violations, sanctions, appeals and credit points from the outside: what stops cards at once,
//! what brings them back, and what can be told of it later.

mod appeals;
mod credit;
mod fields;
mod lists;
mod long;
mod model;

use std::time::Duration;

use mingpian::{
    api::pb::{
        self, ErrorReason,
        appeal::Subject,
        explain_serving_response::gate::{Kind as Gate, Verdict},
        sanction::{Kind, State},
    },
    domain::Micros,
};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use super::{Api, DAY, MICROSECOND, cases, refused, time};
use crate::{
    on_both_engines,
    support::{Engine, in_menu, on_note},
};

on_both_engines!(
    a_confirmed_violation_stops_every_door_at_once_and_an_upheld_appeal_opens_them,
    a_sanction_begins_and_ends_to_the_microsecond_by_itself,
    a_frozen_store_shows_nothing_until_it_is_lifted,
    what_was_in_force_is_told_as_it_was_known_then,
    what_follows_from_a_dismissed_violation_is_lifted_with_it,
    a_decision_is_made_once_and_about_the_version_that_was_read,
    what_people_wrote_is_sealed_and_read_back,
    who_decided_stands_on_the_audit_trail,
);

const SECOND: Duration = Duration::from_secs(1);
const PARENT: &str = "merchants/klook";

fn violation_name(id: &str) -> String {
    format!("{PARENT}/violations/{id}")
}

fn sanction_name(id: &str) -> String {
    format!("{PARENT}/sanctions/{id}")
}

fn appeal_name(id: &str) -> String {
    format!("{PARENT}/appeals/{id}")
}

type Answer<T> = Result<T, Status>;

impl Api {
    async fn report(&mut self, id: &str, violation: pb::Violation) -> Answer<pb::Violation> {
        let request = pb::ReportViolationRequest {
            parent: PARENT.into(),
            violation: Some(violation),
            violation_id: id.into(),
            ..Default::default()
        };
        let reported = self.compliance.report_violation(request).await;
        reported.map(Response::into_inner)
    }

    async fn confirm(&mut self, id: &str) -> Answer<pb::Violation> {
        let request = pb::ConfirmViolationRequest {
            name: violation_name(id),
            decision: "属实".into(),
            ..Default::default()
        };
        let confirmed = self.compliance.confirm_violation(request).await;
        confirmed.map(Response::into_inner)
    }

    async fn dismiss(&mut self, id: &str) -> Answer<pb::Violation> {
        let request = pb::DismissViolationRequest {
            name: violation_name(id),
            decision: "不属实".into(),
            ..Default::default()
        };
        let dismissed = self.compliance.dismiss_violation(request).await;
        dismissed.map(Response::into_inner)
    }

    /// Reported and confirmed.
    async fn broken(&mut self, id: &str, rule: &str) -> pb::Violation {
        self.report(id, cases::violation(rule)).await.unwrap();
        // Two versions never have the same time.
        self.advance(SECOND);
        self.confirm(id).await.unwrap()
    }

    async fn set(&mut self, id: &str, sanction: pb::Sanction) -> Answer<pb::Sanction> {
        let request = pb::CreateSanctionRequest {
            parent: PARENT.into(),
            sanction: Some(sanction),
            sanction_id: id.into(),
            ..Default::default()
        };
        let made = self.compliance.create_sanction(request).await;
        made.map(Response::into_inner)
    }

    async fn lift(&mut self, id: &str) -> Answer<pb::Sanction> {
        let request = pb::LiftSanctionRequest {
            name: sanction_name(id),
            reason: "已整改".into(),
            ..Default::default()
        };
        let lifted = self.compliance.lift_sanction(request).await;
        lifted.map(Response::into_inner)
    }

    async fn sanction(&mut self, name: &str) -> pb::Sanction {
        let name = name.to_owned();
        let request = pb::GetSanctionRequest { name };
        let found = self.compliance.get_sanction(request).await;
        found.unwrap().into_inner()
    }

    async fn violation(&mut self, id: &str) -> pb::Violation {
        let name = violation_name(id);
        let request = pb::GetViolationRequest { name };
        let found = self.compliance.get_violation(request).await;
        found.unwrap().into_inner()
    }

    async fn appeal(&mut self, id: &str, subject: Subject) -> Answer<pb::Appeal> {
        let request = pb::CreateAppealRequest {
            parent: PARENT.into(),
            appeal: Some(pb::Appeal {
                subject: Some(subject),
                ..cases::appeal("")
            }),
            appeal_id: id.into(),
            ..Default::default()
        };
        let made = self.compliance.create_appeal(request).await;
        made.map(Response::into_inner)
    }

    async fn uphold(&mut self, id: &str) -> Answer<pb::Appeal> {
        let request = pb::UpholdAppealRequest {
            name: appeal_name(id),
            decision: "申诉成立".into(),
            ..Default::default()
        };
        let upheld = self.compliance.uphold_appeal(request).await;
        upheld.map(Response::into_inner)
    }

    async fn reject(&mut self, id: &str) -> Answer<pb::Appeal> {
        let request = pb::RejectAppealRequest {
            name: appeal_name(id),
            decision: "申诉不成立".into(),
            ..Default::default()
        };
        let rejected = self.compliance.reject_appeal(request).await;
        rejected.map(Response::into_inner)
    }

    async fn account(&mut self, as_of: Option<Micros>) -> Answer<pb::CreditAccount> {
        let request = pb::GetCreditAccountRequest {
            name: format!("{PARENT}/creditAccount"),
            as_of: as_of.and_then(time),
        };
        let account = self.compliance.get_credit_account(request).await;
        account.map(Response::into_inner)
    }

    /// The names of klook's sanctions in force then, as known then.
    async fn in_force(&mut self, at: Micros) -> Vec<String> {
        let request = pb::ListSanctionsRequest {
            parent: PARENT.into(),
            in_force_at: time(at),
            ..Default::default()
        };
        let page = self.compliance.list_sanctions(request).await;
        let sanctions = page.unwrap().into_inner().sanctions;
        assert!(sanctions.iter().all(|s| s.state() == State::Active));
        sanctions.into_iter().map(|s| s.name).collect()
    }

    async fn explain(&mut self, at: Option<Micros>) -> pb::ExplainServingResponse {
        use pb::explain_serving_request::Subject;
        let request = pb::ExplainServingRequest {
            subject: Some(Subject::Merchant(PARENT.into())),
            at: at.and_then(time),
            ..Default::default()
        };
        let answer = self.serving.explain_serving(request).await;
        answer.unwrap().into_inner()
    }
}

fn against_violation(id: &str) -> Subject {
    Subject::Violation(violation_name(id))
}

fn against_sanction(id: &str) -> Subject {
    Subject::Sanction(sanction_name(id))
}

/// With the card `main` in the menu, and its token, on a clock that stands.
async fn placed(engine: Engine) -> (Api, String) {
    let mut api = Api::with_card(engine).await;
    api.stop_clock();
    api.place("menu", in_menu(1)).await.unwrap();
    let token = api.menu().await.items[0].tap_token.clone();
    (api, token)
}

async fn a_confirmed_violation_stops_every_door_at_once_and_an_upheld_appeal_opens_them(
    engine: Engine,
) {
    let (mut api, token) = placed(engine).await;
    api.report("v", cases::violation("wechat-id"))
        .await
        .unwrap();
    assert_eq!(api.menu().await.items.len(), 3, "a report stops nothing");
    api.advance(SECOND);
    let confirmed = api.confirm("v").await.unwrap();
    assert_eq!((confirmed.points, confirmed.balance), (6, 6));

    assert_eq!(api.menu_absence().await, ErrorReason::CardSuspended);
    let tapped = api.tap(&token).await;
    let tapped = refused(tapped, Code::FailedPrecondition, "CARD_SUSPENDED");
    let said = tapped.get_details_error_info().unwrap().metadata;
    assert!(confirmed.sanctions.contains(&said["sanction"]), "{said:?}");
    let create = api.create("second").await;
    refused(create, Code::FailedPrecondition, "CARD_SUSPENDED");
    let place = api.place("note", on_note("n")).await;
    refused(place, Code::FailedPrecondition, "CARD_SUSPENDED");
    let send = pb::SendCardRequest {
        card: "merchants/klook/cards/main".into(),
        conversation: "conversations/c".into(),
        ..Default::default()
    };
    let send = api.placements.send_card(send).await;
    refused(send, Code::FailedPrecondition, "CARD_SUSPENDED");
    assert_eq!(card_states(&mut api).await, [pb::card::State::Suspended; 2]);
    let why = api.explain(None).await;
    let kinds: Vec<_> = why.gates.iter().map(|gate| gate.gate()).collect();
    let spend = kinds.iter().position(|gate| *gate == Gate::Spend).unwrap();
    // `programs/open` comes after `programs/default`: its word on spend is the last.
    let last = kinds.iter().rposition(|gate| *gate == Gate::Spend).unwrap();
    assert!(
        spend < last && kinds[last + 1] == Gate::Sanctions,
        "{kinds:?}"
    );
    let gate = &why.gates[last + 1];
    assert_eq!(gate.verdict(), Verdict::Refused);
    assert_eq!(gate.reason(), ErrorReason::CardSuspended);
    assert_eq!(gate.facts["sanction"], said["sanction"]);
    // What shows nothing works.
    api.pause("menu").await.unwrap();
    let resume = api.resume("menu").await;
    refused(resume, Code::FailedPrecondition, "CARD_SUSPENDED");

    api.appeal("a", against_violation("v")).await.unwrap();
    assert_eq!(card_states(&mut api).await, [pb::card::State::Suspended; 2]);
    api.advance(60 * SECOND);
    let upheld = api.uphold("a").await.unwrap();
    api.resume("menu").await.unwrap();
    assert_eq!(api.menu().await.items.len(), 3);
    api.tap(&token).await.unwrap();
    assert_eq!(card_states(&mut api).await, [pb::card::State::Active; 2]);
    let loss = upheld.loss.unwrap();
    assert_eq!(loss.points, 6);
    let kinds: Vec<_> = loss.effects.iter().map(|effect| effect.kind()).collect();
    assert_eq!(kinds, [Kind::CardsSuspended, Kind::ReleaseRestricted]);
    for duration in loss
        .effects
        .iter()
        .map(|e| e.duration)
        .chain([loss.duration])
    {
        assert_eq!(duration.unwrap().seconds, 60);
    }
    assert_eq!(api.account(None).await.unwrap().balance, 12);
}

/// As got, and as listed.
async fn card_states(api: &mut Api) -> [pb::card::State; 2] {
    let list = pb::ListCardsRequest {
        parent: PARENT.into(),
        ..Default::default()
    };
    let listed = api.cards.list_cards(list).await.unwrap();
    let got = api.get("main").await.unwrap();
    [got.state(), listed.get_ref().cards[0].state()]
}

async fn a_sanction_begins_and_ends_to_the_microsecond_by_itself(engine: Engine) {
    let (mut api, token) = placed(engine).await;
    let now = api.server.clock.now();
    let (start, end) = (now + 10 * SECOND, now + 20 * SECOND);
    let planned = pb::Sanction {
        start_time: time(start),
        end_time: time(end),
        ..cases::sanction(Kind::CardsSuspended)
    };
    let planned = api.set("s", planned).await.unwrap();
    assert_eq!(planned.state(), State::Scheduled);
    let before = api.menu().await;
    assert_eq!(before.items.len(), 3);
    assert_eq!(super::micros(before.valid_until), start);

    let clock = api.server.clock.clone();
    clock.stop_at(Micros(start.0 - 1));
    assert_eq!(api.menu().await.items.len(), 3);
    api.tap(&token).await.unwrap();
    clock.stop_at(start);
    assert_eq!(api.menu_absence().await, ErrorReason::CardSuspended);
    let within = api.menu().await;
    assert_eq!(super::micros(within.valid_until), end);
    let tapped = api.tap(&token).await;
    refused(tapped, Code::FailedPrecondition, "CARD_SUSPENDED");
    assert_eq!(api.sanction(&planned.name).await.state(), State::Active);
    clock.stop_at(Micros(end.0 - 1));
    assert_eq!(api.menu_absence().await, ErrorReason::CardSuspended);
    clock.stop_at(end);
    assert_eq!(api.menu().await.items.len(), 3);
    api.tap(&token).await.unwrap();
    assert_eq!(api.sanction(&planned.name).await.state(), State::Ended);
    let late = api.lift("s").await;
    let late = refused(late, Code::FailedPrecondition, "STATE_TRANSITION");
    assert_eq!(
        late.get_details_error_info().unwrap().metadata["state"],
        "ENDED"
    );
}

async fn a_frozen_store_shows_nothing_until_it_is_lifted(engine: Engine) {
    let (mut api, token) = placed(engine).await;
    let others = [
        Kind::Warning,
        Kind::ReleaseRestricted,
        Kind::TrafficRestricted,
    ];
    for (i, kind) in others.into_iter().enumerate() {
        let sanction = cases::sanction(kind);
        api.set(&format!("s{i}"), sanction).await.unwrap();
    }
    assert_eq!(
        api.menu().await.items.len(),
        3,
        "these are not ours to enforce"
    );
    let frozen = cases::sanction(Kind::StoreFrozen);
    let frozen = api.set("frozen", frozen).await.unwrap();
    assert_eq!(frozen.state(), State::Active);
    assert_eq!(api.menu_absence().await, ErrorReason::StoreFrozen);
    let tapped = api.tap(&token).await;
    refused(tapped, Code::FailedPrecondition, "STORE_FROZEN");
    let lifted = api.lift("frozen").await.unwrap();
    assert_eq!(lifted.state(), State::Lifted);
    assert_eq!(
        (&*lifted.lifter, &*lifted.lift_reason),
        ("anonymous", "已整改")
    );
    assert_eq!(api.menu().await.items.len(), 3);
    api.tap(&token).await.unwrap();
    let again = api.lift("frozen").await;
    refused(again, Code::FailedPrecondition, "STATE_TRANSITION");
}

async fn what_was_in_force_is_told_as_it_was_known_then(engine: Engine) {
    let (mut api, token) = placed(engine).await;
    let before = api.server.clock.now();
    api.advance(SECOND);
    let suspends = cases::sanction(Kind::CardsSuspended);
    let set = super::micros(api.set("s", suspends).await.unwrap().create_time);
    api.advance(60 * SECOND);
    let lifted = super::micros(api.lift("s").await.unwrap().lift_time);
    api.advance(60 * SECOND);

    for (at, in_force) in [
        (before, false),
        (Micros(set.0 - 1), false),
        (set, true),
        (Micros(lifted.0 - 1), true),
        (lifted, false),
        (api.server.clock.now(), false),
    ] {
        let expected = match in_force {
            true => ErrorReason::CardSuspended,
            false => ErrorReason::Unspecified,
        };
        assert_eq!(api.explain(Some(at)).await.reason(), expected, "{at}");
        let request = pb::VerifyProvenanceRequest {
            evidence: Some(pb::verify_provenance_request::Evidence::Token(
                token.clone(),
            )),
            at: time(at),
        };
        let judged = api.links.verify_provenance(request).await.unwrap();
        assert_eq!(judged.get_ref().refusal(), expected, "{at}");
        let names = api.in_force(at).await;
        assert_eq!(names, vec![sanction_name("s"); usize::from(in_force)]);
        let account = api.account(Some(at)).await.unwrap();
        let listed = account.sanctions.iter().map(|s| s.state());
        assert!(listed.eq(vec![State::Active; usize::from(in_force)]));
    }
    // Then nobody knew that it would be lifted.
    let request = pb::ListSanctionsRequest {
        parent: PARENT.into(),
        in_force_at: time(set),
        ..Default::default()
    };
    let page = api.compliance.list_sanctions(request).await.unwrap();
    let then = &page.get_ref().sanctions[0];
    assert_eq!((then.lift_time, &*then.lifter), (None, ""));
    let now = api.sanction(&sanction_name("s")).await;
    assert_ne!(then.etag, now.etag);
}

async fn what_follows_from_a_dismissed_violation_is_lifted_with_it(engine: Engine) {
    let (mut api, token) = placed(engine).await;
    api.report("v", cases::violation("phone")).await.unwrap();
    let follows = pb::Sanction {
        violation: violation_name("v"),
        ..cases::sanction(Kind::CardsSuspended)
    };
    let planned = pb::Sanction {
        start_time: time(api.server.clock.now() + DAY),
        ..follows.clone()
    };
    api.set("follows", follows).await.unwrap();
    api.set("planned", planned).await.unwrap();
    let other = cases::sanction(Kind::TrafficRestricted);
    let other = api.set("other", other).await.unwrap();
    assert_eq!(api.menu_absence().await, ErrorReason::CardSuspended);
    api.dismiss("v").await.unwrap();
    for id in ["follows", "planned"] {
        let lifted = api.sanction(&sanction_name(id)).await;
        assert_eq!(lifted.state(), State::Lifted, "{id}");
        assert_eq!(lifted.lift_reason, "不属实");
    }
    assert_eq!(api.sanction(&other.name).await, other);
    assert_eq!(api.menu().await.items.len(), 3);
    api.tap(&token).await.unwrap();
}

async fn a_decision_is_made_once_and_about_the_version_that_was_read(engine: Engine) {
    let mut api = Api::start(engine).await;
    let reported = api.report("v", cases::violation("phone")).await.unwrap();
    let twice = api.report("v", cases::violation("phone")).await;
    refused(twice, Code::AlreadyExists, "VIOLATION_EXISTS");
    let stale = pb::ConfirmViolationRequest {
        name: reported.name.clone(),
        etag: "0-0".into(),
        decision: "属实".into(),
        ..Default::default()
    };
    let stale = api.compliance.confirm_violation(stale).await;
    let stale = refused(stale, Code::Aborted, "ETAG_MISMATCH");
    let etag = &stale.get_details_error_info().unwrap().metadata["etag"];
    assert_eq!(*etag, reported.etag);
    let confirm = pb::ConfirmViolationRequest {
        name: reported.name,
        etag: reported.etag,
        decision: "属实".into(),
        ..Default::default()
    };
    api.compliance.confirm_violation(confirm).await.unwrap();
    let again = api.confirm("v").await;
    let again = refused(again, Code::FailedPrecondition, "STATE_TRANSITION");
    let metadata = again.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["state"], "CONFIRMED");
    let dismissed = api.dismiss("v").await;
    refused(dismissed, Code::FailedPrecondition, "STATE_TRANSITION");
    assert_eq!(api.account(None).await.unwrap().balance, 8);

    api.report("w", cases::violation("phone")).await.unwrap();
    let dismissed = api.dismiss("w").await.unwrap();
    assert_eq!(dismissed.state(), pb::violation::State::Dismissed);
    assert_eq!(dismissed.sanctions, Vec::<String>::new());
    let confirmed = api.confirm("w").await;
    refused(confirmed, Code::FailedPrecondition, "STATE_TRANSITION");
    assert_eq!(api.account(None).await.unwrap().balance, 8);
    // A sanction does not follow from what did not happen.
    let from_nothing = pb::Sanction {
        violation: violation_name("w"),
        ..cases::sanction(Kind::Warning)
    };
    let from_nothing = api.set("s", from_nothing).await;
    refused(from_nothing, Code::FailedPrecondition, "STATE_TRANSITION");
    for (id, word) in [("gone", "VIOLATION_NOT_FOUND"), ("v", "")] {
        let follows = pb::Sanction {
            violation: violation_name(id),
            rule: String::new(),
            ..cases::sanction(Kind::Warning)
        };
        match api.set("follows", follows).await {
            Ok(made) => assert_eq!((made.rule.as_str(), word), ("phone", "")),
            refusal => drop(refused(refusal, Code::NotFound, word)),
        }
    }
    let taken = api.set("follows", cases::sanction(Kind::Warning)).await;
    refused(taken, Code::AlreadyExists, "SANCTION_EXISTS");
}

async fn what_people_wrote_is_sealed_and_read_back(engine: Engine) {
    let mut api = Api::start(engine).await;
    let (word, address) = (
        "金丝雀 canary-7421",
        "https://proof.example.com/canary-7421",
    );
    let evidence = vec![address.to_owned(); 2];
    let violation = pb::Violation {
        description: word.into(),
        evidence: evidence.clone(),
        ..cases::violation("phone")
    };
    api.report("v", violation).await.unwrap();
    let confirmed = api.confirm("v").await.unwrap();
    let sanction = pb::Sanction {
        evidence: evidence.clone(),
        ..cases::sanction(Kind::Warning)
    };
    let sanction = api.set("s", sanction).await.unwrap();
    let appeal = pb::CreateAppealRequest {
        parent: PARENT.into(),
        appeal: Some(pb::Appeal {
            subject: Some(against_violation("v")),
            statement: word.into(),
            evidence: evidence.clone(),
            ..Default::default()
        }),
        request_id: uuid::Uuid::now_v7().to_string(),
        ..Default::default()
    };
    let appeal = api.compliance.create_appeal(appeal).await.unwrap();
    let appeal = appeal.into_inner();
    assert_eq!(
        (&*confirmed.description, &confirmed.evidence),
        (word, &evidence)
    );
    assert_eq!((&*appeal.statement, &appeal.evidence), (word, &evidence));
    assert_eq!(api.sanction(&sanction.name).await.evidence, evidence);

    let db = crate::lifecycle::database(&api.server.scratch).await;
    let mut rows = 0;
    for table in [
        "violations",
        "violation_versions",
        "sanctions",
        "sanction_versions",
        "appeals",
        "appeal_versions",
    ] {
        let bodies = crate::lifecycle::column(&db, &format!("SELECT body FROM {table}")).await;
        rows += bodies.len();
        assert!(
            !bodies.iter().any(|body| body.contains("canary")),
            "{table}"
        );
    }
    assert!(rows >= 9);
}

async fn who_decided_stands_on_the_audit_trail(engine: Engine) {
    let mut api = Api::start(engine).await;
    let confirmed = api.broken("v", "phone").await;
    api.report("w", cases::violation("phone")).await.unwrap();
    api.dismiss("w").await.unwrap();
    for id in ["s", "t"] {
        let sanction = cases::sanction(Kind::TrafficRestricted);
        api.set(id, sanction).await.unwrap();
    }
    api.lift("s").await.unwrap();
    api.appeal("a", against_violation("v")).await.unwrap();
    api.uphold("a").await.unwrap();
    api.appeal("b", against_sanction("t")).await.unwrap();
    api.reject("b").await.unwrap();
    for (resource, expected) in [
        (confirmed.name, &["ConfirmViolation"][..]),
        (violation_name("w"), &["DismissViolation"]),
        (sanction_name("s"), &["CreateSanction", "LiftSanction"]),
        (appeal_name("a"), &["UpholdAppeal"]),
        (appeal_name("b"), &["RejectAppeal"]),
    ] {
        let rows = api.server.app.store.reads().audit_of(&resource).await;
        let rows = rows.unwrap();
        let actions: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(actions, expected, "{resource}");
        assert!(rows.iter().all(|row| row.actor == "anonymous"));
    }
}
