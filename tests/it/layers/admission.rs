//! Places for each kind of call, the queue in front of them, and what one caller may ask for.

use std::{collections::BTreeSet, time::Instant as StdInstant};

use mingpian::{
    api::layers::{Arrived, auth::Auth},
    app::{Principal, Scope},
};
use tokio::{
    sync::Notify,
    task::{JoinSet, yield_now},
};

use super::*;

const MENU: &str = "/mingpian.v1.ServingService/GetChatMenu";
const CAPSULES: &str = "/mingpian.v1.ServingService/BatchGetNoteCapsules";
const TAP: &str = "/mingpian.v1.ServingService/OpenCard";
const WRITE: &str = "/mingpian.v1.CardService/CreateCard";
const SCREEN: &str = "/mingpian.v1.ComplianceService/ScreenContent";

/// Where nobody is refused for the time that others take.
const PATIENT: Limits = Limits {
    patience: SOON,
    deadline: SOON,
    ..LIMITS
};

/// At each path: answers at once, or only when it is told to.
struct Stage {
    server: Router,
    go: Arc<Notify>,
    begun: Arc<Semaphore>,
}

impl Stage {
    /// The calls of `stuck` wait for the store; all others are answered.
    fn new(stuck: &'static [&'static str], limits: Limits) -> Self {
        let (go, begun) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let mut services = Router::new();
        for path in [CARDS, WRITE, SCREEN, MENU, CAPSULES, TAP] {
            let (go, begun) = (go.clone(), begun.clone());
            let handler = move |_: Bytes| {
                let (go, begun) = (go.clone(), begun.clone());
                async move {
                    begun.add_permits(1);
                    if stuck.contains(&path) {
                        go.notified().await;
                    }
                    ok().await
                }
            };
            services = services.route(path, post(handler));
        }
        Self {
            server: bounded(services, limits, &mut Registry::default()),
            go,
            begun,
        }
    }

    /// So many calls at work.
    async fn at_work(&self, path: &'static str, calls: u32) -> JoinSet<Answer> {
        let mut working = JoinSet::new();
        for _ in 0..calls {
            let server = self.server.clone();
            working.spawn(async move { call(&server, path, &[], &[]).await });
        }
        let begun = timeout(SOON, self.begun.acquire_many(calls)).await;
        begun.expect("they do not begin").unwrap().forget();
        working
    }

    async fn call(&self, path: &str) -> Answer {
        call(&self.server, path, &[], &[]).await
    }
}

fn overloaded(answer: &Answer) -> bool {
    answer.status.code() == Code::Unavailable && answer.reason() == "OVERLOADED"
}

#[track_caller]
fn fine(answer: &Answer) {
    assert_eq!(answer.status.code(), Code::Ok, "{answer:?}");
}

#[tokio::test]
async fn menus_and_taps_go_on_while_writes_take_every_place_of_theirs() {
    let stage = Stage::new(&[WRITE], LIMITS);
    let _writes = stage.at_work(WRITE, 2).await;
    assert!(overloaded(&stage.call(CARDS).await));
    for path in [MENU, CAPSULES, TAP] {
        fine(&stage.call(path).await);
    }
}

#[tokio::test]
async fn menus_and_writes_go_on_while_taps_take_every_place_of_theirs() {
    let stage = Stage::new(&[TAP], LIMITS);
    let _taps = stage.at_work(TAP, 2).await;
    assert!(overloaded(&stage.call(TAP).await));
    for path in [MENU, CAPSULES, CARDS] {
        fine(&stage.call(path).await);
    }
}

#[tokio::test]
async fn writes_go_on_while_texts_and_pictures_are_screened() {
    let stage = Stage::new(&[SCREEN], PATIENT);
    let mut screened = stage.at_work(SCREEN, 64).await;
    fine(&stage.call(WRITE).await);
    let one_more = timeout(LIMITS.patience * 4, stage.call(SCREEN)).await;
    assert!(one_more.is_err(), "one more waits until its deadline");
    stage.go.notify_waiters();
    while let Some(answer) = screened.join_next().await {
        fine(&answer.unwrap());
    }
}

/// Two places are there for those that wait.
#[tokio::test]
async fn a_menu_that_waits_for_the_store_holds_up_no_other() {
    let stage = Stage::new(&[CAPSULES], LIMITS);
    let mut waiting = stage.at_work(CAPSULES, 2).await;
    fine(&stage.call(MENU).await);
    assert!(overloaded(&stage.call(CAPSULES).await), "so many may wait");
    fine(&stage.call(MENU).await);
    fine(&stage.call(TAP).await);
    stage.go.notify_waiters();
    while let Some(answer) = waiting.join_next().await {
        fine(&answer.unwrap());
    }
    fine(&stage.call(TAP).await);
}

