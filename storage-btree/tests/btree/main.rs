//! Everything about the engine that only shows from outside, in one binary.

mod files;
mod format;
mod history;
mod limits;
mod model;
mod planted;
mod properties;
mod steps;
mod threads;
