//! A program's terms as a caller wants them, and their rules.

use std::ops::RangeInclusive;

use super::super::{Check, ContactKind, Micros, Money, ProgramName, SurfaceKind, text};
use super::{Program, ProgramState};

/// In code points after NFC.
const DISPLAY_NAME: RangeInclusive<usize> = 1..=60;
const WINDOW_DAYS: RangeInclusive<i32> = 1..=90;
const GRACE_DAYS: RangeInclusive<i32> = 0..=90;
const SHARE_PERMILLE: RangeInclusive<i32> = 0..=super::EVERYBODY as i32;
const AFTER_START: &str = "must be after start_time";

/// Terms as they are to be; `None` leaves one as it is. The outer `None` of a time likewise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramDraft {
    pub display_name: Option<String>,
    pub surfaces: Option<Vec<SurfaceKind>>,
    pub kinds: Option<Vec<ContactKind>>,
    pub threshold: Option<Money>,
    pub window_days: Option<i32>,
    pub serving_grace_days: Option<i32>,
    pub configuration_grace_days: Option<i32>,
    pub start_time: Option<Option<Micros>>,
    pub end_time: Option<Option<Micros>>,
    pub share_permille: Option<i32>,
}

impl ProgramDraft {
    /// Holds each given term to its rule, and the name to NFC. Violations name the fields of
    /// `program`.
    pub fn check(self, check: &mut Check) -> Self {
        let opens = "must have 1 to 3, each once";
        let some = |list: Option<usize>| list != Some(0);
        let surfaces = some(self.surfaces.as_ref().map(Vec::len));
        check.require(surfaces, "program.surfaces", opens);
        let kinds = some(self.kinds.as_ref().map(Vec::len));
        check.require(kinds, "program.contact_kinds", opens);
        for (field, value, range) in [
            ("window_days", self.window_days, WINDOW_DAYS),
            ("serving_grace_days", self.serving_grace_days, GRACE_DAYS),
            (
                "configuration_grace_days",
                self.configuration_grace_days,
                GRACE_DAYS,
            ),
            ("share_permille", self.share_permille, SHARE_PERMILLE),
        ] {
            let rule = format!("must be {} to {}", range.start(), range.end());
            let holds = value.is_none_or(|value| range.contains(&value));
            check.require(holds, format!("program.{field}"), rule);
        }
        let times = self.start_time.flatten().zip(self.end_time.flatten());
        let ordered = times.is_none_or(|(start, end)| start < end);
        check.require(ordered, "program.end_time", AFTER_START);
        Self {
            display_name: self
                .display_name
                .and_then(|name| check.field("program.display_name", text(&name, DISPLAY_NAME))),
            ..self
        }
    }
}

impl Program {
    /// A new program on the default's terms, save those that the draft gives.
    pub fn new(name: ProgramName, draft: ProgramDraft, now: Micros) -> Self {
        let defaults = Self {
            name,
            ..Self::default_at(now)
        };
        defaults.with(draft)
    }

    /// On the draft's terms, where it gives any.
    pub fn with(self, draft: ProgramDraft) -> Self {
        let share = draft.share_permille.and_then(|s| u16::try_from(s).ok());
        Self {
            display_name: draft.display_name.unwrap_or(self.display_name),
            surfaces: draft.surfaces.unwrap_or(self.surfaces),
            kinds: draft.kinds.unwrap_or(self.kinds),
            threshold: draft.threshold.unwrap_or(self.threshold),
            window_days: draft.window_days.unwrap_or(self.window_days),
            serving_grace_days: draft.serving_grace_days.unwrap_or(self.serving_grace_days),
            configuration_grace_days: draft
                .configuration_grace_days
                .unwrap_or(self.configuration_grace_days),
            start_time: draft.start_time.unwrap_or(self.start_time),
            end_time: draft.end_time.unwrap_or(self.end_time),
            share_permille: share.unwrap_or(self.share_permille),
            ..self
        }
    }

    /// `end_time` comes after `start_time`, also where an update gave only one of them.
    pub fn check_schedule(&self, check: &mut Check) {
        let times = self.start_time.zip(self.end_time);
        let ordered = times.is_none_or(|(start, end)| start < end);
        check.require(ordered, "program.end_time", AFTER_START);
    }

    /// The next version, in this state.
    pub fn to(&self, state: ProgramState, now: Micros) -> Self {
        Self {
            state,
            ..self.next(now)
        }
    }
}
