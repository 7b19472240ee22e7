//! Everything about the engine that only shows from outside, in one binary.

mod files;
mod format;
mod history;
mod model;
mod planted;
mod properties;
mod threads;
