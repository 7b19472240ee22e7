//! Columns whose values do not come from who writes rows: serial, identity and computed ones.

use driftdb_query::{
    Column, ColumnSpec, Expr, Generated, Need, Result, SequenceDefinition, SequenceOptions,
    SequenceSpec, SqlError, Table,
};
use driftdb_types::{CastContext, DataType, SqlState, Value, Volatility, function};
use sqlparser::ast;

use super::Binder;
use super::create::{Definition, column_of_spec, has_subquery};
use super::names::ident;
use super::position::{Placed, bare};
use super::scope::{Clause, Named, Scope, column_of};
use super::stored::relation;
use crate::front::sequence::WrittenOptions;

/// OVERRIDING … VALUE of INSERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overriding {
    System,
    User,
}

/// What may give a column its value: one of these at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnValue {
    Default,
    Identity,
    Stored,
}

/// The type of a column that is declared as one of the serial types.
pub(crate) fn serial_type(name: &ast::DataType) -> Option<DataType> {
    let ast::DataType::Custom(name, modifiers) = name else { return None };
    let [part] = &name.0[..] else { return None };
    if !modifiers.is_empty() {
        return None;
    }
    match ident(part.as_ident()?).as_str() {
        "smallserial" | "serial2" => Some(DataType::Int2),
        "serial" | "serial4" => Some(DataType::Int4),
        "bigserial" | "serial8" => Some(DataType::Int8),
        _ => None,
    }
}

/// # Errors
/// 42601 for a column that has something to give it its value already.
pub(crate) fn check_one_value(
    definition: &Definition,
    spec: &ColumnSpec,
    new: ColumnValue,
) -> Result<()> {
    use ColumnValue as V;
    let identity = spec.sequence.as_ref().map(|sequence| sequence.identity.is_some());
    let mut given = Vec::new();
    if spec.default.is_some() || identity == Some(false) {
        given.push(V::Default);
    }
    if identity == Some(true) {
        given.push(V::Identity);
    }
    if spec.stored.is_some() {
        given.push(V::Stored);
    }
    let what = match (given.first(), new) {
        (None, _) => return Ok(()),
        (Some(V::Default), V::Default) => "multiple default values",
        (Some(V::Identity), V::Identity) => "multiple identity specifications",
        (Some(V::Stored), V::Stored) => "multiple generation clauses",
        (Some(V::Stored), V::Default) | (Some(V::Default), V::Stored) => {
            "both default and generation expression"
        }
        (Some(V::Identity), V::Default) | (Some(V::Default), V::Identity) => {
            "both default and identity"
        }
        (Some(V::Stored), V::Identity) | (Some(V::Identity), V::Stored) => {
            "both identity and generation expression"
        }
    };
    let (column, table) = (&spec.name, &definition.table);
    let message = format!("{what} specified for column \"{column}\" of table \"{table}\"");
    Err(SqlError::new(SqlState::SyntaxError, message))
}

/// 428C9, with what the column is.
fn always(message: String, column: &Column) -> SqlError {
    let name = &column.name;
    let error = SqlError::new(SqlState::GeneratedAlways, message);
    if column.is_stored() {
        error.with_detail(format!("Column \"{name}\" is a generated column."))
    } else {
        let detail =
            format!("Column \"{name}\" is an identity column defined as GENERATED ALWAYS.");
        error.with_detail(detail)
    }
}

/// Whether a value may be given for a column.
///
/// # Errors
/// 428C9
pub(crate) fn check_inserted(column: &Column, overriding: Option<Overriding>) -> Result<()> {
    let message = || format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
    match (&column.generated, overriding) {
        (Some(Generated::Stored(_)), _) => Err(always(message(), column)),
        (Some(Generated::Identity { always: true, .. }), None) => {
            Err(always(message(), column).with_hint("Use OVERRIDING SYSTEM VALUE to override."))
        }
        _ => Ok(()),
    }
}

/// Whether a value that is given for a column counts for nothing.
pub(crate) fn is_overridden(column: &Column, overriding: Option<Overriding>) -> bool {
    overriding == Some(Overriding::User)
        && matches!(column.generated, Some(Generated::Identity { .. }))
}

/// # Errors
/// 428C9 for a column that only DEFAULT may be assigned to.
pub(crate) fn check_updated(column: &Column) -> Result<()> {
    match column.generated {
        Some(Generated::Stored(_) | Generated::Identity { always: true, .. }) => {
            let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
            Err(always(message, column))
        }
        _ => Ok(()),
    }
}

/// The positions of the computed columns.
pub(crate) fn stored_positions(table: &Table) -> impl Iterator<Item = usize> {
    let stored = |(position, column): (usize, &Column)| column.is_stored().then_some(position);
    table.columns.iter().enumerate().filter_map(stored)
}

