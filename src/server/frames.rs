//! Ends a connection that sends frame after frame and no work: h2 answers each PING and
//! SETTINGS without end, which takes the time of everybody else's calls.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of a frame's header: length, kind, flags, stream.
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// Bytes of ours that pay for one frame: each answer needs its window updates.
const PER_FRAME: f64 = 1024.0;

/// How many frames without work a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// At first, and at most.
    pub most: u32,
    /// What time gives back.
    pub per_second: u32,
    /// What each HEADERS frame gives back.
    pub per_call: u32,
}

/// A stream whose reads fail when its HTTP/2 peer has spent its [`Budget`]. What is not
/// HTTP/2 goes through as it is.
pub struct Frames<T> {
    io: T,
    budget: Budget,
    left: f64,
    since: Instant,
    at: At,
}

/// Where in the peer's bytes the last read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// So many bytes into the preface.
    Preface(usize),
    /// So many bytes into a frame's header.
    Head([u8; HEAD], usize),
    /// So many bytes before the next header.
    Payload(usize),
    /// In a protocol without frames.
    Other,
}

impl<T> Frames<T> {
    pub fn within(budget: Budget, io: T) -> Self {
        Self {
            io,
            budget,
            left: budget.most.into(),
            since: Instant::now(),
            at: At::Preface(0),
        }
    }

    /// Whether the peer could pay for what was read.
    fn pays(&mut self, read: &[u8]) -> bool {
        let now = Instant::now();
        let waited = (now - self.since).as_secs_f64();
        self.since = now;
        self.earn(waited * f64::from(self.budget.per_second));
        let (mut left, most) = (self.left, f64::from(self.budget.most));
        let per_call = f64::from(self.budget.per_call);
        follow(&mut self.at, read, |kind| match kind {
            HEADERS => left = (left + per_call).min(most),
            // h2 has a budget of its own for DATA that carries next to nothing.
            DATA => {}
            _ => left -= 1.0,
        });
        self.left = left;
        left >= 0.0
    }

    fn earn(&mut self, frames: f64) {
        self.left = (self.left + frames).min(self.budget.most.into());
    }

    /// Passes on how many bytes were written.
    fn wrote(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = polled {
            self.earn(bytes as f64 / PER_FRAME);
        }
        polled
    }
}

/// Tells the kind of each frame whose header ends within these bytes.
fn follow(at: &mut At, mut bytes: &[u8], mut tell: impl FnMut(u8)) {
    while !bytes.is_empty() {
        let taken = match at {
            At::Other => return,
            At::Preface(known) => {
                let taken = bytes.len().min(PREFACE.len() - *known);
                *at = match *known + taken {
                    _ if PREFACE[*known..][..taken] != bytes[..taken] => At::Other,
                    all if all == PREFACE.len() => At::Payload(0),
                    known => At::Preface(known),
                };
                taken
            }
            At::Payload(0) => {
                *at = At::Head([0; HEAD], 0);
                0
            }
            At::Payload(rest) => {
                let taken = bytes.len().min(*rest);
                *rest -= taken;
                taken
            }
            At::Head(head, known) => {
                let taken = bytes.len().min(HEAD - *known);
                head[*known..][..taken].copy_from_slice(&bytes[..taken]);
                *known += taken;
                if *known == HEAD {
                    let [a, b, c, kind, ..] = *head;
                    let length = u32::from_be_bytes([0, a, b, c]) as usize;
                    tell(kind);
                    *at = At::Payload(length);
                }
                taken
            }
        };
        bytes = &bytes[taken..];
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Frames<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = &buf.filled()[before..];
        if read.is_empty() || self.at == At::Other || self.pays(read) {
            return polled;
        }
        tracing::debug!("connection closed: too many frames without work");
        buf.set_filled(before);
        Poll::Ready(Err(io::Error::other("too many frames without work")))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Frames<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut frame = (length as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 1]);
        // Payloads that look like frame headers.
        frame.resize(HEAD + length, 6);
        frame
    }

    #[test]
    fn frames_are_followed_wherever_a_read_ends() {
        let sent = [
            (4, 0),
            (6, 8),
            (HEADERS, 300),
            (DATA, 0),
            (DATA, 70_000),
            (99, 1),
        ];
        let mut bytes = PREFACE.to_vec();
        for (kind, length) in sent {
            bytes.extend(frame(kind, length));
        }
        for size in 1..80 {
            let (mut at, mut seen) = (At::Preface(0), Vec::new());
            for read in bytes.chunks(size) {
                follow(&mut at, read, |kind| seen.push(kind));
            }
            assert_eq!(seen, sent.map(|(kind, _)| kind), "in reads of {size}");
        }
    }

    #[test]
    fn what_is_not_http2_has_no_frames() {
        for words in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        ] {
            for size in [1, 24, 99] {
                let mut at = At::Preface(0);
                for read in words.as_bytes().repeat(9).chunks(size) {
                    follow(&mut at, read, |kind| panic!("{kind} in {words}"));
                }
                assert_eq!(at, At::Other);
            }
        }
    }
}
