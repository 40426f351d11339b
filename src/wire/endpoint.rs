//! Upstream URLs: host, dialect, query.
