//! The gate from the outside: spend opens it, time opens and closes it, one switch stops it
//! everywhere, and it always says why.

use std::{collections::HashMap, time::Duration};

use mingpian::{
    api::{
        common::{Date, Money},
        pb::{
            self,
            eligibility::State,
            eligibility_service_client::EligibilityServiceClient,
            environment::Container,
            explain_serving_response::gate::{Kind as Gate, Verdict},
            program_service_client::ProgramServiceClient,
        },
    },
    domain::{Day, Micros, ProgramName, ProgramState, Zone},
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use super::{Api, so_many_wait, spend::other_replica};
use crate::{
    on_both_engines,
    support::{Engine, TestServer, card, create_card, get_menu, in_menu, refused, tap, wecom},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

on_both_engines!(
    spend_over_the_threshold_opens_configuring,
    todays_figure_opens_at_midnight_in_shanghai,
    a_paused_program_stops_every_door_at_once,
    a_write_that_began_before_the_pause_ends_before_it_or_is_refused,
    a_lapsed_merchant_is_shown_for_the_grace_and_comes_back_by_itself,
    an_ended_program_withholds_with_a_notice,
    what_no_program_opens_is_neither_taken_nor_shown,
    every_gate_says_why_now_and_then,
    provenance_says_what_the_gate_said_then,
);

/// A server on which only `programs/default` decides, at noon in Shanghai.
struct Gated {
    api: Api,
    programs: ProgramServiceClient<Channel>,
    spend: EligibilityServiceClient<Channel>,
}

impl Gated {
    async fn start(engine: Engine) -> Self {
        let server = TestServer::gated(engine, "").await;
        // Tomorrow's noon: what was made at the start is known by then.
        let tomorrow = Zone::SHANGHAI.day(server.clock.now()) + 1;
        server
            .clock
            .stop_at(Zone::SHANGHAI.start(tomorrow) + DAY / 2);
        Self {
            programs: ProgramServiceClient::new(server.channel().await),
            spend: EligibilityServiceClient::new(server.channel().await),
            api: Api::on(server).await,
        }
    }

    fn now(&self) -> Micros {
        self.api.server.clock.now()
    }

    fn day(&self, ago: i32) -> Day {
        Zone::SHANGHAI.day(self.now()) - ago
    }

    /// What klook spent so many days ago, as juguang reports it.
    async fn spent(&mut self, ago: i32, cents: i64) {
        let entry = pb::SpendEntry {
            merchant: "merchants/klook".into(),
            day: Some(date(self.day(ago))),
            source: "juguang".into(),
            amount: Some(Money {
                currency_code: "CNY".into(),
                units: cents / 100,
                nanos: i32::try_from(cents % 100).unwrap() * 10_000_000,
            }),
        };
        let chunk = pb::ImportSpendRequest {
            entries: vec![entry],
        };
        let counts = self.spend.import_spend(tokio_stream::once(chunk)).await;
        assert_eq!(counts.unwrap().into_inner().rejected, 0);
    }

    async fn complete(&mut self, ago: i32) {
        let request = pb::CompleteSpendDayRequest {
            source: "juguang".into(),
            day: Some(date(self.day(ago))),
            ..Default::default()
        };
        self.spend.complete_spend_day(request).await.unwrap();
    }

    async fn eligibility(&mut self) -> pb::Eligibility {
        let request = pb::GetEligibilityRequest {
            name: "merchants/klook/eligibility".into(),
            ..Default::default()
        };
        let answer = self.spend.get_eligibility(request).await;
        answer.unwrap().into_inner()
    }

    /// A card of WeCom and phone, in the menu.
    async fn placed(&mut self) {
        self.spent(1, 100_001).await;
        self.create("main").await.unwrap();
        self.api.place("menu", in_menu(1)).await.unwrap();
    }

    async fn create(&mut self, id: &str) -> Result<pb::Card, Status> {
        let mut request = create_card("klook", id);
        request.card.as_mut().unwrap().contacts.truncate(2);
        let made = self.api.cards.create_card(request).await;
        made.map(|card| card.into_inner())
    }

    async fn menu(&mut self) -> pb::GetChatMenuResponse {
        let menu = self.api.serving.get_chat_menu(get_menu("klook")).await;
        menu.unwrap().into_inner()
    }

    async fn absence(&mut self) -> &'static str {
        let menu = self.menu().await;
        assert!(menu.items.is_empty(), "{menu:?}");
        menu.absence.unwrap().reason().as_str_name()
    }

    async fn tap(&mut self, token: &str) -> Result<pb::LaunchPlan, Status> {
        let plan = self.api.serving.open_card(tap(token, Container::NativeApp));
        plan.await.map(|plan| plan.into_inner())
    }

    async fn pause(&mut self) {
        let request = pb::PauseProgramRequest {
            name: "programs/default".into(),
            ..Default::default()
        };
        self.programs.pause_program(request).await.unwrap();
    }

    async fn explain(&mut self, at: Option<Micros>) -> pb::ExplainServingResponse {
        use pb::explain_serving_request::Subject;
        let request = pb::ExplainServingRequest {
            subject: Some(Subject::Merchant("merchants/klook".into())),
            at: at.map(|at| prost_types::Timestamp {
                seconds: at.seconds(),
                nanos: i32::try_from(at.0.rem_euclid(1_000_000)).unwrap() * 1000,
            }),
            ..Default::default()
        };
        let answer = self.api.serving.explain_serving(request).await;
        answer.unwrap().into_inner()
    }
}

fn date(day: Day) -> Date {
    let (year, month, day) = day.date();
    Date {
        year,
        month: month.cast_signed(),
        day: day.cast_signed(),
    }
}

fn metadata(status: &Status) -> HashMap<String, String> {
    status.get_details_error_info().unwrap().metadata
}

async fn spend_over_the_threshold_opens_configuring(engine: Engine) {
    let mut on = Gated::start(engine).await;
    let closed = on.create("main").await;
    let closed = refused(closed, Code::FailedPrecondition, "SPEND_BELOW_THRESHOLD");
    let said = metadata(&closed);
    for (key, value) in [
        ("program", "programs/default"),
        ("threshold", "1000.00 CNY"),
        ("total", "0.00 CNY"),
        ("shortfall", "1000.01 CNY"),
    ] {
        assert_eq!(said[key], value, "{key}");
    }
    let failure = closed.get_details_precondition_failure().unwrap();
    assert_eq!(failure.violations[0].r#type, "SPEND_BELOW_THRESHOLD");
    assert_eq!(failure.violations[0].subject, "merchants/klook");

    on.spent(30, 100_000).await;
    let closed = on.create("main").await;
    let closed = refused(closed, Code::FailedPrecondition, "SPEND_BELOW_THRESHOLD");
    assert_eq!(metadata(&closed)["shortfall"], "0.01 CNY");
    on.spent(30, 100_001).await;
    on.create("main").await.unwrap();
    assert_eq!(on.eligibility().await.state(), State::Open);
}

async fn todays_figure_opens_at_midnight_in_shanghai(engine: Engine) {
    let mut on = Gated::start(engine).await;
    on.spent(0, 100_001).await;
    let pending = on.create("main").await;
    let pending = refused(pending, Code::FailedPrecondition, "SPEND_PENDING");
    let opens_at = Zone::SHANGHAI.start(on.day(-1));
    assert_eq!(metadata(&pending)["opensAt"], opens_at.to_string());
    let said = on.eligibility().await;
    assert_eq!(said.state(), State::Pending);
    assert_eq!(said.opens_at.unwrap().seconds, opens_at.seconds());

    let clock = on.api.server.clock.clone();
    clock.stop_at(Micros(opens_at.0 - 1));
    let early = on.create("main").await;
    refused(early, Code::FailedPrecondition, "SPEND_PENDING");
    clock.stop_at(opens_at);
    on.create("main").await.unwrap();
}

async fn a_paused_program_stops_every_door_at_once(engine: Engine) {
    let mut on = Gated::start(engine).await;
    on.placed().await;
    let menu = on.menu().await;
    let item = &menu.items[0];
    on.tap(&item.tap_token).await.unwrap();

    on.pause().await;
    let tapped = on.tap(&item.tap_token).await;
    let tapped = refused(tapped, Code::FailedPrecondition, "PROGRAM_PAUSED");
    assert_eq!(metadata(&tapped)["program"], "programs/default");
    let page = reqwest::get(&item.open_uri).await.unwrap();
    assert_eq!(page.status(), 451);
    assert_eq!(on.absence().await, "PROGRAM_PAUSED");
    let created = on.create("other").await;
    refused(created, Code::FailedPrecondition, "PROGRAM_PAUSED");

    // Reading, revealing, pausing and deleting always work.
    on.api.get("main").await.unwrap();
    let reveal = pb::RevealContactRequest {
        name: "merchants/klook/cards/main".into(),
        kind: pb::contact::Kind::Phone.into(),
        ..Default::default()
    };
    on.api.cards.reveal_contact(reveal).await.unwrap();
    let pause = pb::PausePlacementRequest {
        name: "merchants/klook/placements/menu".into(),
        ..Default::default()
    };
    on.api.placements.pause_placement(pause).await.unwrap();
    let resume = pb::ResumePlacementRequest {
        name: "merchants/klook/placements/menu".into(),
        ..Default::default()
    };
    let resumed = on.api.placements.resume_placement(resume.clone()).await;
    refused(resumed, Code::FailedPrecondition, "PROGRAM_PAUSED");

    let request = pb::ResumeProgramRequest {
        name: "programs/default".into(),
        ..Default::default()
    };
    on.programs.resume_program(request).await.unwrap();
    on.api.placements.resume_placement(resume).await.unwrap();
    on.tap(&item.tap_token).await.unwrap();
    let delete = pb::DeletePlacementRequest {
        name: "merchants/klook/placements/menu".into(),
        ..Default::default()
    };
    on.pause().await;
    on.api.placements.delete_placement(delete).await.unwrap();
}

/// Two replicas: what one is about is not committed yet when the other begins.
async fn a_write_that_began_before_the_pause_ends_before_it_or_is_refused(engine: Engine) {
    let server = TestServer::start(engine).await;
    let mut api = Api::on(server).await;
    let (other, url) = (
        other_replica(&api.server).await,
        api.server.scratch.url.clone(),
    );
    let (open, now) = (ProgramName::new("open").unwrap(), api.server.clock.now());

    let pausing = other.begin().await.unwrap();
    let program = pausing.lock_program(&open).await.unwrap().unwrap();
    let mut cards = api.cards.clone();
    let request = create_card("klook", "late");
    let creating = tokio::spawn(async move { cards.create_card(request).await });
    so_many_wait(engine, &url, "1").await;
    assert!(!creating.is_finished(), "its program is about to change");
    let paused = program.to(ProgramState::Paused, now);
    pausing.save_program(&paused, "tests").await.unwrap();
    pausing.commit().await.unwrap();
    let late = creating.await.unwrap();
    // Of two programs that do not admit it, the other one comes nearer.
    refused(late, Code::FailedPrecondition, "SPEND_BELOW_THRESHOLD");
    api.programs.resume_program(resume("open")).await.unwrap();
    api.create("main").await.unwrap();

    let writing = other.begin().await.unwrap();
    writing.hold_programs().await.unwrap();
    let mut programs = api.programs.clone();
    let request = pb::PauseProgramRequest {
        name: "programs/open".into(),
        ..Default::default()
    };
    let pausing = tokio::spawn(async move { programs.pause_program(request).await });
    so_many_wait(engine, &url, "1").await;
    assert!(!pausing.is_finished(), "a write by its terms is under way");
    // Who comes later waits for who pauses, however many others write.
    let mut cards = api.cards.clone();
    let request = create_card("klook", "later");
    let creating = tokio::spawn(async move { cards.create_card(request).await });
    so_many_wait(engine, &url, "2").await;
    assert!(!creating.is_finished());
    writing.commit().await.unwrap();
    pausing.await.unwrap().unwrap();
    let later = creating.await.unwrap();
    refused(later, Code::FailedPrecondition, "SPEND_BELOW_THRESHOLD");
}

fn resume(id: &str) -> pb::ResumeProgramRequest {
    pb::ResumeProgramRequest {
        name: format!("programs/{id}"),
        ..Default::default()
    }
}

async fn a_lapsed_merchant_is_shown_for_the_grace_and_comes_back_by_itself(engine: Engine) {
    let mut on = Gated::start(engine).await;
    on.spent(30, 60_000).await;
    on.placed().await;
    on.spent(1, 50_000).await;
    // The next day the oldest figure has left the window; yesterday is not complete yet.
    on.api.server.clock.advance(DAY);
    let lapse = Zone::SHANGHAI.start(on.day(0));
    let held = on.eligibility().await;
    assert_eq!(held.state(), State::Open);
    assert!(held.closes_at.is_some(), "{held:?}");
    on.create("held").await.unwrap();
    on.complete(1).await;
    let closed = on.create("late").await;
    refused(closed, Code::FailedPrecondition, "SPEND_BELOW_THRESHOLD");
    let lapsed = on.eligibility().await;
    assert_eq!(lapsed.state(), State::Locked);
    let hides_at = lapse + DAY * 7;
    assert_eq!(lapsed.hides_at.unwrap().seconds, hides_at.seconds());

    let menu = on.menu().await;
    assert_eq!(menu.items.len(), 2);
    on.tap(&menu.items[0].tap_token).await.unwrap();
    let clock = on.api.server.clock.clone();
    clock.stop_at(Micros(hides_at.0 - 1));
    let menu = on.menu().await;
    assert_eq!(menu.items.len(), 2);
    assert_eq!(menu.valid_until.unwrap().seconds, hides_at.seconds());
    clock.stop_at(hides_at);
    assert_eq!(on.absence().await, "SPEND_BELOW_THRESHOLD");
    let tapped = on.tap(&menu.items[0].tap_token).await;
    refused(tapped, Code::FailedPrecondition, "SPEND_BELOW_THRESHOLD");
    on.spent(2, 60_000).await;
    assert_eq!(on.menu().await.items.len(), 2);
}

async fn an_ended_program_withholds_with_a_notice(engine: Engine) {
    let mut on = Gated::start(engine).await;
    on.placed().await;
    let request = pb::EndProgramRequest {
        name: "programs/default".into(),
        ..Default::default()
    };
    on.programs.end_program(request).await.unwrap();
    assert_eq!(on.absence().await, "PROGRAM_ENDED");
    // The data stay.
    on.api.get("main").await.unwrap();
    let why = on.explain(None).await;
    assert_eq!(why.reason().as_str_name(), "PROGRAM_ENDED");
    assert!(why.gates.iter().any(|gate| gate.text_zh.contains("已撤下")));
}

async fn what_no_program_opens_is_neither_taken_nor_shown(engine: Engine) {
    let mut on = Gated::start(engine).await;
    on.placed().await;
    let request = create_card("klook", "social");
    let social = on.api.cards.create_card(request).await;
    let social = refused(social, Code::FailedPrecondition, "KIND_NOT_OPEN");
    assert_eq!(metadata(&social)["kind"], "WECHAT_ID");

    let mut program = on.default_program().await;
    program.contact_kinds = vec![pb::contact::Kind::Phone.into()];
    program.surfaces = vec![pb::program::Surface::ChatMenu.into()];
    on.update(program).await;
    let kinds: Vec<_> = on.menu().await.items.iter().map(|i| i.kind()).collect();
    assert_eq!(kinds, [pb::contact::Kind::Phone]);
    let sent = pb::SendCardRequest {
        card: "merchants/klook/cards/main".into(),
        conversation: "conversations/c".into(),
        ..Default::default()
    };
    let sent = on.api.placements.send_card(sent).await;
    refused(sent, Code::FailedPrecondition, "SURFACE_NOT_OPEN");

    // A card keeps a kind that was open once, and may be changed otherwise.
    let mut changed = card();
    changed.name = "merchants/klook/cards/main".into();
    changed.contacts = vec![wecom()];
    let request = pb::UpdateCardRequest {
        card: Some(changed),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["contacts".into()],
        }),
        ..Default::default()
    };
    on.api.cards.update_card(request).await.unwrap();
    assert_eq!(on.absence().await, "KIND_NOT_OPEN");
}