/// Menus are done in one go, so those that wait do so in the runtime; after a pause all do.
#[tokio::test]
async fn menus_that_no_processor_comes_to_in_time_are_refused_before_the_work() {
    let stage = Stage::new(&[], LIMITS);
    let come_before = async |path: &str, ago: Duration| {
        let mut request = request(path, &[], &[]);
        let arrived = StdInstant::now() - ago;
        request.extensions_mut().insert(Arrived(arrived));
        answer(&stage.server, request).await
    };
    let late = LIMITS.patience * 6 / 10;
    for _ in 0..2 {
        fine(&come_before(MENU, late).await);
        sleep(Duration::from_millis(10)).await;
        let begun = stage.begun.available_permits();
        for path in [MENU, CAPSULES] {
            assert!(overloaded(&come_before(path, late).await));
        }
        assert_eq!(stage.begun.available_permits(), begun);
        fine(&come_before(TAP, late).await);
        fine(&come_before(MENU, Duration::ZERO).await);
    }
    fine(&come_before(MENU, late).await);
    sleep(Duration::from_millis(200)).await;
    fine(&come_before(MENU, late).await);
}

#[tokio::test]
async fn a_menu_whose_message_comes_a_moment_later_does_not_wait_for_the_store() {
    let stage = Stage::new(&[TAP], LIMITS);
    let _taps = stage.at_work(TAP, 2).await;
    let later = stream::once(async {
        yield_now().await;
        Ok::<_, io::Error>(Bytes::new())
    });
    let request = request(MENU, &[], &[]).map(|_| Body::from_stream(later));
    fine(&answer(&stage.server, request).await);
}

#[tokio::test]
async fn one_waits_for_a_place_and_the_next_is_refused_at_once() {
    let stage = Stage::new(&[WRITE], PATIENT);
    let mut writes = stage.at_work(WRITE, 2).await;
    let (third, fourth) = tokio::join!(stage.call(CARDS), async {
        let fourth = timeout(SOON / 2, stage.call(CARDS)).await;
        stage.go.notify_waiters();
        fourth
    });
    assert!(overloaded(
        &fourth.expect("the queue is full, and it waits")
    ));
    fine(&third);
    while let Some(answer) = writes.join_next().await {
        fine(&answer.unwrap());
    }
}

#[tokio::test]
async fn nobody_waits_for_a_place_for_longer_than_the_queues_time() {
    let stage = Stage::new(
        &[WRITE],
        Limits {
            deadline: SOON,
            ..LIMITS
        },
    );
    let _writes = stage.at_work(WRITE, 2).await;
    let began = Instant::now();
    assert!(overloaded(&stage.call(CARDS).await));
    assert!(began.elapsed() >= LIMITS.patience && began.elapsed() < SOON / 2);
}

#[tokio::test]
async fn a_caller_over_its_rate_is_told_when_to_come_again_and_others_are_not_touched() {
    let auth = Auth::bearer(|token| {
        Ok::<_, &str>(Arc::new(Principal {
            subject: token.to_owned(),
            scopes: BTreeSet::from([Scope::ServingRead, Scope::CardsRead]),
            ..Principal::anonymous()
        }))
    });
    let services = [MENU, CARDS].map(|path| Router::new().route(path, post(ok)));
    let services = services.into_iter().fold(Router::new(), Router::merge);
    let limits = Limits {
        caller: (10, 2),
        ..PATIENT
    };
    let metrics = Metrics::register(&mut Registry::default());
    let server = layers::stack(services, Router::new(), auth, limits, metrics);
    let of = async |caller: &str, path| {
        let bearer = format!("Bearer {caller}");
        call(&server, path, &[("authorization", &bearer)], &[]).await
    };
    let (first, second) = tokio::join!(of("bff", MENU), of("bff", CARDS));
    fine(&first);
    fine(&second);
    let third = of("bff", MENU).await;
    fine(&of("console", MENU).await);

    assert_eq!(third.status.code(), Code::ResourceExhausted);
    assert_eq!(third.reason(), "RATE_LIMITED");
    let retry = third.status.get_details_retry_info().unwrap();
    let delay = retry.retry_delay.expect("when to come again");
    assert!(delay > Duration::ZERO && delay <= Duration::from_millis(100));
    let pushback = third.headers["grpc-retry-pushback-ms"].to_str().unwrap();
    assert_eq!(pushback, delay.as_millis().to_string());
    sleep(delay).await;
    fine(&of("bff", MENU).await);
}
