//! What is told outward, on one replica at a time.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::app::{App, Outlet, Untold};

/// Between two looks for what is to be told.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest pause while NATS is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Between two counts of what waits.
const MEASURE_EVERY: Duration = Duration::from_secs(15);

/// Tells NATS what changes, until `stop`; then leaves it to another.
pub async fn outbox(app: App, mut outlet: Outlet, metrics: Metrics, stop: CancellationToken) {
    let holder = app.ambient.uuid().to_string();
    let run = async {
        tokio::join!(
            tell(&app, &mut outlet, &metrics, &holder),
            measure(&app, &metrics)
        )
    };
    // Cut off, what NATS has and is not marked is told again.
    stop.run_until_cancelled(run).await;
    if let Err(error) = app.leave_outbox(&holder).await {
        tracing::debug!(%error, "the lease of the outbox is left to end by itself");
    }
}

async fn tell(app: &App, outlet: &mut Outlet, metrics: &Metrics, holder: &str) {
    let (mut pause, mut away) = (LOOK_EVERY, false);
    loop {
        match app.tell_outward(holder, outlet).await {
            Ok(told) => {
                pause = LOOK_EVERY;
                // Who does not lead does not know.
                if away && told.events > 0 {
                    away = false;
                    tracing::info!("NATS is back");
                }
                if told.again {
                    tracing::warn!("the stream lost events; all that is kept is told again");
                }
                metrics.count_told(told.events);
                if told.more {
                    app.store.give_way().await;
                    continue;
                }
            }
            Err(Untold::Away(error)) => {
                if !away {
                    away = true;
                    tracing::warn!(%error, "nothing is told outward; it waits");
                }
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            Err(Untold::Here(error)) => tracing::warn!(%error, "telling put off"),
        }
        sleep(pause).await;
    }
}

async fn measure(app: &App, metrics: &Metrics) {
    loop {
        match app.outbox_stands().await {
            Ok(stands) => metrics.outbox(stands, app.ambient.now()),
            Err(error) => tracing::debug!(%error, "what waits is not counted"),
        }
        sleep(MEASURE_EVERY).await;
    }
}
