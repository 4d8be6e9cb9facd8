//! WeCom, from both sides: its callbacks at our door, and our client against a fake of it.

mod door;
mod fake;