/// Whether an expression gives the same whenever it is asked.
pub(crate) fn is_immutable(expr: &Expr) -> bool {
    let own = match expr {
        // A text and anything else: as immutable as the other's text is.
        Expr::Call { function: id, args, .. }
            if function(*id).name == "||" && args.iter().any(|arg| arg.ty() == DataType::Text) =>
        {
            args.iter().all(|arg| cast_is_immutable(arg.ty(), DataType::Text))
        }
        Expr::Call { function: id, .. }
        | Expr::IsDistinct { equal: id, .. }
        | Expr::InList { equal: id, .. }
        | Expr::Quantified { operator: id, .. } => {
            function(*id).volatility == Volatility::Immutable
        }
        Expr::Routine { call, .. } => call.routine().volatility == Volatility::Immutable,
        Expr::Cast { input, to, .. } => cast_is_immutable(input.ty(), *to),
        Expr::Subquery(_) | Expr::Subplan(_) | Expr::Param { .. } => false,
        _ => true,
    };
    let mut immutable = own;
    expr.for_each_child(&mut |child| immutable &= is_immutable(child));
    immutable
}

/// Conversions that the session's settings have a say in.
fn cast_is_immutable(from: DataType, to: DataType) -> bool {
    use DataType as T;
    let (from, to) = (from.element().unwrap_or(from), to.element().unwrap_or(to));
    let is_zoned = |ty: T| ty == T::Timestamptz;
    let is_shown = |ty: T| {
        matches!(ty, T::Timestamptz | T::Timestamp | T::Date | T::Time | T::Interval) || ty.is_reg()
    };
    if is_zoned(from) != is_zoned(to) {
        return false;
    }
    !(from.is_string() && is_shown(to) || is_shown(from) && to.is_string())
}

