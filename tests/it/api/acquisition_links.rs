//! Acquisition links.
