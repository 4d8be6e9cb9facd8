//! WeCom: the client against a fake of it, over HTTP.

mod client;
mod fake;
mod taps;
