//! COPY: its options, and what it reads or writes.

use std::time::Duration;

use driftdb_query::{
    Copy, CopyFormat, CopyOptions, CopySource, Expr, Query, Result, Rights, RowRules, SqlError,
    Table,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::foreign::Change;
use super::names::ObjectName;
use super::schema::no_such_schema;
use super::{Binder, changes};
use crate::front::copy::{CopyBody, CopyValue, CopyWhat};

/// How often a COPY that follows says so, unless told.
const HEARTBEAT: Duration = Duration::from_secs(10);
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

impl Binder<'_> {
    pub(crate) fn copy(&mut self, copy: &CopyBody) -> Result<Copy> {
        let (table, mut names) = match &copy.what {
            CopyWhat::Query(statement) => {
                let ast::Statement::Query(query) = &**statement else {
                    return Err(SqlError::unsupported("COPY of a statement that is not a query"));
                };
                let mut rows = self.query(query)?;
                self.decide_columns(&mut rows)?;
                let names: Vec<String> = rows.columns.iter().map(|c| c.name.clone()).collect();
                let options = options(copy, &names)?;
                let fields = rows.fields();
                if options.follow {
                    changes::follow(&mut rows.plan, self.heartbeat(copy)?)?;
                }
                let source = CopySource::To(Box::new(Query { plan: rows.plan, fields }));
                return Ok(Copy { source, options });
            }
            CopyWhat::Table(name, columns) => {
                if let Some(schema) = self.missing_schema(name.schema.as_deref())? {
                    return Err(no_such_schema(&schema));
                }
                let name = ObjectName {
                    schema: name.schema.clone(),
                    name: name.name.clone(),
                    position: name.position,
                    last: name.position,
                };
                (self.table_now(&name)?, columns.clone())
            }
        };
        if names.is_empty() {
            let copied = table.columns.iter().filter(|column| !column.is_stored());
            names = copied.map(|column| (column.name.clone(), 0)).collect();
        }
        let mut columns = Vec::with_capacity(names.len());
        for (name, position) in &names {
            let index = table.column(name).map(|(index, _)| index).ok_or_else(|| {
                let message =
                    format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                let error = SqlError::new(SqlState::UndefinedColumn, message);
                if *position > 0 { error.at(*position) } else { error }
            })?;
            if table.columns[index].is_stored() {
                let message = format!("column \"{name}\" is a generated column");
                return Err(SqlError::new(SqlState::InvalidColumnReference, message)
                    .with_detail("Generated columns cannot be used in COPY."));
            }
            if columns.contains(&index) {
                let message = format!("column \"{name}\" specified more than once");
                return Err(SqlError::new(SqlState::DuplicateColumn, message));
            }
            columns.push(index);
        }
        let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
        let options = options(copy, &names)?;
        if options.follow {
            return Err(changes::cannot_follow());
        }
        let source = if copy.from {
            let asked = self.ask_change(&table, None, Rights::INSERT, &[]);
            let given = columns.iter().copied();
            self.ask_columns(asked, &table, None, Rights::INSERT, given);
            let row = self.copied_row(&table, &columns)?;
            let checks = self.slot_checks(&table)?;
            let related = self.related(&table, Change::Insert)?;
            CopySource::From { table, columns, row, checks, related }
        } else {
            CopySource::To(Box::new(self.table_query(&table, &columns)))
        };
        Ok(Copy { source, options })
    }

    /// How often a COPY that follows says up to where it has come.
    fn heartbeat(&self, copy: &CopyBody) -> Result<Duration> {
        let given = copy.options.iter().find(|(name, ..)| name == "heartbeat");
        let Some((_, value, position)) = given else { return Ok(HEARTBEAT) };
        let asked = text(value).map_err(|error| error.at(*position))?;
        let period = super::history::period(&asked, self.eval);
        period.filter(|period| *period >= SHORTEST_HEARTBEAT).ok_or_else(|| {
            invalid(format!("invalid value for option \"heartbeat\": \"{asked}\""))
                .with_hint(
                    "Give an interval of a hundredth of a second or more, such as '5 seconds'.",
                )
                .at(*position)
        })
    }

    /// A whole row from the input's columns.
    fn copied_row(&mut self, table: &Table, columns: &[usize]) -> Result<Vec<Expr>> {
        let mut row = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            row.push(match columns.iter().position(|given| *given == position) {
                // The input is read as the column's type.
                Some(index) => Expr::Slot { index, ty: column.ty },
                None => self.default_of(column)?,
            });
        }
        Ok(row)
    }

    /// A table's CHECKs over its row by position.
    pub(crate) fn slot_checks(&mut self, table: &Table) -> Result<RowRules> {
        let row = self.row_ids(table);
        let mut checks = self.checks(table, &row)?;
        checks.exprs_mut().for_each(|expr| to_slots(expr, &row));
        Ok(checks)
    }

    /// The rows of a table, as COPY writes them.
    fn table_query(&mut self, table: &std::sync::Arc<Table>, columns: &[usize]) -> Query {
        let mut scanned = Vec::with_capacity(columns.len());
        let mut fields = Vec::with_capacity(columns.len());
        for position in columns {
            let column = &table.columns[*position];
            let id = self.column_id();
            self.note_used(&Expr::Column { id, ty: column.ty });
            scanned.push(driftdb_query::ScanColumn { id, position: *position });
            fields.push(driftdb_query::Field {
                name: column.name.clone(),
                ty: column.ty,
                typmod: column.typmod,
                origin: (table.id.0, column.id.0),
            });
        }
        let plan = driftdb_query::LogicalPlan::Scan {
            table: table.clone(),
            at: driftdb_concurrency::ReadAt::Statement,
            columns: scanned,
            key: None,
            temporal: driftdb_query::Temporal::default(),
        };
        Query { plan, fields }
    }
}

