//! Clients of another make than the server, as its callers have them.
