//! The gRPC door: wire ⇄ domain, one service a file.

pub mod answer;
mod call;
mod cards;
mod compliance;
mod contact_events;
mod eligibility;
mod explain;
pub mod layers;
mod links;
mod measurement;
mod placements;
mod programs;
pub mod rights;
mod router;
mod sanction_feed;
mod screening;
mod serving;
pub mod status;
mod wecom;
mod wire;

pub use answer::compile;
pub use router::{SERVICES, SERVING, mounted, open, services};

/// Generated from `proto/`, with its packages as modules.
mod generated {
    #![allow(clippy::all, unused_qualifications)]
    pub mod mingpian {
        pub mod v1 {
            tonic::include_proto!("mingpian.v1");

            /// The contract with its comments, for reflection and for tests that walk over it.
            pub const DESCRIPTORS: &[u8] =
                include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
        }
    }
    /// The server of `ServingService`, whose hot answers are bytes; that of `v1` is not used.
    pub mod serving {
        include!(concat!(env!("OUT_DIR"), "/serving/mingpian.v1.rs"));
    }
    pub mod google {
        pub mod r#type {
            tonic::include_proto!("google.r#type");
        }
    }
}

/// The contract; named nowhere outside this floor.
pub use generated::mingpian::v1 as pb;

use generated::serving::serving_service_server;

/// Google's common types.
pub use generated::google::r#type as common;
