//! Select lists: what a query yields, under which names.

use std::collections::BTreeSet;

use driftdb_query::{ColId, Expr, Field, LogicalPlan, Result, SqlError};
use driftdb_types::{CastContext, DataType, SqlState};
use sqlparser::ast;

use super::names::{ident, ident_position, object_name};
use super::position::{Placed, bare};
use super::record::address;
use super::scope::column_of;
use super::whole_row::{STAR, starred};
use super::{Binder, Meta};

/// One column of a select list, over the scope's columns.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) expr: Expr,
    pub(crate) meta: Meta,
}

/// A bound query: its plan and what its columns are called.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) plan: LogicalPlan,
    pub(crate) columns: Vec<RowsColumn>,
}

/// A column of a bound query.
#[derive(Debug, Clone)]
pub(crate) struct RowsColumn {
    pub(crate) name: String,
    pub(crate) id: ColId,
    pub(crate) ty: DataType,
    pub(crate) meta: Meta,
}

/// What is known of an expression that is no column.
pub(crate) const NO_META: Meta = Meta { typmod: -1, origin: (0, 0) };

impl Rows {
    /// The result columns as the wire describes them.
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.columns
            .iter()
            .map(|column| Field {
                name: column.name.clone(),
                ty: column.ty,
                typmod: column.meta.typmod,
                origin: column.meta.origin,
            })
            .collect()
    }
}

