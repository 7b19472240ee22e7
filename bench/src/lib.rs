//! Comparisons along the axes and against peers.
//!
//! `driftdb bench pgbench` runs PostgreSQL's own benchmark, unmodified, against DriftDB on each engine
//! and against a PostgreSQL that it starts itself, interleaved round by round with the same durability,
//! and prints ratios with their spread. `driftdb bench kv` runs the storage engines beside RocksDB, LMDB,
//! redb and fjall, `driftdb bench past` reads the past beside MariaDB. `cargo bench -p bench` measures the parts below SQL.
//!
//! Wall time on a shared machine drifts by a factor of two within minutes; a ratio of neighbours does
//! not. So every round runs all systems, one after the other, and the ratio is taken inside the round.
#![expect(clippy::disallowed_methods, reason = "the harness drives real processes and real time")]

pub mod cli;
mod counts;
mod kv;
mod past;
mod pgbench;
mod report;
mod scratch;
mod system;
