//! The composition root.

pub mod jwks;
