//! A load: what is asked, how fast, and what came of it.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    ops::{Deref, RangeInclusive},
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use tokio::time::sleep;

use crate::{grpc, http1, process::Cpu};

/// How fast it asks.
#[derive(Clone, Copy)]
pub enum Pace {
    /// So many at once on each connection, each as soon as one before is answered.
    Closed { at_once: usize },
    /// So many a second over all connections, whatever is answered; `most` at once on each.
    Open { per_second: f64, most: usize },
}

/// What is sent.
#[derive(Clone)]
pub enum Requests {
    /// These again and again, beginning anywhere.
    Around(Rc<Vec<Vec<u8>>>),
    /// Each once, over all runs; then it is over.
    Once(Rc<Vec<Vec<u8>>>, Rc<Cell<usize>>),
}

/// What is asked of whom.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    /// gRPC's method; for HTTP/1.1 the requests are whole.
    pub path: Option<&'static str>,
    pub bearer: Option<String>,
    pub requests: Requests,
    /// Bytes of an answer, as they are on the wire; what is outside is counted as odd.
    pub length: RangeInclusive<usize>,
    pub connections: usize,
    pub pace: Pace,
    /// Keeps every message.
    pub collect: bool,
}

/// What came of a load in its measured time.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answered well.
    pub calls: u64,
    /// Refused or reset.
    pub refused: u64,
    /// Of a length that was not expected.
    pub odd: u64,
    pub bytes: u64,
    pub elapsed: Duration,
    /// Of the server.
    pub cpu: Duration,
    /// Of this program.
    pub client: Duration,
    /// From its sending to its answer, in microseconds: of calls, and of refusals. Open loads
    /// only.
    pub waits: Vec<u32>,
    pub refusals: Vec<u32>,
    /// The first message that was answered well, behind gRPC's prefix.
    pub sample: Vec<u8>,
    /// All of them, where they are collected.
    pub messages: Vec<Vec<u8>>,
    /// Answered well in all, before and after the measured time, too.
    pub total: u64,
}

impl Tally {
    pub fn per_second(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of the server's processor.
    pub fn cpu_a_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.calls.max(1) as f64)
    }

    /// How busy the server's core was.
    pub fn server_share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// How busy the client's core was.
    pub fn client_share(&self) -> f64 {
        self.client.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// One of the requests.
pub struct Request(Rc<Vec<Vec<u8>>>, usize);

impl Deref for Request {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[self.1]
    }
}

/// What the connections of a load share.
pub struct Shared {
    requests: Requests,
    length: RangeInclusive<usize>,
    cursor: usize,
    stop: bool,
    started: Instant,
    sent: u64,
    /// Keeps how long each took.
    timed: bool,
    collect: bool,
    tally: Tally,
}

impl Shared {
    fn new(load: &Load, from: usize) -> Self {
        Self {
            requests: load.requests.clone(),
            length: load.length.clone(),
            cursor: from,
            stop: false,
            started: Instant::now(),
            sent: 0,
            timed: matches!(load.pace, Pace::Open { .. }),
            collect: load.collect,
            tally: Tally::default(),
        }
    }

    /// Whether an open load is behind its pace.
    pub fn due(&self, now: Instant, pace: &Pace) -> bool {
        let Pace::Open { per_second, .. } = pace else {
            return true;
        };
        let due = (now - self.started).as_secs_f64() * per_second;
        (self.sent as f64) < due
    }

    /// The next request, or none any more.
    pub fn next(&mut self) -> Option<Request> {
        if self.stop {
            return None;
        }
        let request = match &self.requests {
            Requests::Around(all) => {
                self.cursor += 1;
                Request(all.clone(), self.cursor % all.len())
            }
            Requests::Once(all, cursor) => {
                let at = cursor.get();
                if at >= all.len() {
                    return None;
                }
                cursor.set(at + 1);
                Request(all.clone(), at)
            }
        };
        self.sent += 1;
        Some(request)
    }

    pub fn done(&self) -> bool {
        let over = match &self.requests {
            Requests::Around(_) => false,
            Requests::Once(all, cursor) => cursor.get() >= all.len(),
        };
        self.stop || over
    }

    /// The tally without messages.
    fn figures(&self) -> Tally {
        let tally = &self.tally;
        Tally {
            messages: Vec::new(),
            sample: tally.sample.clone(),
            waits: tally.waits.clone(),
            refusals: tally.refusals.clone(),
            ..*tally
        }
    }

    /// Whether answers are kept: until there is one.
    pub fn keeps(&self) -> bool {
        self.collect || self.tally.sample.is_empty()
    }

    pub fn answered(&mut self, ok: bool, bytes: usize, asked: Instant, message: Vec<u8>) {
        let tally = &mut self.tally;
        let waits = if ok {
            tally.calls += 1;
            tally.bytes += bytes as u64;
            tally.odd += u64::from(!self.length.contains(&bytes));
            if self.collect {
                tally.messages.push(message);
            } else if tally.sample.is_empty() && self.length.contains(&bytes) {
                tally.sample = message;
            }
            &mut tally.waits
        } else {
            tally.refused += 1;
            &mut tally.refusals
        };
        if self.timed {
            waits.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }
}

impl Load {
    /// Asks for `warm` unmeasured and for `measured`, or until the requests are over. `from`:
    /// where among the requests it begins.
    pub async fn run(
        &self,
        server: &Cpu,
        from: usize,
        warm: Duration,
        measured: Duration,
    ) -> io::Result<Tally> {
        let shared = Rc::new(RefCell::new(Shared::new(self, from)));
        let connections = (0..self.connections).map(|_| self.connection(shared.clone()));
        let asking = async {
            let asked = try_join_all(connections).await;
            // The requests are over: so is the measurement.
            shared.borrow_mut().stop = true;
            asked
        };
        let clock = async {
            idle(&shared, warm).await;
            let before = (
                shared.borrow().tally.clone(),
                Instant::now(),
                server.used(),
                Cpu::own().used(),
            );
            idle(&shared, measured).await;
            let mut tally = shared.borrow().figures();
            tally.elapsed = before.1.elapsed();
            tally.cpu = server.used() - before.2;
            tally.client = Cpu::own().used() - before.3;
            tally.calls -= before.0.calls;
            tally.refused -= before.0.refused;
            tally.odd -= before.0.odd;
            tally.bytes -= before.0.bytes;
            tally.waits.drain(..before.0.waits.len());
            tally.refusals.drain(..before.0.refusals.len());
            shared.borrow_mut().stop = true;
            tally
        };
        let (asked, mut tally) = tokio::join!(asking, clock);
        asked?;
        tally.total = shared.borrow().tally.calls;
        tally.messages = std::mem::take(&mut shared.borrow_mut().tally.messages);
        Ok(tally)
    }

    async fn connection(&self, shared: Rc<RefCell<Shared>>) -> io::Result<()> {
        match self.path {
            Some(path) => {
                let bearer = self.bearer.as_deref();
                let connection = grpc::Connection::open(self.address, path, bearer, shared).await?;
                connection.run(self.pace).await
            }
            None => http1::run(self.address, shared).await,
        }
    }
}

/// Waits so long, or until the requests are over.
async fn idle(shared: &RefCell<Shared>, limit: Duration) {
    let until = Instant::now() + limit;
    while Instant::now() < until && !shared.borrow().stop {
        sleep((until - Instant::now()).min(Duration::from_millis(20))).await;
    }
}
