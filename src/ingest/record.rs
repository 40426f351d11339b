//! From a commit on the wire to a fact.
