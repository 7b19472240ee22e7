//! CREATE INDEX: what its entries are of, and the expressions of it, kept as text ([`Term`]).
//!
//! Source: PostgreSQL 15, src/backend/commands/indexcmds.c and access/common/reloptions.c.

use std::sync::Arc;

use driftdb_query::{
    BoundTerm, ColId, ColumnId, CreateIndex, Expr, FIRST_TERM, KeyOf, KeySpec, Need, Result,
    SqlError, Statement, Table, Term,
};
use driftdb_types::{CastContext, DataType, SqlState};
use sqlparser::ast;

use super::aggregate::for_each_column;
use super::create::{check_indexable, has_subquery};
use super::generated::is_immutable;
use super::names::{ident, object_name};
use super::position::{Placed, bare};
use super::qualified::{qualified, routines};
use super::routine_call::slots;
use super::schema::no_such_schema;
use super::scope::{Clause, Scope};
use super::stored::{named_row, relation};
use super::target::column_name;
use super::{BindContext, Binder};
use crate::deparse::show_over;

/// The most columns of an index, those of INCLUDE among them.
const MOST_COLUMNS: usize = 32;

/// Binds the terms of a table, in order, over its rows ([`Expr::Slot`]).
///
/// # Errors
/// The text of one does not parse or bind.
pub fn bind_terms(table: &Table, cx: &mut BindContext<'_>) -> Result<Vec<Arc<Expr>>> {
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    table.terms.iter().map(|term| binder.term_over_row(table, term).map(Arc::new)).collect()
}

/// Binds a term over a row of its table, its columns named by `row`.
///
/// # Errors
/// The text does not parse or bind.
pub(crate) fn bound_term(
    term: &Term,
    table: &Table,
    row: &[ColId],
    cx: &mut BindContext<'_>,
) -> Result<Expr> {
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    binder.term_text((&term.sql, term.ty), table, row)
}

/// Whether a text is a call with nothing around it, which needs no brackets in an index.
pub(crate) fn looks_like_call(text: &str) -> bool {
    let head = text.find('(').map_or("", |open| &text[..open]);
    let is_name = !head.is_empty()
        && head.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '"' | '$'));
    is_name && text.ends_with(')') && {
        let (mut depth, mut quote, mut closed_early) = (0i32, false, false);
        for (at, c) in text.char_indices() {
            match c {
                '\'' => quote = !quote,
                '(' if !quote => depth += 1,
                ')' if !quote => {
                    depth -= 1;
                    closed_early |= depth == 0 && at + 1 < text.len();
                }
                _ => {}
            }
        }
        !closed_early
    }
}

