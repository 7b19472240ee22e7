//! The worked example: an engine of one's own under the simulator. `docs/simulator-own-engine.md` walks through it.
//!
//! * [`engine`] is the engine, in eighty lines. Put yours in its place.
//! * [`trial`] is what one seed does with it, and what must hold.

pub mod engine;
pub mod trial;
