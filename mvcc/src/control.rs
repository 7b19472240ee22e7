//! The concurrency controls, one file each.
//!
//! | Control | Reads | Conflicts are met by | Serial order at SERIALIZABLE |
//! | --- | --- | --- | --- |
//! | [`LockingControl`] | the newest version, under locks | waiting | order of commits |
//! | [`OccControl`] | a snapshot | the later commit failing | order of commits |
//! | [`SsiControl`] | a snapshot | waiting for writers; a pivot failing | exists, found by no one |
//! | [`SsnControl`] | a snapshot | waiting for writers; the exclusion window | exists, found by no one |
//!
//! The last two are one mechanism (`certified.rs`) under two rules: a new rule is one file.

mod certified;
mod locking;
mod occ;
mod range_set;
mod read_set;
mod recent;
mod running;
mod ssi;
mod ssn;
mod written;

pub use certified::{Candidate, CertifiedControl, Rule};
pub use locking::LockingControl;
pub use occ::OccControl;
pub use ssi::{Ssi, SsiControl};
pub use ssn::{Ssn, SsnControl};
