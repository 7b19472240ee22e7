//! Statements that the session runs itself: SET, SHOW, PREPARE, EXECUTE and their kin.

use std::sync::Arc;

use driftdb_executor::CommandTag;
use driftdb_query::eval::{Constants, eval};
use driftdb_query::{Expr, Field, Result, SetScope, SqlError, Statement, TransactionModes};
use driftdb_sql::{StatementKind, parse};
use driftdb_types::{CastContext, DataType, SessionActions, SqlState, Value, cast};

use super::prepared::Prepared;
use super::run::{Ran, Wanted};
use super::settings::{isolation_level, parse_bool};
use super::{ResponseSink, Session};

/// `SHOW driftdb.stats` lists the figures of engine, log and transactions.
const STATS: &str = "driftdb.stats";

fn done(command: &'static str) -> Result<Ran> {
    Ok(Ran::Complete(CommandTag { command, rows: None }))
}

fn text_fields(names: &[&str]) -> Vec<Field> {
    let field = |name: &&str| Field {
        name: (*name).to_owned(),
        ty: DataType::Text,
        typmod: -1,
        origin: (0, 0),
    };
    names.iter().map(field).collect()
}

impl Session {
    /// Runs a statement that has no plan.
    pub(super) fn run_session_statement(
        &mut self,
        statement: &Statement,
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        if let Statement::Transaction(statement) = statement {
            return self.run_transaction_statement(statement, sink).map(Ran::Complete);
        }
        self.open_implicit_block();
        match statement {
            Statement::Empty => Ok(Ran::Empty),
            Statement::Set { name, value, scope } => {
                self.set(name, value.as_deref(), *scope, sink)?;
                done("SET")
            }
            Statement::Reset(Some(name)) => {
                self.set(name, None, SetScope::Session, sink)?;
                done("RESET")
            }
            Statement::Reset(None) => {
                self.settings.reset_all();
                self.apply_settings();
                done("RESET")
            }
            Statement::Show(name) => self.show(name.as_deref(), wanted, sink),
            Statement::Prepare { name, types, text } => self.prepare_sql(name, types, text),
            Statement::Execute { name, args } => self.execute_sql(name, args, params, wanted, sink),
            Statement::Deallocate(Some(name)) => {
                self.statement(name)?;
                self.statements.remove(name);
                done("DEALLOCATE")
            }
            Statement::Deallocate(None) => {
                self.statements.clear();
                done("DEALLOCATE ALL")
            }
            Statement::Fetch(fetch) => self.fetch(fetch, wanted, sink),
            Statement::CloseCursor(name) => self.close_cursor(name.as_deref()),
            Statement::Channel(statement) => self.run_channel_statement(statement),
            Statement::DiscardAll => {
                self.require_no_block("DISCARD ALL")?;
                self.cursors.clear();
                self.listening.unlisten_all();
                self.portals.clear();
                self.statements.clear();
                self.repeated.clear();
                self.actions.unlock_all();
                self.drop_temporary()?;
                self.actions.discard_sequences();
                self.settings.reset_all();
                self.set_role(super::role::SESSION_USER, None, SetScope::Session)?;
                done("DISCARD ALL")
            }
            Statement::DiscardSequences => {
                self.actions.discard_sequences();
                done("DISCARD SEQUENCES")
            }
            Statement::Checkpoint => {
                self.check_may_checkpoint()?;
                self.node.store().checkpoint()?;
                done("CHECKPOINT")
            }
            Statement::Branch(statement) => self.run_branch_statement(statement),
            other => Err(SqlError::internal(format!("a session cannot run {other:?}"))),
        }
    }

    fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        scope: SetScope,
        sink: &mut dyn ResponseSink,
    ) -> Result<()> {
        let invalid = || {
            let message =
                format!("invalid value for parameter \"{name}\": \"{}\"", value.unwrap_or(""));
            SqlError::new(SqlState::InvalidParameterValue, message)
        };
        let modes = match name {
            "transaction_isolation" => TransactionModes {
                isolation: Some(value.and_then(isolation_level).ok_or_else(invalid)?),
                ..TransactionModes::default()
            },
            "transaction_read_only" => TransactionModes {
                read_only: Some(value.and_then(parse_bool).ok_or_else(invalid)?),
                ..TransactionModes::default()
            },
            super::role::ROLE => return self.set_role(super::role::ROLE, value, scope),
            super::role::SESSION_USER => {
                return self.set_role(super::role::SESSION_USER, value, scope);
            }
            _ => {
                if scope == SetScope::Local && !self.is_in_explicit_block() {
                    let message = "SET LOCAL can only be used in transaction blocks";
                    let state = SqlState::NoActiveSqlTransaction;
                    self.warn(&SqlError::new(state, message), sink);
                }
                if name == super::past::AS_OF {
                    let value = self.past_setting(value)?;
                    self.settings.set(name, value.as_deref(), scope)?;
                } else {
                    self.settings.set(name, value, scope)?;
                }
                self.apply_settings();
                return Ok(());
            }
        };
        self.set_modes(modes)
    }

    fn show(
        &mut self,
        name: Option<&str>,
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let Some(name) = name else {
            let rows: Vec<Vec<Value>> = self
                .settings
                .all()
                .map(|(name, value, description)| {
                    [name, value, description].map(Value::text).to_vec()
                })
                .collect();
            let fields = text_fields(&["name", "setting", "description"]);
            self.give_values(&fields, &rows, wanted, sink)?;
            return done("SHOW");
        };
        if name == STATS {
            let mut rows = Vec::new();
            self.node.store().stats(&mut |name, value| {
                rows.push([name.to_owned(), value.to_string()].map(Value::text).to_vec());
            });
            self.give_values(&text_fields(&["name", "value"]), &rows, wanted, sink)?;
            return done("SHOW");
        }
        let value = match name {
            "transaction_isolation" => self.isolation().to_string(),
            "transaction_read_only" => if self.is_read_only() { "on" } else { "off" }.to_owned(),
            "session_authorization" => self.eval.session_user.to_string(),
            name => self.settings.show(name)?,
        };
        let column = self.settings.proper_name(name).unwrap_or(name);
        self.give_values(&text_fields(&[column]), &[vec![Value::text(value)]], wanted, sink)?;
        done("SHOW")
    }

    fn prepare_sql(&mut self, name: &str, types: &[DataType], text: &str) -> Result<Ran> {
        let mut statements = parse(text)?;
        let (Some(parsed), true) = (statements.pop(), statements.is_empty()) else {
            return Err(SqlError::internal("PREPARE holds exactly one statement"));
        };
        if !matches!(parsed.kind(), StatementKind::Query | StatementKind::Change) {
            return Err(SqlError::unsupported(format!("PREPARE of {}", parsed.tag())));
        }
        let prepared = Arc::new(Prepared::new(Some(parsed), types.to_vec()));
        self.begin_statement()?;
        let planned = self.planned(&prepared, None)?;
        prepared.announce(planned.fields.as_deref());
        self.name_statement(name, prepared)?;
        done("PREPARE")
    }

    fn execute_sql(
        &mut self,
        name: &str,
        args: &[Expr],
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let prepared = self.statement(name)?;
        if prepared.tag() == "EXECUTE" {
            return Err(SqlError::unsupported("EXECUTE of a statement that is an EXECUTE"));
        }
        let types = prepared.param_types();
        if args.len() != types.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {} parameters but got {}.", types.len(), args.len());
            return Err(SqlError::new(SqlState::SyntaxError, message).with_detail(detail));
        }
        let mut values = Vec::with_capacity(args.len());
        for (arg, to) in args.iter().zip(types.iter()) {
            let value = eval(arg, &Constants { context: &self.eval, params })?;
            let assign = CastContext::Assignment;
            values.push(cast(value, arg.ty(), *to, -1, assign, &self.eval)?);
        }
        self.run_statement(&prepared, &values, wanted, sink)
    }
}
