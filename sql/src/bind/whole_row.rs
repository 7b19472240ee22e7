//! Whole rows: a relation's name as a value, `(row).*`, and functions called as columns.
//!
//! A relation's name in an expression is a call of a function that no statement can spell: of a row that says what the
//! columns are, of something that is not NULL where there is a row, and of the columns. What is not NULL matters
//! on the nullable side of an outer join only: of a table it is a system column; of anything else a constant beside its
//! columns, put there when the query around is bound ([`Binder::mark_rows`]).
//!
//! Invariants
//! * The row of a table or view is of its row type, whatever an alias calls the columns; any other is a `record` of the
//!   names that are in sight.
//! * A mark that a plan was not given is an error, never a wrong row ([`Binder::check_marks`]).
//!
//! Source: PostgreSQL 15, parser/parse_expr.c (transformColumnRef), parse_relation.c, parse_func.c
//! (ParseFuncOrColumn), parse_target.c (ExpandRowReference).

use std::sync::Arc;

use driftdb_query::{ColId, Expr, JoinKind, LogicalPlan, Result, SqlError, table_type};
use driftdb_types::{DataType, Field, Record, RowOperation, SqlState, Value};
use sqlparser::ast;

use super::routine_call::fields_of;
use super::scope::{Relation, column_of};
use super::target::{NO_META, Target};
use super::{Binder, Meta};

/// What a relation's name is as an expression.
#[derive(Debug, Clone, Default)]
pub(crate) struct Whole {
    /// The row type, if it is no table and has one.
    pub(crate) ty: Option<DataType>,
    /// Whether an outer join may give NULL in its place.
    pub(crate) is_nullable: bool,
    /// The mark that was asked for.
    marker: Option<ColId>,
}

/// A constant that is wanted beside the columns of an item in FROM.
#[derive(Debug)]
pub(crate) struct Mark {
    marker: ColId,
    columns: Vec<ColId>,
}

/// Marks have identities from here on, so that other columns count up without gaps.
const FIRST_MARK: u32 = 1 << 30;

/// The name in `t."*"`, which the front makes of `t.*` where a value stands.
pub(crate) const STAR: &str = "*";

/// What an outer join makes of the relations on its sides.
pub(crate) fn note_nullable(kind: JoinKind, left: &mut [Relation], right: &mut [Relation]) {
    let set = |side: &mut [Relation]| {
        side.iter_mut().for_each(|relation| relation.whole.is_nullable = true);
    };
    if matches!(kind, JoinKind::Left | JoinKind::Full) {
        set(right);
    }
    if matches!(kind, JoinKind::Right | JoinKind::Full) {
        set(left);
    }
}

/// A row whose columns are those of another.
pub(crate) fn row_of_shape(shape: Record, marker: Expr, columns: Vec<Expr>) -> Expr {
    let ty = shape.ty();
    let shape = Expr::constant(Value::record(shape), ty);
    let args = [shape, marker].into_iter().chain(columns).collect();
    Expr::Call { function: RowOperation::Whole.function(), args, ty }
}

/// The columns of a whole row, if an expression is one.
fn whole_columns(expr: &Expr) -> Option<(&Record, &[Expr])> {
    let Expr::Call { function, args, .. } = expr else { return None };
    match &args[..] {
        [Expr::Const { value: Value::Record(shape), .. }, _, columns @ ..]
            if *function == RowOperation::Whole.function() =>
        {
            Some((shape, columns))
        }
        _ => None,
    }
}

/// The row before the star of `(row).*`.
pub(crate) fn starred(expr: &ast::Expr) -> Option<ast::Expr> {
    let ast::Expr::CompoundFieldAccess { root, access_chain } = expr else { return None };
    match &access_chain[..] {
        [rest @ .., ast::AccessExpr::Dot(ast::Expr::Identifier(star))]
            if star.quote_style.is_some() && star.value == STAR =>
        {
            let root = root.clone();
            Some(if rest.is_empty() {
                *root
            } else {
                ast::Expr::CompoundFieldAccess { root, access_chain: rest.to_vec() }
            })
        }
        _ => None,
    }
}

fn is_no_function(error: &SqlError) -> bool {
    matches!(error.state, SqlState::UndefinedFunction)
}

