//! The rings from the reader to the workers, and the position tokens in them.
