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
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{Arrived, FREQUENT, Limits};
use crate::{
    api::status,
    app::{Principal, Rates},
    domain::{Reason, Refusal},
};

/// What gRPC clients with a retry policy look for; the same time as in `RetryInfo`.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

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
    /// Likewise, one of the large calls.
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
    large: Semaphore,
    /// By subject.
    callers: Option<Rates<String>>,
    begun: Instant,
    /// Since when menus are late, in microseconds from then; the end of time while they are not.
    late_since: AtomicU64,
    /// When the last of them was.
    late_last: AtomicU64,
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
            large: Semaphore::new(MOST_LARGE),
            callers: Rates::per_second(each_second, burst),
            begun: Instant::now(),
            late_since: AtomicU64::new(u64::MAX),
            late_last: AtomicU64::new(0),
        }
    }

    /// Lets a call in, whose caller is known, or answers in its stead.
    pub async fn admit<A>(&self, request: Request, work: impl FnOnce(Request) -> A) -> Response
    where
        A: Future<Output = Response>,
    {
        if let Err(refusal) = self.count(request.extensions().get()) {
            return limited(&refusal);
        }
        let answer = match Kind::of(request.uri().path()) {
            Kind::Menu if self.is_late(&request) => None,
            Kind::Menu => self.serve(work(request)).await,
            Kind::Tap => self.taps.within(work(request)).await,
            Kind::Other => self.others.within(work(request)).await,
            Kind::Large => {
                let work = async {
                    // Waited for, unread, until the deadline. Nobody closes it.
                    let _seat = self.large.acquire().await;
                    work(request).await
                };
                self.others.within(work).await
            }
        };
        answer.unwrap_or_else(shed)
    }

    fn count(&self, caller: Option<&Arc<Principal>>) -> Result<(), Refusal> {
        match (&self.callers, caller) {
            (Some(rates), Some(caller)) => rates.count(&caller.subject, "calls of this caller"),
            _ => Ok(()),
        }
    }

    /// What comes from memory is done in one go, once its request is here, which one more turn is
    /// for; whoever has to wait, for the store, goes among the taps. `None` where there is no place.
    async fn serve<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut turns, mut place) = (pin!(work), 0, None);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            if polled.is_pending() {
                turns += 1;
                match turns {
                    1 => cx.waker().wake_by_ref(),
                    2 => match self.taps.places.try_acquire() {
                        Ok(among_taps) => place = Some(among_taps),
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
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.late_last.swap(now, Ordering::Relaxed)) > APART {
            self.late_since.store(now, Ordering::Relaxed);
            return false;
        }
        let since = self.late_since.fetch_min(now, Ordering::Relaxed);
        now.saturating_sub(since) > PAUSE
    }
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
    headers.insert(PUSHBACK, HeaderValue::from(delay));
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
