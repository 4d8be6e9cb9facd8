//! What came of taps, on one replica at a time.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{metrics::Metrics, ticks};
use crate::app::{App, Result, Tally, Worked};

/// Between two looks for callbacks that another replica took in, or that were put off.
const POLL: Duration = Duration::from_secs(1);

/// Works off callbacks and pulls what they missed, until `stop`; then leaves it to another.
pub async fn contact_events(app: App, metrics: Metrics, stop: CancellationToken) {
    let holder = app.ambient.uuid().to_string();
    let run = async {
        tokio::join!(
            callbacks(&app, &metrics, &holder),
            pull(&app, &metrics, &holder)
        )
    };
    // Cut off, a transaction never was.
    stop.run_until_cancelled(run).await;
    if let Err(error) = app.leave_contacts(&holder).await {
        tracing::debug!(%error, "the lease of contacts is left to end by itself");
    }
}

async fn callbacks(app: &App, metrics: &Metrics, holder: &str) {
    let mut ticks = ticks(POLL);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.called_back.notified() => {}
        }
        while let Some(worked) = logged(app.work_off(holder).await) {
            metrics.count(&worked.events);
            metrics.count_given_up(worked.given_up);
            if !worked.more {
                break;
            }
        }
    }
}

fn logged(worked: Result<Worked>) -> Option<Worked> {
    if let Err(error) = &worked {
        tracing::warn!(%error, "callbacks put off");
    }
    worked.ok()
}

/// At once where this replica leads, for nobody may have led before; then at intervals.
async fn pull(app: &App, metrics: &Metrics, holder: &str) {
    let mut due = Instant::now();
    // Who does not lead looks again when the lease may be over.
    let mut ticks = ticks(app.rules.lease);
    loop {
        ticks.tick().await;
        if Instant::now() < due {
            continue;
        }
        let mut events = Tally::new();
        let led = app.pull_contacts(holder, &mut events).await;
        metrics.count(&events);
        if let Err(error) = &led {
            tracing::warn!(%error, "pull of contacts put off");
        }
        // A round that failed is not begun again at once, or it would ask WeCom all the time.
        if led.unwrap_or(true) {
            due = Instant::now() + app.rules.sync;
        }
    }
}
