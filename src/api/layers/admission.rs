//! Admits calls to the work: so many of each kind at once. A few more wait for a moment; the rest
//! is refused at the door, before it costs anything, and so are callers who call too often.

use std::{
    convert::Infallible,
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tower::{Layer, Service};

use super::{FREQUENT, Limits};
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
    /// Answered from memory: a processor.
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
#[derive(Clone)]
pub struct Admission(Arc<Rooms>);

impl Admission {
    pub fn new(limits: &Limits) -> Self {
        let room = |places| Room {
            places: Semaphore::new(places),
            queue: Semaphore::new(limits.queue),
            patience: limits.patience,
        };
        let (each_second, burst) = limits.caller;
        Self(Arc::new(Rooms {
            menus: room(limits.menus),
            taps: room(limits.calls),
            others: room(limits.calls),
            large: Semaphore::new(MOST_LARGE),
            callers: Rates::per_second(each_second, burst),
        }))
    }
}

struct Rooms {
    menus: Room,
    taps: Room,
    others: Room,
    large: Semaphore,
    /// By subject.
    callers: Option<Rates<String>>,
}

impl Rooms {
    fn count(&self, caller: Option<&Arc<Principal>>) -> Result<(), Refusal> {
        match (&self.callers, caller) {
            (Some(rates), Some(caller)) => rates.count(&caller.subject, "calls of this caller"),
            _ => Ok(()),
        }
    }

    /// What came of the work; `None` where there was no place for it.
    async fn admit<T>(&self, kind: Kind, work: impl Future<Output = T>) -> Option<T> {
        match kind {
            Kind::Menu => self.serve(work).await,
            Kind::Tap => self.taps.within(work).await,
            Kind::Other => self.others.within(work).await,
            Kind::Large => {
                let work = async {
                    // Waited for, unread, until the deadline. Nobody closes it.
                    let _seat = self.large.acquire().await;
                    work.await
                };
                self.others.within(work).await
            }
        }
    }

    /// Whoever has to wait, for the store, leaves the processor to others and goes among the taps.
    async fn serve<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut place = self.menus.enter().await?;
        next_turn().await;
        let (mut work, mut waited) = (pin!(work), false);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            if polled.is_pending() && !mem::replace(&mut waited, true) {
                let Ok(among_taps) = self.taps.places.try_acquire() else {
                    return Poll::Ready(None);
                };
                drop(mem::replace(&mut place, among_taps));
            }
            polled.map(Some)
        })
        .await
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

/// Lets those in who came at the same time, before the work begins. It is done in one go, so
/// without this everybody would find the places free, and wait in the runtime's queue, where
/// nobody can be refused. Who waited is woken by whoever leaves, and would run before all others.
async fn next_turn() {
    let mut seen = false;
    poll_fn(|cx| {
        if mem::replace(&mut seen, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Admitted {
            inner,
            rooms: self.0.clone(),
        }
    }
}

/// The service of [`Admission`].
#[derive(Clone)]
pub struct Admitted<S> {
    inner: S,
    rooms: Arc<Rooms>,
}

impl<S> Service<Request> for Admitted<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let rooms = self.rooms.clone();
        let counted = rooms.count(request.extensions().get());
        let kind = Kind::of(request.uri().path());
        // A route begins when it is polled.
        let work = self.inner.call(request);
        Box::pin(async move {
            if let Err(refusal) = counted {
                return Ok(limited(&refusal));
            }
            rooms.admit(kind, work).await.unwrap_or_else(|| Ok(shed()))
        })
    }
}
