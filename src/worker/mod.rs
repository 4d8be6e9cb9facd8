//! Loops beside the calls, all ended by one token.

mod contact_events;
pub mod metrics;
mod outbox;

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use self::metrics::Metrics;
use crate::app::{App, Latest};

pub use contact_events::contact_events;
pub use outbox::outbox;

/// Between two sweeps; nothing waits for one.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Removes what has had its time, until `stop`.
pub async fn sweep(app: App, stop: CancellationToken) {
    let mut ticks = ticks(SWEEP_EVERY);
    let mut latest = Latest::default();
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
        if let Err(error) = app.forget_changes(&mut latest).await {
            tracing::debug!(%error, "changes are kept");
        }
    }
}

/// Dates openings and closings at T+1 and when figures arrive, on one replica at a time, until
/// `stop`; then leaves it to another.
pub async fn openings(app: App, stop: CancellationToken) {
    let holder = app.ambient.uuid().to_string();
    // Renewed twice before it is over.
    let mut ticks = ticks(app.rules.lease / 2);
    let run = async {
        loop {
            ticks.tick().await;
            match app.run_openings(&holder).await {
                Ok(None) => {}
                Ok(Some(run)) => {
                    let (day, opened, closed) = (run.day, run.opened, run.closed);
                    tracing::info!(%day, opened, closed, "openings decided");
                }
                Err(error) => tracing::warn!(%error, "openings put off"),
            }
        }
    };
    // Cut off, a run never was.
    stop.run_until_cancelled(run).await;
    if let Err(error) = app.leave_openings(&holder).await {
        tracing::debug!(%error, "the lease of openings is left to end by itself");
    }
}

/// Between two writes of who met an experiment: well under a second, which is what a crash may
/// lose.
const EXPOSURES_EVERY: Duration = Duration::from_millis(400);

/// Writes who met an experiment, until `stop`.
pub async fn exposures(app: App, stop: CancellationToken) {
    let mut ticks = ticks(EXPOSURES_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = app.write_exposures().await {
            tracing::warn!(%error, "exposures wait");
        }
    }
}

/// Between two looks at the feed of changes: what another replica, or another process, changes
/// is seen here within a second, busy as it may be.
const CHANGES_EVERY: Duration = Duration::from_millis(200);

/// Follows what changes, until `stop`.
pub async fn feed(app: App, stop: CancellationToken) {
    let mut ticks = ticks(CHANGES_EVERY);
    let mut trouble = Trouble::default();
    let look = async {
        loop {
            ticks.tick().await;
            let looked = app.serving.feed.look().await;
            if trouble.changed(looked.err().map(|error| error.to_string())) {
                match &trouble.0 {
                    Some(error) => tracing::warn!(%error, "what changes is not seen"),
                    None => tracing::info!("what changes is seen again"),
                }
            }
        }
    };
    stop.run_until_cancelled(look).await;
}

/// Between two looks at the filter of notes.
const NOTES_EVERY: Duration = Duration::from_secs(1);

/// Makes the filter of notes where it is wanting, until `stop`.
pub async fn notes(app: App, stop: CancellationToken) {
    let mut ticks = ticks(NOTES_EVERY);
    let make = async {
        loop {
            ticks.tick().await;
            match app.serving.make_filter().await {
                Ok(None) => {}
                Ok(Some((notes, took))) => tracing::debug!(notes, ?took, "filter of notes made"),
                Err(error) => tracing::debug!(%error, "the filter of notes is not made"),
            }
        }
    };
    stop.run_until_cancelled(make).await;
}

/// Between two tries to write what is left at the end.
const LAST_TRY: Duration = Duration::from_millis(100);

/// Writes who met an experiment until the last call was answered; it may be cut.
pub async fn last_exposures(app: &App) {
    while let Err(error) = app.write_exposures().await {
        tracing::warn!(%error, "the last exposures wait");
        sleep(LAST_TRY).await;
    }
}

/// Between two looks for events to roll up.
const ROLL_UP_EVERY: Duration = Duration::from_millis(500);

/// Rolls up events, on one replica at a time, until `stop`; then leaves it to another.
pub async fn funnel(app: App, stop: CancellationToken) {
    let holder = app.ambient.uuid().to_string();
    let mut ticks = ticks(ROLL_UP_EVERY);
    let run = async {
        loop {
            ticks.tick().await;
            loop {
                match app.roll_up(&holder).await {
                    Ok(done) if done.more => app.store.give_way().await,
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(%error, "roll-up put off");
                        break;
                    }
                }
            }
        }
    };
    // Cut off, a round never was.
    stop.run_until_cancelled(run).await;
    if let Err(error) = app.leave_funnel(&holder).await {
        tracing::debug!(%error, "the lease of roll-ups is left to end by itself");
    }
}

