//! Tower layers, one a file.
