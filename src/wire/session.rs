//! A websocket session, sans-io.
