//! Cards that wait to be created. Who comes while too few tasks create them begins another, until
//! none waits: a caller who goes away breaks nothing off for others.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::create::Creation;
use crate::{
    app::{App, Result},
    domain::Card,
    store,
};

/// How many cards one transaction may have. Few numbers: each number of rows is a statement of its
/// own, and a connection keeps only so many prepared.
const TOGETHER: [usize; 8] = [1, 2, 4, 8, 12, 16, 24, MOST];
const MOST: usize = 32;
/// How long a transaction may take to begin, and to end: it has no caller's deadline.
const LONGEST: Duration = Duration::from_secs(10);
/// Transactions at once: while one waits for PostgreSQL the other is judged. On SQLite the second
/// waits for the first.
const TASKS: usize = 2;

/// Cards that are yet to be created.
#[derive(Debug, Default)]
pub struct Creations(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Tasks that create cards until none waits.
    at_work: usize,
}

#[derive(Debug)]
struct Waiting {
    creation: Arc<Creation>,
    /// `None` sends its caller to create it alone.
    told: oneshot::Sender<Option<Result<Card>>>,
}

impl Creations {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to wait, and whether one more task has to go to work.
    fn add(&self, creation: Arc<Creation>) -> (oneshot::Receiver<Option<Result<Card>>>, bool) {
        let (told, answer) = oneshot::channel();
        let mut queue = self.queue();
        queue.waiting.push(Waiting { creation, told });
        let more = queue.at_work < TASKS;
        queue.at_work += usize::from(more);
        (answer, more)
    }

    /// Whether there is more to do; who is told that there is not stops working.
    fn go_on(&self) -> bool {
        let mut queue = self.queue();
        let more = !queue.waiting.is_empty();
        queue.at_work -= usize::from(!more);
        more
    }

    /// Those who have waited longest, at most so many.
    fn first(&self, most: usize) -> Vec<Waiting> {
        let mut queue = self.queue();
        let most = most.min(queue.waiting.len());
        queue.waiting.drain(..most).collect()
    }

    /// The oldest that somebody still waits for, of each merchant one: two could both be the last
    /// that there is room for.
    fn take(&self) -> Vec<Waiting> {
        let mut queue = self.queue();
        queue.waiting.retain(|waits| !waits.told.is_closed());
        let (mut merchants, mut requests) = (HashSet::new(), HashSet::new());
        let mut places = Vec::new();
        for (place, waits) in queue.waiting.iter().enumerate() {
            let request = waits.creation.asked().map(|asked| (asked.caller, asked.id));
            let again = request.is_some_and(|request| requests.contains(&request));
            if places.len() < MOST && !again && merchants.insert(waits.creation.merchant()) {
                requests.extend(request);
                places.push(place);
            }
        }
        let together = TOGETHER.iter().rfind(|&&number| number <= places.len());
        places.truncate(together.copied().unwrap_or(0));
        let mut place = 0;
        let taken = queue.waiting.extract_if(.., |_| {
            place += 1;
            places.binary_search(&(place - 1)).is_ok()
        });
        taken.collect()
    }
}

impl App {
    /// Creates it with those that wait, or alone where it cannot be so.
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the calls that wait for it"
    )]
    pub(super) async fn create_with_others(&self, creation: Creation) -> Result<Card> {
        let creation = Arc::new(creation);
        let (answer, more) = self.creations.add(creation.clone());
        if more {
            tokio::spawn(self.clone().create_waiting());
        }
        match answer.await {
            Ok(Some(answer)) => answer,
            // Seldom, and large: every call would make room for it.
            _ => Box::pin(self.create_alone(&creation)).await,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "waited for")]
    async fn create_waiting(self) {
        while self.creations.go_on() {
            // After a panic nobody is told anything, and each tries alone.
            let _ = tokio::spawn(self.clone().create_some()).await;
        }
    }

    async fn create_some(self) {
        let long = || store::Error::unavailable("cards took too long to create");
        let before = self.creations.queue().waiting.len();
        // Who comes until the store is free goes with those who wait already.
        let begun = timeout(LONGEST, self.store.begin()).await;
        let tx = match begun.unwrap_or_else(|_| Err(long())) {
            Ok(tx) => tx,
            Err(error) => return tell_all(self.creations.first(before), &error),
        };
        let waiting = self.creations.take();
        if waiting.is_empty() {
            return;
        }
        let creations: Vec<_> = waiting.iter().map(|waits| waits.creation.clone()).collect();
        let creating = async {
            tx.of_many().await?;
            self.create_in(tx, &creations).await
        };
        let created = timeout(LONGEST, creating).await;
        match created.unwrap_or_else(|_| Err(long())) {
            Ok(cards) => {
                for (waits, card) in waiting.into_iter().zip(cards) {
                    // Who no longer waits would learn it by the same request_id.
                    let _ = waits.told.send(Some(card));
                }
            }
            // It may have been written.
            Err(error) if error.is_unavailable() => tell_all(waiting, &error),
            // What cannot be written, or waits for others, must not take these with it.
            Err(_) => {
                for waits in waiting {
                    let _ = waits.told.send(None);
                }
            }
        }
    }
}

fn tell_all(waiting: Vec<Waiting>, error: &store::Error) {
    for waits in waiting {
        let _ = waits.told.send(Some(Err(error.clone().into())));
    }
}
