//! WeCom, from both sides: its callbacks at our door, and our client against a fake of it.

mod client;
mod door;
mod fake;
mod serving;
mod taps;
