//! What differs between two times: of a table, and of any query.
//!
//! `driftdb_diff('t', t1, t2)` in FROM compares rows by their storage keys; a plan node does it, which
//! looks only at what changed. `DIFF (query) BETWEEN t1 AND t2` binds the query twice, once for each time,
//! and compares what the two yield: as bags with EXCEPT ALL, or, with KEY, by a full join on the key.

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    CatalogAt, ColId, CteId, Expr, JoinKind, LogicalPlan, OutputColumn, Query, Result, SetFunction,
    SetOpKind, SqlError, TableAt,
};
use driftdb_storage::Timestamp;
use driftdb_types::{CastContext, DataType, SqlState, Value, resolve_operator};
use sqlparser::ast;

use super::as_of::no_such_table;
use super::from::{Aliased, item};
use super::names::{fold, ident, object_name};
use super::predicate::{all_of, any_of};
use super::scope::{FromItem, Named};
use super::target::{NO_META, Rows, RowsColumn};
use super::{Binder, Meta};
use crate::front::rewrite::TimePoint;

/// The name of the function.
pub(crate) const TABLE_DIFF: &str = "driftdb_diff";

/// A query as of one time: under its identity, with its columns.
struct Snapshot {
    cte: CteId,
    plan: LogicalPlan,
    columns: Vec<RowsColumn>,
}

