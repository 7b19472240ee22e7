//! Protocol, sessions, operations; the composition root.
//!
//! ```text
//! adapter (sockets, threads) → protocol::Connection (bytes to bytes) → Session (SQL to rows) → Node
//! ```
//!
//! [`Node`] composes store, catalog and planner from a [`Config`]. A [`Session`] is the one path from
//! SQL to data: the wire, embedded use, the simulator and the benchmarks call it. A
//! [`protocol::Connection`] turns a client's bytes into calls of a session and its answers into bytes,
//! and knows no socket. Only [`adapter`] does.

pub mod adapter;
pub mod config;
mod node;
pub mod protocol;
pub mod session;

pub use config::{Config, ConfigError};
pub use driftdb_mvcc::{ConvertProgress, SalvageReport, Salvaged};
pub use driftdb_tables::{Finding, Hash, Verdict, from_hex};
pub use node::{
    CONTROLS, CancelKey, DATABASE, ENGINES, Node, NodeError, Notification, PLANNERS,
    SERVER_VERSION, backup, convert, engine_of, salvage,
};
pub use session::{Session, SessionOptions};