/// Columns by identity become columns by position.
pub(crate) fn to_slots(expr: &mut Expr, row: &[driftdb_query::ColId]) {
    if let Expr::Column { id, ty } = expr
        && let Some(index) = row.iter().position(|other| other == id)
    {
        *expr = Expr::Slot { index, ty: *ty };
        return;
    }
    expr.for_each_child_mut(&mut |child| to_slots(child, row));
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

/// The options that were given, with the format's defaults for the rest.
fn options(copy: &CopyBody, columns: &[String]) -> Result<CopyOptions> {
    let mut format = CopyFormat::Text;
    let (mut delimiter, mut null, mut header) = (None, None, None);
    let (mut quote, mut escape, mut force_quote) = (None, None, None);
    let (mut follow, mut heartbeat) = (false, None);
    let mut seen: Vec<&str> = Vec::new();
    for (name, value, position) in &copy.options {
        let place = |error: SqlError| error.at(*position);
        if seen.contains(&name.as_str()) {
            let message = "conflicting or redundant options";
            return Err(place(SqlError::new(SqlState::SyntaxError, message)));
        }
        seen.push(name);
        match name.as_str() {
            "format" => {
                format = match text(value).map_err(place)?.as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => return Err(place(SqlError::unsupported("COPY in binary format"))),
                    other => {
                        let message = format!("COPY format \"{other}\" not recognized");
                        return Err(place(invalid(message)));
                    }
                }
            }
            "delimiter" => delimiter = Some(text(value).map_err(place)?),
            "null" => null = Some(text(value).map_err(place)?),
            "header" => header = Some(flag(name, value).map_err(place)?),
            "quote" => quote = Some(text(value).map_err(place)?),
            "escape" => escape = Some(text(value).map_err(place)?),
            "force_quote" => force_quote = Some(listed(value, columns).map_err(place)?),
            "follow" => follow = flag(name, value).map_err(place)?,
            "heartbeat" => heartbeat = Some(*position),
            // The rows are durable in any case.
            "freeze" => {
                flag(name, value).map_err(place)?;
            }
            "encoding" => {
                let encoding = text(value).map_err(place)?;
                if !matches!(encoding.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode") {
                    return Err(place(SqlError::unsupported(format!("encoding \"{encoding}\""))));
                }
            }
            "force_not_null" | "force_null" => {
                return Err(place(SqlError::unsupported("COPY with FORCE_NULL or FORCE_NOT_NULL")));
            }
            other => {
                let message = format!("option \"{other}\" not recognized");
                return Err(place(SqlError::new(SqlState::SyntaxError, message)));
            }
        }
    }
    if let Some(position) = heartbeat.filter(|_| !follow) {
        let message = "COPY heartbeat available only with follow";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message).at(position));
    }
    let csv = format == CopyFormat::Csv;
    if !csv && (quote.is_some() || escape.is_some() || force_quote.is_some()) {
        return Err(SqlError::new(
            SqlState::FeatureNotSupported,
            "COPY quote, escape and force_quote available only in CSV mode",
        ));
    }
    let default = if csv { "," } else { "\t" };
    let delimiter = one_byte("delimiter", delimiter.as_deref().unwrap_or(default))?;
    let quote = one_byte("quote", quote.as_deref().unwrap_or("\""))?;
    let escape = match escape {
        Some(escape) => one_byte("escape", &escape)?,
        None => quote,
    };
    let null = null.unwrap_or_else(|| if csv { "" } else { "\\N" }.to_owned());
    check(csv, delimiter, quote, &null)?;
    Ok(CopyOptions {
        format,
        delimiter,
        null,
        header: header.unwrap_or(false),
        quote,
        escape,
        force_quote: force_quote.unwrap_or_default(),
        follow,
    })
}

