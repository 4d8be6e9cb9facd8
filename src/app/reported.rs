//! What merchants counted themselves comes in; and how it, taps, and what WeCom told of differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{App, Call, Result, write::Begin};
use crate::{
    domain::{
        Day, Merchant, Micros, Refusal,
        reported::{ReportedDay, copied_adds},
    },
    store::{AtWecom, Reported, Tapped},
};

/// What became of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub accepted: i32,
    pub unchanged: i32,
    pub replaced: i32,
}

/// One day's figures side by side.
#[derive(Clone, Debug)]
pub struct Reconciled {
    pub day: Day,
    pub tapped: Tapped,
    pub at_wecom: AtWecom,
    pub reported: Option<Reported>,
    /// From, to.
    pub copied_adds: (i64, i64),
}

impl App {
    /// Takes in reports, each of another day.
    pub async fn import_reported(
        &self,
        call: &Call,
        merchant: &Merchant,
        reports: &[ReportedDay],
    ) -> Result<Imported> {
        let write = match self.begin(call).await? {
            Begin::Answered(imported) => return Ok(imported),
            Begin::Fresh(write) => write,
        };
        // Of two reports of a day at once the second sees the first.
        write.tx.lock_merchant(merchant.id()).await?;
        let days = reports.iter().map(|report| report.day);
        let (first, last) = (days.clone().min(), days.max());
        let mut before = match first.zip(last) {
            Some(days) => write.tx.reported(merchant, days).await?,
            None => BTreeMap::new(),
        };
        let mut imported = Imported::default();
        for report in reports {
            let version = match before.remove(&report.day) {
                None => {
                    imported.accepted += 1;
                    1
                }
                Some(was) => {
                    let same = (was.adds, was.copied) == (report.adds, report.copied)
                        && write.tx.reported_viewers(merchant, report.day).await? == report.viewers;
                    if same {
                        imported.unchanged += 1;
                        continue;
                    }
                    imported.replaced += 1;
                    was.version + 1
                }
            };
            write
                .tx
                .append_report(merchant, report, version, write.author, write.now)
                .await?;
        }
        write.finish(imported).await
    }

    /// The figures of these days, both included.
    pub async fn reconcile(
        &self,
        merchant: &Merchant,
        (first, last): (Day, Day),
    ) -> Result<(Vec<Reconciled>, Micros)> {
        let now = self.ambient.now();
        let zone = self.rules.calendar.zone;
        let reads = self.store.reads();
        if zone.start(first) < reads.events_kept_from().await? {
            let rule = "must be a day whose events are still kept";
            return Err(Refusal::field("start_day", rule).into());
        }
        let mut reported = reads.reported(merchant, (first, last)).await?;
        let mut tapped = reads.tapped(merchant, zone, (first, last)).await?;
        let mut at_wecom = reads.at_wecom(merchant, zone, (first, last)).await?;
        let days = (first.0..=last.0).map(Day).map(|day| {
            let tapped = tapped.remove(&day).unwrap_or_default();
            let at_wecom = at_wecom.remove(&day).unwrap_or_default();
            let reported = reported.remove(&day);
            Reconciled {
                day,
                copied_adds: copied_adds(
                    tapped.copies,
                    at_wecom.adds,
                    reported.map(|reported| reported.adds),
                    reported.and_then(|reported| reported.copied),
                ),
                tapped,
                at_wecom,
                reported,
            }
        });
        Ok((days.collect(), now))
    }
}
