//! Cursors: which rows of tables a cursor's row is made of, and the row that WHERE CURRENT OF means.
//!
//! A cursor's plan yields the storage keys of the tables that it reads plainly, or of those that it
//! locks, after its columns. WHERE CURRENT OF is bound to the key that the cursor stands on at that
//! moment, so that such a statement is bound anew each time that it runs.
//!
//! Sources: PostgreSQL 15, parser/analyze.c (transformDeclareCursorStmt), executor/execCurrent.c.

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    ColId, DeclareCursor, Expr, LogicalPlan, Result, Span, SqlError, Statement, Table, TableId,
};
use driftdb_types::{DataType, SqlState, Value, resolve_operator};
use sqlparser::ast;

use super::Binder;
use super::position::bare;
use crate::front::dispatch::Body;
use crate::front::portal::Declare;

impl Binder<'_> {
    pub(crate) fn declare_cursor(
        &mut self,
        declare: &Declare,
        query: &Body,
    ) -> Result<DeclareCursor> {
        let Statement::Query(mut query) = self.statement(query)? else {
            let message = "DECLARE CURSOR must not contain data-modifying statements in WITH";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        };
        let locks = locks(&query.plan);
        if locks {
            refuse_locks(declare)?;
        }
        let mut keys = Vec::new();
        self.yield_keys(&mut query.plan, locks, &mut keys);
        Ok(DeclareCursor {
            name: declare.name.clone(),
            binary: declare.binary,
            scroll: declare.scroll,
            hold: declare.hold,
            query,
            keys: keys.into_iter().map(|(_, table)| table).collect(),
            locks,
        })
    }

    /// Makes a plan yield keys of tables after its columns, as far as it is simple.
    fn yield_keys(
        &mut self,
        plan: &mut LogicalPlan,
        locks: bool,
        keys: &mut Vec<(ColId, TableId)>,
    ) {
        match plan {
            LogicalPlan::Scan { table, at: ReadAt::Statement, key, temporal, .. }
                if !locks && temporal.span == Span::Once =>
            {
                // A scan yields its key first; the projection above puts it last.
                let id = *key.get_or_insert_with(|| self.key_id());
                keys.push((id, table.id));
            }
            LogicalPlan::Filter { input, .. } => self.yield_keys(input, locks, keys),
            LogicalPlan::Limit { input, .. } => self.yield_keys(input, locks, keys),
            LogicalPlan::Lock { clauses, .. } => {
                keys.extend(clauses.iter().map(|clause| (clause.key, clause.table.id)));
            }
            LogicalPlan::Project { input, exprs } => {
                self.yield_keys(input, locks, keys);
                for (id, _) in keys.iter() {
                    if !exprs.iter().any(|(known, _)| known == id) {
                        exprs.push((*id, Expr::Column { id: *id, ty: DataType::Bytea }));
                    }
                }
            }
            _ => {}
        }
    }

    /// WHERE CURRENT OF, if a condition stands for it: the key that the cursor is on.
    pub(crate) fn current_row(
        &mut self,
        table: &Table,
        key: ColId,
        condition: Option<&ast::Expr>,
    ) -> Result<Option<Expr>> {
        let Some((_, position)) =
            self.content.and_then(|content| content.lifted.current_of.as_ref())
        else {
            return Ok(None);
        };
        let is_it = matches!(condition.map(bare), Some(ast::Expr::Value(value))
            if value.span.start.column as u32 == *position);
        if !is_it {
            return Ok(None);
        }
        let row = self.eval.actions.cursor_row(table.id.0, &table.name)?;
        let key = Expr::Column { id: key, ty: DataType::Bytea };
        let row = Expr::constant(row.map_or(Value::Null, Value::Bytea), DataType::Bytea);
        let equal = resolve_operator("=", Some(DataType::Bytea), Some(DataType::Bytea))?;
        Ok(Some(self.resolved_call(&equal, vec![key, row])?))
    }
}

fn locks(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Lock { .. } => true,
        LogicalPlan::Project { input, .. }
        | LogicalPlan::Filter { input, .. }
        | LogicalPlan::Limit { input, .. } => locks(input),
        LogicalPlan::With { body, .. } => locks(body),
        _ => false,
    }
}

/// A cursor that locks reads rows as they are.
fn refuse_locks(declare: &Declare) -> Result<()> {
    let (what, kind) = if declare.hold {
        ("CURSOR WITH HOLD", "Holdable")
    } else if declare.scroll == Some(true) {
        ("SCROLL CURSOR", "Scrollable")
    } else if declare.insensitive {
        ("INSENSITIVE CURSOR", "Insensitive")
    } else {
        return Ok(());
    };
    let (state, verb) = if declare.insensitive && kind == "Insensitive" {
        (SqlState::InvalidCursorDefinition, "valid")
    } else {
        (SqlState::FeatureNotSupported, "supported")
    };
    let message = format!("DECLARE {what} ... FOR UPDATE is not {verb}");
    Err(SqlError::new(state, message).with_detail(format!("{kind} cursors must be READ ONLY.")))
}
