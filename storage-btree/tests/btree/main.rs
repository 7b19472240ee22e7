//! Everything about the engine that only shows from outside, in one binary.

mod files;
mod model;
mod properties;