impl Binder<'_> {
    /// The sequence of a column of a serial type.
    pub(crate) fn serial(
        &mut self,
        definition: &mut Definition,
        spec: &mut ColumnSpec,
    ) -> Result<()> {
        let options = SequenceOptions { ty: Some(spec.ty), ..SequenceOptions::default() };
        let name = self.sequence_name(definition, &spec.name)?;
        spec.sequence = Some(SequenceSpec { name, options, identity: None });
        Ok(())
    }

    /// The sequence of an identity column, whose options are after a position.
    pub(crate) fn identity(
        &mut self,
        definition: &mut Definition,
        spec: &mut ColumnSpec,
        position: u32,
        always: bool,
    ) -> Result<()> {
        let written = self.identity_options(position);
        spec.not_null = true;
        spec.sequence = Some(self.identity_spec(definition, spec, &written, always)?);
        Ok(())
    }

    /// The options of the first identity clause after a position.
    pub(crate) fn identity_options(&self, position: u32) -> WrittenOptions {
        let lifted = self.content.map(|content| &content.lifted.identities);
        let after = lifted.and_then(|all| all.range(position..).next());
        after.map(|(_, options)| options.clone()).unwrap_or_default()
    }

    pub(crate) fn identity_spec(
        &mut self,
        definition: &mut Definition,
        spec: &ColumnSpec,
        written: &WrittenOptions,
        always: bool,
    ) -> Result<SequenceSpec> {
        if !matches!(spec.ty, DataType::Int2 | DataType::Int4 | DataType::Int8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        let mut options = written.options.clone();
        options.ty = Some(match &written.ty {
            Some(ty) => self.type_name(ty)?.0,
            None => spec.ty,
        });
        // Whether they go together is known now.
        SequenceDefinition::new(&options, 0)?;
        let name = match &written.name {
            Some(name) => name.name.clone(),
            None => self.sequence_name(definition, &spec.name)?,
        };
        Ok(SequenceSpec { name, options, identity: Some(always) })
    }

    pub(crate) fn sequence_name(
        &mut self,
        definition: &mut Definition,
        column: &str,
    ) -> Result<String> {
        let columns = [column.to_owned()];
        let name = self.free_name(
            &definition.schema,
            &definition.table,
            &columns,
            "seq",
            &definition.taken,
        )?;
        definition.taken.push(name.clone());
        Ok(name)
    }

    /// Checks a generation expression over the columns of a definition.
    pub(crate) fn check_generation(
        &mut self,
        definition: &Definition,
        name: &str,
        expr: &ast::Expr,
    ) -> Result<Expr> {
        let columns: Vec<Named> = definition
            .columns
            .iter()
            .map(|spec| {
                let id = self.column_id();
                Named { name: spec.name.clone(), expr: Expr::Column { id, ty: spec.ty } }
            })
            .collect();
        let spec = definition.columns.iter().find(|spec| spec.name == name);
        let spec = spec.ok_or_else(|| SqlError::internal("a generated column is gone"))?;
        let relations = vec![relation(&definition.table, columns.clone())];
        self.scopes.push(Scope::with(Clause::Generated, relations, columns.clone()));
        let bound = self.expr(expr);
        let scope = self.scopes.pop();
        let bound = bound?;
        if has_subquery(&bound) {
            let message = "cannot use subquery in column generation expression";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message)).at_expr(expr);
        }
        let mut error = None;
        super::aggregate::for_each_column(&bound, &mut |id| {
            let at = columns.iter().position(|c| column_of(&c.expr) == Some(id));
            let Some(used) = at.map(|at| &definition.columns[at]) else { return };
            if used.stored.is_some() && error.is_none() {
                let message = format!(
                    "cannot use generated column \"{}\" in column generation expression",
                    used.name
                );
                let detail = if used.name == name {
                    "This would cause the generated column to depend on its own value."
                } else {
                    "A generated column cannot reference another generated column."
                };
                let found = SqlError::new(SqlState::InvalidObjectDefinition, message);
                let position = scope.as_ref().and_then(|scope| scope.positions.get(&id));
                let found = found.with_detail(detail);
                error = Some(position.map_or_else(|| found.clone(), |at| found.clone().at(*at)));
            }
        });
        if let Some(error) = error {
            return Err(error);
        }
        let from = bound.ty();
        let assigned = self.assign(bound, &column_of_spec(spec)).map_err(|error| {
            if error.state != SqlState::DatatypeMismatch {
                return error;
            }
            let message = format!(
                "column \"{name}\" is of type {} but generation expression is of type {from}",
                spec.ty
            );
            SqlError { message, ..error }
        });
        let assigned = assigned.at_expr(expr)?;
        if !is_immutable(&assigned) {
            let message = "generation expression is not immutable";
            return Err(SqlError::new(SqlState::InvalidObjectDefinition, message));
        }
        Ok(assigned)
    }

    /// The next value of a column's sequence, converted to its type.
    pub(crate) fn next_value(&mut self, sequence: u32, column: &Column) -> Result<Expr> {
        self.catalog.is_asked()?;
        let resolved = driftdb_types::resolve_function("nextval", &[DataType::Regclass])?;
        let oid = Expr::constant(Value::Oid(sequence), DataType::Regclass);
        let call = Expr::Call { function: resolved.id, args: vec![oid], ty: resolved.result };
        self.coerce(call, column.ty, column.typmod, CastContext::Assignment)
    }

    /// An expression as the catalog keeps it: relations that are named by literals are named by identifier, so that
    /// they may be renamed.
    pub(crate) fn stored_text(&mut self, expr: &ast::Expr) -> Result<String> {
        let mut expr = expr.clone();
        self.name_by_identifier(&mut expr)?;
        Ok(expr.to_string())
    }

    fn name_by_identifier(&mut self, expr: &mut ast::Expr) -> Result<()> {
        use ast::Expr as E;
        match expr {
            E::Nested(inner) | E::UnaryOp { expr: inner, .. } => self.name_by_identifier(inner),
            E::BinaryOp { left, right, .. } => {
                self.name_by_identifier(left)?;
                self.name_by_identifier(right)
            }
            E::Cast { data_type: ast::DataType::Regclass, .. } => self.identify(expr),
            E::Cast { expr: inner, .. } => self.name_by_identifier(inner),
            E::Function(function) => {
                let name = function.name.0.last().and_then(|part| part.as_ident()).map(ident);
                let takes_sequence =
                    name.is_some_and(|name| matches!(&*name, "nextval" | "currval" | "setval"));
                let ast::FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
                for (place, arg) in list.args.iter_mut().enumerate() {
                    let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(arg)) = arg else {
                        continue;
                    };
                    if takes_sequence && place == 0 && literal(arg).is_some() {
                        self.identify(arg)?;
                    } else {
                        self.name_by_identifier(arg)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A literal that names a relation becomes `'oid'::regclass`.
    fn identify(&mut self, expr: &mut ast::Expr) -> Result<()> {
        let inner = match &*expr {
            ast::Expr::Cast { expr, .. } => literal(expr),
            expr => literal(expr),
        };
        let Some(name) = inner else { return Ok(()) };
        let named = super::literal::unknown(name);
        let bound = self.coerce(named, DataType::Regclass, -1, CastContext::Explicit)?;
        let Expr::Const { value: Value::Oid(oid), .. } = bound else { return Ok(()) };
        let text = ast::Value::SingleQuotedString(oid.to_string()).with_empty_span();
        *expr = ast::Expr::Cast {
            kind: ast::CastKind::DoubleColon,
            expr: Box::new(ast::Expr::Value(text)),
            data_type: ast::DataType::Regclass,
            format: None,
        };
        Ok(())
    }

    /// What INSERT says of OVERRIDING, whose table's name ends at a position.
    pub(crate) fn overriding(&self, table: u32) -> Option<Overriding> {
        self.content.and_then(|content| content.lifted.overriding.get(&table).copied())
    }
}

/// The sequences that a stored text names, by identifier as [`Binder::stored_text`] writes it.
pub(crate) fn sequences_in(text: &str) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for piece in text.split('\'').collect::<Vec<_>>().windows(2) {
        if let (Ok(oid), true) = (piece[0].parse::<u32>(), is_regclass(piece[1]))
            && !needs.contains(&Need::of(oid))
        {
            needs.push(Need::of(oid));
        }
    }
    needs
}

/// Whether a text goes on with a conversion to `regclass`.
fn is_regclass(text: &str) -> bool {
    const CONVERSION: &str = "::regclass";
    text.get(..CONVERSION.len()).is_some_and(|start| start.eq_ignore_ascii_case(CONVERSION))
}

/// A text, if an expression is one.
fn literal(expr: &ast::Expr) -> Option<&str> {
    match bare(expr) {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
