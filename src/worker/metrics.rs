//! Counts what came of taps, and what is told outward.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    app::Tally,
    domain::{LinkState, Micros, Unattributed, acquisition::Level},
    store::Stands,
};

/// In place of a reason.
const CREDITED: &str = "CREDITED";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    source: &'static str,
    credit: &'static str,
}

/// The loops' metrics.
#[derive(Clone)]
pub struct Metrics {
    events: Family<Labels, Counter>,
    given_up: Counter,
    links: Family<OfState, Gauge>,
    quotas: Family<OfLevel, Gauge>,
    told: Counter,
    waiting: Gauge,
    waiting_seconds: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLevel {
    level: &'static str,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            events: Family::default(),
            given_up: Counter::default(),
            links: Family::default(),
            quotas: Family::default(),
            told: Counter::default(),
            waiting: Gauge::default(),
            waiting_seconds: Gauge::default(),
        };
        registry.register(
            "mingpian_contact_events",
            "Events at WeCom as they were learned of, by kind, source and whether they were credited",
            metrics.events.clone(),
        );
        registry.register(
            "mingpian_wecom_callbacks_given_up",
            "Callbacks that were kept and came to nothing: they never read, or their work never went",
            metrics.given_up.clone(),
        );
        registry.register(
            "mingpian_acquisition_links",
            "Acquisition links that are not deleted, of all corps, by state; each replica says the same",
            metrics.links.clone(),
        );
        registry.register(
            "mingpian_acquisition_quotas",
            "Corps by what is left of their adds; each replica says the same",
            metrics.quotas.clone(),
        );
        registry.register(
            "mingpian_outbox_told",
            "Events that NATS was told and has",
            metrics.told.clone(),
        );
        registry.register(
            "mingpian_outbox_waiting",
            "Events that NATS is yet to be told; each replica that publishes says the same",
            metrics.waiting.clone(),
        );
        registry.register(
            "mingpian_outbox_waiting_seconds",
            "For how long the oldest of them has waited",
            metrics.waiting_seconds.clone(),
        );
        metrics
    }

    /// As the store has it now; a state that no link is in any more is none.
    pub(super) fn stand(&self, links: &[(LinkState, i64)], quotas: &[(Level, i64)]) {
        for state in LinkState::ALL {
            let number = links.iter().find(|(s, _)| *s == state).map_or(0, |l| l.1);
            let state = state.as_str();
            self.links.get_or_create(&OfState { state }).set(number);
        }
        for level in Level::ALL {
            let number = quotas.iter().find(|(l, _)| *l == level).map_or(0, |q| q.1);
            let level = level.as_str();
            self.quotas.get_or_create(&OfLevel { level }).set(number);
        }
    }

    pub(super) fn count(&self, events: &Tally) {
        for ((kind, source, why), number) in events {
            let labels = Labels {
                kind: kind.as_str(),
                source: source.as_str(),
                credit: why.map_or(CREDITED, Unattributed::as_str),
            };
            self.events.get_or_create(&labels).inc_by(*number);
        }
    }

    pub(super) fn count_told(&self, events: u64) {
        self.told.inc_by(events);
    }

    pub(super) fn outbox(&self, stands: Stands, now: Micros) {
        let age = stands
            .since
            .map_or(0, |since| now.seconds() - since.seconds());
        self.waiting.set(stands.waiting);
        self.waiting_seconds.set(age.max(0));
    }

    pub(super) fn count_given_up(&self, number: u64) {
        self.given_up.inc_by(number);
    }
}
