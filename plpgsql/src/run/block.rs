//! Blocks: declarations, statements, handlers.

use std::sync::Arc;

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState, Value};

use super::error::catches;
use super::scope::{Meaning, Slot};
use super::{Flow, Interpreter, Output, Position, Record};
use crate::ast::{Block, Declaration, Declared, Sql, TypeText};
use crate::host::{Column, Found, Host};

/// What a declared type is.
enum Type {
    Scalar(DataType, i32),
    Row(Vec<Column>),
    Record,
    Cursor,
}

impl<H: Host> Interpreter<'_, H> {
    /// Runs the outermost block, and says what the function gives.
    pub(super) fn whole(&mut self, block: &Block) -> Result<Output> {
        match self.block(block)? {
            Flow::Return | Flow::Next => {}
            Flow::Exit(Some(label)) if block.label.as_ref() == Some(&label) => {}
            Flow::Exit(_) => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "EXIT cannot be used outside a loop",
                ));
            }
            Flow::Continue(_) => {
                let message = "CONTINUE cannot be used outside a loop";
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
        }
        self.output()
    }

    pub(super) fn block(&mut self, block: &Block) -> Result<Flow> {
        self.at = Position::Declarations(block.line);
        self.in_frame(block.label.as_deref(), |interpreter| {
            for declaration in &block.declarations {
                interpreter.at = Position::Declarations(declaration.line);
                interpreter.declaration(declaration)?;
            }
            interpreter.at = Position::Statement(block.line, "statement block");
            if block.handlers.is_empty() {
                interpreter.statements(&block.body)
            } else {
                interpreter.with_handlers(block)
            }
        })
        .map(|flow| match flow {
            Flow::Exit(Some(label)) if block.label.as_ref() == Some(&label) => Flow::Next,
            flow => flow,
        })
    }

    fn with_handlers(&mut self, block: &Block) -> Result<Flow> {
        self.host.savepoint()?;
        let (slots, frames) = (self.slots.len(), self.frames.len());
        let error = match self.statements(&block.body) {
            Ok(flow) => {
                self.host.release_savepoint();
                return Ok(flow);
            }
            Err(error) => error,
        };
        self.host.rollback_to_savepoint();
        self.slots.truncate(slots);
        self.frames.truncate(frames);
        let handler = block.handlers.iter().find(|handler| {
            handler.conditions.iter().any(|condition| catches(condition, error.state))
        });
        let Some(handler) = handler else { return Err(error) };
        // Somebody who wants it to stop is not to be stopped by a handler.
        self.host.check_interrupt()?;
        let error = self.with_context(error);
        self.in_frame(None, |interpreter| {
            let text =
                |name: &str| Column { name: name.to_owned(), ty: DataType::Text, typmod: -1 };
            let state = Value::Text(error.state.code().into());
            let message = Value::Text(error.message.as_str().into());
            interpreter.declare("sqlstate", Slot::scalar(text("sqlstate"), state));
            interpreter.declare("sqlerrm", Slot::scalar(text("sqlerrm"), message));
            interpreter.handled.push(error);
            let flow = interpreter.statements(&handler.body);
            interpreter.handled.pop();
            flow
        })
    }

    fn declaration(&mut self, declaration: &Declaration) -> Result<()> {
        let name = &declaration.name;
        match &declaration.what {
            Declared::Alias(names) => match self.meaning(names)? {
                Some(Meaning::Record(slot)) => self.name(name, slot),
                Some(Meaning::Value(place)) if place.field.is_none() => self.name(name, place.slot),
                _ => {
                    let message = format!("variable \"{}\" does not exist", names.join("."));
                    return Err(SqlError::new(SqlState::Other(*b"42704"), message));
                }
            },
            Declared::Cursor { args, query } => {
                let mut columns = Vec::with_capacity(args.len());
                for (name, ty) in args {
                    match self.type_of(ty)? {
                        Type::Scalar(ty, typmod) => {
                            columns.push(Column { name: name.clone(), ty, typmod });
                        }
                        _ => {
                            return Err(SqlError::unsupported("a cursor's argument of a row type"));
                        }
                    }
                }
                let query = Some((columns, query.clone()));
                let slot = Slot::Cursor { value: Value::Null, query };
                self.declare(name, slot);
            }
            Declared::Variable { ty, constant, not_null, default } => {
                let ty = self.type_of(ty)?;
                self.variable(name, ty, *constant, *not_null, default.as_ref())?;
            }
        }
        Ok(())
    }

    fn variable(
        &mut self,
        name: &str,
        ty: Type,
        constant: bool,
        not_null: bool,
        default: Option<&Sql>,
    ) -> Result<()> {
        let (ty, typmod) = match ty {
            Type::Scalar(ty, typmod) => (ty, typmod),
            Type::Cursor => {
                let mut value = Value::Null;
                if let Some(default) = default {
                    value = self.value_as(default, DataType::Text)?;
                }
                self.declare(name, Slot::Cursor { value, query: None });
                return Ok(());
            }
            Type::Record | Type::Row(_) => {
                let row = match default {
                    Some(default) => Some(self.row_value(default)?),
                    None => None,
                };
                let record = match ty {
                    Type::Row(columns) => Record::of(columns, None, true),
                    _ => Record::default(),
                };
                let slot = self.declare(name, Slot::Record(record));
                if let Some((columns, row)) = row {
                    self.set_record(slot, columns.as_deref(), row)?;
                }
                return Ok(());
            }
        };
        let value = match default {
            Some(default) => {
                let (value, from) = self.value(default)?;
                self.host.convert(value, from, ty, typmod)?
            }
            None => Value::Null,
        };
        if not_null && value.is_null() {
            let message =
                format!("null value cannot be assigned to variable \"{name}\" declared NOT NULL");
            return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
        }
        let column = Column { name: name.to_owned(), ty, typmod };
        self.declare(name, Slot::Scalar { column, value, constant, not_null });
        Ok(())
    }

    fn type_of(&mut self, ty: &TypeText) -> Result<Type> {
        Ok(match ty {
            TypeText::Record => Type::Record,
            TypeText::Cursor => Type::Cursor,
            TypeText::Name(text) => match self.host.type_named(text)? {
                Found::Type(ty, typmod) => Type::Scalar(ty, typmod),
                Found::Row(columns) => Type::Row(columns),
            },
            TypeText::RowOf(names) => match self.meaning(names)? {
                Some(Meaning::Record(slot)) => self.type_of_record(slot),
                _ => Type::Row(self.host.row_type(names)?),
            },
            TypeText::Like(names) => match self.meaning(names)? {
                Some(Meaning::Record(slot)) => self.type_of_record(slot),
                Some(Meaning::Value(place)) => {
                    let ty = self.type_at(place).unwrap_or(DataType::Text);
                    let typmod = match &self.slots[place.slot] {
                        Slot::Scalar { column, .. } => column.typmod,
                        _ => -1,
                    };
                    Type::Scalar(ty, typmod)
                }
                None => {
                    let (ty, typmod) = self.host.column_type(names)?;
                    Type::Scalar(ty, typmod)
                }
            },
        })
    }

    fn type_of_record(&self, slot: usize) -> Type {
        match &self.slots[slot] {
            Slot::Record(Record { columns: Some(columns), is_fixed: true, .. }) => {
                Type::Row(Arc::clone(columns).to_vec())
            }
            _ => Type::Record,
        }
    }
}
