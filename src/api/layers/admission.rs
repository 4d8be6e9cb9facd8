//! Admits calls to the work: of those that wait for the store so many of each kind at once. A few
//! more wait for a moment; the rest is refused at the door, before it costs anything, and so are
//! menus that no processor came to for half as long, and callers who call too often.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, HeaderValue};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{Arrived, FREQUENT, Limits, ending::Unsaid};
use crate::{
    api::status,
    app::{Principal, Rates},
    domain::{Reason, Refusal},
};

const SERVING: &str = "/mingpian.v1.ServingService/";
/// The calls whose messages are the largest: pictures.
const LARGE: &str = "/mingpian.v1.ComplianceService/ScreenContent";
/// So many of them are read at once: together a gigabyte at most.
const MOST_LARGE: usize = 64;

/// What a call's place is for.
#[derive(Clone, Copy)]
enum Kind {
    /// Answered from memory: the work of a processor.
    Menu,
    /// Serving that waits for the store.
    Tap,
    /// One of the large calls.
    Large,
    /// Everything else waits for the store, too.
    Other,
}

impl Kind {
    fn of(path: &str) -> Self {
        match path {
            LARGE => Self::Large,
            path if FREQUENT.contains(&path) => Self::Menu,
            path if path.starts_with(SERVING) => Self::Tap,
            _ => Self::Other,
        }
    }
}

/// Lets calls in, over all connections.
pub struct Admission {
    taps: Room,
    others: Room,
    large: Room,
    /// Menus that are not in memory.
    misses: Semaphore,
    /// By subject.
    callers: Option<Rates<String>>,
    begun: Instant,
    /// Since when menus are late, in microseconds from then; the end of time while they are not.
    late_since: AtomicU64,
    /// When the last of them was.
    late_last: AtomicU64,
    /// Calls that were refused for want of a place, and for their number.
    shed: Refused,
    limited: Refused,
}

/// So long, in microseconds, late calls are done all the same.
const PAUSE: u64 = 5_000;
/// Late calls that are further apart have nothing to do with each other.
const APART: u64 = 100_000;

impl Admission {
    pub fn new(limits: &Limits) -> Self {
        let room = |places| Room {
            places: Semaphore::new(places),
            queue: Semaphore::new(limits.queue),
            patience: limits.patience,
        };
        let (each_second, burst) = limits.caller;
        Self {
            taps: room(limits.calls),
            others: room(limits.calls),
            large: Room {
                places: Semaphore::new(MOST_LARGE),
                queue: Semaphore::new(limits.queue.max(MOST_LARGE)),
                // Waited for, unread, until the deadline.
                patience: Duration::MAX,
            },
            misses: Semaphore::new(limits.calls),
            callers: Rates::per_second(each_second, burst),
            begun: Instant::now(),
            late_since: AtomicU64::new(u64::MAX),
            late_last: AtomicU64::new(0),
            shed: Refused::default(),
            limited: Refused::default(),
        }
    }

    /// Lets a call in, whose caller is known, or answers in its stead.
    pub async fn admit<A>(&self, request: Request, work: impl FnOnce(Request) -> A) -> Response
    where
        A: Future<Output = Response>,
    {
        if let Err(refusal) = self.count(request.extensions().get()) {
            if let Some(calls) = self.limited.told(self.now()) {
                let caller: Option<&Arc<Principal>> = request.extensions().get();
                let last_caller = caller.map(|caller| caller.subject.as_str());
                tracing::warn!(calls, last_caller, "callers call more often than they may");
            }
            return unsaid(limited(&refusal));
        }
        let answer = match Kind::of(request.uri().path()) {
            Kind::Menu if self.is_late(&request) => None,
            Kind::Menu => self.serve(work(request)).await,
            Kind::Tap => self.taps.within(work(request)).await,
            Kind::Other => self.others.within(work(request)).await,
            Kind::Large => self.large.within(work(request)).await,
        };
        answer.unwrap_or_else(|| {
            if let Some(calls) = self.shed.told(self.now()) {
                tracing::warn!(
                    calls,
                    "calls are turned away: more come than are taken at once"
                );
            }
            unsaid(shed())
        })
    }