impl Binder<'_> {
    /// What is known of an expression's column or cast.
    pub(crate) fn meta_of(&self, expr: &Expr) -> Meta {
        match column_of(expr).and_then(|id| self.meta.get(&id)) {
            Some(meta) => *meta,
            None => Meta { typmod: self.typmod(expr), ..NO_META },
        }
    }

    /// Binds a select list or RETURNING, in the innermost scope.
    pub(crate) fn targets(&mut self, items: &[ast::SelectItem]) -> Result<Vec<Target>> {
        let mut targets = Vec::with_capacity(items.len());
        for item in items {
            match item {
                ast::SelectItem::UnnamedExpr(expr) => {
                    if let Some(row) = starred(expr) {
                        targets.extend(self.columns_of(&row).at_expr(expr)?);
                        continue;
                    }
                    let mut target = self.target(expr, column_name(expr))?;
                    if let ast::Expr::Subquery(query) = bare(expr)
                        && let Some((_, name)) =
                            self.asked.take().filter(|(at, _)| *at == address(&**query))
                    {
                        target.name = name;
                    }
                    targets.push(target);
                }
                ast::SelectItem::ExprWithAlias { expr, alias } => {
                    if alias.quote_style == Some('\'') {
                        let message = format!("syntax error at or near \"'{}'\"", alias.value);
                        return Err(
                            SqlError::new(SqlState::SyntaxError, message).at(ident_position(alias))
                        );
                    }
                    targets.push(self.target(expr, ident(alias))?);
                }
                ast::SelectItem::Wildcard(options) => {
                    plain_wildcard(options)?;
                    let level = self.scopes.len() - 1;
                    if self.scopes[level].relations.is_empty() {
                        let position = options.wildcard_token.0.span.start.column as u32;
                        let message = "SELECT * with no tables specified is not valid";
                        return Err(SqlError::new(SqlState::SyntaxError, message).at(position));
                    }
                    let columns = self.scopes[level].visible.clone();
                    self.expand(columns, options, false, &mut targets);
                }
                ast::SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) => {
                    plain_wildcard(options)?;
                    let name = object_name(name)?;
                    let schema = name.schema.as_deref();
                    if let Some(fields) = self.record_fields(&name)? {
                        targets.extend(fields);
                        continue;
                    }
                    let (level, index) = self.find_relation(schema, &name.name, name.position)?;
                    let columns = self.scopes[level].relations[index].columns.clone();
                    let position = options.wildcard_token.0.span.start.column as u32;
                    for id in columns.iter().filter_map(|column| column_of(&column.expr)) {
                        self.scopes[level].positions.entry(id).or_insert(position);
                    }
                    self.expand(columns, options, true, &mut targets);
                }
                ast::SelectItem::QualifiedWildcard(..) => {
                    return Err(SqlError::unsupported("the fields of this expression"));
                }
                ast::SelectItem::ExprWithAliases { .. } => {
                    return Err(SqlError::new(
                        SqlState::SyntaxError,
                        "several aliases for a column",
                    ));
                }
            }
        }
        Ok(targets)
    }

    fn expand(
        &mut self,
        columns: Vec<super::scope::Named>,
        options: &ast::WildcardAdditionalOptions,
        is_qualified: bool,
        targets: &mut Vec<Target>,
    ) {
        let position = options.wildcard_token.0.span.start.column as u32;
        self.note_star(&columns, position, is_qualified);
        columns.iter().for_each(|column| self.note_used(&column.expr));
        for column in columns {
            if let Some(id) = column_of(&column.expr) {
                self.scope().positions.entry(id).or_insert(position);
            }
            let meta = self.meta_of(&column.expr);
            targets.push(Target { name: column.name, expr: column.expr, meta });
        }
    }

    /// While a view's query is recorded: what `*` stands for.
    fn note_star(&mut self, columns: &[super::scope::Named], position: u32, is_qualified: bool) {
        let Some(recorder) = &mut self.recorder else { return };
        columns.iter().for_each(|column| recorder.uses(&column.expr));
        let columns: Vec<(Expr, String)> =
            columns.iter().map(|column| (column.expr.clone(), column.name.clone())).collect();
        let list = super::view::starred(&columns, recorder, is_qualified);
        recorder.edits.insert(position, (position + 1, list));
    }

    fn target(&mut self, expr: &ast::Expr, name: String) -> Result<Target> {
        let bound = self.expr(expr).at_expr(expr)?;
        if bound.ty() == DataType::Void {
            return Ok(Target { name, expr: bound, meta: NO_META });
        }
        let mut meta = self.meta_of(&bound);
        // A literal that was converted when it was bound no longer says to which length.
        if let (Expr::Const { .. }, ast::Expr::Cast { data_type, .. }) = (&bound, bare(expr)) {
            meta.typmod = self.type_name(data_type)?.1;
        }
        Ok(Target { name, expr: bound, meta })
    }

    /// A projection of targets; bare columns keep their identity, the first time.
    pub(crate) fn project(&mut self, input: LogicalPlan, targets: Vec<Target>) -> Rows {
        let mut exprs: Vec<(ColId, Expr)> = Vec::with_capacity(targets.len());
        let mut columns = Vec::with_capacity(targets.len());
        // An outer query's column keeps its identity there: here it is a value like any other.
        let own: BTreeSet<ColId> = input.columns().iter().map(|column| column.id).collect();
        for target in targets {
            let id = match column_of(&target.expr) {
                Some(id) if own.contains(&id) && !exprs.iter().any(|(known, _)| *known == id) => id,
                _ => self.column_id(),
            };
            let ty = target.expr.ty();
            self.meta.entry(id).or_insert(target.meta);
            self.note_shape(id, &target.expr);
            columns.push(RowsColumn { name: target.name, id, ty, meta: target.meta });
            exprs.push((id, target.expr));
        }
        Rows { plan: LogicalPlan::Project { input: Box::new(input), exprs }, columns }
    }

    /// Converts a column of a bound query: where it is computed, if that is a projection or a list of
    /// values, else in a projection on top.
    pub(crate) fn coerce_column(
        &mut self,
        rows: &mut Rows,
        index: usize,
        ty: DataType,
        typmod: i32,
        context: CastContext,
    ) -> Result<()> {
        let column = rows.columns[index].clone();
        if column.ty == ty && (typmod < 0 || column.meta.typmod == typmod) {
            return Ok(());
        }
        let meta = Meta { typmod, ..NO_META };
        if self.coerce_in_place(&mut rows.plan, index, ty, typmod, context)? {
            // A projection's bare column that is now converted is another column.
            let id = rows.plan.columns()[index].id;
            rows.columns[index] = RowsColumn { id, ty, meta, ..column };
            self.meta.insert(id, meta);
            return Ok(());
        }
        let plan = std::mem::replace(&mut rows.plan, LogicalPlan::one_row());
        let mut targets = Vec::with_capacity(rows.columns.len());
        for (at, column) in rows.columns.iter().enumerate() {
            let bare = Expr::Column { id: column.id, ty: column.ty };
            let (expr, meta) = if at == index {
                (self.coerce(bare, ty, typmod, context)?, meta)
            } else {
                (bare, column.meta)
            };
            targets.push(Target { name: column.name.clone(), expr, meta });
        }
        *rows = self.project(plan, targets);
        Ok(())
    }

    /// Whether it could be done.
    fn coerce_in_place(
        &mut self,
        plan: &mut LogicalPlan,
        index: usize,
        ty: DataType,
        typmod: i32,
        context: CastContext,
    ) -> Result<bool> {
        match plan {
            LogicalPlan::Project { exprs, .. } => {
                let (id, expr) = &mut exprs[index];
                let before = std::mem::replace(expr, Expr::truth());
                if column_of(&before) == Some(*id) {
                    *id = self.column_id();
                }
                *expr = self.coerce(before, ty, typmod, context)?;
                Ok(true)
            }
            LogicalPlan::Values { columns, rows } => {
                for row in rows {
                    let before = std::mem::replace(&mut row[index], Expr::truth());
                    row[index] = self.coerce(before, ty, typmod, context)?;
                }
                columns[index].ty = ty;
                Ok(true)
            }
            LogicalPlan::Limit { input, .. } => {
                self.coerce_in_place(input, index, ty, typmod, context)
            }
            _ => Ok(false),
        }
    }

    /// Makes undecided columns text.
    pub(crate) fn decide_columns(&mut self, rows: &mut Rows) -> Result<()> {
        for index in 0..rows.columns.len() {
            if rows.columns[index].ty == DataType::Unknown {
                self.coerce_column(rows, index, DataType::Text, -1, CastContext::Implicit)?;
            }
        }
        Ok(())
    }
}

