//! `ProgramService`: terms, states, lists; and what the merchants' viewers see of them.

mod fields;
mod lists;

use std::time::Duration;

use futures_util::future::join_all;
use mingpian::api::{
    common::Money,
    pb::{self, contact::Kind, enrollment::List, program::State, program::Surface},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{Api, MICROSECOND, PATIENT, malformed, mask, micros, refused, time};
use crate::{
    on_both_engines,
    support::{Engine, in_menu},
};

on_both_engines!(
    a_program_reads_back_as_created,
    unset_terms_are_the_usual_ones,
    an_update_changes_what_its_mask_names,
    states_are_moved_by_verbs_alone,
    a_paused_program_shows_nothing_from_the_next_call_on,
    of_many_at_once_one_is_the_last_that_fits,
    a_replayed_and_a_dry_run_write_have_one_effect_and_none,
);

/// A program with a name, all surfaces and all kinds.
fn wanted() -> pb::Program {
    pb::Program {
        display_name: "内测 1".into(),
        surfaces: [
            Surface::ChatMenu,
            Surface::NoteCapsule,
            Surface::CardMessage,
        ]
        .map(Into::into)
        .to_vec(),
        contact_kinds: [Kind::Wecom, Kind::Phone, Kind::WechatId]
            .map(Into::into)
            .to_vec(),
        ..Default::default()
    }
}

fn yuan(units: i64, nanos: i32) -> Option<Money> {
    Some(Money {
        currency_code: "CNY".into(),
        units,
        nanos,
    })
}

fn create(id: &str, program: pb::Program) -> pb::CreateProgramRequest {
    pb::CreateProgramRequest {
        program_id: id.into(),
        program: Some(program),
        ..Default::default()
    }
}

fn name(id: &str) -> String {
    format!("programs/{id}")
}

impl Api {
    async fn add(&mut self, id: &str, program: pb::Program) -> Result<pb::Program, Status> {
        let made = self.programs.create_program(create(id, program)).await;
        made.map(tonic::Response::into_inner)
    }

    async fn program(&mut self, id: &str) -> Result<pb::Program, Status> {
        let request = pb::GetProgramRequest { name: name(id) };
        let found = self.programs.get_program(request).await;
        found.map(tonic::Response::into_inner)
    }

    async fn amend(&mut self, program: pb::Program, paths: &[&str]) -> Result<pb::Program, Status> {
        let request = pb::UpdateProgramRequest {
            program: Some(program),
            update_mask: mask(paths),
            ..Default::default()
        };
        let amended = self.programs.update_program(request).await;
        amended.map(tonic::Response::into_inner)
    }

    async fn pause_program(&mut self, id: &str, etag: &str) -> Result<pb::Program, Status> {
        let request = pb::PauseProgramRequest {
            name: name(id),
            etag: etag.into(),
            ..Default::default()
        };
        let paused = self.programs.pause_program(request).await;
        paused.map(tonic::Response::into_inner)
    }

    async fn resume_program(&mut self, id: &str, etag: &str) -> Result<pb::Program, Status> {
        let request = pb::ResumeProgramRequest {
            name: name(id),
            etag: etag.into(),
            ..Default::default()
        };
        let resumed = self.programs.resume_program(request).await;
        resumed.map(tonic::Response::into_inner)
    }

    async fn end_program(&mut self, id: &str, etag: &str) -> Result<pb::Program, Status> {
        let request = pb::EndProgramRequest {
            name: name(id),
            etag: etag.into(),
            ..Default::default()
        };
        let ended = self.programs.end_program(request).await;
        ended.map(tonic::Response::into_inner)
    }

    async fn enroll(
        &mut self,
        id: &str,
        merchant: &str,
        list: List,
    ) -> Result<pb::Enrollment, Status> {
        let request = enroll(id, merchant, list);
        let made = self.programs.create_enrollment(request).await;
        made.map(tonic::Response::into_inner)
    }

    async fn unroll(
        &mut self,
        id: &str,
        merchant: &str,
        etag: &str,
    ) -> Result<pb::Enrollment, Status> {
        let request = pb::DeleteEnrollmentRequest {
            name: format!("programs/{id}/enrollments/{merchant}"),
            etag: etag.into(),
            ..Default::default()
        };
        let gone = self.programs.delete_enrollment(request).await;
        gone.map(tonic::Response::into_inner)
    }
}

fn enroll(id: &str, merchant: &str, list: List) -> pb::CreateEnrollmentRequest {
    pb::CreateEnrollmentRequest {
        parent: name(id),
        merchant: format!("merchants/{merchant}"),
        enrollment: Some(pb::Enrollment {
            list: list.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

async fn a_program_reads_back_as_created(engine: Engine) {
    let mut api = Api::start(engine).await;
    let now = api.stop_clock();
    let program = pb::Program {
        // What is not the caller's to say is not heard.
        name: "programs/other".into(),
        state: State::Ended.into(),
        etag: "etag".into(),
        create_time: time(now + super::DAY),
        display_name: "e\u{301}te\u{301} 2026".into(),
        surfaces: [Surface::CardMessage, Surface::ChatMenu]
            .map(Into::into)
            .to_vec(),
        contact_kinds: [Kind::WechatId, Kind::Wecom].map(Into::into).to_vec(),
        threshold: yuan(-1, -250_000_000 * 2),
        window_days: Some(7),
        serving_grace_days: Some(0),
        configuration_grace_days: 90,
        start_time: time(now),
        end_time: time(now + super::DAY),
        share_permille: Some(0),
        ..Default::default()
    };
    let made = api.add("pilot", program.clone()).await.unwrap();
    let expected = pb::Program {
        name: name("pilot"),
        state: State::Running.into(),
        display_name: "été 2026".into(),
        surfaces: [Surface::ChatMenu, Surface::CardMessage]
            .map(Into::into)
            .to_vec(),
        contact_kinds: [Kind::Wecom, Kind::WechatId].map(Into::into).to_vec(),
        etag: made.etag.clone(),
        create_time: time(now),
        update_time: time(now),
        ..program.clone()
    };
    assert_eq!(made, expected);
    assert!(!made.etag.is_empty());
    assert_eq!(api.program("pilot").await.unwrap(), expected);

    let taken = api.add("pilot", program.clone()).await;
    let status = refused(taken, Code::AlreadyExists, "PROGRAM_EXISTS");
    let resource = status.get_details_resource_info().unwrap();
    assert_eq!(resource.resource_type, "mingpian/Program");
    let ghost = api.program("ghost").await;
    refused(ghost, Code::NotFound, "PROGRAM_NOT_FOUND");
    let ids = [api.add("", wanted()).await, api.add("", wanted()).await];
    let [one, two] = ids.map(|made| made.unwrap().name);
    assert!(one.starts_with("programs/") && one != two, "{one} {two}");
}

async fn unset_terms_are_the_usual_ones(engine: Engine) {
    let mut api = Api::start(engine).await;
    let made = api.add("plain", wanted()).await.unwrap();
    let expected = pb::Program {
        name: name("plain"),
        state: State::Running.into(),
        threshold: yuan(1000, 0),
        window_days: Some(30),
        serving_grace_days: Some(7),
        share_permille: Some(1000),
        etag: made.etag.clone(),
        create_time: made.create_time,
        update_time: made.update_time,
        ..wanted()
    };
    assert_eq!(made, expected);
    // The first start's program has them too.
    let default = api.program("default").await.unwrap();
    let expected = pb::Program {
        name: name("default"),
        display_name: default.display_name.clone(),
        contact_kinds: [Kind::Wecom, Kind::Phone].map(Into::into).to_vec(),
        etag: default.etag.clone(),
        create_time: default.create_time,
        update_time: default.update_time,
        ..expected
    };
    assert_eq!(default, expected);
}

async fn an_update_changes_what_its_mask_names(engine: Engine) {
    let mut api = Api::start(engine).await;
    let now = api.stop_clock();
    let made = api.add("pilot", wanted()).await.unwrap();
    let other = pb::Program {
        name: made.name.clone(),
        display_name: "别的".into(),
        contact_kinds: vec![Kind::Phone.into()],
        threshold: yuan(5, 0),
        window_days: Some(1),
        share_permille: Some(10),
        start_time: time(now),
        ..Default::default()
    };
    // Those that are named.
    let one = api
        .amend(other.clone(), &["share_permille", "window_days"])
        .await;
    let one = one.unwrap();
    let expected = pb::Program {
        share_permille: Some(10),
        window_days: Some(1),
        etag: one.etag.clone(),
        // Versions have times of their own, however fast they follow.
        update_time: time(now + MICROSECOND),
        ..made.clone()
    };
    assert_eq!(one, expected);
    assert_ne!(one.etag, made.etag);
    // Those that are set.
    let set = api.amend(other.clone(), &[]).await.unwrap();
    let expected = pb::Program {
        surfaces: made.surfaces.clone(),
        serving_grace_days: Some(7),
        state: State::Running.into(),
        etag: set.etag.clone(),
        create_time: made.create_time,
        update_time: set.update_time,
        ..other.clone()
    };
    assert_eq!(set, expected);
    // All: what is unset is as at creation. What is named and unset likewise.
    let all = pb::Program {
        name: made.name.clone(),
        ..wanted()
    };
    let all = api.amend(all, &["*"]).await.unwrap();
    let expected = pb::Program {
        etag: all.etag.clone(),
        update_time: all.update_time,
        ..made.clone()
    };
    assert_eq!(all, expected);
    let ends = pb::Program {
        end_time: time(now + super::DAY),
        ..other.clone()
    };
    let ends = api.amend(ends, &["end_time", "threshold"]).await.unwrap();
    assert_eq!(
        (ends.end_time, ends.threshold),
        (time(now + super::DAY), yuan(5, 0))
    );
    let bare = pb::Program {
        name: made.name.clone(),
        ..Default::default()
    };
    let cleared = api
        .amend(bare.clone(), &["end_time", "threshold"])
        .await
        .unwrap();
    assert_eq!((cleared.end_time, cleared.threshold), (None, yuan(1000, 0)));

    malformed(api.amend(bare.clone(), &["state"]).await, &["update_mask"]);
    let gone = api.amend(bare.clone(), &["display_name", "surfaces"]).await;
    malformed(gone, &["program.surfaces", "program.display_name"]);
    let stale = pb::Program {
        etag: made.etag.clone(),
        ..other.clone()
    };
    let stale = api.amend(stale, &[]).await;
    let status = refused(stale, Code::Aborted, "ETAG_MISMATCH");
    let told = &status.get_details_error_info().unwrap().metadata["etag"];
    let fresh = pb::Program {
        etag: told.clone(),
        ..other.clone()
    };
    api.amend(fresh, &[]).await.unwrap();
    // The schedule as it would stand.
    let backward = pb::Program {
        end_time: time(now),
        ..bare
    };
    malformed(api.amend(backward, &[]).await, &["program.end_time"]);
    let ghost = pb::Program {
        name: name("ghost"),
        ..other.clone()
    };
    refused(
        api.amend(ghost, &[]).await,
        Code::NotFound,
        "PROGRAM_NOT_FOUND",
    );
    api.end_program("pilot", "").await.unwrap();
    let late = api.amend(other, &[]).await;
    let status = refused(late, Code::FailedPrecondition, "PROGRAM_ENDED");
    assert!(status.get_details_precondition_failure().is_some());
}

async fn states_are_moved_by_verbs_alone(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.stop_clock();
    let made = api.add("pilot", wanted()).await.unwrap();
    let stuck = |answer, state: &str| {
        let status = refused(answer, Code::FailedPrecondition, "STATE_TRANSITION");
        assert_eq!(
            status.get_details_error_info().unwrap().metadata["state"],
            state
        );
    };
    stuck(api.resume_program("pilot", "").await, "RUNNING");
    let paused = api.pause_program("pilot", &made.etag).await.unwrap();
    assert_eq!(paused.state(), State::Paused);
    stuck(api.pause_program("pilot", "").await, "PAUSED");
    for stale in [
        api.pause_program("pilot", &made.etag).await,
        api.resume_program("pilot", &made.etag).await,
        api.end_program("pilot", &made.etag).await,
    ] {
        // Before the rules.
        refused(stale, Code::Aborted, "ETAG_MISMATCH");
    }
    let resumed = api.resume_program("pilot", &paused.etag).await.unwrap();
    assert_eq!(resumed.state(), State::Running);
    api.pause_program("pilot", "").await.unwrap();
    let ended = api.end_program("pilot", "").await.unwrap();
    assert_eq!(ended.state(), State::Ended);
    assert!(micros(ended.update_time) > micros(resumed.update_time));
    assert_eq!(api.program("pilot").await.unwrap(), ended);
    stuck(api.pause_program("pilot", "").await, "ENDED");
    stuck(api.resume_program("pilot", "").await, "ENDED");
    stuck(api.end_program("pilot", "").await, "ENDED");
    // An ended one keeps its name.
    refused(
        api.add("pilot", wanted()).await,
        Code::AlreadyExists,
        "PROGRAM_EXISTS",
    );
    for ghost in [
        api.pause_program("ghost", "").await,
        api.resume_program("ghost", "").await,
        api.end_program("ghost", "").await,
    ] {
        refused(ghost, Code::NotFound, "PROGRAM_NOT_FOUND");
    }
    let trail = api
        .server
        .app
        .store
        .reads()
        .audit_of("programs/pilot")
        .await;
    let trail: Vec<_> = trail
        .unwrap()
        .into_iter()
        .map(|e| (e.action, e.actor))
        .collect();
    let actions = [
        "PauseProgram",
        "ResumeProgram",
        "PauseProgram",
        "EndProgram",
    ];
    assert_eq!(
        trail,
        actions.map(|a| (a.to_owned(), "anonymous".to_owned()))
    );
}

async fn a_paused_program_shows_nothing_from_the_next_call_on(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    api.place("menu", in_menu(1)).await.unwrap();
    let token = api.menu().await.items.remove(0).tap_token;
    api.tap(&token).await.unwrap();
    // What the tests' own program admits, the default does not; and it would come nearer.
    api.end_program("default", "").await.unwrap();
    api.tap(&token).await.unwrap();

    api.pause_program("open", "").await.unwrap();
    refused(
        api.tap(&token).await,
        Code::FailedPrecondition,
        "PROGRAM_PAUSED",
    );
    assert_eq!(api.menu_absence().await, pb::ErrorReason::ProgramPaused);
    let more = api.place("more", in_menu(2)).await;
    let status = refused(more, Code::FailedPrecondition, "PROGRAM_PAUSED");
    let told = &status.get_details_error_info().unwrap().metadata["program"];
    assert_eq!(told, "programs/open");
    // Reading and withdrawing always work.
    api.placement("menu").await.unwrap();
    api.pause("menu").await.unwrap();
    refused(
        api.resume("menu").await,
        Code::FailedPrecondition,
        "PROGRAM_PAUSED",
    );

    api.resume_program("open", "").await.unwrap();
    api.resume("menu").await.unwrap();
    api.tap(&token).await.unwrap();
    api.end_program("open", "").await.unwrap();
    refused(
        api.tap(&token).await,
        Code::FailedPrecondition,
        "PROGRAM_ENDED",
    );
    assert_eq!(api.menu_absence().await, pb::ErrorReason::ProgramEnded);
    let kept = api.placement("menu").await.unwrap();
    assert_eq!(kept.state(), pb::placement::State::Live);
    // Another one may admit them again.
    let free = pb::Program {
        threshold: yuan(-1, 0),
        ..wanted()
    };
    api.add("next", free).await.unwrap();
    api.tap(&token).await.unwrap();
}

async fn of_many_at_once_one_is_the_last_that_fits(engine: Engine) {
    let settings = format!("[programs]\nmost = 3\n{PATIENT}");
    // `default` and `open` are there.
    let mut api = Api::start_with(engine, &settings).await;
    // Until all of them ask, none is counted.
    let held = api.server.app.store.begin().await.unwrap();
    held.lock_programs().await.unwrap();
    let asking: Vec<_> = (0..12)
        .map(|i| {
            let mut programs = api.programs.clone();
            let request = create(&format!("p{i}"), wanted());
            tokio::spawn(async move { programs.create_program(request).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asking.iter().any(|call| call.is_finished()));
    held.rollback().await.unwrap();
    let answers = join_all(asking).await.into_iter().map(Result::unwrap);
    let answers: Vec<_> = answers.collect();
    let made: Vec<_> = answers
        .iter()
        .flatten()
        .map(|p| p.get_ref().name.clone())
        .collect();
    assert_eq!(made.len(), 1, "{made:?}");
    for refusal in answers.into_iter().filter(Result::is_err) {
        let status = refused(refusal, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
        assert_eq!(
            status.get_details_error_info().unwrap().metadata["limit"],
            "3"
        );
        assert!(status.get_details_quota_failure().is_some());
    }
    // A taken name says so first; a paused program counts, an ended one does not.
    let taken = api.add("default", wanted()).await;
    refused(taken, Code::AlreadyExists, "PROGRAM_EXISTS");
    api.pause_program("default", "").await.unwrap();
    let full = api.add("more", wanted()).await;
    refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    api.end_program("default", "").await.unwrap();
    api.add("more", wanted()).await.unwrap();
}

async fn a_replayed_and_a_dry_run_write_have_one_effect_and_none(engine: Engine) {
    let mut api = Api::start(engine).await;
    let id = "00000000-0000-4000-8000-000000000001".to_owned();
    let dry = pb::CreateProgramRequest {
        validate_only: true,
        request_id: id.clone(),
        ..create("pilot", wanted())
    };
    let as_if = api.programs.create_program(dry.clone()).await.unwrap();
    assert_eq!(as_if.get_ref().name, name("pilot"));
    refused(
        api.program("pilot").await,
        Code::NotFound,
        "PROGRAM_NOT_FOUND",
    );
    let taken = pb::CreateProgramRequest {
        program_id: "default".into(),
        ..dry.clone()
    };
    let taken = api.programs.create_program(taken).await;
    refused(taken, Code::AlreadyExists, "PROGRAM_EXISTS");
    let wet = pb::CreateProgramRequest {
        validate_only: false,
        ..dry
    };
    let made = api.programs.create_program(wet.clone()).await.unwrap();
    api.end_program("pilot", "").await.unwrap();
    let again = api.programs.create_program(wet.clone()).await.unwrap();
    assert_eq!(again.get_ref(), made.get_ref());
    let other = pb::CreateProgramRequest {
        program_id: "other".into(),
        ..wet
    };
    let other = api.programs.create_program(other).await;
    refused(other, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_program_has_no_preview() {
    let mut api = Api::start(Engine::Sqlite).await;
    api.end_program("default", "").await.unwrap();
    let preview = pb::PreviewProgramRequest {
        program: Some(pb::Program {
            name: name("default"),
            ..wanted()
        }),
    };
    let preview = api.programs.preview_program(preview).await;
    refused(preview, Code::FailedPrecondition, "PROGRAM_ENDED");
}