fn check(csv: bool, delimiter: u8, quote: u8, null: &str) -> Result<()> {
    if matches!(delimiter, b'\n' | b'\r') {
        return Err(invalid("COPY delimiter cannot be newline or carriage return"));
    }
    if null.contains(['\n', '\r']) {
        return Err(invalid("COPY null representation cannot use newline or carriage return"));
    }
    if !csv
        && (delimiter.is_ascii_lowercase()
            || delimiter.is_ascii_digit()
            || b"\\.".contains(&delimiter))
    {
        let message = format!("COPY delimiter cannot be \"{}\"", char::from(delimiter));
        return Err(invalid(message));
    }
    if csv && delimiter == quote {
        return Err(invalid("COPY delimiter and quote must be different"));
    }
    if null.as_bytes().contains(&delimiter) {
        return Err(invalid("COPY delimiter must not appear in the NULL specification"));
    }
    if csv && null.as_bytes().contains(&quote) {
        return Err(invalid("CSV quote character must not appear in the NULL specification"));
    }
    Ok(())
}

fn text(value: &CopyValue) -> Result<String> {
    match value {
        CopyValue::Text(text) => Ok(text.clone()),
        _ => Err(SqlError::new(SqlState::SyntaxError, "the option requires a parameter")),
    }
}

fn flag(name: &str, value: &CopyValue) -> Result<bool> {
    match value {
        CopyValue::Absent => Ok(true),
        CopyValue::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(SqlError::new(
                SqlState::SyntaxError,
                format!("{name} requires a Boolean value"),
            )),
        },
        _ => Err(SqlError::new(SqlState::SyntaxError, format!("{name} requires a Boolean value"))),
    }
}

fn listed(value: &CopyValue, columns: &[String]) -> Result<Vec<usize>> {
    match value {
        CopyValue::Star => Ok((0..columns.len()).collect()),
        CopyValue::Columns(names) => names
            .iter()
            .map(|name| {
                columns.iter().position(|column| column == name).ok_or_else(|| {
                    let message = format!("FORCE_QUOTE column \"{name}\" not referenced by COPY");
                    SqlError::new(SqlState::InvalidColumnReference, message)
                })
            })
            .collect(),
        _ => Err(SqlError::new(
            SqlState::SyntaxError,
            "argument to option \"force_quote\" must be a list of column names",
        )),
    }
}

fn one_byte(name: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(invalid(format!("COPY {name} must be a single one-byte character"))),
    }
}
