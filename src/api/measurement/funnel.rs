//! `QueryFunnel` and `ListMetrics`.

use prost_types::Timestamp;

use super::{
    super::{
        call,
        pb::{self, query_funnel_request as asked, query_funnel_response::Row},
        wire::{micros, timestamp},
    },
    events::type_of,
};
use crate::{
    app::{App, FunnelRow, Principal, Result},
    domain::{
        Check, Merchant, Micros, PlacementName, Zone, foreign_id,
        link::channel,
        metric::{METRICS, Metric},
    },
    store::{Basis, Scope, Stretch},
};

const HOURS_A_DAY: i32 = 24;

/// A merchant's funnel.
pub async fn query(
    app: &App,
    caller: &Principal,
    r: pb::QueryFunnelRequest,
) -> Result<pb::QueryFunnelResponse> {
    let merchant = call::merchant(caller, "merchant", &r.merchant)?;
    let mut check = Check::default();
    let scope = scope(&mut check, &merchant, r.scope);
    let zone = app.rules.calendar.zone;
    let stretch = stretch(&mut check, zone, r.start, r.end, r.granularity);
    let basis = check.field("time_basis", basis(r.time_basis));
    let (scope, (stretch, basis)) = check.done(scope.zip(stretch.zip(basis)))?;
    let funnel = app.funnel(&merchant, &scope, stretch, basis).await?;
    let starts = (stretch.first..).step_by(usize::try_from(stretch.hours).unwrap_or(1));
    let rows = funnel.rows.iter().zip(starts);
    Ok(pb::QueryFunnelResponse {
        rows: rows
            .map(|(counts, first)| row(counts, first, first + stretch.hours, basis))
            .collect(),
        as_of: Some(timestamp(funnel.as_of)),
    })
}

fn row(row: &FunnelRow, first: i32, end: i32, basis: Basis) -> Row {
    let count = |(stage, viewers): &(_, Option<i64>)| pb::StageCount {
        r#type: type_of(*stage).into(),
        viewers: viewers.unwrap_or(0),
        withheld: viewers.is_none(),
    };
    Row {
        start: Some(moment(first)),
        end: Some(moment(end)),
        counts: row.counts.iter().map(count).collect(),
        figures: METRICS.iter().map(|m| figure(row, m, basis)).collect(),
    }
}

fn figure(row: &FunnelRow, metric: &Metric, basis: Basis) -> pb::Figure {
    let (numerator, denominator) = row.figure(metric);
    #[expect(clippy::cast_precision_loss, reason = "viewers are far below 2^53")]
    let rate = numerator
        .zip(denominator.filter(|viewers| *viewers > 0))
        .map(|(above, below)| above as f64 / below as f64);
    pb::Figure {
        metric: metric.id.to_owned(),
        version: metric.version,
        numerator: numerator.unwrap_or(0),
        denominator: denominator.unwrap_or(0),
        rate,
        withheld: numerator.is_none() || denominator.is_none(),
        window: prost_types::Duration::try_from(metric.window()).ok(),
        time_basis: wire_basis(basis).into(),
    }
}

fn moment(hour: i32) -> Timestamp {
    timestamp(Micros::from_hour(hour))
}

fn scope(check: &mut Check, merchant: &Merchant, given: Option<asked::Scope>) -> Option<Scope> {
    match given {
        None => Some(Scope::All),
        Some(asked::Scope::Placement(name)) => {
            let name = check.field("placement", PlacementName::parse(&name))?;
            let own = name.merchant() == merchant;
            check.require(own, "placement", "must be of the same merchant");
            Some(Scope::Placement(name.id().to_owned()))
        }
        Some(asked::Scope::Note(name)) => {
            let id = check.field("note", foreign_id(&name, "notes").map(str::to_owned))?;
            Some(Scope::Note(id))
        }
        Some(asked::Scope::Channel(name)) => {
            let named = channel(&name);
            let named = named.and_then(|name| match name.as_str() {
                "" => Err("must not be empty".to_owned()),
                _ => Ok(name),
            });
            check.field("channel", named).map(Scope::Channel)
        }
    }
}

/// What is asked for, in whole hours and within what one answer holds.
fn stretch(
    check: &mut Check,
    zone: Zone,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    granularity: i32,
) -> Option<Stretch> {
    use asked::Granularity::{All, Day as Days, Hour, Unspecified};
    let granularity = asked::Granularity::try_from(granularity);
    let granularity = check.field(
        "granularity",
        granularity.map_err(|_| "must be DAY, HOUR or ALL"),
    )?;
    let start = whole_hour(check, "start", start);
    let end = whole_hour(check, "end", end);
    let (start, end) = start.zip(end)?;
    let (first, end_hour) = (start.hour(), end.hour());
    check.require(first < end_hour, "end", "must be after start");
    let (hours, days, rule) = match granularity {
        Hour => (1, 31, "must be at most 31 days after start"),
        Days => (HOURS_A_DAY, 400, "must be at most 400 days after start"),
        All | Unspecified => (
            (end_hour - first).max(1),
            1100,
            "must be at most 1,100 days after start",
        ),
    };
    check.require(
        i64::from(end_hour) - i64::from(first) <= days * 24,
        "end",
        rule,
    );
    if granularity == Days {
        for (field, time) in [("start", start), ("end", end)] {
            let whole = zone.start(zone.day(time)) == time;
            check.require(whole, field, "must be midnight, Asia/Shanghai");
        }
    }
    Some(Stretch {
        first,
        end: end_hour,
        hours,
    })
}

fn whole_hour(check: &mut Check, field: &str, time: Option<Timestamp>) -> Option<Micros> {
    let time = time.as_ref().ok_or("must be set").and_then(micros);
    let whole = time.and_then(|time| {
        let years = (Micros(0)..Micros::from_seconds(i64::from(u32::MAX))).contains(&time);
        if years && time == Micros::from_hour(time.hour()) {
            Ok(time)
        } else {
            Err("must be a whole hour, from 1970 to 2106")
        }
    });
    check.field(field, whole)
}

fn basis(number: i32) -> Result<Basis, &'static str> {
    match pb::TimeBasis::try_from(number) {
        Ok(pb::TimeBasis::Unspecified | pb::TimeBasis::Touch) => Ok(Basis::Touch),
        Ok(pb::TimeBasis::Event) => Ok(Basis::Event),
        Err(_) => Err("must be EVENT or TOUCH"),
    }
}

fn wire_basis(basis: Basis) -> pb::TimeBasis {
    match basis {
        Basis::Event => pb::TimeBasis::Event,
        Basis::Touch => pb::TimeBasis::Touch,
    }
}

/// The registry.
pub fn registry() -> pb::ListMetricsResponse {
    let metric = |metric: &Metric| pb::Metric {
        metric: metric.id.to_owned(),
        version: metric.version,
        display_name: metric.name.to_owned(),
        display_name_zh: metric.name_zh.to_owned(),
        numerator: type_of(metric.numerator).into(),
        denominator: type_of(metric.denominator).into(),
        window: prost_types::Duration::try_from(metric.window()).ok(),
        time_bases: [Basis::Event, Basis::Touch]
            .map(|b| wire_basis(b).into())
            .to_vec(),
    };
    pb::ListMetricsResponse {
        metrics: METRICS.iter().map(metric).collect(),
    }
}
