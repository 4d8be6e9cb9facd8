//! `ImportReportedAdds` and `QueryReconciliation`.

use std::sync::Arc;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::take,
};

use super::super::{
    call, common,
    pb::{self, query_reconciliation_response::Row},
    wire::{date, timestamp},
};
use crate::{
    api::eligibility::day,
    app::{App, Principal, Reconciled, Result},
    domain::{
        Check, Day, is_viewer_id,
        reported::{MOST_ADDS, ReportedDay},
    },
};

/// Days of one import at most, and how old one may be.
const MAX_DAYS: i32 = 400;
/// Viewers of one day at most.
const MAX_VIEWERS: usize = 1000;
/// Days of one reconciliation at most.
const MAX_RECONCILED: i32 = 92;

pub async fn import(
    app: &App,
    caller: Arc<Principal>,
    mut r: pb::ImportReportedAddsRequest,
) -> Result<pb::ImportReportedAddsResponse> {
    let merchant = call::merchant(&caller, "parent", &r.parent)?;
    let id = take(&mut r.request_id);
    let call = call::write(caller, "ImportReportedAdds", &id, &r, false)?;
    let mut check = Check::default();
    let reports = reports(app, &mut check, r.reports);
    let reports = check.done(reports)?;
    let imported = app.import_reported(&call, &merchant, &reports).await?;
    Ok(pb::ImportReportedAddsResponse {
        accepted: imported.accepted,
        unchanged: imported.unchanged,
        replaced: imported.replaced,
    })
}

fn reports(app: &App, check: &mut Check, given: Vec<pb::ReportedAdds>) -> Option<Vec<ReportedDay>> {
    if !(1..=MAX_DAYS).contains(&i32::try_from(given.len()).unwrap_or(i32::MAX)) {
        check.violation("reports", "must be 1 to 400");
        return None;
    }
    let mut of = BTreeMap::new();
    for (i, given) in given.into_iter().enumerate() {
        // A long list of wrong ones is one mistake.
        let report = report(app, check, &format!("reports[{i}]"), given)?;
        if of.insert(report.day, report).is_some() {
            check.violation(format!("reports[{i}].day"), "must not stand twice");
            return None;
        }
    }
    Some(of.into_values().collect())
}

fn report(
    app: &App,
    check: &mut Check,
    field: &str,
    given: pb::ReportedAdds,
) -> Option<ReportedDay> {
    let today = app.today();
    let day = day(given.day).and_then(|day| {
        let known = today - MAX_DAYS..=today;
        let rule = "must be today or one of the 400 days before";
        known.contains(&day).then_some(day).ok_or(rule)
    });
    let day = check.field(format!("{field}.day"), day);
    let counts = 0..=MOST_ADDS;
    let rule = "must be 0 to 10,000,000";
    check.require(counts.contains(&given.adds), format!("{field}.adds"), rule);
    let copied = given
        .copied
        .is_none_or(|copied| (0..=given.adds).contains(&copied));
    let rule = "must be 0 to `adds`";
    check.require(copied, format!("{field}.copied"), rule);
    let fits = given.viewer_ids.len() <= MAX_VIEWERS
        && i64::try_from(given.viewer_ids.len()).is_ok_and(|named| named <= given.adds)
        && given.viewer_ids.iter().all(|id| is_viewer_id(id));
    let rule = "must be at most 1,000, no more than `adds`, each 1 to 64 of [0-9A-Za-z_.:-]";
    check.require(fits, format!("{field}.viewer_ids"), rule);
    let viewers: BTreeSet<_> = given
        .viewer_ids
        .iter()
        .map(|id| app.keys.viewer_hash(id))
        .collect();
    Some(ReportedDay {
        day: day?,
        adds: given.adds,
        copied: given.copied,
        viewers,
    })
}

pub async fn reconcile(
    app: &App,
    caller: &Principal,
    r: pb::QueryReconciliationRequest,
) -> Result<pb::QueryReconciliationResponse> {
    let merchant = call::merchant(caller, "parent", &r.parent)?;
    let mut check = Check::default();
    let first = within(app, &mut check, "start_day", r.start_day);
    let last = within(app, &mut check, "end_day", r.end_day);
    if let Some((first, last)) = first.zip(last) {
        let fits = (0..MAX_RECONCILED).contains(&(last.0 - first.0));
        check.require(fits, "end_day", "must be within 92 days from start_day on");
    }
    let days = check.done(first.zip(last))?;
    let (rows, as_of) = app.reconcile(&merchant, days).await?;
    Ok(pb::QueryReconciliationResponse {
        rows: rows.into_iter().map(Into::into).collect(),
        as_of: Some(timestamp(as_of)),
    })
}

fn within(app: &App, check: &mut Check, field: &str, given: Option<common::Date>) -> Option<Day> {
    let day = day(given).and_then(|day| {
        let rule = "must be from 1970 on, and not after today";
        (Day(0)..=app.today())
            .contains(&day)
            .then_some(day)
            .ok_or(rule)
    });
    check.field(field, day)
}

impl From<Reconciled> for Row {
    fn from(row: Reconciled) -> Self {
        let (tapped, at_wecom) = (row.tapped, row.at_wecom);
        let (least, most) = row.copied_adds;
        Self {
            day: Some(date(row.day)),
            taps: tapped.taps,
            bot_taps: tapped.bots,
            copies: tapped.copies,
            wecom_adds: at_wecom.adds,
            reported_adds: row.reported.map(|reported| reported.adds),
            taps_added: tapped.added,
            already_contacts: tapped.contacts,
            missing: tapped.missing(),
            outside_window: at_wecom.outside,
            unattributed: at_wecom.unattributed,
            forged: at_wecom.forged,
            copied_adds: Some(pb::Range { least, most }),
        }
    }
}
