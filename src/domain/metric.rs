//! The registry of metrics: what every figure means.

use std::time::Duration;

use super::event::Stage;

/// A rate of people who reached one stage to people who reached another.
#[derive(Debug)]
pub struct Metric {
    pub id: &'static str,
    /// Grows when the definition changes.
    pub version: i32,
    pub name: &'static str,
    pub name_zh: &'static str,
    pub numerator: Stage,
    pub denominator: Stage,
}

impl Metric {
    /// Within which of the window's opening the numerator counts.
    pub const fn window(&self) -> Duration {
        self.numerator.window()
    }
}

/// A number of viewers as it is told; `None` where there are some, but so few that they could be
/// told apart.
pub const fn told(viewers: i64, withheld_under: i64) -> Option<i64> {
    match viewers {
        0 => Some(0),
        few if few < withheld_under => None,
        many => Some(many),
    }
}

/// Every metric, in the funnel's order. The rates and their names are those of the platform's
/// own reports.
pub const METRICS: &[Metric] = &[
    metric(
        "tap_rate",
        "Tap rate",
        "点击率",
        Stage::Tap,
        Stage::Impression,
    ),
    metric(
        "opening_rate",
        "Opening rate",
        "开口率",
        Stage::Opening,
        Stage::Inbound,
    ),
    metric(
        "inbound_lead_rate",
        "Leads per inbound",
        "进线留资率",
        Stage::Lead,
        Stage::Inbound,
    ),
    metric(
        "opening_lead_rate",
        "Leads per opening",
        "开口留资率",
        Stage::Lead,
        Stage::Opening,
    ),
    metric(
        "adds_per_inbound",
        "WeCom adds per inbound",
        "进线加微率",
        Stage::Added,
        Stage::Inbound,
    ),
    metric(
        "adds_per_lead",
        "WeCom adds per lead",
        "留资加微率",
        Stage::Added,
        Stage::Lead,
    ),
    metric(
        "adds_per_tap",
        "WeCom adds per tap",
        "点击加微率",
        Stage::Added,
        Stage::Tap,
    ),
    metric(
        "wecom_opening_rate",
        "WeCom openings per add",
        "企微开口率",
        Stage::WecomOpening,
        Stage::Added,
    ),
];

const fn metric(
    id: &'static str,
    name: &'static str,
    name_zh: &'static str,
    numerator: Stage,
    denominator: Stage,
) -> Metric {
    Metric {
        id,
        version: 1,
        name,
        name_zh,
        numerator,
        denominator,
    }
}
