//! One test binary for all that is tested from the outside.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    dead_code
)]

mod api;
mod architecture;
mod clients;
mod conformance;
mod deploy;
mod hot;
mod layers;
mod lifecycle;
mod outward;
mod readme;
mod support;
mod tls;
mod transport;
mod wecom;
