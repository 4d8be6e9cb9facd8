//! What is malformed is named, field by field and all at once.

use mingpian::api::{common::Money, pb};

use super::{name, wanted, yuan};
use crate::{
    api::{Api, malformed, time},
    support::Engine,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_checked_field_by_field_and_all_at_once() {
    let mut api = Api::start(Engine::Sqlite).await;
    let wrong = pb::Program {
        display_name: "\u{202E}".into(),
        surfaces: vec![1, 1],
        contact_kinds: vec![1, 9],
        threshold: Some(Money {
            currency_code: "USD".into(),
            units: 1,
            nanos: 0,
        }),
        window_days: Some(0),
        serving_grace_days: Some(91),
        configuration_grace_days: -1,
        start_time: Some(prost_types::Timestamp {
            seconds: 0,
            nanos: -1,
        }),
        end_time: Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        }),
        share_permille: Some(1001),
        ..Default::default()
    };
    let mut all = [
        "program_id",
        "program.surfaces[1]",
        "program.contact_kinds[1]",
        "program.threshold",
        "program.start_time",
        "program.end_time",
        "program.window_days",
        "program.serving_grace_days",
        "program.configuration_grace_days",
        "program.share_permille",
        "program.display_name",
    ];
    malformed(api.add("-", wrong.clone()).await, &all);
    all[0] = "program.name";
    let preview = pb::PreviewProgramRequest {
        program: Some(wrong.clone()),
    };
    malformed(api.programs.preview_program(preview).await, &all);
    let update = pb::Program {
        name: name("ghost"),
        ..wrong
    };
    // Shape before existence.
    malformed(api.amend(update, &[]).await, &all[1..]);
    let nothing = [
        "program.surfaces",
        "program.contact_kinds",
        "program.display_name",
    ];
    malformed(api.add("p", pb::Program::default()).await, &nothing);
    let states = pb::PreviewProgramRequest {
        program: Some(pb::Program {
            name: name("p"),
            state: 9,
            ..wanted()
        }),
    };
    malformed(
        api.programs.preview_program(states).await,
        &["program.state"],
    );

    type Change = fn(&mut pb::Program);
    let wrong: &[(&str, Change)] = &[
        ("program.surfaces[0]", |p| p.surfaces = vec![0]),
        ("program.surfaces[3]", |p| p.surfaces = vec![1, 2, 3, 4]),
        ("program.contact_kinds[0]", |p| p.contact_kinds = vec![0]),
        ("program.threshold", |p| p.threshold = yuan(1, 1)),
        ("program.threshold", |p| {
            p.threshold = Some(Money::default())
        }),
        ("program.display_name", |p| p.display_name = "测".repeat(61)),
        ("program.end_time", |p| {
            p.start_time = time(mingpian::domain::Micros(5));
            p.end_time = p.start_time;
        }),
    ];
    for (field, change) in wrong {
        let mut program = wanted();
        change(&mut program);
        malformed(api.add("p", program).await, &[*field]);
    }
    let enrollment = pb::CreateEnrollmentRequest {
        parent: "programs/".into(),
        merchant: "klook".into(),
        ..Default::default()
    };
    let enrollment = api.programs.create_enrollment(enrollment).await;
    malformed(enrollment, &["parent", "merchant", "enrollment.list"]);
    for name in ["", "programs/", "programs/A", "merchants/a", "programs/a/b"] {
        let request = pb::GetProgramRequest { name: name.into() };
        malformed(api.programs.get_program(request).await, &["name"]);
        let request = pb::PauseProgramRequest {
            name: name.into(),
            ..Default::default()
        };
        malformed(api.programs.pause_program(request).await, &["name"]);
        let request = pb::DeleteEnrollmentRequest {
            name: name.into(),
            ..Default::default()
        };
        malformed(api.programs.delete_enrollment(request).await, &["name"]);
    }
}
