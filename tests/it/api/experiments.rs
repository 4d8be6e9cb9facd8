//! Experiments: who is held out, who met them, and what a report says of it.

use std::time::{Duration, Instant};

use mingpian::api::pb::{
    self, ErrorReason, Event, Experiment,
    event::Type,
    experiment::State,
    explain_serving_request::Subject,
    explain_serving_response::gate,
    measurement_service_client::MeasurementServiceClient,
    metric_report::{Verdict, Withheld},
};
use sea_orm::ConnectionTrait;
use tokio::time::sleep;
use tonic::{Code, Status, transport::Channel};

use super::{Api, DAY, malformed, micros, refused, time};
use crate::{
    lifecycle::{column, database},
    on_both_engines,
    support::{Engine, get_menu, in_menu, on_note},
};

on_both_engines!(
    who_is_held_out_is_shown_nothing_and_both_sides_are_noted,
    a_report_counts_viewers_whose_window_has_closed,
    adds_are_compared_only_where_the_merchant_reports_them_all,
    a_program_s_report_compares_each_merchant_with_itself,
);

const NAME: &str = "merchants/klook/experiments/e-1";

/// The card `main` in the menu and on a note, and an experiment.
struct Trial {
    api: Api,
    client: MeasurementServiceClient<Channel>,
}

impl Trial {
    async fn new(engine: Engine, hold_out: i32) -> Self {
        // So that a few viewers show a large lift.
        let large = "[measurement]\nminimal_lift_percent = 100\n";
        let mut api = Api::start_with(engine, large).await;
        api.create("main").await.unwrap();
        api.stop_clock();
        api.place("menu", in_menu(1)).await.unwrap();
        api.place("note", on_note("n-1")).await.unwrap();
        let client = MeasurementServiceClient::new(api.server.channel().await);
        let mut trial = Self { api, client };
        trial.start("e-1", hold_out, "s").await.unwrap();
        trial
    }

