//! Wire ⇄ domain for what several services share.

use prost_types::{FieldMask, Timestamp};

use super::{common, pb};
use crate::domain::{Check, ContactKind, Day, Micros, Money, Reason, money::CURRENCY};

pub fn timestamp(time: Micros) -> Timestamp {
    Timestamp {
        seconds: time.seconds(),
        nanos: i32::try_from(time.0.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// Microseconds, the rest cut off.
pub fn micros(time: &Timestamp) -> Result<Micros, &'static str> {
    let whole = Micros::from_seconds(time.seconds);
    let valid =
        (0..1_000_000_000).contains(&time.nanos) && (Micros::MIN..=Micros::MAX).contains(&whole);
    if valid {
        Ok(Micros(whole.0 + i64::from(time.nanos / 1_000)))
    } else {
        Err("must be within 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z")
    }
}

/// `None` for a malformed one, which is then known to `check`.
pub fn maybe_micros(
    check: &mut Check,
    field: &str,
    time: Option<&Timestamp>,
) -> Option<Option<Micros>> {
    match time {
        None => Some(None),
        Some(time) => check.field(field, micros(time)).map(Some),
    }
}

pub fn date(day: Day) -> common::Date {
    let (year, month, day) = day.date();
    common::Date {
        year,
        month: month.cast_signed(),
        day: day.cast_signed(),
    }
}

pub fn money(amount: Money) -> common::Money {
    let (units, nanos) = amount.parts();
    common::Money {
        currency_code: CURRENCY.to_owned(),
        units,
        nanos,
    }
}

pub fn kind(kind: ContactKind) -> pb::contact::Kind {
    match kind {
        ContactKind::Wecom => pb::contact::Kind::Wecom,
        ContactKind::Phone => pb::contact::Kind::Phone,
        ContactKind::WechatId => pb::contact::Kind::WechatId,
    }
}

/// What a kind must be, for the caller.
pub const KIND_RULE: &str = "must be WECOM, PHONE or WECHAT_ID";

/// `None` for unspecified.
pub fn kind_of(number: i32) -> Result<Option<ContactKind>, &'static str> {
    if number == 0 {
        return Ok(None);
    }
    u8::try_from(number)
        .ok()
        .and_then(ContactKind::from_number)
        .map(Some)
        .ok_or(KIND_RULE)
}

/// Kinds in the menu's order; each once.
pub fn kinds(check: &mut Check, field: &str, numbers: &[i32]) -> Vec<ContactKind> {
    let mut kinds = Vec::new();
    for (i, number) in numbers.iter().enumerate() {
        match kind_of(*number) {
            Ok(Some(kind)) if !kinds.contains(&kind) => kinds.push(kind),
            _ => {
                check.violation(
                    format!("{field}[{i}]"),
                    "must be WECOM, PHONE or WECHAT_ID, each at most once",
                );
                // A long list of wrong kinds is one mistake.
                break;
            }
        }
    }
    kinds.sort_unstable();
    kinds
}

/// A reason's word; domain and registry have the same, a test says so.
pub fn reason(reason: Reason) -> pb::ErrorReason {
    pb::ErrorReason::from_str_name(reason.as_str()).unwrap_or_default()
}

pub fn absence(why: Reason) -> pb::Absence {
    pb::Absence {
        reason: reason(why).into(),
    }
}

/// The fields of a mask: `*` is all of them, an absent mask those that are set (AIP-134).
pub fn masked(
    check: &mut Check,
    mask: Option<&FieldMask>,
    known: &'static [&'static str],
    set: impl Fn(&str) -> bool,
) -> Vec<&'static str> {
    let paths = mask.map_or(&[][..], |m| m.paths.as_slice());
    match paths {
        [] => known.iter().copied().filter(|f| set(f)).collect(),
        [star] if star == "*" => known.to_vec(),
        paths => {
            let unknown = paths.iter().any(|p| !known.contains(&p.as_str()));
            check.require(
                !unknown,
                "update_mask",
                format!("must name only {}, or be `*`", known.join(", ")),
            );
            known
                .iter()
                .copied()
                .filter(|f| paths.iter().any(|p| p == f))
                .collect()
        }
    }
}
