//! WeCom, from both sides: its callbacks at our door, and our client against a fake of it.

mod callbacks;
mod client;
mod credit;
mod door;
mod fake;
mod pull;
mod replicas;
pub mod sender;
mod serving;
mod taps;