    /// Since the beginning, in microseconds.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn count(&self, caller: Option<&Arc<Principal>>) -> Result<(), Refusal> {
        match (&self.callers, caller) {
            (Some(rates), Some(caller)) => rates.count(&caller.subject, "calls of this caller"),
            _ => Ok(()),
        }
    }

    /// What comes from memory is done in one go, once its request is here, which one more turn is
    /// for; whoever has to wait, for the store, needs a place. `None` where there is none.
    async fn serve<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut turns, mut place) = (pin!(work), 0, None);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            if polled.is_pending() {
                turns += 1;
                match turns {
                    1 => cx.waker().wake_by_ref(),
                    2 => match self.misses.try_acquire() {
                        Ok(free) => place = Some(free),
                        Err(_) => return Poll::Ready(None),
                    },
                    _ => {}
                }
            }
            polled.map(Some)
        })
        .await
    }

    /// Whether no processor came to a call in time, and that is so for a while: after a pause many
    /// calls are late, and done at once; where calls stay late there are more than can be done.
    /// In time is within half of a call's patience: where processors are late it waits as long to
    /// be read, and for its answer to be written.
    fn is_late(&self, request: &Request) -> bool {
        let Some(Arrived(at)) = request.extensions().get() else {
            return false;
        };
        if at.elapsed() <= self.taps.patience / 2 {
            self.late_since.store(u64::MAX, Ordering::Relaxed);
            return false;
        }
        let now = self.now();
        if now.saturating_sub(self.late_last.swap(now, Ordering::Relaxed)) > APART {
            self.late_since.store(now, Ordering::Relaxed);
            return false;
        }
        let since = self.late_since.fetch_min(now, Ordering::Relaxed);
        now.saturating_sub(since) > PAUSE
    }
}

/// Calls that were refused, told of at most once a second: a line for each would cost more than
/// the refusal.
#[derive(Default)]
struct Refused {
    calls: AtomicU64,
    /// When they may be told of again.
    again: AtomicU64,
}

impl Refused {
    /// Counts one more; how many there were, where that is to be told.
    fn told(&self, now: u64) -> Option<u64> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let again = self.again.load(Ordering::Relaxed);
        let next = now + 1_000_000;
        let relaxed = Ordering::Relaxed;
        let set = || self.again.compare_exchange(again, next, relaxed, relaxed);
        let tells = now >= again && set().is_ok();
        tells.then(|| self.calls.swap(0, Ordering::Relaxed))
    }
}

fn unsaid(mut response: Response) -> Response {
    response.extensions_mut().insert(Unsaid);
    response
}

/// Places, and a queue in front of them.
struct Room {
    places: Semaphore,
    queue: Semaphore,
    patience: Duration,
}

impl Room {
    async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let _place = self.enter().await?;
        Some(work.await)
    }

    async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        let _waiting = self.queue.try_acquire().ok()?;
        let place = timeout(self.patience, self.places.acquire()).await;
        place.ok()?.ok()
    }
}

fn limited(refusal: &Refusal) -> Response {
    let mut response: Response = status::refusal(refusal).into_http();
    let delay = refusal.retry_after.map_or(1000, |delay| delay.as_millis());
    let delay = u32::try_from(delay).unwrap_or(u32::MAX);
    let headers = response.headers_mut();
    // The same time as in `RetryInfo`.
    headers.insert(status::PUSHBACK, HeaderValue::from(delay));
    response
}

/// It is always the same, and made once: refusing is to cost little.
fn shed() -> Response {
    static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
        let refusal = Refusal::new(
            Reason::Overloaded,
            "more calls than this replica takes at once; come again in a second",
        );
        limited(&refusal).into_parts().0.headers
    });
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = HEADERS.clone();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_refusals_each_is_counted_and_at_most_one_a_second_told() {
        let refused = Refused::default();
        let told = [0, 10, 999_999, 1_000_000, 1_000_001, 9_000_000].map(|now| refused.told(now));
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