impl Binder<'_> {
    pub(crate) fn create_index(&mut self, create: &ast::CreateIndex) -> Result<Statement> {
        let is_hash = match &create.using {
            None | Some(ast::IndexType::BTree) => false,
            Some(ast::IndexType::Hash) => true,
            Some(other) => return Err(access_method(&other.to_string().to_lowercase())),
        };
        let on = object_name(&create.table_name)?;
        if let Some(schema) = self.missing_schema(on.schema.as_deref())? {
            return Err(no_such_schema(&schema));
        }
        let table = self.table_now(&on)?;
        if is_hash {
            check_hash(create)?;
        }
        if create.columns.len() + create.include.len() > MOST_COLUMNS {
            let message = format!("cannot use more than {MOST_COLUMNS} columns in an index");
            return Err(SqlError::new(SqlState::TooManyColumns, message));
        }
        let row = self.row_ids(&table);
        let mut needs = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let predicate = match &create.predicate {
            Some(predicate) => Some(self.predicate_term(&table, &row, predicate, &mut needs)?),
            None => None,
        };
        let mut columns = Vec::with_capacity(create.columns.len());
        for column in &create.columns {
            columns.push(self.index_key(&table, &row, column, &mut names, &mut needs)?);
        }
        let mut include = Vec::with_capacity(create.include.len());
        for name in &create.include {
            let position = column_position(&table, name)?;
            names.push(free_name(&names, &table.columns[position].name));
            include.push(position);
        }
        let name = match &create.name {
            Some(name) => object_name(name)?.name,
            None => {
                let schema = table.schema.clone();
                self.free_name(&schema, &table.name, &names, "idx", &[])?
            }
        };
        Ok(Statement::CreateIndex(CreateIndex {
            table,
            name,
            if_not_exists: create.if_not_exists,
            unique: create.unique,
            columns,
            predicate,
            include,
            nulls_equal: create.nulls_distinct == Some(false),
            is_hash,
            options: index_options(&create.with, is_hash)?,
            concurrently: create.concurrently,
            needs,
        }))
    }

    fn index_key(
        &mut self,
        table: &Table,
        row: &[ColId],
        column: &ast::IndexColumn,
        names: &mut Vec<String>,
        needs: &mut Vec<Need>,
    ) -> Result<KeySpec> {
        let key = &column.column;
        let mut expr = bare(&key.expr);
        if let ast::Expr::Collate { expr: inner, .. } = expr {
            expr = bare(inner);
        }
        let descending = matches!(key.options.sort, Some(ast::OrderBySort::Desc));
        let nulls_first = key.options.nulls_first.unwrap_or(descending);
        let of = match expr {
            ast::Expr::Identifier(name) => {
                let position = column_position(table, name)?;
                names.push(free_name(names, &table.columns[position].name));
                KeyOf::Column(position)
            }
            _ => {
                let figured = column_name(expr);
                let name = if figured == "?column?" { "expr" } else { &figured };
                let name = free_name(names, name);
                let term = self.index_term(table, row, expr, name.clone(), needs)?;
                names.push(name);
                KeyOf::Term(term)
            }
        };
        let ty = match &of {
            KeyOf::Column(position) => table.columns[*position].ty,
            KeyOf::Term(term) => term.ty,
        };
        let by_pattern = match &column.operator_class {
            Some(class) => check_class(&object_name(class)?.name, ty)?,
            None => {
                check_indexable(ty)?;
                false
            }
        };
        Ok(KeySpec { of, descending, nulls_first, by_pattern })
    }

    fn index_term(
        &mut self,
        table: &Table,
        row: &[ColId],
        expr: &ast::Expr,
        name: String,
        needs: &mut Vec<Need>,
    ) -> Result<Term> {
        let bound = self.term_expr(table, row, expr, Clause::Index)?;
        check_term(&bound, "index expression", "index expressions", expr)?;
        self.term(table, row, (expr, &bound), name, needs)
    }

    fn predicate_term(
        &mut self,
        table: &Table,
        row: &[ColId],
        expr: &ast::Expr,
        needs: &mut Vec<Need>,
    ) -> Result<Term> {
        let columns = named_row(table, row);
        let relations = vec![relation(&table.name, columns.clone())];
        self.scopes.push(Scope::with(Clause::IndexPredicate, relations, columns));
        let bound = self.predicate(expr, "WHERE");
        self.scopes.pop();
        let bound = bound?;
        check_term(&bound, "index predicate", "index predicate", expr)?;
        self.term(table, row, (expr, &bound), "expr".to_owned(), needs)
    }

    fn term(
        &mut self,
        table: &Table,
        row: &[ColId],
        (expr, bound): (&ast::Expr, &Expr),
        name: String,
        needs: &mut Vec<Need>,
    ) -> Result<Term> {
        let mut columns: Vec<ColumnId> = Vec::new();
        for_each_column(bound, &mut |id| {
            if let Some(at) = row.iter().position(|known| *known == id)
                && !columns.contains(&table.columns[at].id)
            {
                columns.push(table.columns[at].id);
            }
        });
        routines(bound, &mut |call| {
            let need = Need::of(call.object.id.0);
            if !needs.contains(&need) {
                needs.push(need);
            }
        });
        let sql = self.stored_text(&qualified(expr, bound))?;
        let shown = shown(table, row, bound).unwrap_or_else(|| format!("({sql})"));
        let (ty, bound) = (bound.ty(), BoundTerm::default());
        Ok(Term { id: ColumnId(FIRST_TERM), name, sql, shown, ty, columns, bound })
    }

    fn term_expr(
        &mut self,
        table: &Table,
        row: &[ColId],
        expr: &ast::Expr,
        clause: Clause,
    ) -> Result<Expr> {
        let columns = named_row(table, row);
        let relations = vec![relation(&table.name, columns.clone())];
        self.scopes.push(Scope::with(clause, relations, columns));
        let bound = self.expr(expr).and_then(|bound| self.decided(bound));
        self.scopes.pop();
        bound
    }

    /// A term's text over a row of its table; of a type if it has none by itself.
    fn term_text(
        &mut self,
        (sql, ty): (&str, DataType),
        table: &Table,
        row: &[ColId],
    ) -> Result<Expr> {
        let columns = named_row(table, row);
        let relations = vec![relation(&table.name, columns.clone())];
        let scope = Scope::with(Clause::Index, relations, columns);
        self.stored_in(sql, scope, |binder, tree| {
            let bound = binder.expr(tree)?;
            if bound.ty() == DataType::Unknown {
                return binder.coerce(bound, ty, -1, CastContext::Implicit);
            }
            Ok(bound)
        })
    }

    fn term_over_row(&mut self, table: &Table, term: &Term) -> Result<Expr> {
        let row = self.row_ids(table);
        let mut bound = self.term_text((&term.sql, term.ty), table, &row)?;
        slots(&mut bound, &row);
        Ok(bound)
    }

    /// A table with its terms bound, as far as they can be: an index on one that cannot is not used.
    pub(crate) fn with_terms(&mut self, table: Arc<Table>) -> Result<Arc<Table>> {
        if table.terms.is_empty() {
            return Ok(table);
        }
        let mut bound = Table::clone(&table);
        for term in &mut bound.terms {
            term.bound = BoundTerm(self.term_over_row(&table, term).ok().map(Arc::new));
        }
        Ok(Arc::new(bound))
    }

    /// A term's texts after something in it got another name.
    pub(crate) fn respelled(
        &mut self,
        term: &Term,
        table: &Table,
        renaming: super::stored::Renaming,
        new: &str,
    ) -> Result<Option<(String, String)>> {
        let row = self.row_ids(table);
        let sql = self.renamed(&term.sql, &row, renaming, new, |binder| {
            binder.term_text((&term.sql, term.ty), table, &row)
        })?;
        if sql == term.sql {
            return Ok(None);
        }
        let mut after = table.clone();
        match renaming {
            super::stored::Renaming::Column(position) => {
                new.clone_into(&mut after.columns[position].name);
            }
            super::stored::Renaming::Table => new.clone_into(&mut after.name),
        }
        let bound = self.term_text((&sql, term.ty), &after, &row)?;
        let shown = shown(&after, &row, &bound).unwrap_or_else(|| format!("({sql})"));
        Ok(Some((sql, shown)))
    }
}

