//! What computes the terms of rows while definitions change: expressions may call functions of users, which
//! only whoever runs statements can.

use driftdb_concurrency::{Store, Transaction};
use driftdb_query::{Result, SqlError, Table};
use driftdb_types::{DataType, EvalContext, Value};

use super::DdlContext;

/// Computes the terms of rows.
pub trait Terms {
    /// Appends the values of a table's terms to a row of it ([`Table::width`]).
    ///
    /// # Errors
    /// Whatever their expressions raise.
    fn extend(
        &mut self,
        table: &Table,
        row: &mut Vec<Value>,
        lent: (&mut dyn Transaction, &dyn Store, &EvalContext),
    ) -> Result<()>;

    /// The types that a table's terms have.
    ///
    /// # Errors
    /// One cannot be bound.
    fn types(
        &mut self,
        table: &Table,
        lent: (&mut dyn Transaction, &dyn Store, &EvalContext),
    ) -> Result<Vec<DataType>>;
}

/// Where tables have none.
#[derive(Debug, Clone, Copy)]
pub struct NoTerms;

fn unsupported() -> SqlError {
    SqlError::unsupported("an index on an expression, here")
}

impl Terms for NoTerms {
    fn extend(
        &mut self,
        table: &Table,
        _row: &mut Vec<Value>,
        _lent: (&mut dyn Transaction, &dyn Store, &EvalContext),
    ) -> Result<()> {
        if table.terms.is_empty() { Ok(()) } else { Err(unsupported()) }
    }

    fn types(
        &mut self,
        table: &Table,
        _lent: (&mut dyn Transaction, &dyn Store, &EvalContext),
    ) -> Result<Vec<DataType>> {
        if table.terms.is_empty() { Ok(Vec::new()) } else { Err(unsupported()) }
    }
}

impl DdlContext<'_> {
    /// Appends the values of a table's terms to a row of it.
    pub(super) fn extend(&mut self, table: &Table, row: &mut Vec<Value>) -> Result<()> {
        if table.terms.is_empty() {
            return Ok(());
        }
        self.terms.extend(table, row, (&mut *self.txn, self.store, self.eval))
    }

    /// Gives a table's terms the types that they have now: a column got another one.
    pub(super) fn retype_terms(&mut self, table: &mut Table) -> Result<()> {
        if table.terms.is_empty() {
            return Ok(());
        }
        let types = self.terms.types(table, (&mut *self.txn, self.store, self.eval))?;
        for (term, ty) in table.terms.iter_mut().zip(types) {
            term.ty = ty;
        }
        Ok(())
    }
}
