//! The concurrency controls, one file each.
//!
//! What every control here guarantees at SERIALIZABLE: commit order is a serial order. Readers of a
//! snapshot rely on it: they read a state that the serial execution passes through, and need no
//! locks and no validation.

mod locking;
mod ssi;

pub use locking::LockingControl;
pub use ssi::SsiControl;
