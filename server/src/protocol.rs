//! The PostgreSQL wire protocol, version 3, as bytes to bytes.
//!
//! A [`Connection`] takes what a client sent ([`Connection::receive`]), runs it on a session
//! ([`Connection::process`]) and writes the answers to an [`Outlet`]. It knows no socket, so that the
//! simulator runs it over its own pipes. Answers gather in one buffer and go out when it is large or
//! when everything received has been processed.
//!
//! The messages are read and written by hand. `pgwire`'s own decoders trust the counts inside a
//! message and panic where it is shorter than they say, which a database must not do on bytes from
//! outside; what is left of it here without its authentication is less than the code below.
//!
//! Source: PostgreSQL 15, chapter 55; 18 for version 3.2.

mod connection;
mod decode;
mod encode;
mod message;
mod reply;
mod startup;

pub use connection::{Connection, ConnectionStatus, Outlet};
pub use encode::{Encoder, error_fields};
