//! Mingpian (名片): a content platform's official contact cards, from creation to tap.

pub mod api;
pub mod app;
pub mod config;
pub mod domain;
pub mod http;
pub mod keys;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod worker;
