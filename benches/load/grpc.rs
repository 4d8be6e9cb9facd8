//! A client of one kind of unary call that takes little of its core: prebuilt messages, many
//! streams on a few connections, all of them on one thread. It looks at each answer: its
//! `grpc-status`, and how long it is.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{MissedTickBehavior, interval},
};

use crate::{
    hpack::{Fields, Table},
    load::{Pace, Shared},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const WINDOW: u32 = 0x7fff_ffff;
const FIRST_WINDOW: u32 = 65_535;
/// Given back to the peer when so much has been read.
const REFILL: usize = 1 << 29;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// A call under way.
struct Stream {
    asked: Instant,
    message: Vec<u8>,
    bytes: usize,
    ok: Option<bool>,
}

pub struct Connection {
    tcp: TcpStream,
    shared: Rc<RefCell<Shared>>,
    fields: Fields,
    table: Table,
    next: u32,
    window: i64,
    read: usize,
    open: HashMap<u32, Stream>,
    inbox: Vec<u8>,
    out: Vec<u8>,
}

impl Connection {
    pub async fn open(
        address: SocketAddr,
        path: &str,
        bearer: Option<&str>,
        shared: Rc<RefCell<Shared>>,
    ) -> io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let mut out = PREFACE.to_vec();
        write(&mut out, SETTINGS, 0, 0, &settings());
        let more = (WINDOW - FIRST_WINDOW).to_be_bytes();
        write(&mut out, WINDOW_UPDATE, 0, 0, &more);
        Ok(Self {
            tcp,
            shared,
            fields: Fields::of_call(&address.to_string(), path, bearer),
            table: Table::default(),
            next: 1,
            window: FIRST_WINDOW.into(),
            read: 0,
            open: HashMap::new(),
            inbox: Vec::with_capacity(1 << 18),
            out,
        })
    }

    /// Calls until it is told to stop, and then until all are answered.
    pub async fn run(mut self, pace: Pace) -> io::Result<()> {
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            self.ask(&pace);
            if !self.out.is_empty() {
                self.tcp.write_all(&self.out).await?;
                self.out.clear();
            }
            if self.open.is_empty() && self.shared.borrow().done() {
                return Ok(());
            }
            let read = match pace {
                Pace::Closed { .. } => self.tcp.read_buf(&mut self.inbox).await?,
                Pace::Open { .. } => tokio::select! {
                    read = self.tcp.read_buf(&mut self.inbox) => read?,
                    _ = ticks.tick() => continue,
                },
            };
            if read == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            self.answers()?;
        }
    }

    /// Sends what is due.
    fn ask(&mut self, pace: &Pace) {
        let (shared, now) = (self.shared.clone(), Instant::now());
        let mut shared = shared.borrow_mut();
        loop {
            let may = match pace {
                Pace::Closed { at_once } => self.open.len() < *at_once,
                Pace::Open { most, .. } => self.open.len() < *most && shared.due(now, pace),
            };
            if !may {
                return;
            }
            let Some(body) = shared.next() else { return };
            self.call(&body, now);
            if self.window < 0 {
                // The peer's window is a MiB, and calls are small: it is never in the way.
                return;
            }
        }
    }

    fn call(&mut self, message: &[u8], now: Instant) {
        let fields = match self.next {
            1 => &self.fields.first,
            _ => &self.fields.again,
        };
        write(&mut self.out, HEADERS, END_HEADERS, self.next, fields);
        let length = u32::try_from(message.len()).unwrap();
        head(&mut self.out, length + 5, DATA, END_STREAM, self.next);
        self.out.push(0);
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(message);
        self.window -= i64::from(length + 5);
        let stream = Stream {
            asked: now,
            message: Vec::new(),
            bytes: 0,
            ok: None,
        };
        self.open.insert(self.next, stream);
        self.next += 2;
    }

    fn answers(&mut self) -> io::Result<()> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        while let Some((frame, after)) = split(rest) {
            self.answer(&frame)?;
            rest = after;
        }
        let done = inbox.len() - rest.len();
        self.inbox = inbox;
        self.inbox.drain(..done);
        if self.read > REFILL {
            let refill = u32::try_from(self.read).unwrap().to_be_bytes();
            write(&mut self.out, WINDOW_UPDATE, 0, 0, &refill);
            self.read = 0;
        }
        Ok(())
    }

    fn answer(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let &Frame {
            kind,
            flags,
            stream,
            payload,
        } = frame;
        match kind {
            DATA => {
                self.read += payload.len();
                if let Some(stream) = self.open.get_mut(&stream) {
                    stream.bytes += payload.len();
                    if self.shared.borrow().keeps() {
                        stream.message.extend_from_slice(payload);
                    }
                }
            }
            HEADERS => {
                assert_eq!(flags & (PADDED | END_HEADERS | 0x20), END_HEADERS);
                let status = self.table.read(payload);
                if let Some(stream) = self.open.get_mut(&stream) {
                    stream.ok = stream.ok.or(status);
                }
            }
            RESET => {
                self.end(stream);
                return Ok(());
            }
            SETTINGS if flags & ACK == 0 => write(&mut self.out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => write(&mut self.out, PING, ACK, 0, payload),
            WINDOW_UPDATE if stream == 0 => {
                let more: [u8; 4] = payload.try_into().unwrap();
                self.window += i64::from(u32::from_be_bytes(more));
            }
            GO_AWAY => return Err(io::Error::other(format!("GOAWAY {payload:?}"))),
            _ => {}
        }
        if flags & END_STREAM != 0 && matches!(kind, DATA | HEADERS) {
            self.end(stream);
        }
        Ok(())
    }

    fn end(&mut self, stream: u32) {
        if let Some(stream) = self.open.remove(&stream) {
            let mut shared = self.shared.borrow_mut();
            let ok = stream.ok == Some(true);
            shared.answered(ok, stream.bytes, stream.asked, stream.message);
        }
    }
}

/// No pushes; answers of any length, unasked.
fn settings() -> Vec<u8> {
    let mut settings = Vec::new();
    for (key, value) in [(2u16, 0), (4, WINDOW)] {
        settings.extend_from_slice(&key.to_be_bytes());
        settings.extend_from_slice(&value.to_be_bytes());
    }
    settings
}

fn head(out: &mut Vec<u8>, length: u32, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap();
    head(out, length, kind, flags, stream);
    out.extend_from_slice(payload);
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

/// The first frame, and what comes after it.
fn split(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<9>()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let (payload, after) = rest.split_at_checked(length)?;
    let frame = Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5] & 127, head[6], head[7], head[8]]),
        payload,
    };
    Some((frame, after))
}
