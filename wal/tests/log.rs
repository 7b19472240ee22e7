//! The log, from the outside.

mod log {
    mod basics;
    mod harness;
}
