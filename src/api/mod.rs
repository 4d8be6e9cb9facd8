//! The gRPC door: wire ⇄ domain, one service a file.

mod call;
mod cards;
pub mod layers;
mod links;
mod placements;
pub mod rights;
mod router;
mod serving;
pub mod status;
mod wire;

pub use router::{SERVICES, open, services};

/// Generated from `proto/`; named nowhere outside this floor.
pub mod pb {
    #![allow(clippy::all, unused_qualifications)]
    tonic::include_proto!("mingpian.v1");

    /// The contract with its comments, for reflection and for tests that walk over it.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
