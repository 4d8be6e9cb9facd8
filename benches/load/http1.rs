//! HTTP/1.1, one request at a time on a connection that is kept; good is 302.

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, time::Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::load::Shared;

const END: &[u8] = b"\r\n\r\n";

/// Asks until it is told to stop.
pub async fn run(address: SocketAddr, shared: Rc<RefCell<Shared>>) -> io::Result<()> {
    let mut tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut inbox = Vec::with_capacity(1 << 14);
    loop {
        let Some(request) = shared.borrow_mut().next() else {
            return Ok(());
        };
        let asked = Instant::now();
        tcp.write_all(&request).await?;
        inbox.clear();
        let length = loop {
            if tcp.read_buf(&mut inbox).await? == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            if let Some(length) = length(&inbox)
                && inbox.len() >= length
            {
                break length;
            }
        };
        let ok = inbox.starts_with(b"HTTP/1.1 302 ");
        let mut shared = shared.borrow_mut();
        let message = if shared.keeps() {
            inbox.clone()
        } else {
            Vec::new()
        };
        shared.answered(ok, length, asked, message);
    }
}

/// Of head and body, once the head is there.
fn length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(END.len()).position(|four| four == END)? + END.len();
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let body = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    Some(head + body.unwrap_or(0))
}
