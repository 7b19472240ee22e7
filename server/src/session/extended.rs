//! The extended protocol: parse, bind, describe, execute, sync.

use std::sync::Arc;

use driftdb_query::{Field, Result, SqlError};
use driftdb_sql::{StatementKind, parse};
use driftdb_types::{DataType, SqlState, Value, check_domains, parse_binary, parse_text};

use super::plan::is_session_statement;
use super::portal::{Portal, PortalState};
use super::prepared::Prepared;
use super::{Format, Formats, Progress, ResponseSink, Session};

/// What a statement takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// The parameters' types.
    pub params: Arc<[DataType]>,
    /// The result columns, if it gives rows.
    pub fields: Option<Vec<Field>>,
}

fn violation(message: String) -> SqlError {
    SqlError::new(SqlState::ProtocolViolation, message)
}

impl Session {
    /// Prepares a statement under a name (empty: the unnamed one). `param_oids` are the parameters'
    /// types as far as they are known; 0 where not.
    ///
    /// # Errors
    /// Syntax and binding; a name in use; several statements; an unknown type.
    pub fn prepare(&mut self, name: &str, text: &str, param_oids: &[u32]) -> Result<()> {
        self.begin_message();
        self.guarded(|session| {
            let declared =
                param_oids.iter().map(|oid| declared_type(*oid)).collect::<Result<_>>()?;
            if name.is_empty() {
                session.statements.remove("");
            }
            let prepared = session.prepare_text(text, declared)?;
            session.name_statement(name, prepared)
        })
    }

    fn prepare_text(&mut self, text: &str, declared: Vec<DataType>) -> Result<Arc<Prepared>> {
        let text = &*self.conforming(text)?;
        let is_open = declared.iter().all(|ty| *ty == DataType::Unknown);
        if is_open && let Some(repeated) = self.repeated(text) {
            self.check_not_failed(repeated.is_allowed_in_failed_transaction())?;
            if !is_session_statement(&repeated) {
                self.begin_statement()?;
            }
            // With other definitions it may give other columns: a new statement may, the one that the client
            // was told of may not.
            if let Some(planned) = repeated.plan().filter(|planned| self.still_holds(planned)) {
                repeated.announce(planned.fields.as_deref());
                return Ok(repeated);
            }
        }
        let mut statements = parse(text)?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        // A text without a statement is one, too: clients send it to see whether the server is there.
        let prepared = Arc::new(Prepared::new(statements.pop(), declared));
        self.check_not_failed(prepared.is_allowed_in_failed_transaction())?;
        self.bind_types(&prepared)?;
        if is_open && prepared.kind() != StatementKind::Empty {
            self.remember(text, &prepared);
        }
        Ok(prepared)
    }

    /// Settles the types of a statement's parameters and columns.
    fn bind_types(&mut self, prepared: &Prepared) -> Result<()> {
        if !is_session_statement(prepared) {
            self.begin_statement()?;
        }
        let planned = self.planned(prepared, None)?;
        prepared.announce(planned.fields.as_deref());
        Ok(())
    }

    /// What a prepared statement takes and gives.
    ///
    /// # Errors
    /// No such statement; the catalog changed so that it gives other columns.
    pub fn describe_statement(&mut self, name: &str) -> Result<Described> {
        self.guarded(|session| {
            let prepared = session.statement(name)?;
            session.describe(&prepared)
        })
    }

    fn describe(&mut self, prepared: &Prepared) -> Result<Described> {
        let fields = prepared.plan().and_then(|planned| planned.fields.clone());
        Ok(Described { params: prepared.param_types(), fields })
    }

