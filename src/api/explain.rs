//! An explanation on the wire.

use super::{
    call,
    pb::{
        self, explain_serving_request as request,
        explain_serving_response::{Gate as Line, gate},
    },
    wire::{reason, timestamp},
};
use crate::{
    app::{self, Explanation, Principal, Subject},
    domain::{Gate, Lang, PlacementName, Refusal, explain::text},
};

/// What a request asks about, if the caller may.
pub fn subject(caller: &Principal, subject: Option<&request::Subject>) -> Result<Subject, Refusal> {
    match subject {
        Some(request::Subject::Merchant(name)) => {
            Ok(Subject::Menu(call::merchant(caller, "merchant", name)?))
        }
        Some(request::Subject::Placement(name)) => {
            let name: PlacementName = call::name(caller, "placement", name)?;
            Ok(Subject::Placement(name))
        }
        None => Err(Refusal::field(
            "subject",
            "merchant or placement must be set",
        )),
    }
}

impl From<Explanation> for pb::ExplainServingResponse {
    fn from(explanation: Explanation) -> Self {
        let absence = explanation.absence.map(reason);
        Self {
            reason: absence.unwrap_or_default().into(),
            gates: explanation.lines.into_iter().map(Into::into).collect(),
            at: Some(timestamp(explanation.at)),
        }
    }
}

impl From<app::Line> for Line {
    fn from(line: app::Line) -> Self {
        let finding = line.finding;
        let (verdict, why) = match &finding.refusal {
            None => (gate::Verdict::Passed, pb::ErrorReason::Unspecified),
            Some(refusal) => (gate::Verdict::Refused, reason(refusal.reason)),
        };
        Self {
            placement: line.placement.map(|p| p.to_string()).unwrap_or_default(),
            program: line.program.map(|p| p.to_string()).unwrap_or_default(),
            gate: kind(finding.gate).into(),
            verdict: verdict.into(),
            reason: why.into(),
            text_zh: text(Lang::Zh, &finding),
            text_en: text(Lang::En, &finding),
            facts: finding.facts.into_iter().collect(),
        }
    }
}

fn kind(gate: Gate) -> gate::Kind {
    match gate {
        Gate::Enrollment => gate::Kind::Enrollment,
        Gate::Program => gate::Kind::Program,
        Gate::Surface => gate::Kind::Surface,
        Gate::ContactKind => gate::Kind::ContactKind,
        Gate::Spend => gate::Kind::Spend,
        Gate::Sanctions => gate::Kind::Sanctions,
        Gate::Card => gate::Kind::Card,
        Gate::Placement => gate::Kind::Placement,
        Gate::Schedule => gate::Kind::Schedule,
        Gate::Contact => gate::Kind::Contact,
        Gate::Link => gate::Kind::Link,
        Gate::HoldOut => gate::Kind::HoldOut,
    }
}