fn plain_wildcard(options: &ast::WildcardAdditionalOptions) -> Result<()> {
    let plain = options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none();
    if plain { Ok(()) } else { Err(SqlError::new(SqlState::SyntaxError, "options after \"*\"")) }
}

/// The name that PostgreSQL gives a column without alias (FigureColname).
pub(crate) fn column_name(expr: &ast::Expr) -> String {
    figure(expr).unwrap_or_else(|| "?column?".to_owned())
}

/// The name that an expression gives to a cast of it.
fn strong_name(mut expr: &ast::Expr) -> Option<String> {
    loop {
        expr = match bare(expr) {
            ast::Expr::Cast { expr, .. } | ast::Expr::Collate { expr, .. } => expr,
            ast::Expr::Case { else_result, .. } => else_result.as_deref()?,
            ast::Expr::TypedString(_) | ast::Expr::Interval(_) => return None,
            ast::Expr::Value(value) if matches!(value.value, ast::Value::Boolean(_)) => {
                return None;
            }
            other => return figure(other),
        };
    }
}

fn figure(expr: &ast::Expr) -> Option<String> {
    use ast::Expr as E;
    let fixed = match bare(expr) {
        E::Identifier(name) => return Some(ident(name)),
        E::CompoundIdentifier(parts) => {
            let mut named = parts.iter().rev().map(ident);
            return named.find(|name| name != STAR);
        }
        E::Function(function) => return object_name(&function.name).ok().map(|name| name.name),
        E::Cast { expr, data_type, .. } => {
            // A type is a weak name: it gives way to any other, and to the type of an outer cast.
            let inner = strong_name(expr);
            return inner.or_else(|| Some(super::type_name::short_name(data_type)));
        }
        E::TypedString(typed) => return Some(super::type_name::short_name(&typed.data_type)),
        E::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                ast::AccessExpr::Dot(ast::Expr::Identifier(name)) => Some(ident(name)),
                _ => None,
            });
            return field.or_else(|| figure(root));
        }
        E::Collate { expr, .. } => return figure(expr),
        E::Case { else_result, .. } => {
            let inner = else_result.as_deref().and_then(strong_name);
            return Some(inner.unwrap_or_else(|| "case".to_owned()));
        }
        E::Subquery(query) => return query_column(&query.body),
        E::Value(value) if matches!(value.value, ast::Value::Boolean(_)) => "bool",
        E::Exists { negated: false, .. } => "exists",
        E::Interval(_) => "interval",
        E::Extract { .. } => "extract",
        E::Ceil { .. } => "ceil",
        E::Floor { .. } => "floor",
        E::Position { .. } => "position",
        E::Substring { shorthand: true, .. } => "substr",
        E::Substring { .. } => "substring",
        E::Overlay { .. } => "overlay",
        E::AtTimeZone { .. } => "timezone",
        E::Array(_) => "array",
        E::Tuple(_) => "row",
        E::Trim { trim_where, .. } => match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        },
        _ => return None,
    };
    Some(fixed.to_owned())
}

fn query_column(body: &ast::SetExpr) -> Option<String> {
    if matches!(body, ast::SetExpr::Values(_)) {
        return Some("column1".to_owned());
    }
    let ast::SetExpr::Select(select) = body else { return None };
    match select.projection.first()? {
        ast::SelectItem::UnnamedExpr(expr) => figure(expr),
        ast::SelectItem::ExprWithAlias { alias, .. } => Some(ident(alias)),
        _ => None,
    }
}
