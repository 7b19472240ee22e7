//! What the targets share: edits, checksums that hold all the same, and what an engine must bear.
//!
//! A target makes bytes that a disk could hold, mends the checksums over them so that the decoders
//! behind are reached, and reads. Nothing may panic, hang or allocate what a damaged length asks for;
//! an error must say that the bytes are damaged and never that we made a mistake.

mod allocation;
mod crc;
mod edit;
mod engine;
mod lsm;

pub use crc::forge;
pub use edit::Edit;
pub use engine::{DIR, exercise, is_refusal, new_disk};
pub use lsm::{FRAME_HEADER_BYTES, PREAMBLE_BYTES, frames, seal_frame, seal_preamble};
