//! The log, from the outside.

mod log {
    mod basics;
    mod crash;
    mod damage;
    mod device;
    mod faults;
    mod forget;
    mod formats;
    mod group;
    mod harness;
    mod once;
    mod properties;
    mod release;
    mod salvage;
}