impl Binder<'_> {
    /// `driftdb_diff('table', t1, t2)`
    pub(crate) fn table_diff(
        &mut self,
        args: &[ast::FunctionArg],
        position: u32,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let usage = || {
            let message = "driftdb_diff takes the name of a table, as a constant, and two times";
            SqlError::new(SqlState::InvalidParameterValue, message).at(position)
        };
        let list = ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.to_vec(),
            clauses: Vec::new(),
        };
        let [name, from, to] = super::call::arguments(&list)?[..] else { return Err(usage()) };
        let name = constant_text(name).ok_or_else(usage)?;
        let (schema, name) = split_name(&name);
        let times = [self.argument_time(from)?, self.argument_time(to)?];
        let before = self.table_known_at(schema.as_deref(), &name, times[0], times[1])?;
        let after = self.table_known_at(schema.as_deref(), &name, times[1], times[0])?;
        let Some(old) = before.as_ref().or(after.as_ref()) else {
            return Err(no_such_table(schema.as_deref(), &name).at(position));
        };
        let new = after.as_ref().unwrap_or(old);
        let mut columns = Vec::new();
        let mut named = Vec::new();
        let mut add = |binder: &mut Self, name: String, ty: DataType, meta: Meta| {
            let id = binder.column_id();
            binder.meta.insert(id, meta);
            columns.push(OutputColumn { id, ty });
            named.push(Named { name, expr: Expr::Column { id, ty } });
        };
        add(self, "op".to_owned(), DataType::Text, NO_META);
        for (side, prefix) in [(old, "old"), (new, "new")] {
            for column in &side.table.columns {
                let meta = Meta { typmod: column.typmod, ..NO_META };
                add(self, format!("{prefix}_{}", column.name), column.ty, meta);
            }
        }
        let function = SetFunction::TableDiff { before, after };
        let plan = LogicalPlan::FunctionScan { function, args: Vec::new(), columns };
        let own = Aliased { alias, own: TABLE_DIFF.to_owned(), schema: None };
        item(plan, named, own, None, None)
    }

    /// A table at a time; if another had the name then, the one that has it at the other time.
    fn table_known_at(
        &mut self,
        schema: Option<&str>,
        name: &str,
        time: Option<Timestamp>,
        other: Option<Timestamp>,
    ) -> Result<Option<TableAt>> {
        let at = |time: Option<Timestamp>| time.map_or(CatalogAt::Statement, CatalogAt::AsOf);
        let mut table = self.catalog.table(schema, name, at(time))?;
        if table.is_none()
            && let Some(known) = self.catalog.table(schema, name, at(other))?
        {
            // It may have had another name.
            let tables = self.catalog.tables(at(time))?;
            table = tables.into_iter().find(|table| table.id == known.id);
        }
        if let Some(table) = &table {
            self.ask_read_whole(table);
        }
        let at = time.map_or(ReadAt::Statement, ReadAt::AsOf);
        Ok(table.map(|table| TableAt { table, at }))
    }

    /// A time as an argument: a commit's number, `restore_point('name')`, or a timestamp. `None` while a
    /// parameter in it has no value.
    pub(super) fn argument_time(&mut self, arg: &ast::Expr) -> Result<Option<Timestamp>> {
        let number = match arg {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Number(digits, _) => digits.parse::<u64>().ok(),
                _ => None,
            },
            _ => None,
        };
        if let Some(sequence) = number {
            return self.time_of_number(sequence).map(Some);
        }
        if let ast::Expr::Function(function) = arg
            && object_name(&function.name)?.name == "restore_point"
            && let ast::FunctionArguments::List(list) = &function.args
            && let [name] = super::call::arguments(list)?[..]
            && let Some(name) = constant_text(name)
        {
            let position = object_name(&function.name)?.position;
            let point = TimePoint::RestorePoint(fold(&name, None), position);
            return self.point(&point, TABLE_DIFF);
        }
        match self.number_of(arg)? {
            Some(Some(sequence)) => self.time_of_number(sequence).map(Some),
            Some(None) => Ok(None),
            None => self.time_of(arg, TABLE_DIFF),
        }
    }

    /// The time of a commit; of number 0, the time before the first one.
    fn time_of_number(&mut self, sequence: u64) -> Result<Timestamp> {
        match sequence {
            0 => Ok(Timestamp::MIN),
            _ => self.catalog.time_of_sequence(sequence),
        }
    }

    /// `DIFF (query) BETWEEN from AND to [KEY (columns)]`
    pub(crate) fn query_diff(
        &mut self,
        query: &ast::Query,
        [from, to]: [&TimePoint; 2],
        key: &[(String, u32)],
    ) -> Result<Query> {
        if self.content.is_some_and(|content| !content.lifted.locks.is_empty()) {
            let message = "FOR UPDATE is not allowed in DIFF";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let old = self.snapshot(query, from)?;
        let new = self.snapshot(query, to)?;
        let shape = |side: &Snapshot| -> Vec<(String, DataType)> {
            side.columns.iter().map(|column| (column.name.clone(), column.ty)).collect()
        };
        if shape(&old) != shape(&new) {
            let message = "the query yields other columns at one time than at the other";
            return Err(SqlError::new(SqlState::DatatypeMismatch, message)
                .with_hint("Name the columns that there are at both times."));
        }
        let body = if key.is_empty() {
            self.bag_difference(&old, &new)?
        } else {
            self.keyed_difference(&old, &new, key)?
        };
        let fields = body.fields();
        let ctes = vec![(old.cte, old.plan), (new.cte, new.plan)];
        let plan = LogicalPlan::With { ctes, body: Box::new(body.plan) };
        Ok(Query { plan, fields })
    }

    /// Binds the query with every table as of a time, unless it names its own.
    fn snapshot(&mut self, query: &ast::Query, point: &TimePoint) -> Result<Snapshot> {
        let time = self.point(point, "DIFF")?;
        let outside = std::mem::replace(&mut self.default_time, time);
        let rows = self.query(query).and_then(|mut rows| {
            self.decide_columns(&mut rows)?;
            Ok(rows)
        });
        self.default_time = outside;
        let Rows { plan, columns } = rows?;
        Ok(Snapshot { cte: self.cte_id(), plan, columns })
    }

    /// A scan of a snapshot, with new identities.
    fn scan_of(&mut self, side: &Snapshot) -> (LogicalPlan, Vec<Expr>) {
        let mut columns = Vec::with_capacity(side.columns.len());
        let mut exprs = Vec::with_capacity(side.columns.len());
        for column in &side.columns {
            let (id, ty) = (self.column_id(), column.ty);
            columns.push(OutputColumn { id, ty });
            exprs.push(Expr::Column { id, ty });
        }
        (LogicalPlan::CteScan { cte: side.cte, columns }, exprs)
    }

    /// Rows of one and not of the other, as often as they are more.
    fn bag_difference(&mut self, old: &Snapshot, new: &Snapshot) -> Result<Rows> {
        let mut halves = Vec::with_capacity(2);
        for (op, more, less) in [("DELETE", old, new), ("INSERT", new, old)] {
            let (left, right) = (self.scan_of(more).0, self.scan_of(less).0);
            let columns: Vec<OutputColumn> = more
                .columns
                .iter()
                .map(|column| OutputColumn { id: self.column_id(), ty: column.ty })
                .collect();
            let except = LogicalPlan::SetOp {
                kind: SetOpKind::Except,
                all: true,
                left: Box::new(left),
                right: Box::new(right),
                columns: columns.clone(),
            };
            let mut exprs = vec![(self.column_id(), text(op))];
            exprs.extend(columns.iter().map(|c| (c.id, Expr::Column { id: c.id, ty: c.ty })));
            halves.push(LogicalPlan::Project { input: Box::new(except), exprs });
        }
        let names = [("op".to_owned(), DataType::Text, NO_META)]
            .into_iter()
            .chain(old.columns.iter().map(|column| (column.name.clone(), column.ty, column.meta)));
        let columns = self.outputs(names);
        let outputs = columns.iter().map(|c| OutputColumn { id: c.id, ty: c.ty }).collect();
        let (Some(right), Some(left)) = (halves.pop(), halves.pop()) else {
            return Err(SqlError::internal("a difference has two halves"));
        };
        let plan = LogicalPlan::SetOp {
            kind: SetOpKind::Union,
            all: true,
            left: Box::new(left),
            right: Box::new(right),
            columns: outputs,
        };
        Ok(Rows { plan, columns })
    }

    /// Rows with a key that the other does not have, and pairs of rows with one key that differ.
    fn keyed_difference(
        &mut self,
        old: &Snapshot,
        new: &Snapshot,
        key: &[(String, u32)],
    ) -> Result<Rows> {
        let (mut is_there, mut sides, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
        for side in [old, new] {
            let (scan, exprs) = self.scan_of(side);
            let mark = self.column_id();
            let mut all: Vec<(ColId, Expr)> = exprs
                .iter()
                .filter_map(|expr| super::scope::column_of(expr).map(|id| (id, expr.clone())))
                .collect();
            all.push((mark, Expr::truth()));
            inputs.push(LogicalPlan::Project { input: Box::new(scan), exprs: all });
            is_there.push(Expr::Column { id: mark, ty: DataType::Bool });
            sides.push(exprs);
        }
        let mut on = Vec::with_capacity(key.len());
        for (name, position) in key {
            let found = old.columns.iter().position(|column| column.name == *name);
            let index = found.ok_or_else(|| {
                let message = format!("column \"{name}\" named in KEY is not one of the query's");
                SqlError::new(SqlState::UndefinedColumn, message).at(*position)
            })?;
            let ty = old.columns[index].ty;
            let equal = resolve_operator("=", Some(ty), Some(ty))?;
            let pair = vec![sides[0][index].clone(), sides[1][index].clone()];
            on.push(self.resolved_call(&equal, pair)?);
        }
        let (Some(right), Some(left)) = (inputs.pop(), inputs.pop()) else {
            return Err(SqlError::internal("a difference has two inputs"));
        };
        let join = LogicalPlan::Join {
            kind: JoinKind::Full,
            left: Box::new(left),
            right: Box::new(right),
            on: all_of(on),
            lateral: false,
        };
        let missing = |index: usize| Expr::IsNull(Box::new(is_there[index].clone()));
        let mut differs = vec![missing(0), missing(1)];
        for (old, new) in sides[0].iter().zip(&sides[1]) {
            let equal = resolve_operator("=", Some(old.ty()), Some(new.ty()))?;
            let [left_ty, right_ty] = equal.arg_types[..] else {
                return Err(SqlError::internal("an equality of two sides"));
            };
            let context = CastContext::Implicit;
            differs.push(Expr::IsDistinct {
                left: Box::new(self.coerce(old.clone(), left_ty, -1, context)?),
                right: Box::new(self.coerce(new.clone(), right_ty, -1, context)?),
                equal: equal.id,
                negated: false,
            });
        }
        let filter = LogicalPlan::Filter { input: Box::new(join), predicate: any_of(differs) };
        let op = Expr::Case {
            arms: vec![(missing(0), text("INSERT")), (missing(1), text("DELETE"))],
            otherwise: Some(Box::new(text("UPDATE"))),
            ty: DataType::Text,
        };
        let of_side = |side: &Snapshot, prefix: &str| -> Vec<(String, DataType, Meta)> {
            let columns = side.columns.iter();
            columns.map(|c| (format!("{prefix}_{}", c.name), c.ty, c.meta)).collect()
        };
        let names = [("op".to_owned(), DataType::Text, NO_META)]
            .into_iter()
            .chain(of_side(old, "old"))
            .chain(of_side(new, "new"));
        let columns = self.outputs(names);
        let values = [op].into_iter().chain(sides.into_iter().flatten());
        let exprs = columns.iter().map(|column| column.id).zip(values).collect();
        let plan = LogicalPlan::Project { input: Box::new(filter), exprs };
        Ok(Rows { plan, columns })
    }

    fn outputs(
        &mut self,
        names: impl Iterator<Item = (String, DataType, Meta)>,
    ) -> Vec<RowsColumn> {
        names
            .map(|(name, ty, meta)| {
                let id = self.column_id();
                let meta = Meta { typmod: meta.typmod, ..NO_META };
                self.meta.insert(id, meta);
                RowsColumn { name, id, ty, meta }
            })
            .collect()
    }
}

fn text(text: &str) -> Expr {
    Expr::constant(Value::text(text), DataType::Text)
}

pub(super) fn constant_text(expr: &ast::Expr) -> Option<String> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        ast::Expr::Cast { expr, .. } => constant_text(expr),
        ast::Expr::Identifier(name) if name.quote_style == Some('"') => Some(ident(name)),
        _ => None,
    }
}

/// A table's name in a string: `t`, `s.t`, `"T"`, `s."T"`.
pub(super) fn split_name(text: &str) -> (Option<String>, String) {
    let part = |part: &str| match part.strip_prefix('"').and_then(|part| part.strip_suffix('"')) {
        Some(quoted) => fold(&quoted.replace("\"\"", "\""), Some('"')),
        None => fold(part.trim(), None),
    };
    let mut in_quotes = false;
    let dot = text.char_indices().find(|(_, c)| {
        in_quotes ^= *c == '"';
        *c == '.' && !in_quotes
    });
    match dot {
        Some((at, _)) => (Some(part(&text[..at])), part(&text[at + 1..])),
        None => (None, part(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_strings() {
        let check = |text, schema: Option<&str>, name: &str| {
            assert_eq!(split_name(text), (schema.map(str::to_owned), name.to_owned()), "{text}");
        };
        check("T", None, "t");
        check("S.t", Some("s"), "t");
        check("\"a.B\"", None, "a.B");
        check("s.\"A\"\"b\"", Some("s"), "A\"b");
        // A bare dot names nothing; that is said where it is looked up.
        check(".", Some(""), "");
    }
}
