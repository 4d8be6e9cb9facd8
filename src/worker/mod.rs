//! Loops beside the calls, all ended by one token.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Between two sweeps; nothing waits for one.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Removes what has had its time, until `stop`.
pub async fn sweep(app: App, stop: CancellationToken) {
    let mut ticks = interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match app.sweep().await {
            Ok(0) => {}
            Ok(cards) => tracing::info!(cards, "purged"),
            Err(error) => tracing::warn!(%error, "sweep put off"),
        }
    }
}
