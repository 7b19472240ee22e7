//! PL/pgSQL: a body's text to a tree ([`parse`]), and the tree's interpreter ([`run`]).
//!
//! A crate of its own: a language has its own lexer, grammar, scopes and control flow, and needs nothing of
//! planner, executor or session. SQL inside of a body is text to it. Whoever runs a body gives the
//! interpreter a [`Host`], which binds and runs SQL with the body's variables as parameters, converts
//! values, and sets savepoints; a test can be one.
//!
//! Invariants
//! * An error leaves the host's savepoints as they were before the call: each block with EXCEPTION that is
//!   left, however, releases or rolls back its own.
//! * Loops ask the host between statements whether to go on.
//!
//! Source: PostgreSQL 15, src/pl/plpgsql/src, whose rules and texts these are.

pub mod ast;
mod conditions;
mod host;
mod lexer;
mod parse;
mod run;

/// Calls `f` on a stack that is large enough for the next level of a deep body.
pub(crate) fn with_room<R>(f: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(256 << 10, 2 << 20, f)
}

pub use ast::Level;
pub use host::{Column, Found, Host, Returns, Rows};
pub use parse::parse;
pub use run::{Cache, Call, Output, Record, run};
