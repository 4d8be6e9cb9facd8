//! Programs and enrollments: wire ⇄ domain.

use prost_types::FieldMask;

use crate::{
    api::{
        common, pb,
        wire::{kind, kinds, masked, micros, money, timestamp},
    },
    app::{Preview, Sample},
    domain::{
        Check, Enrollment, List, Money, Program, ProgramDraft, ProgramState, Refusal, SurfaceKind,
        program::{DEFAULT_SERVING_GRACE_DAYS, DEFAULT_THRESHOLD, DEFAULT_WINDOW_DAYS, EVERYBODY},
    },
};

const FIELDS: &[&str] = &[
    "display_name",
    "surfaces",
    "contact_kinds",
    "threshold",
    "window_days",
    "serving_grace_days",
    "configuration_grace_days",
    "start_time",
    "end_time",
    "share_permille",
];

/// Every term; those that are unset as at creation.
pub fn draft(check: &mut Check, program: pb::Program) -> ProgramDraft {
    read(check, FIELDS, program)
}

/// The terms that a mask names; those of them that are unset as at creation.
pub fn changes(program: pb::Program, mask: Option<&FieldMask>) -> Result<ProgramDraft, Refusal> {
    let mut check = Check::default();
    let fields = masked(&mut check, mask, FIELDS, |field| match field {
        "display_name" => !program.display_name.is_empty(),
        "surfaces" => !program.surfaces.is_empty(),
        "contact_kinds" => !program.contact_kinds.is_empty(),
        "threshold" => program.threshold.is_some(),
        "window_days" => program.window_days.is_some(),
        "serving_grace_days" => program.serving_grace_days.is_some(),
        "configuration_grace_days" => program.configuration_grace_days != 0,
        "start_time" => program.start_time.is_some(),
        "end_time" => program.end_time.is_some(),
        _ => program.share_permille.is_some(),
    });
    let draft = read(&mut check, &fields, program);
    check.done(Some(draft))
}

fn read(check: &mut Check, fields: &[&str], p: pb::Program) -> ProgramDraft {
    let mut draft = ProgramDraft::default();
    let time = |check: &mut Check, field: &str, time: Option<&prost_types::Timestamp>| {
        time.and_then(|time| check.field(format!("program.{field}"), micros(time)))
    };
    for field in fields {
        match *field {
            "display_name" => draft.display_name = Some(p.display_name.clone()),
            "surfaces" => draft.surfaces = surfaces(check, &p.surfaces),
            "contact_kinds" => {
                let kinds = kinds(check, "program.contact_kinds", &p.contact_kinds);
                draft.kinds = (kinds.len() == p.contact_kinds.len()).then_some(kinds);
            }
            "threshold" => draft.threshold = threshold(check, p.threshold.as_ref()),
            "window_days" => draft.window_days = p.window_days.or(Some(DEFAULT_WINDOW_DAYS)),
            "serving_grace_days" => {
                let days = p.serving_grace_days;
                draft.serving_grace_days = days.or(Some(DEFAULT_SERVING_GRACE_DAYS));
            }
            "configuration_grace_days" => {
                draft.configuration_grace_days = Some(p.configuration_grace_days);
            }
            "start_time" => draft.start_time = Some(time(check, field, p.start_time.as_ref())),
            "end_time" => draft.end_time = Some(time(check, field, p.end_time.as_ref())),
            _ => draft.share_permille = p.share_permille.or(Some(EVERYBODY.into())),
        }
    }
    draft.check(check)
}

/// In the order of their numbers, each once; `None` where one is wrong.
fn surfaces(check: &mut Check, numbers: &[i32]) -> Option<Vec<SurfaceKind>> {
    let mut surfaces = Vec::new();
    for (i, number) in numbers.iter().enumerate() {
        let surface = u8::try_from(*number)
            .ok()
            .and_then(SurfaceKind::from_number)
            .filter(|surface| !surfaces.contains(surface));
        let Some(surface) = surface else {
            // A long list of wrong surfaces is one mistake.
            check.violation(
                format!("program.surfaces[{i}]"),
                "must be CHAT_MENU, NOTE_CAPSULE or CARD_MESSAGE, each at most once",
            );
            return None;
        };
        surfaces.push(surface);
    }
    surfaces.sort_unstable();
    Some(surfaces)
}