async fn every_gate_says_why_now_and_then(engine: Engine) {
    let mut on = Gated::start(engine).await;
    let before = on.now();
    on.api.server.clock.advance(Duration::from_secs(60));
    on.placed().await;
    let placed = on.now();
    on.api.server.clock.advance(Duration::from_secs(60));
    on.pause().await;

    let now = on.explain(None).await;
    assert_eq!(now.reason().as_str_name(), "PROGRAM_PAUSED");
    let kinds: Vec<_> = now.gates.iter().map(|gate| gate.gate()).collect();
    assert_eq!(
        kinds,
        [
            Gate::Enrollment,
            Gate::Program,
            Gate::Surface,
            Gate::ContactKind,
            Gate::Spend,
            Gate::Sanctions,
            Gate::Card,
            Gate::Placement,
            Gate::Schedule,
            Gate::Contact,
            Gate::Link
        ]
    );
    let verdicts: Vec<_> = now.gates.iter().map(|gate| gate.verdict()).collect();
    let refusals = verdicts.iter().filter(|v| **v == Verdict::Refused);
    assert_eq!(refusals.count(), 1);
    assert_eq!(now.gates[1].verdict(), Verdict::Refused);
    assert_eq!(now.gates[1].reason().as_str_name(), "PROGRAM_PAUSED");
    assert_eq!(now.gates[0].facts["sharePermille"], "1000");
    let spend = &now.gates[4].facts;
    assert_eq!(spend["total"], "1000.01 CNY");
    assert_eq!(spend[&format!("spend.{}", on.day(1))], "1000.01 CNY");
    for gate in &now.gates {
        assert!(
            !gate.text_zh.is_empty() && gate.text_en.is_ascii(),
            "{gate:?}"
        );
        assert!(gate.placement.ends_with("/placements/menu"));
    }

    let then = on.explain(Some(placed)).await;
    assert_eq!(then.reason().as_str_name(), "ERROR_REASON_UNSPECIFIED");
    assert!(then.gates.iter().all(|g| g.verdict() == Verdict::Passed));
    let earlier = on.explain(Some(before)).await;
    assert_eq!(earlier.reason().as_str_name(), "PLACEMENT_NOT_FOUND");
    let spend = earlier.gates.iter().find(|g| g.gate() == Gate::Spend);
    assert_eq!(spend.unwrap().facts["total"], "0.00 CNY");
}

