//! What `grpc.health.v1` and `/readyz` say: NOT_SERVING until the store answers, whenever
//! it does not, and from the moment of a shutdown. Serving, and with it the server as a whole, goes
//! on from memory for a while: balancers are to keep a replica that still has menus.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    api::SERVING,
    serving::{Freshness, Serving},
    store::Store,
};

/// Between two looks at the store.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A store that takes longer is away.
const LOOK_FOR: Duration = Duration::from_secs(2);

/// What there is to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// The store answers.
    store: bool,
    /// Menus are served, be it from memory.
    serving: bool,
}

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
        health.report(State::default()).await;
        health
    }

    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Follows the store until `stop`, and says NOT_SERVING then. On `close` it ends the
    /// streams of those who watch: they would hold up the end for the whole drain. `memory`:
    /// where menus are served from memory.
    pub async fn follow(
        mut self,
        store: Store,
        memory: Option<Arc<Serving>>,
        stop: CancellationToken,
        close: CancellationToken,
    ) {
        let mut said = State::default();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let ping = timeout(LOOK_FOR, store.ping());
            let Some(answer) = stop.run_until_cancelled(ping).await else {
                break;
            };
            let answers = matches!(answer, Ok(Ok(())));
            // Only where the store answered before is there anything to go on with; and where
            // what changes is not seen, nothing is served, whatever the store answers.
            let serving = match &memory {
                None => answers,
                Some(memory) if memory.feed.freshness() == Freshness::Lost => false,
                Some(_) => answers || said.serving,
            };
            let state = State {
                store: answers,
                serving,
            };
            if state != said {
                tracing::info!(store = state.store, serving = state.serving, "health");
                said = state;
                self.report(state).await;
            }
        }
        self.report(State::default()).await;
        close.cancelled().await;
        for service in self.services() {
            self.reporter.clear_service_status(service).await;
        }
    }

    async fn report(&self, state: State) {
        self.ready.send_replace(state.serving);
        for service in self.services() {
            let serving = match service {
                "" | SERVING => state.serving,
                _ => state.store,
            };
            let status = if serving {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// Who has a health: each service, and the server as a whole.
    fn services(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.services.iter().copied().chain([""])
    }
}
