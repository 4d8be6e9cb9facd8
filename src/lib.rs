//! Mingpian (名片): a content platform's official contact cards, from creation to tap.
//!
//! # The house
//!
//! ```text
//! main → cli → server ─┬─► api ───────┐
//!                      ├─► http ──────┼─► app ─┬─► domain
//!                      ├─► worker ────┘        ├─► store ──► domain
//!                      └─► config              ├─► serving ─► store, domain
//!                                              ├─► keys ───► domain
//!                                              ├─► screening
//!                                              ├─► wecom ──► domain
//!                                              └─► events
//! ```
//!
//! | floor | holds |
//! |---|---|
//! | `proto/mingpian/v1` | the contract, a file per noun; `error_reason.proto` is the registry of reasons |
//! | `src/api` | wire ⇄ domain, one service a file, about ten lines an RPC; `status.rs` alone makes a `tonic::Status`; `rights.rs` says which scope a method asks for; `layers` has what every call passes, one thing a file |
//! | `src/http` | the public door (`/t/{token}` and its pages, WeCom's callbacks) and the operators' listener |
//! | `src/app` | what happens and in what order: transactions, replay by `request_id` (`write.rs`), the tap (`tap.rs`) |
//! | `src/domain` | the rules: pure and synchronous; `gate.rs` alone makes a `Clearance`, `admission.rs` asks the programs, `eligibility.rs` what the spend says |
//! | `src/store` | SeaORM's only home; `backend.rs` has every difference between the engines, but for how figures come in (`bulk.rs`) |
//! | `src/serving` | what viewers see, in memory: answers compiled once, the feed of changes that ends them, the filter of notes |
//! | `src/keys` | the key ring: seals contacts and tokens |
//! | `src/screening` | what a text or picture leads to: folding, terms, shapes, rules as data, QR codes; knows nothing of ours |
//! | `src/wecom` | the one remote: its client, the envelope of its callbacks, and a fake of it for tests and the demo |
//! | `src/events` | the way outward: a stream of NATS JetStream, and the CloudEvents in it |
//! | `src/worker` | loops beside the calls: the sweep, T+1, callbacks, acquisition links, roll-ups, exposures, the feeds of changes and of sanctions, the filter of notes, screening's rules, what is told outward |
//! | `src/server` | the composition root: sockets, TLS, callers' keys, health, shutdown, the demo |
//! | `src/config` | settings; `default.toml` is their manual |
//! | `src/cli` | the commands and their exit codes |
//! | `tests/it` | one test binary: `api`, `clients`, `conformance` of both engines, `lifecycle` |
//!
//! Who knows a noun knows its files: `proto/mingpian/v1/card.proto`, `src/api/cards.rs`,
//! `src/app/cards.rs`, `src/domain/card.rs`, `src/store/cards.rs`, `tests/it/api/cards.rs`.
//!
//! A few sentences hold the walls, and `tests/it/architecture.rs` says them: `pb` is named only
//! in `api`; `sea_orm` only in `store`; `tonic::Status` only in `api`; `reqwest` only in
//! `wecom` and where the callers' keys are fetched; `async_nats` only in `events`. `domain`,
//! `screening` and `events` import nothing of ours.

pub mod api;
pub mod app;
pub mod config;
pub mod domain;
pub mod events;
pub mod http;
pub mod keys;
pub mod screening;
pub mod server;
pub mod serving;
pub mod store;
pub mod telemetry;
pub mod wecom;
pub mod worker;
