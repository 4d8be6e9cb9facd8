//! What time removes: cards past their purge time, answers past theirs. Nothing waits for
//! it: both are treated as gone from that moment on.

use super::{App, Result, write::before};

/// Cards purged in one transaction.
const BATCH: u64 = 20;

impl App {
    /// Removes what has had its time; how many cards there were.
    pub async fn sweep(&self) -> Result<usize> {
        let now = self.ambient.now();
        let mut purged = 0;
        loop {
            let tx = self.store.begin().await?;
            let cards = tx.lock_cards_to_purge(now, BATCH).await?;
            for card in &cards {
                tx.purge_card(card, now).await?;
            }
            tx.commit().await?;
            purged += cards.len();
            if cards.is_empty() {
                break;
            }
        }
        let tx = self.store.begin().await?;
        tx.forget_answers(before(now, self.rules.keep_answers))
            .await?;
        tx.commit().await?;
        Ok(purged)
    }
}
