//! Tests of the front door and the binder against a catalog in memory.
//!
//! `tests/scripts/*.txt` hold statements and what becomes of them, on one line each; run with
//! `DRIFTDB_GOLDEN=rewrite` to rewrite them, and review the difference.

mod catalog;
mod corpus;
mod limits;
mod random;
mod scripts;
mod show;
mod statements;
