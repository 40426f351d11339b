//! Batches facts, makes them durable, folds them, publishes.