    async fn start(&mut self, id: &str, share: i32, salt: &str) -> Result<Experiment, Status> {
        let request = pb::CreateExperimentRequest {
            parent: "merchants/klook".into(),
            experiment_id: id.into(),
            experiment: Some(Experiment {
                hold_out_permille: share,
                salt: salt.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let made = self.client.create_experiment(request).await;
        made.map(tonic::Response::into_inner)
    }

    async fn stop(&mut self) -> Result<Experiment, Status> {
        let request = pb::StopExperimentRequest {
            name: NAME.into(),
            ..Default::default()
        };
        let stopped = self.client.stop_experiment(request).await;
        stopped.map(tonic::Response::into_inner)
    }

    /// Whether the viewer's menu is held out.
    async fn menu(&mut self, viewer: &str) -> bool {
        let mut request = get_menu("klook");
        request.viewer = seen_by(viewer);
        let menu = self.api.serving.get_chat_menu(request).await.unwrap();
        let menu = menu.into_inner();
        let absence = menu.absence.map(|absence| absence.reason());
        assert_eq!(menu.items.is_empty(), absence.is_some());
        assert!(matches!(absence, None | Some(ErrorReason::HeldOut)));
        absence.is_some()
    }

    async fn capsule(&mut self, viewer: &str) -> bool {
        let request = pb::BatchGetNoteCapsulesRequest {
            notes: vec!["notes/n-1".into()],
            viewer: seen_by(viewer),
        };
        let answer = self.api.serving.batch_get_note_capsules(request).await;
        let outcome = answer.unwrap().into_inner().results.remove(0).outcome;
        matches!(
            outcome,
            Some(pb::note_capsule_result::Outcome::Absence(absence))
                if absence.reason() == ErrorReason::HeldOut
        )
    }

    /// Why the viewer's menu is as it is, by the last gate.
    async fn explained(&mut self, viewer: &str) -> (gate::Kind, gate::Verdict, ErrorReason) {
        let request = pb::ExplainServingRequest {
            subject: Some(Subject::Merchant("merchants/klook".into())),
            viewer: seen_by(viewer),
            at: None,
        };
        let why = self.api.serving.explain_serving(request).await.unwrap();
        let why = why.into_inner();
        let last = why.gates.last().unwrap();
        (last.gate(), last.verdict(), why.reason())
    }

    /// How many viewers each side is known to have met it, once nothing waits any more.
    async fn exposures(&self, many: usize) -> Vec<String> {
        let db = database(&self.api.server.scratch).await;
        let all = "SELECT CAST(arm AS text) FROM exposures ORDER BY arm";
        let started = Instant::now();
        loop {
            let arms = column(&db, all).await;
            if arms.len() >= many {
                return arms;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{arms:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn tell(&mut self, stage: Type, viewers: impl Iterator<Item = usize>) {
        let now = time(self.api.server.clock.now());
        let events: Vec<_> = viewers
            .map(|n| Event {
                event_id: format!("{}-{n}", stage.as_str_name()),
                r#type: stage.into(),
                merchant: "merchants/klook".into(),
                viewer_id: format!("v-{n}"),
                event_time: now,
                ..Default::default()
            })
            .collect();
        let many = i32::try_from(events.len()).unwrap();
        let told = self
            .client
            .ingest_events(pb::IngestEventsRequest { events });
        assert_eq!(told.await.unwrap().into_inner().accepted, many);
    }

    async fn report(&mut self) -> pb::Report {
        let request = pb::GetExperimentReportRequest { name: NAME.into() };
        let report = self.client.get_experiment_report(request).await;
        report.unwrap().into_inner()
    }
}

fn seen_by(viewer: &str) -> Option<pb::Viewer> {
    Some(pb::Viewer {
        viewer_id: viewer.into(),
        platform: pb::viewer::Platform::Ios.into(),
        ..Default::default()
    })
}

fn metric<'a>(report: &'a [pb::MetricReport], name: &str) -> &'a pb::MetricReport {
    report.iter().find(|metric| metric.metric == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_is_started_read_and_stopped() {
    let mut trial = Trial::new(Engine::Sqlite, 500).await;
    let again = trial.start("e-1", 500, "s").await;
    refused(again, Code::AlreadyExists, "EXPERIMENT_EXISTS");
    let other = trial.start("e-2", 500, "s").await;
    refused(other, Code::FailedPrecondition, "EXPERIMENT_RUNNING");
    for (share, salt, field) in [
        (0, "s", "experiment.hold_out_permille"),
        (901, "s", "experiment.hold_out_permille"),
        (1, "名", "experiment.salt"),
        (1, &"s".repeat(65), "experiment.salt"),
    ] {
        malformed(trial.start("e-2", share, salt).await, &[field]);
    }

    let name = NAME.to_owned();
    let found = trial
        .client
        .get_experiment(pb::GetExperimentRequest { name });
    let found = found.await.unwrap().into_inner();
    assert_eq!((found.state(), found.salt.as_str()), (State::Running, "s"));
    trial.api.advance(DAY);
    let stopped = trial.stop().await.unwrap();
    assert_eq!(stopped.state(), State::Stopped);
    assert_eq!(micros(stopped.stop_time), micros(found.start_time) + DAY);
    refused(
        trial.stop().await,
        Code::FailedPrecondition,
        "STATE_TRANSITION",
    );

    let second = trial.start("e-2", 900, "").await.unwrap();
    assert!(!second.salt.is_empty());
    let list = pb::ListExperimentsRequest {
        parent: "merchants/klook".into(),
        page_size: 1,
        ..Default::default()
    };
    let page = trial.client.list_experiments(list.clone()).await.unwrap();
    let page = page.into_inner();
    assert_eq!(page.experiments[0].name, second.name);
    let page_token = page.next_page_token;
    let list = pb::ListExperimentsRequest { page_token, ..list };
    let page = trial.client.list_experiments(list).await.unwrap();
    assert_eq!(page.into_inner().experiments, [stopped]);

    let name = "merchants/klook/experiments/none".to_owned();
    let missing = pb::GetExperimentReportRequest { name };
    let missing = trial.client.get_experiment_report(missing).await;
    refused(missing, Code::NotFound, "EXPERIMENT_NOT_FOUND");
}

async fn who_is_held_out_is_shown_nothing_and_both_sides_are_noted(engine: Engine) {
    let mut trial = Trial::new(engine, 500).await;
    let mut held_out = Vec::new();
    for n in 0..40 {
        let viewer = format!("v-{n}");
        let held = trial.menu(&viewer).await;
        assert_eq!(trial.capsule(&viewer).await, held, "{viewer}");
        assert_eq!(trial.menu(&viewer).await, held, "{viewer}");
        held_out.push(held);
    }
    let held = held_out.iter().filter(|held| **held).count();
    assert!((8..=32).contains(&held), "{held} of 40");

    // Each once, however often they came.
    let mut arms = vec!["1".to_owned(); 40 - held];
    arms.extend(vec!["2".to_owned(); held]);
    assert_eq!(trial.exposures(40).await, arms);
    let split = trial.report().await.split.unwrap();
    let sides = (split.treated, split.held_out);
    assert_eq!(sides, ((40 - held) as i64, held as i64));
    assert_eq!((split.alarm, split.quarantined), (false, 0));

    let (of_held, of_treated) = (
        held_out.iter().position(|held| *held).unwrap(),
        held_out.iter().position(|held| !held).unwrap(),
    );
    use gate::{Kind::HoldOut, Verdict};
    assert_eq!(
        trial.explained(&format!("v-{of_held}")).await,
        (HoldOut, Verdict::Refused, ErrorReason::HeldOut)
    );
    assert_eq!(
        trial.explained(&format!("v-{of_treated}")).await,
        (HoldOut, Verdict::Passed, ErrorReason::Unspecified)
    );

    // What is not shown for another reason meets no experiment.
    trial.api.pause("menu").await.unwrap();
    let menu = trial.api.serving.get_chat_menu(get_menu("klook")).await;
    let absence = menu.unwrap().into_inner().absence.unwrap().reason();
    assert_eq!(absence, ErrorReason::PlacementNotLive);
    trial.api.resume("menu").await.unwrap();

    trial.stop().await.unwrap();
    trial.api.advance(Duration::from_secs(1));
    assert!(!trial.menu(&format!("v-{of_held}")).await);
    assert!(!trial.menu("v-new").await);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(trial.exposures(40).await.len(), 40);
}

async fn a_report_counts_viewers_whose_window_has_closed(engine: Engine) {
    const VIEWERS: usize = 240;
    let mut trial = Trial::new(engine, 500).await;
    let mut held = Vec::new();
    for n in 0..VIEWERS {
        held.push(trial.menu(&format!("v-{n}")).await);
    }
    trial.exposures(VIEWERS).await;
    let (held_out, treated): (Vec<_>, Vec<_>) = (0..VIEWERS).partition(|n| held[*n]);

    // Nobody's window has closed yet.
    let early = trial.report().await;
    for report in &early.metrics[..3] {
        assert_eq!(report.withheld(), Withheld::TooFewViewers, "{report:?}");
        assert_eq!((report.treated, report.lift), (None, None));
    }

    trial.api.advance(Duration::from_secs(3600));
    // Half of the treated and a tenth of the held out; some after a day, which is too late.
    let leads = treated.iter().step_by(2).chain(held_out.iter().step_by(10));
    trial.tell(Type::Lead, leads.copied()).await;
    let inbounds = treated.iter().step_by(3).chain(held_out.iter().step_by(3));
    trial.tell(Type::Inbound, inbounds.copied()).await;
    trial.api.advance(DAY);
    trial.tell(Type::Opening, treated.iter().copied()).await;
    // A viewer who was seen on both sides.
    let db = database(&trial.api.server.scratch).await;
    let both = "INSERT INTO exposures SELECT experiment_no, viewer, 3 - arm, time \
                FROM exposures ORDER BY viewer LIMIT 1";
    db.execute_unprepared(both).await.unwrap();

    let day_after = trial.report().await;
    assert_eq!(day_after.split.as_ref().unwrap().quarantined, 1);
    assert_eq!(
        metric(&day_after.metrics, "leads_per_exposed").withheld(),
        Withheld::TooFewViewers
    );
    let inbound = metric(&day_after.metrics, "inbound_per_exposed");
    assert_eq!(inbound.verdict(), Verdict::NotShown, "{inbound:?}");
    let openings = metric(&day_after.metrics, "openings_per_exposed");
    assert_eq!(openings.withheld(), Withheld::TooFewConversions);

    trial.api.advance(7 * DAY);
    let report = trial.report().await;
    let leads = metric(&report.metrics, "leads_per_exposed");
    let (of_treated, of_held) = (leads.treated.unwrap(), leads.held_out.unwrap());
    assert_eq!(of_treated.viewers + of_held.viewers, VIEWERS as i64 - 1);
    let expected = (treated.len().div_ceil(2), held_out.len().div_ceil(10));
    let off = |found: i64, expected: usize| expected as i64 - found;
    // But for the one in quarantine.
    assert!(
        (0..=1).contains(&off(of_treated.conversions, expected.0)),
        "{leads:?}"
    );
    assert!(
        (0..=1).contains(&off(of_held.conversions, expected.1)),
        "{leads:?}"
    );
    assert_eq!(leads.verdict(), Verdict::Better, "{leads:?}");
    assert!(leads.lift.unwrap() > 2.0 && leads.p.unwrap() < 0.05);
    let interval = leads.interval.unwrap();
    assert!(0.0 < interval.low && interval.low < leads.lift.unwrap());
    assert!(leads.text.contains("raises the rate") && leads.text_zh.contains("提高了转化率"));
    assert!(
        report
            .methods
            .iter()
            .any(|method| method.contains("arXiv:2103.06476"))
    );
}

async fn adds_are_compared_only_where_the_merchant_reports_them_all(engine: Engine) {
    let mut trial = Trial::new(engine, 500).await;
    for n in 0..220 {
        trial.menu(&format!("v-{n}")).await;
    }
    trial.exposures(220).await;
    trial.api.advance(8 * DAY);
    let withheld = |report: &pb::Report| metric(&report.metrics, "adds_per_exposed").withheld();
    assert_eq!(withheld(&trial.report().await), Withheld::AddsNotReported);

    let zone = trial.api.server.app.rules.calendar.zone;
    let today = zone.day(trial.api.server.clock.now());
    let report = |ago: i32, viewers: std::ops::Range<usize>| {
        let (year, month, day) = (today - ago).date();
        pb::ReportedAdds {
            day: Some(mingpian::api::common::Date {
                year,
                month: month.cast_signed(),
                day: day.cast_signed(),
            }),
            adds: viewers.len() as i64,
            viewer_ids: viewers.map(|n| format!("v-{n}")).collect(),
            ..Default::default()
        }
    };
    let mut import = pb::ImportReportedAddsRequest {
        parent: "merchants/klook".into(),
        reports: (1..=7).map(|ago| report(ago, 0..0)).collect(),
        ..Default::default()
    };
    let imported = trial.client.import_reported_adds(import.clone()).await;
    assert_eq!(imported.unwrap().into_inner().accepted, 7);
    // The first day is missing.
    assert_eq!(withheld(&trial.report().await), Withheld::AddsNotReported);
    import.reports = vec![report(8, 0..100), report(7, 0..0)];
    let imported = trial.client.import_reported_adds(import.clone()).await;
    let imported = imported.unwrap().into_inner();
    assert_eq!((imported.accepted, imported.unchanged), (1, 1));
    let told = trial.report().await;
    let adds = metric(&told.metrics, "adds_per_exposed");
    let arms = (adds.treated.unwrap(), adds.held_out.unwrap());
    assert_eq!(arms.0.conversions + arms.1.conversions, 100, "{adds:?}");

    // More adds than viewers named: the day is complete no longer.
    import.reports[0].adds += 1;
    let imported = trial.client.import_reported_adds(import).await;
    assert_eq!(imported.unwrap().into_inner().replaced, 1);
    assert_eq!(withheld(&trial.report().await), Withheld::AddsNotReported);
}

async fn a_program_s_report_compares_each_merchant_with_itself(engine: Engine) {
    let mut trial = Trial::new(engine, 500).await;
    for n in 0..12 {
        trial.menu(&format!("v-{n}")).await;
    }
    trial.exposures(12).await;
    let request = pb::GetProgramReportRequest {
        name: "programs/default".into(),
    };
    let report = trial.client.get_program_report(request.clone()).await;
    let report = report.unwrap().into_inner();
    assert_eq!((report.experiments, report.left_out), (1, 0));
    let leads = metric(&report.metrics, "leads_per_exposed");
    assert_eq!(leads.withheld(), Withheld::TooFewViewers);

    // All on one side: not split as declared, so it is left out.
    let db = database(&trial.api.server.scratch).await;
    let crooked = "UPDATE exposures SET arm = 1";
    db.execute_unprepared(crooked).await.unwrap();
    let more = "INSERT INTO exposures SELECT experiment_no, viewer + 1, 1, time FROM exposures";
    db.execute_unprepared(more).await.unwrap();
    let report = trial.client.get_program_report(request).await;
    let report = report.unwrap().into_inner();
    assert_eq!((report.experiments, report.left_out), (0, 1));

    let none = pb::GetProgramReportRequest {
        name: "programs/none".into(),
    };
    let none = trial.client.get_program_report(none).await;
    refused(none, Code::NotFound, "PROGRAM_NOT_FOUND");
}