    /// Binds a prepared statement's parameters and makes a portal. `params` are the raw values, NULL
    /// being `None`.
    ///
    /// # Errors
    /// No such statement; a portal of that name; too few or too many values or formats; a value that
    /// is not of its type.
    pub fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        params: &[Option<&[u8]>],
        param_formats: &[Format],
        result_formats: &[Format],
    ) -> Result<()> {
        self.guarded(|session| {
            let prepared = session.statement(statement)?;
            session.check_not_failed(prepared.is_allowed_in_failed_transaction())?;
            let types = prepared.param_types();
            if params.len() != types.len() {
                return Err(violation(format!(
                    "bind message supplies {} parameters, but prepared statement \"{statement}\" \
                     requires {}",
                    params.len(),
                    types.len()
                )));
            }
            if param_formats.len() > 1 && param_formats.len() != params.len() {
                return Err(violation(format!(
                    "bind message has {} parameter formats but {} parameters",
                    param_formats.len(),
                    params.len()
                )));
            }
            let mut values = Vec::with_capacity(params.len());
            for (index, raw) in params.iter().enumerate() {
                let format = match param_formats {
                    [] => Format::Text,
                    [format] => *format,
                    formats => formats[index],
                };
                values.push(session.read_param(portal, index, types[index], format, *raw)?);
            }
            let formats = session.result_formats(&prepared, result_formats)?;
            session.put_portal(portal, prepared, values, formats)
        })
    }

    fn read_param(
        &self,
        portal: &str,
        index: usize,
        ty: DataType,
        format: Format,
        raw: Option<&[u8]>,
    ) -> Result<Value> {
        let Some(raw) = raw else { return Ok(Value::Null) };
        let value = match format {
            Format::Binary => parse_binary(ty, -1, raw)
                .and_then(|value| {
                    check_domains(ty, &value, &self.eval)?;
                    Ok(value)
                })
                .map_err(SqlError::from),
            Format::Text => std::str::from_utf8(raw)
                .map_err(|_| {
                    let message = "invalid byte sequence for encoding \"UTF8\"";
                    SqlError::new(SqlState::CharacterNotInRepertoire, message)
                })
                .and_then(|text| Ok(parse_text(ty, -1, text, &self.eval)?)),
        };
        value.map_err(|error| {
            let number = index + 1;
            error.with_context(if portal.is_empty() {
                format!("unnamed portal parameter ${number}")
            } else {
                format!("portal \"{portal}\" parameter ${number}")
            })
        })
    }

    fn result_formats(&self, prepared: &Prepared, asked: &[Format]) -> Result<Formats> {
        match asked {
            [] => Ok(Formats::All(Format::Text)),
            [format] => Ok(Formats::All(*format)),
            formats => {
                let planned = prepared.plan();
                let fields = planned.as_ref().and_then(|planned| planned.fields.as_ref());
                let columns = fields.map_or(0, Vec::len);
                if formats.len() != columns {
                    return Err(violation(format!(
                        "bind message has {} result formats but query has {columns} columns",
                        formats.len()
                    )));
                }
                Ok(Formats::Each(formats.to_vec()))
            }
        }
    }

    fn put_portal(
        &mut self,
        name: &str,
        prepared: Arc<Prepared>,
        params: Vec<Value>,
        formats: Formats,
    ) -> Result<()> {
        if !name.is_empty() {
            self.check_free(name)?;
        }
        let state = PortalState::Ready;
        self.portals.insert(name.to_owned(), Portal { prepared, params, formats, state });
        Ok(())
    }

    /// The columns that a portal gives, with their formats.
    ///
    /// # Errors
    /// No such portal.
    pub fn describe_portal(&mut self, name: &str) -> Result<Option<(Vec<Field>, Formats)>> {
        self.guarded(|session| {
            if let Some(described) = session.cursors.described_as(name) {
                return Ok(Some(described));
            }
            let portal = session.portals.get(name).ok_or_else(|| no_portal(name))?;
            let (prepared, formats) = (Arc::clone(&portal.prepared), portal.formats.clone());
            let described = session.describe(&prepared)?;
            Ok(described.fields.map(|fields| (fields, formats)))
        })
    }

    /// Runs a portal, giving at most `max_rows` rows (0: all).
    ///
    /// # Errors
    /// No such portal; whatever the statement raises.
    pub fn execute(
        &mut self,
        name: &str,
        max_rows: u32,
        sink: &mut dyn ResponseSink,
    ) -> Result<Progress> {
        self.begin_message();
        let result = self.guarded(|session| {
            let mut portal = session.portals.remove(name).ok_or_else(|| no_portal(name))?;
            let limit = (max_rows > 0).then_some(u64::from(max_rows));
            let was_in_block = session.block.txn.is_some();
            let parsed = portal.prepared.parsed.as_ref();
            let text = parsed.map(|parsed| (name.to_owned(), Arc::clone(parsed.shared_text())));
            session.cursors.set_running(text);
            let progress = session.run_portal(name, &mut portal, limit, sink);
            session.cursors.set_running(None);
            let progress = progress?;
            // COMMIT and ROLLBACK end all portals, their own too.
            if session.block.txn.is_some() || !was_in_block {
                session.portals.insert(name.to_owned(), portal);
            }
            Ok(progress)
        });
        if result.is_err() {
            self.send_notices(sink);
        }
        result
    }

    /// Forgets a prepared statement. There need not be one.
    pub fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// Forgets a portal. There need not be one.
    pub fn close_portal(&mut self, name: &str) {
        if self.portals.remove(name).is_none() {
            self.cursors.remove(name);
        }
    }

    /// Ends the implicit transaction of what came since the last Sync.
    ///
    /// # Errors
    /// The commit failed.
    pub fn sync(&mut self, sink: &mut dyn ResponseSink) -> Result<()> {
        if self.copying.take().is_some() {
            self.fail_block();
        }
        if !self.is_in_explicit_block() {
            self.portals.clear();
        }
        let result = self.guarded(Self::commit_implicit_block);
        self.send_notices(sink);
        result
    }

    /// Runs one statement with values for its parameters, without a name for it.
    pub(super) fn run_unnamed(
        &mut self,
        text: &str,
        params: &[Value],
        sink: &mut dyn ResponseSink,
    ) -> Result<()> {
        let oids: Vec<u32> = params.iter().map(|value| value.data_type().oid()).collect();
        self.prepare("", text, &oids)?;
        if let Some((fields, formats)) = {
            let described = self.describe_statement("")?;
            described.fields.map(|fields| (fields, Formats::All(Format::Text)))
        } {
            sink.row_description(&fields, &formats);
        }
        self.guarded(|session| {
            let prepared = session.statement("")?;
            let types = prepared.param_types();
            if types.len() != params.len() {
                let message =
                    format!("{} parameters are needed, not {}", types.len(), params.len());
                return Err(violation(message));
            }
            session.put_portal("", prepared, params.to_vec(), Formats::All(Format::Text))
        })?;
        if self.execute("", 0, sink)?.is_copy_in() {
            self.copy_fail("nobody sends its bytes", sink);
        }
        Ok(())
    }
}

fn no_portal(name: &str) -> SqlError {
    let message = format!("portal \"{name}\" does not exist");
    SqlError::new(SqlState::InvalidCursorName, message)
}

/// The first identifier that users' objects have.
const FIRST_OF_USERS: u32 = 16_384;

fn declared_type(oid: u32) -> Result<DataType> {
    match oid {
        0 => Ok(DataType::Unknown),
        // What a user's type is, says where the parameter is used.
        oid if oid >= FIRST_OF_USERS => Ok(DataType::Unknown),
        oid => DataType::from_oid(oid).ok_or_else(|| {
            let message = format!("there is no type with object identifier {oid}");
            SqlError::new(SqlState::UndefinedObject, message)
        }),
    }
}
