//! The roll-ups made again from raw events, as far back as these are kept: the same figures,
//! unless the definition changed or something was broken.

use std::time::Duration;

use super::{LEASE, Round, VIEWERS};
use crate::{
    app::Ambient,
    domain::{
        Merchant, Micros,
        funnel::{LONGEST, windows_after},
        time::before,
    },
    store::{self, Basis, Store},
};

/// For how long the lease is asked: it is held by its row as well.
const ASKED: Duration = Duration::from_secs(60);

/// Makes the roll-ups again, in one transaction; of how many viewers. A conflict while a replica
/// rolls up.
pub async fn rebuild_funnel(store: &Store, ambient: &Ambient) -> store::Result<usize> {
    let (now, holder) = (ambient.now(), ambient.uuid().to_string());
    let busy = || store::Error::conflict("a replica rolls up; stop it, or try again");
    if !store.take_lease(LEASE, &holder, now, now + ASKED).await? {
        return Err(busy());
    }
    let tx = store.begin().await?;
    if !tx.hold_lease(LEASE, &holder, now).await? {
        return Err(busy());
    }
    let mut round = Round::begin(&tx).await?;
    // What opened before is counted for good.
    let first = round.kept.max(Micros(0));
    tx.clear_funnel(first).await?;
    // What was reached since, in a window from before, is counted as it was.
    for (merchant, key, late) in tx.reached_late(first).await? {
        round.count(&merchant, key, &late, 1, &[Basis::Event]);
    }
    let mut last = None;
    loop {
        let page = tx.viewers_since(first, last.as_ref(), VIEWERS).await?;
        for of_one in page.chunk_by(|(a, _), (b, _)| a == b) {
            let viewers: Vec<_> = of_one.iter().map(|(_, viewer)| *viewer).collect();
            round.anew(&of_one[0].0, &viewers, first).await?;
        }
        last = page.last().cloned();
        if page.len() < VIEWERS {
            break;
        }
    }
    let Round { tally, viewers, .. } = round;
    tx.count_viewers(&tally).await?;
    tx.commit().await?;
    store.release_lease(LEASE, &holder).await?;
    Ok(viewers)
}

impl Round<'_> {
    /// Counts the windows of these viewers that opened since, of which nothing is counted.
    async fn anew(
        &mut self,
        merchant: &Merchant,
        viewers: &[i64],
        first: Micros,
    ) -> store::Result<()> {
        let mut seen = self.tx.seen(merchant, viewers, first).await?;
        let open = before(first, LONGEST);
        let open = self.tx.reached(merchant, viewers, open).await?;
        let mut reached = Vec::new();
        for viewer in viewers {
            let before = open
                .get(viewer)
                .and_then(|windows| windows.keys().next_back());
            let opened = before.map(|(opened, _)| *opened);
            let events = seen.remove(viewer).unwrap_or_default();
            for (key, new) in windows_after(opened, events) {
                self.count(merchant, key, &new, 1, Basis::BOTH);
                reached.push((*viewer, key, new));
            }
        }
        self.viewers += viewers.len();
        self.tx.save_reached(merchant, &reached).await
    }
}
