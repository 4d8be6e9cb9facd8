//! WeCom: the client against a fake of it, over HTTP.

mod fake;
