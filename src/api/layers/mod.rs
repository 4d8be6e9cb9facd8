//! Tower layers, one a file.

pub mod auth;
