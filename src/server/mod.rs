//! Sockets: how connections are accepted, bounded and ended.

pub mod accept;
mod preface;
mod seats;
pub mod tls;