/// A term as messages and definitions of indexes have it.
fn shown(table: &Table, row: &[ColId], bound: &Expr) -> Option<String> {
    let text = show_over(bound, table, row, true)?;
    Some(if looks_like_call(&text) { text } else { format!("({text})") })
}

pub(super) fn column_position(table: &Table, name: &ast::Ident) -> Result<usize> {
    let text = ident(name);
    if let Some((position, _)) = table.column(&text) {
        return Ok(position);
    }
    const SYSTEM: [&str; 6] = ["ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"];
    if SYSTEM.contains(&&*text) {
        let message = "index creation on system columns is not supported";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let message = format!("column \"{text}\" does not exist");
    Err(SqlError::new(SqlState::UndefinedColumn, message))
}

/// A name for an index's column, with a number if it is taken.
fn free_name(taken: &[String], name: &str) -> String {
    let numbered = (1..).map(|number: u32| format!("{name}{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

fn check_term(bound: &Expr, one: &str, many: &str, expr: &ast::Expr) -> Result<()> {
    if has_subquery(bound) {
        let message = format!("cannot use subquery in {one}");
        return Err(SqlError::new(SqlState::FeatureNotSupported, message)).at_expr(expr);
    }
    if uses_parameter(bound) {
        let message = format!("there is no parameter in {many}");
        return Err(SqlError::new(SqlState::UndefinedParameter, message)).at_expr(expr);
    }
    if !is_immutable(bound) {
        let message = format!("functions in {one} must be marked IMMUTABLE");
        return Err(SqlError::new(SqlState::InvalidObjectDefinition, message));
    }
    Ok(())
}

fn uses_parameter(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Param { .. });
    expr.for_each_child(&mut |child| found |= uses_parameter(child));
    found
}

fn access_method(method: &str) -> SqlError {
    if ["gin", "gist", "spgist", "brin"].contains(&method) {
        return SqlError::unsupported(format!("access method \"{method}\""));
    }
    let message = format!("access method \"{method}\" does not exist");
    SqlError::new(SqlState::UndefinedObject, message)
}

fn check_hash(create: &ast::CreateIndex) -> Result<()> {
    let what = if create.unique {
        "unique indexes"
    } else if !create.include.is_empty() {
        "included columns"
    } else if create.columns.len() > 1 {
        "multicolumn indexes"
    } else if create.columns.iter().any(|column| column.column.options.sort.is_some()) {
        "ASC/DESC options"
    } else if create.columns.iter().any(|column| column.column.options.nulls_first.is_some()) {
        "NULLS FIRST/LAST options"
    } else {
        return Ok(());
    };
    let message = format!("access method \"hash\" does not support {what}");
    Err(SqlError::new(SqlState::FeatureNotSupported, message))
}

/// An operator class must be the one that a type has anyway, or order texts by their bytes, as they always are
/// here: then it is said so.
fn check_class(class: &str, ty: DataType) -> Result<bool> {
    const KNOWN: [&str; 33] = [
        "array_ops",
        "bit_ops",
        "bool_ops",
        "bpchar_ops",
        "bytea_ops",
        "char_ops",
        "cidr_ops",
        "date_ops",
        "enum_ops",
        "float4_ops",
        "float8_ops",
        "inet_ops",
        "int2_ops",
        "int4_ops",
        "int8_ops",
        "interval_ops",
        "jsonb_ops",
        "macaddr_ops",
        "macaddr8_ops",
        "money_ops",
        "multirange_ops",
        "name_ops",
        "numeric_ops",
        "oid_ops",
        "range_ops",
        "record_ops",
        "text_ops",
        "time_ops",
        "timestamp_ops",
        "timestamptz_ops",
        "timetz_ops",
        "uuid_ops",
        "varbit_ops",
    ];
    let is_text = matches!(ty, DataType::Text | DataType::Varchar);
    let name = ty.to_string();
    let own = match name.as_str() {
        _ if is_text => "text_ops",
        _ if ty.element().is_some() => "array_ops",
        "integer" => "int4_ops",
        "smallint" => "int2_ops",
        "bigint" => "int8_ops",
        "boolean" => "bool_ops",
        "character" => "bpchar_ops",
        "real" => "float4_ops",
        "double precision" => "float8_ops",
        "timestamp without time zone" => "timestamp_ops",
        "timestamp with time zone" => "timestamptz_ops",
        "time without time zone" => "time_ops",
        "time with time zone" => "timetz_ops",
        "bit varying" => "varbit_ops",
        "\"char\"" => "char_ops",
        name if name.ends_with("multirange") => "multirange_ops",
        name if name.ends_with("range") => "range_ops",
        other => {
            KNOWN.into_iter().find(|known| known.strip_suffix("_ops") == Some(other)).unwrap_or("")
        }
    };
    let is_own = class == own
        || is_text && class == "varchar_ops"
        || matches!(name.as_str(), "inet" | "cidr") && matches!(class, "inet_ops" | "cidr_ops");
    if is_own {
        return check_indexable(ty).map(|()| false);
    }
    const PATTERNS: [&str; 3] = ["text_pattern_ops", "varchar_pattern_ops", "bpchar_pattern_ops"];
    let is_bpchar = class == PATTERNS[2];
    if PATTERNS.contains(&class) && (is_text && !is_bpchar || is_bpchar && ty == DataType::Bpchar) {
        return Ok(true);
    }
    if PATTERNS.contains(&class) || KNOWN.contains(&class) {
        let message = format!("operator class \"{class}\" does not accept data type {ty}");
        return Err(SqlError::new(SqlState::DatatypeMismatch, message));
    }
    let message = format!("operator class \"{class}\" does not exist for access method \"btree\"");
    Err(SqlError::new(SqlState::UndefinedObject, message))
}

/// WITH (…): storage parameters, which are kept and shown.
pub(crate) fn index_options(with: &[ast::Expr], is_hash: bool) -> Result<Vec<(String, String)>> {
    let mut options = Vec::with_capacity(with.len());
    for option in with {
        let (name, value) = match option {
            ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } => {
                (left.to_string().to_lowercase(), right.to_string())
            }
            other => (other.to_string().to_lowercase(), "true".to_owned()),
        };
        let value = value.trim_matches('\'').to_owned();
        check_option(&name, &value, is_hash)?;
        options.push((name, value));
    }
    Ok(options)
}

/// Whether an index may have a storage parameter with a value.
pub(crate) fn check_option(name: &str, value: &str, is_hash: bool) -> Result<()> {
    let invalid = |message: String| SqlError::new(SqlState::InvalidParameterValue, message);
    let is_switch = |value: &str| {
        const SWITCHES: [&str; 8] = ["true", "false", "on", "off", "yes", "no", "1", "0"];
        SWITCHES.iter().any(|switch| value.eq_ignore_ascii_case(switch))
    };
    match name {
        "fillfactor" => {
            let number = value.parse::<i64>().map_err(|_| {
                invalid(format!("invalid value for integer option \"{name}\": {value}"))
            })?;
            if !(10..=100).contains(&number) {
                let message = format!("value {value} out of bounds for option \"{name}\"");
                return Err(
                    invalid(message).with_detail("Valid values are between \"10\" and \"100\".")
                );
            }
            Ok(())
        }
        "deduplicate_items" if !is_hash => {
            if is_switch(value) {
                return Ok(());
            }
            Err(invalid(format!("invalid value for boolean option \"{name}\": {value}")))
        }
        _ => Err(invalid(format!("unrecognized parameter \"{name}\""))),
    }
}
