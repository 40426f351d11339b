//! Events of the stream, parsed without copying.