async fn provenance_says_what_the_gate_said_then(engine: Engine) {
    let mut on = Gated::start(engine).await;
    on.placed().await;
    let served = on.now();
    let token = on.menu().await.items[0].tap_token.clone();
    on.api.server.clock.advance(Duration::from_secs(60));
    on.pause().await;
    let mut ask = async |at: Micros| {
        let request = pb::VerifyProvenanceRequest {
            evidence: Some(pb::verify_provenance_request::Evidence::Token(
                token.clone(),
            )),
            at: Some(prost_types::Timestamp {
                seconds: at.seconds(),
                nanos: i32::try_from(at.0.rem_euclid(1_000_000)).unwrap() * 1000,
            }),
        };
        let answer = on.api.links.verify_provenance(request).await;
        answer.unwrap().into_inner().refusal().as_str_name()
    };
    assert_eq!(ask(served).await, "ERROR_REASON_UNSPECIFIED");
    assert_eq!(
        ask(served + Duration::from_secs(60)).await,
        "PROGRAM_PAUSED"
    );
}

impl Gated {
    async fn default_program(&mut self) -> pb::Program {
        let request = pb::GetProgramRequest {
            name: "programs/default".into(),
        };
        let program = self.programs.get_program(request).await;
        program.unwrap().into_inner()
    }

    async fn update(&mut self, program: pb::Program) {
        let request = pb::UpdateProgramRequest {
            program: Some(program),
            ..Default::default()
        };
        self.programs.update_program(request).await.unwrap();
    }
}