impl Binder<'_> {
    /// A relation's name as an expression, if any scope has it.
    pub(crate) fn row_named(&mut self, name: &str, position: u32) -> Result<Option<Expr>> {
        match self.find_relation(None, name, position) {
            Ok(place) => self.whole_row(place, position).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// `t."*"`, or a function called as a column of a relation; `None` if it is neither.
    pub(crate) fn of_whole_row(
        &mut self,
        place: (usize, usize),
        column: &str,
        position: u32,
    ) -> Result<Option<Expr>> {
        if column == STAR {
            return self.whole_row(place, position).map(Some);
        }
        let relation = &self.scopes[place.0].relations[place.1];
        let mut parts: Vec<ast::Ident> = Vec::with_capacity(3);
        parts.extend(relation.schema.iter().map(|schema| ast::Ident::with_quote('"', schema)));
        parts.push(ast::Ident::with_quote('"', &relation.name));
        parts.push(ast::Ident::with_quote('"', STAR));
        self.as_function(column, &ast::Expr::CompoundIdentifier(parts))
    }

    /// `row.f` as `f(row)`; `None` if there is no such function.
    pub(crate) fn as_function(&mut self, name: &str, row: &ast::Expr) -> Result<Option<Expr>> {
        let list = ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(row.clone()))],
            clauses: Vec::new(),
        };
        let function = ast::Function {
            name: ast::ObjectName::from(vec![ast::Ident::with_quote('"', name)]),
            uses_odbc_syntax: false,
            parameters: ast::FunctionArguments::None,
            args: ast::FunctionArguments::List(list),
            within_group: Vec::new(),
            filter: None,
            null_treatment: None,
            over: None,
        };
        let (scopes, depth) = (self.scopes.len(), self.depth);
        match self.deeper(1, |binder| binder.function(&function)) {
            // A row is not made text by a name.
            Ok(Expr::Cast { .. }) => Ok(None),
            Ok(called) => Ok(Some(called)),
            Err(error) if is_no_function(&error) => {
                self.scopes.truncate(scopes);
                self.depth = depth;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// `f(row)` as `row.f`; `None` if there is no such column.
    pub(crate) fn as_column(&mut self, name: &str, args: &[&ast::Expr]) -> Result<Option<Expr>> {
        let [arg] = args else { return Ok(None) };
        let row = self.expr(arg)?;
        match self.shape_of(&row) {
            Some(fields) if fields.iter().any(|field| *field.name == *name) => {
                self.column_of_row(row, name).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The row of a relation: the scope and place.
    fn whole_row(&mut self, (level, index): (usize, usize), position: u32) -> Result<Expr> {
        if self.recorder.is_some() {
            return Err(SqlError::unsupported("a relation as a row in a view").at(position));
        }
        let relation = &self.scopes[level].relations[index];
        // The row of a function that yields one value is that value.
        if let [only] = &relation.columns[..]
            && column_of(&only.expr).is_some_and(|id| self.function_values.contains(&id))
        {
            let only = only.expr.clone();
            self.note(level, &only, position);
            return Ok(only);
        }
        let ty = relation.table.as_deref().map(table_type).or(relation.whole.ty);
        let columns: Vec<Expr> = relation.columns.iter().map(|named| named.expr.clone()).collect();
        let fields: Arc<[Field]> = match ty.and_then(DataType::fields) {
            Some(fields) if fields.len() == columns.len() => Arc::clone(fields),
            Some(_) => {
                let what = format!("\"{}\" as a row, with these columns", relation.name);
                return Err(SqlError::unsupported(what).at(position));
            }
            None => {
                let named = relation.columns.iter().zip(1..);
                let fields = named.map(|(named, number)| Field {
                    number,
                    name: named.name.as_str().into(),
                    ty: named.expr.ty(),
                    typmod: self.typmod(&named.expr),
                });
                fields.collect()
            }
        };
        let nulls = vec![Value::Null; columns.len()];
        let shape = ty.and_then(|ty| Record::of_type(ty, nulls.clone()));
        let shape = shape.unwrap_or_else(|| Record::anonymous(fields, nulls));
        let marker = self.marker(level, index);
        let row = row_of_shape(shape, marker, columns);
        self.note(level, &row, position);
        Ok(row)
    }

    /// What is not NULL where there is a row of a relation.
    fn marker(&mut self, level: usize, index: usize) -> Expr {
        let next = FIRST_MARK + self.marked;
        let relation = &mut self.scopes[level].relations[index];
        if !relation.whole.is_nullable {
            return Expr::truth();
        }
        if let Some(column) = relation.system_column("tableoid") {
            return column;
        }
        let ty = DataType::Bool;
        if let Some(id) = relation.whole.marker {
            return Expr::Column { id, ty };
        }
        let id = ColId(next);
        relation.whole.marker = Some(id);
        let columns = relation.columns.iter().filter_map(|named| column_of(&named.expr)).collect();
        self.marked += 1;
        self.marks.push(Mark { marker: id, columns });
        self.meta.insert(id, NO_META);
        Expr::Column { id, ty }
    }

    /// Gives the items of a FROM the marks that were asked for.
    pub(crate) fn mark_rows(&mut self, plan: &mut LogicalPlan) {
        if !self.marks.is_empty() {
            let marks = std::mem::take(&mut self.marks);
            self.marks = marks.into_iter().filter(|mark| !marked(plan, mark)).collect();
        }
    }

    /// Fails if a mark was not given.
    pub(crate) fn check_marks(&self) -> Result<()> {
        if self.marks.is_empty() {
            return Ok(());
        }
        let what = "what an outer join gives, as a row, in this kind of statement";
        Err(SqlError::unsupported(what))
    }

    /// The columns of a row, as far as they are known now.
    pub(crate) fn shape_of(&self, row: &Expr) -> Option<Arc<[Field]>> {
        if let Some(fields) = row.ty().fields() {
            return Some(Arc::clone(fields));
        }
        match row {
            Expr::Call { args, .. } => match args.first() {
                Some(Expr::Const { value: Value::Record(shape), .. })
                    if row.ty() == DataType::Record =>
                {
                    Some(Arc::clone(shape.fields()))
                }
                _ => None,
            },
            Expr::Const { value: Value::Record(record), .. } => Some(Arc::clone(record.fields())),
            Expr::Column { id, .. } => self.shapes.get(id).cloned(),
            Expr::Routine { call, .. } if call.whole.is_some() => Some(fields_of(call)),
            _ => None,
        }
    }

    /// What is known of the columns of a row stays known under another identity.
    pub(crate) fn note_shape(&mut self, id: ColId, expr: &Expr) {
        if expr.ty() == DataType::Record
            && let Some(shape) = self.shape_of(expr)
        {
            self.shapes.insert(id, shape);
        }
    }

    /// `(row).*`
    pub(crate) fn columns_of(&mut self, row: &ast::Expr) -> Result<Vec<Target>> {
        let bound = self.expr(row)?;
        self.targets_of(bound)
    }

    /// The columns of a row.
    pub(crate) fn targets_of(&mut self, bound: Expr) -> Result<Vec<Target>> {
        let ty = bound.ty();
        let Some(fields) = self.shape_of(&bound) else {
            let (state, message) = if ty == DataType::Record {
                (SqlState::SyntaxError, "record type has not been registered".to_owned())
            } else {
                (SqlState::WrongObjectType, format!("type {ty} is not composite"))
            };
            return Err(SqlError::new(state, message));
        };
        let mut targets = Vec::with_capacity(fields.len());
        for (place, field) in fields.iter().enumerate() {
            let expr = self.column_at(bound.clone(), place, field);
            let meta = match column_of(&expr) {
                Some(_) => self.meta_of(&expr),
                None => Meta { typmod: field.typmod, ..NO_META },
            };
            targets.push(Target { name: field.name.to_string(), expr, meta });
        }
        Ok(targets)
    }

    /// The column of a row at a place.
    pub(crate) fn column_at(&mut self, row: Expr, place: usize, field: &Field) -> Expr {
        if let Some((_, columns)) = whole_columns(&row)
            && let Some(column) = columns.get(place)
        {
            return column.clone();
        }
        if let Expr::Call { function, args, .. } = &row
            && *function == RowOperation::Make.function()
            && let Some(value) = args.get(place + 1)
        {
            return value.clone();
        }
        let at = Expr::constant(Value::Int4(place as i32), DataType::Int4);
        let (function, ty) = (RowOperation::Column.function(), field.ty);
        Expr::Call { function, args: vec![row, at], ty }
    }
}

/// Puts a mark beside the columns that it is of, if a plan has them.
fn marked(plan: &mut LogicalPlan, mark: &Mark) -> bool {
    let has = |plan: &LogicalPlan| {
        let columns = plan.columns();
        mark.columns.iter().all(|id| columns.iter().any(|column| column.id == *id))
    };
    if !has(plan) {
        return false;
    }
    match plan {
        LogicalPlan::Filter { input, .. } => return marked(input, mark),
        LogicalPlan::Join { left, right, .. } => {
            for side in [left, right] {
                if has(side) {
                    return marked(side, mark);
                }
            }
        }
        _ => {}
    }
    let input = std::mem::replace(plan, LogicalPlan::one_row());
    let kept = input.columns().into_iter();
    let mut exprs: Vec<(ColId, Expr)> =
        kept.map(|column| (column.id, Expr::Column { id: column.id, ty: column.ty })).collect();
    exprs.push((mark.marker, Expr::truth()));
    *plan = LogicalPlan::Project { input: Box::new(input), exprs };
    true
}
