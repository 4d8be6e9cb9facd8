//! One test binary for all that is tested from the outside.
#![allow(clippy::unwrap_used)]

mod layers;
mod tls;
mod transport;
