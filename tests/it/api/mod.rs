//! The services from the outside, through the generated client.

mod story;
