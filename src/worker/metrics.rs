//! Counts what came of taps.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::{app::Tally, domain::Unattributed};

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
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            events: Family::default(),
            given_up: Counter::default(),
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
        metrics
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

    pub(super) fn count_given_up(&self, number: u64) {
        self.given_up.inc_by(number);
    }
}
