//! EXPLAIN
use super::Outcome;
use crate::context::Run;
use driftdb_query::{ExplainFormat, PhysicalStatement, Result, SqlError};
pub(crate) fn run(
    _s: &PhysicalStatement,
    _a: bool,
    _f: ExplainFormat,
    _run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    Err(SqlError::unsupported("EXPLAIN"))
}
