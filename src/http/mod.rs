//! The HTTP doors.

pub mod admin;
