//! DELETE.

use driftdb_query::{Delete, Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::foreign::Change;
use super::scope::Relation;
use super::stored::relation;
use super::updatable;

impl Binder<'_> {
    pub(crate) fn delete(&mut self, delete: &ast::Delete) -> Result<Delete> {
        let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) =
            &delete.from;
        let [target] = &tables[..] else {
            return Err(SqlError::new(SqlState::SyntaxError, "DELETE needs one table"));
        };
        if !delete.tables.is_empty()
            || delete.output.is_some()
            || delete.limit.is_some()
            || !delete.order_by.is_empty()
        {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "this form of DELETE is not PostgreSQL's",
            ));
        }
        let others = delete.using.as_deref().unwrap_or(&[]);
        let mut changed = self.changed(target, others, updatable::Change::Delete)?;
        let (source, recheck) = self.changed_where(&mut changed, delete.selection.as_ref())?;
        self.scopes.pop();
        let table = changed.table;
        // What RETURNING yields is the version that was deleted.
        let hidden = changed.system.first().map(|(id, _)| *id);
        let own = relation(&changed.name, changed.names);
        let mut relations = vec![Relation { hidden, schema: changed.schema, ..own }];
        relations.extend(changed.others);
        let (returning, fields) = self.returning(delete.returning.as_deref(), relations)?;
        let change = if changed.portion.is_some() { Change::Split } else { Change::Delete };
        let related = self.related(&table, change)?;
        let (key, old, system) = (changed.key, changed.old, changed.system);
        let portion = changed.portion.map(|part| part.portion);
        Ok(Delete { table, source, key, old, system, recheck, related, portion, returning, fields })
    }
}
