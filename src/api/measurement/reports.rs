//! `GetExperimentReport` and `GetProgramReport`.

use super::super::{
    pb::{
        self,
        metric_report::{Arm, Verdict, Withheld},
    },
    wire::timestamp,
};
use crate::{
    app::{Comparison, ProgramReport, Report},
    domain::{
        Lang, ProgramName, Stage,
        lift::{self, Arms, Estimate, Inference, words},
    },
};

/// The methods that every report names, with their sources.
const METHODS: &[&str] = &[
    "Lift is the ratio of the two rates, less 1, on its logarithm by the delta method; several \
     merchants are compared each with itself: Mantel-Haenszel rate ratio, variance of Greenland \
     and Robins (1985).",
    "The interval is an asymptotic confidence sequence: Waudby-Smith, Arbour, Sinha, Kennedy, \
     Ramdas (2021), arXiv:2103.06476.",
    "The split check is Pearson's chi-squared test; alarm under 0.001: Fabijan and others (KDD \
     2019).",
    "fixed_needed_viewers: two-sided test of two proportions at 5 % with 80 % power, normal \
     approximation: Fleiss, Levin, Paik (2003).",
];

pub fn report(report: Report) -> pb::Report {
    let exposed = report.outcome.exposed;
    let split = report.comparisons.first().map(|c| c.reading.split);
    let hold_out_permille = report.experiment.hold_out.into();
    pb::Report {
        experiment: Some(report.experiment.into()),
        split: Some(pb::SplitCheck {
            treated: signed(exposed.served),
            held_out: signed(exposed.held_out),
            hold_out_permille,
            p: split.and_then(|split| split.p),
            alarm: split.is_some_and(|split| split.alarm()),
            quarantined: signed(report.outcome.quarantined),
        }),
        metrics: report.comparisons.iter().map(compared).collect(),
        as_of: Some(timestamp(report.as_of)),
        methods: METHODS.iter().map(ToString::to_string).collect(),
    }
}

pub fn program_report(program: &ProgramName, report: ProgramReport) -> pb::ProgramReport {
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    pb::ProgramReport {
        program: program.to_string(),
        experiments: signed(report.experiments),
        left_out: signed(report.left_out),
        metrics: report.comparisons.iter().map(compared).collect(),
        as_of: Some(timestamp(report.as_of)),
        methods: METHODS.iter().map(ToString::to_string).collect(),
    }
}

fn compared(comparison: &Comparison) -> pb::MetricReport {
    let Comparison { plan, reading, .. } = comparison;
    let (verdict, withheld) = verdict(reading.verdict);
    let mut wire = pb::MetricReport {
        metric: metric(comparison.stage).to_owned(),
        window: prost_types::Duration::try_from(comparison.stage.window()).ok(),
        minimal_lift: plan.minimal_lift,
        verdict: verdict.into(),
        withheld: withheld.into(),
        text_zh: words(Lang::Zh, plan, reading),
        text: words(Lang::En, plan, reading),
        ..Default::default()
    };
    let Some(estimate) = reading.estimate.filter(|_| verdict != Verdict::Withheld) else {
        return wire;
    };
    let Estimate {
        rates,
        lift,
        always_valid,
        fixed,
        ..
    } = estimate;
    let Arms { served, held_out } = comparison.matured;
    wire.treated = Some(arm(served, rates.served));
    wire.held_out = Some(arm(held_out, rates.held_out));
    wire.lift = Some(lift);
    (wire.interval, wire.p) = (Some(interval(always_valid)), Some(always_valid.p));
    (wire.fixed_interval, wire.fixed_p) = (Some(interval(fixed)), Some(fixed.p));
    if let Some(need) = reading.need {
        let both = |arms: Arms<u64>| signed(arms.served.saturating_add(arms.held_out));
        wire.needed_viewers = Some(both(need.always_valid));
        wire.fixed_needed_viewers = Some(both(need.fixed));
        wire.days_to_go = need.days_to_go.map(signed);
    }
    wire
}

fn metric(stage: Stage) -> &'static str {
    match stage {
        Stage::Inbound => "inbound_per_exposed",
        Stage::Opening => "openings_per_exposed",
        Stage::Lead => "leads_per_exposed",
        _ => "adds_per_exposed",
    }
}

fn arm(arm: lift::Arm, rate: f64) -> Arm {
    Arm {
        viewers: signed(arm.viewers),
        conversions: signed(arm.conversions),
        rate,
    }
}

fn interval(inference: Inference) -> pb::Interval {
    pb::Interval {
        low: inference.lower,
        high: inference.upper,
    }
}

fn verdict(verdict: lift::Verdict) -> (Verdict, Withheld) {
    use lift::Withheld as Why;
    let why = match verdict {
        lift::Verdict::Better => return (Verdict::Better, Withheld::Unspecified),
        lift::Verdict::Worse => return (Verdict::Worse, Withheld::Unspecified),
        lift::Verdict::NotShown => return (Verdict::NotShown, Withheld::Unspecified),
        lift::Verdict::Withheld(Why::SplitAlarm) => Withheld::SplitAlarm,
        lift::Verdict::Withheld(Why::TooFewViewers) => Withheld::TooFewViewers,
        lift::Verdict::Withheld(Why::TooFewConversions) => Withheld::TooFewConversions,
        lift::Verdict::Withheld(Why::AddsNotReported) => Withheld::AddsNotReported,
    };
    (Verdict::Withheld, why)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
