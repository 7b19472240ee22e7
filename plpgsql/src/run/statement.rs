//! Statements.

use std::sync::Arc;

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState, Value, compare};

use super::{Flow, Interpreter, add_context, statement_context};
use crate::ast::{Into, Kind, Source, Sql, Statement};
use crate::host::{Host, Rows};

impl<H: Host> Interpreter<'_, H> {
    pub(super) fn statements(&mut self, body: &[Statement]) -> Result<Flow> {
        for statement in body {
            self.note_statement(statement);
            let flow = crate::with_room(|| self.statement(&statement.kind))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, kind: &Kind) -> Result<Flow> {
        match kind {
            Kind::Block(block) => return self.block(block),
            Kind::If { arms, otherwise } => return self.if_statement(arms, otherwise),
            Kind::Case { operand, arms, otherwise } => {
                return self.case_statement(operand.as_ref(), arms, otherwise.as_deref());
            }
            Kind::Loop { label, body } => return self.endless(label.as_deref(), body),
            Kind::While { label, condition, body } => {
                return self.while_loop(label.as_deref(), condition, body);
            }
            Kind::ForInteger { label, variable, reverse, from, to, step, body } => {
                let bounds = (from, to, step.as_ref());
                return self.integer_loop(label.as_deref(), variable, *reverse, bounds, body);
            }
            Kind::ForQuery { label, targets, source, body } => {
                let rows = self.source(source)?;
                let columns = rows.columns.unwrap_or_default();
                return self.row_loop(label.as_deref(), targets, &columns, rows.rows, body);
            }
            Kind::ForCursor { label, variable, cursor, args, body } => {
                let rows = self.cursor_rows(cursor, args)?;
                let columns = rows.columns.unwrap_or_default();
                let label = label.as_deref();
                return self.own_row_loop(label, variable, &columns, rows.rows, body);
            }
            Kind::Foreach { label, targets, slice, array, body } => {
                return self.array_loop(label.as_deref(), targets, *slice, array, body);
            }
            Kind::Exit { is_exit, label, condition } => {
                if let Some(condition) = condition
                    && self.truth(condition)? != Some(true)
                {
                    return Ok(Flow::Next);
                }
                let label = label.clone();
                return Ok(if *is_exit { Flow::Exit(label) } else { Flow::Continue(label) });
            }
            Kind::Return(value) => return self.return_value(value.as_ref()),
            _ => self.simple(kind)?,
        }
        Ok(Flow::Next)
    }

    /// Statements after which the next one follows.
    fn simple(&mut self, kind: &Kind) -> Result<()> {
        match kind {
            Kind::Assign { target, value } => self.assign(target, value),
            Kind::ReturnNext(value) => self.return_next(value.as_ref()),
            Kind::ReturnQuery(source) => self.return_query(source),
            Kind::Raise { is_again: true, .. } => match self.handled.last() {
                Some(error) => Err(error.clone()),
                None => {
                    let message =
                        "RAISE without parameters cannot be used outside an exception handler";
                    Err(SqlError::new(SqlState::Other(*b"0Z002"), message))
                }
            },
            Kind::Raise { level, condition, format, args, options, .. } => {
                self.raise(*level, condition.as_deref(), format.as_deref(), args, options)
            }
            Kind::Assert { condition, message } => self.assertion(condition, message.as_ref()),
            Kind::Execute { sql, into } => self.sql_statement(sql, into.as_ref()),
            Kind::Perform(sql) => {
                let rows = self.query(sql, None)?;
                self.row_count = rows.count;
                self.set_found(rows.count > 0);
                Ok(())
            }
            Kind::Call(sql) => self.query(sql, None).map(drop),
            Kind::Dynamic { text, into, using } => {
                self.dynamic_statement(text, into.as_ref(), using)
            }
            Kind::GetDiagnostics { is_stacked, items } => self.diagnostics(*is_stacked, items),
            Kind::Open { cursor, source, args } => self.open(cursor, source.as_ref(), args),
            Kind::Fetch { cursor, direction, targets, is_move } => {
                self.fetch(cursor, direction, targets, *is_move)
            }
            Kind::Close(cursor) => self.close(cursor),
            Kind::Commit { chain } => self.host.end_transaction(true, *chain),
            Kind::Rollback { chain } => self.host.end_transaction(false, *chain),
            _ => Ok(()),
        }
    }

    fn if_statement(
        &mut self,
        arms: &[(Sql, Vec<Statement>)],
        otherwise: &[Statement],
    ) -> Result<Flow> {
        for (condition, body) in arms {
            if self.truth(condition)? == Some(true) {
                return self.statements(body);
            }
        }
        self.statements(otherwise)
    }

    fn case_statement(
        &mut self,
        operand: Option<&Sql>,
        arms: &[(Vec<Sql>, Vec<Statement>)],
        otherwise: Option<&[Statement]>,
    ) -> Result<Flow> {
        let operand = match operand {
            Some(operand) => Some(self.value(operand)?),
            None => None,
        };
        for (conditions, body) in arms {
            for condition in conditions {
                let holds = match &operand {
                    None => self.truth(condition)? == Some(true),
                    Some(operand) => self.is_equal(operand, condition)?,
                };
                if holds {
                    return self.statements(body);
                }
            }
        }
        match otherwise {
            Some(body) => self.statements(body),
            None => Err(SqlError::new(SqlState::Other(*b"20000"), "case not found")
                .with_hint("CASE statement is missing ELSE part.")),
        }
    }

    /// Whether a value equals an expression's.
    fn is_equal(&mut self, operand: &(Value, DataType), sql: &Sql) -> Result<bool> {
        let (value, ty) = self.value(sql)?;
        let (left, left_ty) = operand;
        if left.is_null() || value.is_null() {
            return Ok(false);
        }
        if *left_ty == ty {
            return Ok(compare(left, &value).is_eq());
        }
        // Numbers of different types meet in the wider one.
        let common = driftdb_types::common_type(&[*left_ty, ty]).unwrap_or(*left_ty);
        let left = self.host.convert(left.clone(), *left_ty, common, -1)?;
        let right = self.host.convert(value, ty, common, -1)?;
        Ok(compare(&left, &right).is_eq())
    }

    fn sql_statement(&mut self, sql: &Sql, into: Option<&Into>) -> Result<()> {
        let word = sql.text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let is_change =
            ["insert", "update", "delete"].iter().any(|change| word.eq_ignore_ascii_case(change));
        if ["begin", "start", "savepoint", "release", "rollback", "abort", "end"]
            .iter()
            .any(|control| word.eq_ignore_ascii_case(control))
        {
            return Err(SqlError::unsupported("unsupported transaction command in PL/pgSQL"));
        }
        let limit = match into {
            Some(into) if into.strict || is_change => (!is_change).then_some(2),
            Some(_) => Some(1),
            None => None,
        };
        let rows = self.query(sql, limit)?;
        match into {
            Some(into) => {
                if rows.columns.is_none() {
                    let message = "INTO used with a command that cannot return data";
                    return Err(SqlError::new(SqlState::SyntaxError, message));
                }
                self.store_into(into, rows, is_change)
            }
            None if rows.columns.is_some() && !is_change => {
                let message = "query has no destination for result data";
                Err(SqlError::new(SqlState::SyntaxError, message).with_hint(
                    "If you want to discard the results of a SELECT, use PERFORM instead.",
                ))
            }
            None if rows.columns.is_some() => {
                let message = "query has no destination for result data";
                Err(SqlError::new(SqlState::SyntaxError, message))
            }
            None => {
                self.row_count = rows.count;
                if is_change || word.eq_ignore_ascii_case("with") {
                    self.set_found(rows.count > 0);
                }
                Ok(())
            }
        }
    }

    /// The rows of a query or of a text that is computed.
    pub(super) fn source(&mut self, source: &Source) -> Result<Rows> {
        let rows = match source {
            Source::Query(sql) => self.query(sql, None)?,
            Source::Dynamic { text, using } => self.dynamic(text, using, None)?,
        };
        if rows.columns.is_none() {
            let message = "cannot open a query that returns no rows as a cursor";
            return Err(SqlError::new(SqlState::Other(*b"42P11"), message));
        }
        Ok(rows)
    }

    /// Runs a text that is computed.
    pub(super) fn dynamic(
        &mut self,
        text: &Sql,
        using: &[Sql],
        limit: Option<u64>,
    ) -> Result<Rows> {
        let Some(text) = self.text(text)? else {
            let message = "query string argument of EXECUTE is null";
            return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
        };
        let mut params = Vec::with_capacity(using.len());
        for sql in using {
            params.push(self.value(sql)?);
        }
        let types: Vec<DataType> = params.iter().map(|param| param.1).collect();
        let prepared = self
            .host
            .prepare_dynamic(&text, &types)
            .map_err(|error| SqlError { position: None, ..error })?;
        let prepared = Arc::new(prepared);
        let ran = self.host.run(&prepared, &params, limit);
        ran.map_err(|error| add_context(error, &statement_context(&text)))
    }

    fn dynamic_statement(&mut self, text: &Sql, into: Option<&Into>, using: &[Sql]) -> Result<()> {
        let limit = into.map(|into| if into.strict { 2 } else { 1 });
        let rows = self.dynamic(text, using, limit)?;
        self.row_count = rows.count;
        match into {
            None => Ok(()),
            Some(_) if rows.columns.is_none() => {
                let message = "INTO used with a command that cannot return data";
                Err(SqlError::new(SqlState::SyntaxError, message))
            }
            Some(into) => {
                // EXECUTE leaves FOUND alone.
                let found = self.value_at(super::Place { slot: self.found, field: None });
                self.store_into(into, rows, false)?;
                self.slots[self.found].set(found);
                Ok(())
            }
        }
    }
}
