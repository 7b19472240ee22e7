//! Timestamps, write sets, savepoints, retention and the concurrency controls.