/// Between two looks at the files of screening's rules.
const RULES_EVERY: Duration = Duration::from_secs(5);

/// Takes the rules of screening as they are in their files, until `stop`.
pub async fn rules(app: App, stop: CancellationToken) {
    let mut ticks = ticks(RULES_EVERY);
    let mut trouble = Trouble::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let taken = app.reload_rules().await;
        if trouble.changed(taken.as_ref().err().map(ToString::to_string)) {
            match &trouble.0 {
                Some(error) => tracing::error!(
                    %error,
                    "rules of screening are broken; those before stay in force"
                ),
                None => tracing::info!("rules of screening are whole again"),
            }
        }
        if let Ok(Some(version)) = taken {
            tracing::info!(%version, "rules of screening taken");
        }
    }
}

/// What is wrong for as long as it is: a line when it changes, and none between.
#[derive(Debug, Default)]
struct Trouble(Option<String>);

impl Trouble {
    fn changed(&mut self, now: Option<String>) -> bool {
        let changed = self.0 != now;
        self.0 = now;
        changed
    }
}

/// Between two looks at the feed of sanctions.
const FEED_EVERY: Duration = Duration::from_millis(200);

/// Tells those that watch here when sanctions change, until `stop`; then that it is over.
pub async fn sanctions(app: App, stop: CancellationToken) {
    let mut ticks = ticks(FEED_EVERY);
    let look = async {
        loop {
            ticks.tick().await;
            if let Err(error) = app.look_at_sanctions().await {
                // Health tells that the store is away; this would, five times a second.
                tracing::debug!(%error, "the feed of sanctions is not looked at");
            }
        }
    };
    stop.run_until_cancelled(look).await;
    app.end_sanction_feed();
}

/// Between two looks for errands to WeCom.
const ERRANDS_EVERY: Duration = Duration::from_secs(1);
/// Between two looks for corps to ask WeCom about.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Between two counts of links and adds: they go over whole tables.
const MEASURE_EVERY: Duration = Duration::from_secs(60);

/// Runs what WeCom has not confirmed yet, on one replica at a time, until `stop`.
pub async fn errands(app: App, stop: CancellationToken) {
    let holder = app.ambient.uuid().to_string();
    let mut ticks = ticks(ERRANDS_EVERY);
    let run = async {
        loop {
            ticks.tick().await;
            match app.run_errands(&holder).await {
                Ok(0) => {}
                Ok(links) => tracing::info!(links, "errands to WeCom run"),
                Err(error) => tracing::warn!(%error, "errands to WeCom put off"),
            }
        }
    };
    // Cut off, what was under way is looked after later, as after a crash.
    stop.run_until_cancelled(run).await;
    if let Err(error) = app.leave_errands(&holder).await {
        tracing::debug!(%error, "the lease of errands is left to end by itself");
    }
}

/// Asks WeCom what became of corps' links and adds, likewise; and measures how they stand.
pub async fn sync(app: App, metrics: Metrics, stop: CancellationToken) {
    let holder = app.ambient.uuid().to_string();
    let mut ticks = ticks(SYNC_EVERY);
    let mut measured = None;
    let run = async {
        loop {
            ticks.tick().await;
            match app.run_sync(&holder).await {
                Ok(0) => {}
                Ok(corps) => tracing::debug!(corps, "asked WeCom"),
                Err(error) => tracing::warn!(%error, "asking WeCom put off"),
            }
            if measured.is_none_or(|then: Instant| then.elapsed() >= MEASURE_EVERY) {
                measured = Some(Instant::now());
                match app.links_stand().await {
                    Ok((links, quotas)) => metrics.stand(&links, &quotas),
                    Err(error) => tracing::debug!(%error, "links are not counted"),
                }
            }
        }
    };
    stop.run_until_cancelled(run).await;
    if let Err(error) = app.leave_sync(&holder).await {
        tracing::debug!(%error, "the lease of asking WeCom is left to end by itself");
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_when_it_comes_changes_and_goes() {
        let mut trouble = Trouble::default();
        for (now, told) in [
            (None, false),
            (Some("away"), true),
            (Some("away"), false),
            (Some("broken"), true),
            (None, true),
            (None, false),
        ] {
            assert_eq!(trouble.changed(now.map(ToOwned::to_owned)), told, "{now:?}");
        }
    }
}
