//! Text to a bound statement.
//!
//! [`parse`] cuts a string into [`ParsedStatement`]s; [`bind`] resolves the names of one against a
//! catalog and yields a [`driftdb_query::Statement`]: typed, columns by identity, every coercion
//! explicit. Neither the parser's tree nor a name leaves this crate.

mod bind;
mod deparse;
mod front;
mod parsed;
mod show;

pub use bind::{
    BindContext, bind, bind_check, bind_default, bind_terms, bind_trigger_condition, domain_checks,
    parse_type, resolve_type, written_through,
};
pub use deparse::{
    check_columns, show_check, show_default, show_domain_check, show_domain_default,
    show_generated, show_term, show_trigger_condition,
};
pub use front::literals::{Conforming, conforming};
pub use parsed::{ParsedStatement, StatementKind, parse};
