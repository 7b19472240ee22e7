//! The store as its users see it, on the memory engine, under each control.
#![expect(clippy::unwrap_used, reason = "clippy exempts only functions that are marked as tests")]

#[macro_use]
#[path = "store/support.rs"]
mod support;

#[path = "store/anomalies.rs"]
mod anomalies;
#[path = "store/branches.rs"]
mod branches;
#[path = "store/branches_model.rs"]
mod branches_model;
#[path = "store/early.rs"]
mod early;
#[path = "store/erase.rs"]
mod erase;
#[path = "store/history.rs"]
mod history;
#[path = "store/locks.rs"]
mod locks;
#[path = "store/model.rs"]
mod model;
#[path = "store/planted.rs"]
mod planted;
#[path = "store/restart.rs"]
mod restart;
#[path = "store/serializable.rs"]
mod serializable;
#[path = "store/spilling.rs"]
mod spilling;
#[path = "store/statements.rs"]
mod statements;
#[path = "store/threads.rs"]
mod threads;
