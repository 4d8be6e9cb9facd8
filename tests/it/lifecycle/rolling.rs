//! Replicas behind the load balancer of `deploy/`, with its very configuration, and clients that
//! retry as `deploy/client` says: whether replicas are told to end one after the other or killed,
//! no caller sees an error, and what was written was written once.

mod balancer;
mod callers;

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tonic_health::ServingStatus;

use self::{balancer::Balancer, callers::Callers};
use super::{becomes, card_in_menu, channel, column, database, open_store, path, times};
use crate::support::{
    Engine, Scratch,
    process::{Process, serve_at},
};

/// Replicas on one database, each with ports of its own that it comes back to.
struct Replicas {
    scratch: Scratch,
    all: Vec<([u16; 3], Process)>,
}

impl Replicas {
    async fn start(count: usize) -> Self {
        let scratch = Scratch::new(Engine::Postgres).await;
        // Longer than the balancer takes to see it.
        // One viewer taps for all of them.
        scratch.settings(
            "[limits]\nshutdown_delay_seconds = 3\nviewer_taps_per_minute = 0\n\
             [store]\nmax_connections = 8",
        );
        let start = |_| {
            let ports = balancer::free_ports();
            (ports, serve(&scratch, ports))
        };
        let all: Vec<_> = (0..count).map(start).collect();
        open_store(&scratch.url).await;
        let channel = channel(all[0].1.grpc).await;
        becomes(&channel, ServingStatus::Serving).await;
        card_in_menu(&channel).await;
        Self { scratch, all }
    }

    fn ports(&self) -> Vec<[u16; 3]> {
        self.all.iter().map(|(ports, _)| *ports).collect()
    }

    /// SIGTERM, to the end; how it ended is checked.
    async fn end(&mut self, i: usize) {
        let process = &mut self.all[i].1;
        process.terminate();
        let ended = tokio::task::block_in_place(|| process.ends_within(Duration::from_secs(30)));
        let output = process.output.lock().unwrap();
        assert_eq!(ended.and_then(|e| e.code()), Some(0), "{output}");
        assert!(!output.contains("the drain is over"), "{output}");
    }

    /// A new process in the place of one that ended.
    async fn back(&mut self, i: usize) {
        let ports = self.all[i].0;
        self.all[i].1 = tokio::task::block_in_place(|| serve(&self.scratch, ports));
        let channel = channel(self.all[i].1.grpc).await;
        becomes(&channel, ServingStatus::Serving).await;
    }

    /// How many merchants have the card that callers made.
    async fn written(&self) -> usize {
        let db = database(&self.scratch).await;
        let sql = "SELECT merchant FROM cards WHERE merchant LIKE 'w%'";
        column(&db, sql).await.len()
    }
}

fn serve(scratch: &Scratch, ports: [u16; 3]) -> Process {
    serve_at(ports, &["--config", &path(scratch, "settings.toml")], &[])
}

/// A wait under load, after which every replica is in use again.
async fn settled(balancer: &Balancer, replicas: &Replicas) {
    balancer.sees_all(&replicas.ports()).await;
    sleep(Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_end_one_after_the_other_and_no_call_fails() {
    let mut replicas = Replicas::start(2).await;
    let balancer = Balancer::start(&replicas.ports());
    settled(&balancer, &replicas).await;
    let callers = Arc::new(Callers::new(&balancer).await);
    let calling = callers.clone().start(8);

    let rounds = times("TEST_ROUNDS", 2);
    for _ in 0..rounds {
        for i in 0..2 {
            replicas.end(i).await;
            replicas.back(i).await;
            settled(&balancer, &replicas).await;
        }
    }
    let calls = callers.end(calling).await;
    println!("{rounds} rounds: {calls}");
    assert!(calls.done > 100, "{calls}");
    assert_eq!(calls.failed, Vec::<String>::new(), "{calls}");
    // Not even by the clients: the delay is long enough for the balancer to see it.
    assert_eq!(calls.retried, 0, "{calls}");
    assert_eq!(replicas.written().await, calls.written, "{calls}");
}

/// `TEST_KILLS=30 TEST_KILL_EVERY=10 tests/run killed` is five minutes of it.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_killed_and_who_retries_sees_no_error() {
    let mut replicas = Replicas::start(3).await;
    let balancer = Balancer::start(&replicas.ports());
    settled(&balancer, &replicas).await;
    let callers = Arc::new(Callers::new(&balancer).await);
    let calling = callers.clone().start(8);

    let (kills, every) = (times("TEST_KILLS", 3), times("TEST_KILL_EVERY", 4));
    for kill in 0..kills {
        let next = sleep(Duration::from_secs(every as u64));
        let i = kill % 3;
        replicas.all[i].1.kill();
        replicas.back(i).await;
        settled(&balancer, &replicas).await;
        next.await;
    }
    let calls = callers.end(calling).await;
    println!("{kills} kills, one in {every} s: {calls}");
    assert!(calls.done > 100, "{calls}");
    assert_eq!(calls.failed, Vec::<String>::new(), "{calls}");
    assert_eq!(replicas.written().await, calls.written, "{calls}");
}
