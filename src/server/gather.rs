//! Lets answers that come at the same time go out together. By itself each would be a write to
//! the system, which costs half of what a call from memory does.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// Bytes that are gathered; more go out at once.
const ROOM: usize = 16 * 1024;

/// A stream for HTTP/2. It is flushed a turn later than it was asked for, before it is read again:
/// those who have their turn until then write, too. Where nobody else waits for the processor,
/// that is at once.
pub struct Gather<T> {
    io: BufWriter<T>,
    asked: bool,
}

impl<T: AsyncWrite> Gather<T> {
    pub fn within(io: T) -> Self {
        Self {
            io: BufWriter::with_capacity(ROOM, io),
            asked: false,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.io.buffer().is_empty() {
            return Pin::new(&mut self.io).poll_flush(cx);
        }
        if !self.asked {
            self.asked = true;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // What the peer does not take keeps nobody from reading; whoever can write again is woken.
        if self.asked && Pin::new(&mut self.io).poll_flush(cx)?.is_ready() {
            self.asked = false;
        }
        Pin::new(self.io.get_mut()).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What can be read at once, and how often who asked for a flush was woken since.
    struct Stage(Arc<Woken>);

    impl Stage {
        fn flush(&self, io: &mut Gather<DuplexStream>) -> usize {
            let waker = self.0.clone().into();
            let flushed = Pin::new(io).poll_flush(&mut Context::from_waker(&waker));
            assert!(flushed.is_ready());
            self.0.0.swap(0, Ordering::SeqCst)
        }

        fn read(&self, io: &mut Gather<DuplexStream>) {
            read(io, &self.0.clone().into());
        }
    }

    fn read(io: &mut (impl AsyncRead + Unpin), waker: &Waker) -> usize {
        let mut bytes = [0; 4 * ROOM];
        let mut buf = ReadBuf::new(&mut bytes);
        let _ = Pin::new(io).poll_read(&mut Context::from_waker(waker), &mut buf);
        buf.filled().len()
    }

    /// At the other end.
    fn arrived(far: &mut DuplexStream) -> usize {
        read(far, Waker::noop())
    }

    #[tokio::test]
    async fn what_is_written_before_the_next_turn_goes_out_together() {
        let (near, mut far) = duplex(4 * ROOM);
        let (mut near, stage) = (Gather::within(near), Stage(Arc::default()));
        assert_eq!(stage.flush(&mut near), 0);
        for _ in 0..2 {
            near.write_all(b"one").await.unwrap();
            assert_eq!(stage.flush(&mut near), 1, "there is another turn");
            near.write_all(b"two").await.unwrap();
            assert_eq!(stage.flush(&mut near), 0, "it is the same");
            assert_eq!(arrived(&mut far), 0);
            stage.read(&mut near);
            assert_eq!(arrived(&mut far), 6);
            assert_eq!(stage.flush(&mut near), 0, "nothing is left");
        }
        near.write_all(b"one").await.unwrap();
        near.write_all(&[0; ROOM]).await.unwrap();
        assert_eq!(
            arrived(&mut far),
            3 + ROOM,
            "what is large waits for nobody"
        );
    }

    #[tokio::test]
    async fn what_the_peer_does_not_take_yet_is_not_lost() {
        let (near, mut far) = duplex(4);
        let (mut near, stage) = (Gather::within(near), Stage(Arc::default()));
        near.write_all(b"answer").await.unwrap();
        assert_eq!(stage.flush(&mut near), 1);
        stage.read(&mut near);
        assert_eq!(arrived(&mut far), 4);
        assert_eq!(
            stage.0.0.swap(0, Ordering::SeqCst),
            1,
            "there is room again"
        );
        stage.read(&mut near);
        assert_eq!(arrived(&mut far), 2);
    }
}
