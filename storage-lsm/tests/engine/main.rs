//! What the shared suite does not know of this engine: its settings, its files, its planted bugs.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod batches;
mod costs;
mod damage;
mod dictionaries;
mod faults;
mod formats;
mod history;
mod merges;
mod pieces;
mod planted;
mod properties;
mod replay;
mod store;
