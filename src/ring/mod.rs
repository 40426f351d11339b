//! Bounded single-producer single-consumer rings, and the signal their consumer sleeps on.
