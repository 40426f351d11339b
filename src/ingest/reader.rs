//! Reads the stream from its hosts.
