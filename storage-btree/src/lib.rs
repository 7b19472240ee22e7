//! The copy-on-write B+tree engine.
//!
//! One tree holds every version of every key of every keyspace, newest first within a key
//! ([`key`]). [`tree`] changes it by copying the path from the root once, so that a snapshot is the
//! root of its moment and readers need no latch. What was changed stays in memory until a
//! checkpoint writes it to free pages and switches to the new root with one sector
//! ([`checkpoint`], [`superblock`]); the one log covers the time between. The format:
//! `docs/formats/btree.md`.
//!
//! Invariants
//! * A page that the durable root reaches is never written.
//! * A page that a live snapshot may read is never written.
//! * Every page below `page_count` is reached by the durable root or in its free list, never both.
//! * A page of history is in the catalogue until it is freed whole ([`history`]).
//! * Pages are synced before the superblock that leads to them is written.
//! * Nothing reaches the disk before the log that it depends on ([`driftdb_storage::LogBarrier`]).
//!
//! Sources: [Comer79] and [Rodeh08] for the tree; LMDB and redb for two alternating roots and page
//! checksums in the parent; WiredTiger for checkpoints under a log (research/storage.md 1.2, 3.3).

mod backup;
mod cache;
mod checkpoint;
mod codec;
mod engine;
mod erase;
mod facts;
mod fold;
mod free;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod history;
mod key;
mod loader;
mod node;
mod open;
mod packed;
mod page;
mod pager;
mod position;
mod relocate;
mod salvage;
mod scan;
mod slotted;
mod snapshot;
mod stem;
mod striped;
mod superblock;
mod swip;
mod tree;
mod verify;
mod writing;

pub use erase::BtreeEngine;
pub use loader::BtreeLoader;
pub use scan::BtreeCursor;
pub use snapshot::BtreeSnapshot;