fn threshold(check: &mut Check, money: Option<&common::Money>) -> Option<Money> {
    let Some(money) = money else {
        return Some(DEFAULT_THRESHOLD);
    };
    let amount = Money::from_parts(&money.currency_code, money.units, money.nanos);
    check.field("program.threshold", amount)
}

/// `None` for unspecified.
pub fn state(number: i32) -> Result<Option<ProgramState>, &'static str> {
    use pb::program::State;
    match State::try_from(number) {
        Ok(State::Unspecified) => Ok(None),
        Ok(State::Running) => Ok(Some(ProgramState::Running)),
        Ok(State::Paused) => Ok(Some(ProgramState::Paused)),
        Ok(State::Ended) => Ok(Some(ProgramState::Ended)),
        Err(_) => Err("must be RUNNING, PAUSED or ENDED, or unspecified"),
    }
}

pub fn list(number: i32) -> Result<List, &'static str> {
    match pb::enrollment::List::try_from(number) {
        Ok(pb::enrollment::List::Allow) => Ok(List::Allow),
        Ok(pb::enrollment::List::Deny) => Ok(List::Deny),
        _ => Err("must be ALLOW or DENY"),
    }
}

impl From<Program> for pb::Program {
    fn from(p: Program) -> Self {
        let state = match p.state {
            ProgramState::Running => pb::program::State::Running,
            ProgramState::Paused => pb::program::State::Paused,
            ProgramState::Ended => pb::program::State::Ended,
        };
        Self {
            name: p.name.to_string(),
            state: state.into(),
            surfaces: p.surfaces.iter().map(|s| surface(*s).into()).collect(),
            contact_kinds: p.kinds.iter().map(|k| kind(*k).into()).collect(),
            threshold: Some(money(p.threshold)),
            window_days: Some(p.window_days),
            serving_grace_days: Some(p.serving_grace_days),
            configuration_grace_days: p.configuration_grace_days,
            start_time: p.start_time.map(timestamp),
            end_time: p.end_time.map(timestamp),
            share_permille: Some(p.share_permille.into()),
            etag: p.etag(),
            create_time: Some(timestamp(p.create_time)),
            update_time: Some(timestamp(p.update_time)),
            display_name: p.display_name,
        }
    }
}

impl From<Enrollment> for pb::Enrollment {
    fn from(e: Enrollment) -> Self {
        let list = match e.list {
            List::Allow => pb::enrollment::List::Allow,
            List::Deny => pb::enrollment::List::Deny,
        };
        Self {
            name: e.name().to_string(),
            list: list.into(),
            etag: e.etag(),
            create_time: Some(timestamp(e.create_time)),
        }
    }
}

impl From<Preview> for pb::PreviewProgramResponse {
    fn from(preview: Preview) -> Self {
        use pb::preview_program_response::{Merchants, Placements};
        let merchants = |Sample { count, sample }| Some(Merchants { count, sample });
        let placements = |Sample { count, sample }| Some(Placements { count, sample });
        Self {
            gained: merchants(preview.gained),
            lost: merchants(preview.lost),
            unchanged: merchants(preview.unchanged),
            placements_appearing: placements(preview.placements_appearing),
            placements_vanishing: placements(preview.placements_vanishing),
        }
    }
}

fn surface(surface: SurfaceKind) -> pb::program::Surface {
    match surface {
        SurfaceKind::ChatMenu => pb::program::Surface::ChatMenu,
        SurfaceKind::NoteCapsule => pb::program::Surface::NoteCapsule,
        SurfaceKind::CardMessage => pb::program::Surface::CardMessage,
    }
}
