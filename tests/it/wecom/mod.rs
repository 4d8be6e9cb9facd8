//! WeCom, from both sides.

mod door;
