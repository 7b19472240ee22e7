//! The server as clients see it: in this process, on a free port, on every engine and control.
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]
#![expect(clippy::disallowed_methods, reason = "tests are clients, with sockets of their own")]

mod bad_input;
mod branches;
mod changes;
mod changes_model;
mod clients;
mod copy;
mod differential;
mod digest;
mod dump;
mod early;
mod follow;
mod full_disk;
mod harness;
mod history_model;
mod history_operations;
mod indexes_model;
mod integrity;
mod integrity_model;
mod lifecycle;
mod locks;
mod notify;
mod offline;
mod periods;
mod periods_model;
mod pipeline;
mod psql;
mod raw;
mod schemas;
mod scripts;
mod sequences;
mod time_travel;
mod traveller;
mod valid_time_model;
mod wire;
