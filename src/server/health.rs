//! What `grpc.health.v1` and `/readyz` say: NOT_SERVING until the store answers, whenever
//! it does not, and from the moment of a shutdown.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::store::Store;

/// Between two looks at the store.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A store that takes longer is away.
const LOOK_FOR: Duration = Duration::from_secs(2);

/// Says how the service is.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    ready: watch::Sender<bool>,
    /// Those that this replica has.
    services: &'static [&'static str],
}

impl Health {
    /// Not serving yet.
    pub async fn new(reporter: HealthReporter, services: &'static [&'static str]) -> Self {
        let health = Self {
            reporter,
            services,
            ready: watch::Sender::new(false),
        };
        health.report(false).await;
        health
    }

    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Follows the store until `stop`, and says NOT_SERVING then. On `close` it ends the
    /// streams of those who watch: they would hold up the end for the whole drain.
    pub async fn follow(mut self, store: Store, stop: CancellationToken, close: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let answers = matches!(timeout(LOOK_FOR, store.ping()).await, Ok(Ok(())));
            if answers != *self.ready.borrow() {
                tracing::info!(serving = answers, "health");
                self.report(answers).await;
            }
        }
        self.report(false).await;
        close.cancelled().await;
        for service in self.services() {
            self.reporter.clear_service_status(service).await;
        }
    }

    async fn report(&self, serving: bool) {
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.ready.send_replace(serving);
        for service in self.services() {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// Who has a health: each service, and the server as a whole.
    fn services(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.services.iter().copied().chain([""])
    }
}
