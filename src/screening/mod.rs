//! Text screening: does a text, a link or a QR code's content lead users off the platform (导流)?
//!
//! ```text
//! text → fold ─► terms (one Aho-Corasick pass) ─┐
//!             ├► numbers, handles, links ───────┴─► rules ─► findings
//!             └► unwrap (base64 and the like) ─► once more
//! ```
//!
//! What is looked for is data: lists, rules, hosts and the folding of characters are TOML files
//! in `rules/`, each entry with its `why`. The engine knows shapes only. It is pure, and its
//! work is linear in the length of the text.

mod files;
mod finding;
mod fold;
mod handles;
mod hits;
mod links;
mod numbers;
pub mod picture;
mod rulebook;
mod rules;
mod scan;
mod terms;
mod unwrap;

pub use files::{Broken, RuleFiles};
pub use finding::{Category, Finding, Verdict};
pub use rulebook::{Rulebook, RulebookError};
pub use scan::Work;

#[cfg(test)]
mod tests;
