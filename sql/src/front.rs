//! The front door: a string of statements to [`crate::ParsedStatement`]s.
//!
//! Four steps, each in a file: `tokens` cuts the text (with `literals` for strings with escapes), `limits` refuses what would grow too deep a tree,
//! `rewrite` lifts out what the parser does not know (time travel, row locks), and `dispatch` hands a
//! statement either to our own grammar (`utility`, `transaction`, `copy`) or to `sqlparser`.

pub(crate) mod absent;
pub(crate) mod alter_column;
pub(crate) mod branch;
pub(crate) mod comment;
pub(crate) mod conflict;
pub(crate) mod copy;
pub(crate) mod cursor;
pub(crate) mod dialect;
pub(crate) mod dispatch;
mod escapes;
mod explain;
pub(crate) mod extension;
pub(crate) mod grouping;
pub(crate) mod history;
pub(crate) mod index;
pub(crate) mod into;
pub(crate) mod like;
pub(crate) mod limits;
pub(crate) mod literals;
pub(crate) mod lock;
pub(crate) mod materialized;
pub(crate) mod period;
pub(crate) mod portal;
pub(crate) mod rewrite;
pub(crate) mod role;
pub(crate) mod routine;
pub(crate) mod schema;
pub(crate) mod sequence;
pub(crate) mod special;
mod star;
pub(crate) mod subscript;
pub(crate) mod tokens;
pub(crate) mod transaction;
pub(crate) mod tree;
pub(crate) mod user_type;
mod utility;
pub(crate) mod view;
