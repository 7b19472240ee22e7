//! WITH: common table expressions, and those that refer to themselves.
//!
//! Under RECURSIVE every expression of the clause is in sight of every other. Each is bound when it is first
//! named, or when its turn comes, so that they come in an order in which each reads earlier ones only. One
//! that is named while it is being bound refers to itself: then its query must be a UNION whose right side
//! alone does so.
//!
//! Sources: PostgreSQL 15, parser/parse_cte.c, whose rules and texts these are.

use std::sync::Arc;

use driftdb_query::{
    CteId, Expr, JoinKind, LogicalPlan, OutputColumn, Result, SetOpKind, SqlError, Statement,
};
use driftdb_types::{CastContext, DataType, SqlState, common_type, type_name_with_typmod};
use sqlparser::ast;

use super::from::{Aliased, item};
use super::names::{ident, ident_position};
use super::scope::{Clause, Cte, FromItem, Named};
use super::target::{Rows, RowsColumn};
use super::{Binder, Meta};

/// How far an expression is bound.
#[derive(Debug, Clone)]
pub(crate) enum CteState {
    /// It may be read.
    Bound,
    /// It is a change without RETURNING: there is nothing to read.
    Silent,
    /// Nobody has named it yet.
    Pending(Arc<ast::Cte>),
    /// It is being bound, so that naming it is a reference to itself.
    Binding {
        /// What the working table has, once the left side of the UNION is bound.
        columns: Option<Vec<(String, DataType, Meta)>>,
        /// How often it was named.
        uses: usize,
    },
}

fn recursion(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidRecursion, message)
}

impl Binder<'_> {
    /// Binds common table expressions and puts them in sight.
    pub(crate) fn with(&mut self, with: &ast::With) -> Result<Vec<(CteId, LogicalPlan)>> {
        let mut plans = Vec::with_capacity(with.cte_tables.len());
        let may_change = std::mem::replace(&mut self.may_change, false);
        if let Some(cte) = with.cte_tables.iter().find(|cte| change_of(cte).is_some())
            && (!may_change || !self.scopes.is_empty())
        {
            let message =
                "WITH clause containing a data-modifying statement must be at the top level";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message)
                .at(ident_position(&cte.alias.name)));
        }
        let outside = self.ctes.len();
        for cte in &with.cte_tables {
            let (name, position) = (ident(&cte.alias.name), ident_position(&cte.alias.name));
            let others = with.cte_tables.iter().take_while(|other| !std::ptr::eq(*other, cte));
            if others.map(|other| ident(&other.alias.name)).any(|other| other == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(SqlError::new(SqlState::DuplicateAlias, message).at(position));
            }
            if with.recursive {
                let (id, state) = (self.cte_id(), CteState::Pending(Arc::new(cte.clone())));
                let (end, scopes) = (outside + with.cte_tables.len(), self.scopes.len());
                self.ctes.push(Cte { name, id, columns: Vec::new(), state, end, scopes });
            }
        }
        if with.recursive {
            let before = std::mem::take(&mut self.bound_ctes);
            let mut bound = Ok(());
            for index in outside..outside + with.cte_tables.len() {
                bound = self.bind_pending(index);
                if bound.is_err() {
                    break;
                }
            }
            plans = std::mem::replace(&mut self.bound_ctes, before);
            return bound.map(|()| plans);
        }
        for cte in &with.cte_tables {
            let id = self.cte_id();
            let (columns, plan) = self.plain_cte(cte)?;
            let name = ident(&cte.alias.name);
            let (end, scopes) = (self.ctes.len() + 1, self.scopes.len());
            let state = self.bound_state(id, &plan);
            self.ctes.push(Cte { name, id, columns, state, end, scopes });
            plans.push((id, plan));
        }
        Ok(plans)
    }

    /// Binds an expression of a WITH RECURSIVE, unless it is bound.
    fn bind_pending(&mut self, index: usize) -> Result<()> {
        let CteState::Pending(cte) = self.ctes[index].state.clone() else { return Ok(()) };
        // What is around the place that names it is not around it.
        let inner = self.ctes.split_off(self.ctes[index].end);
        let scopes = self.scopes.split_off(self.ctes[index].scopes);
        let locking = std::mem::take(&mut self.locking);
        self.ctes[index].state = CteState::Binding { columns: None, uses: 0 };
        self.binding.push(index);
        let bound = self.deeper(1, |binder| binder.recursive_cte(index, &cte));
        self.binding.pop();
        self.locking = locking;
        self.scopes.extend(scopes);
        self.ctes.extend(inner);
        let (columns, plan) = bound?;
        self.ctes[index].columns = columns;
        let id = self.ctes[index].id;
        self.ctes[index].state = self.bound_state(id, &plan);
        self.bound_ctes.push((id, plan));
        Ok(())
    }

    /// A query, whose columns get the names in the alias.
    #[expect(clippy::type_complexity, reason = "columns as a Cte has them")]
    fn plain_cte(
        &mut self,
        cte: &ast::Cte,
    ) -> Result<(Vec<(String, DataType, Meta)>, LogicalPlan)> {
        self.check_clauses(cte)?;
        if let Some(change) = change_of(cte) {
            return self.change_cte(cte, change);
        }
        let mut rows = self.query(&cte.query)?;
        self.decide_columns(&mut rows)?;
        renamed(&mut rows.columns, cte)?;
        Ok((described(&rows.columns), rows.plan))
    }

    /// A change and the columns of its RETURNING.
    #[expect(clippy::type_complexity, reason = "columns as a Cte has them")]
    fn change_cte(
        &mut self,
        cte: &ast::Cte,
        change: &ast::Statement,
    ) -> Result<(Vec<(String, DataType, Meta)>, LogicalPlan)> {
        if matches!(change, ast::Statement::Merge(_)) {
            let message = "MERGE not supported in WITH query";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message)
                .at(ident_position(&cte.alias.name)));
        }
        let change = self.with_change(cte.query.with.as_ref(), change)?;
        let fields = match &change {
            Statement::Insert(insert) => &insert.fields,
            Statement::Update(update) => &update.fields,
            Statement::Delete(delete) => &delete.fields,
            _ => return Err(SqlError::internal("a change that is none")),
        };
        let mut columns: Vec<RowsColumn> = Vec::with_capacity(fields.len());
        for field in fields.clone() {
            let (id, meta) =
                (self.column_id(), Meta { typmod: field.typmod, origin: field.origin });
            columns.push(RowsColumn { name: field.name, id, ty: field.ty, meta });
        }
        renamed(&mut columns, cte)?;
        let outputs = columns.iter().map(|c| OutputColumn { id: c.id, ty: c.ty }).collect();
        let plan = LogicalPlan::Change { change: Box::new(change), columns: outputs };
        Ok((described(&columns), plan))
    }

    /// What may be done with an expression now; changes happen even if nobody reads them.
    fn bound_state(&mut self, id: CteId, plan: &LogicalPlan) -> CteState {
        match plan {
            LogicalPlan::Change { columns, .. } => {
                self.used_ctes.insert(id);
                if columns.is_empty() { CteState::Silent } else { CteState::Bound }
            }
            _ => CteState::Bound,
        }
    }

    /// An expression that may refer to itself.
    #[expect(clippy::type_complexity, reason = "columns as a Cte has them")]
    fn recursive_cte(
        &mut self,
        index: usize,
        cte: &ast::Cte,
    ) -> Result<(Vec<(String, DataType, Meta)>, LogicalPlan)> {
        let (name, position) = (ident(&cte.alias.name), ident_position(&cte.alias.name));
        let query = &cte.query;
        let ast::SetExpr::SetOperation { op: ast::SetOperator::Union, set_quantifier, left, right } =
            &*query.body
        else {
            let bound = self.plain_cte(cte);
            if self.self_uses(index) > 0 && change_of(cte).is_some() {
                let message = format!(
                    "recursive query \"{name}\" must not contain data-modifying statements"
                );
                return Err(recursion(message).at(position));
            }
            if self.self_uses(index) > 0 {
                return Err(ill_formed(&name).at(position));
            }
            return bound;
        };
        let all = *set_quantifier == ast::SetQuantifier::All;
        let outside = self.ctes.len();
        let inner = match &query.with {
            Some(with) => self.with(with)?,
            None => Vec::new(),
        };
        let left = self.set_expr(left);
        if self.self_uses(index) > 0 {
            let message = format!(
                "recursive reference to query \"{name}\" must not appear within its non-recursive \
                 term"
            );
            return Err(recursion(message).at(position));
        }
        let left = left?;
        let undecided = left.columns.clone();
        let types: Vec<DataType> = left
            .columns
            .iter()
            .map(|column| match column.ty {
                DataType::Unknown => DataType::Text,
                ty => ty,
            })
            .collect();
        let mut shown = undecided;
        shown.iter_mut().zip(&types).for_each(|(column, ty)| column.ty = *ty);
        renamed(&mut shown, cte)?;
        if let CteState::Binding { columns, .. } = &mut self.ctes[index].state {
            *columns = Some(described(&shown));
        }
        let right = self.deeper(1, |binder| binder.set_expr(right));
        let uses = self.self_uses(index);
        let right = right?;
        let rows = if uses == 0 {
            // It does not refer to itself after all.
            let lockings = self.lockings(&query.locks)?;
            Self::refuse_lockings(&query.body, &lockings)?;
            self.combine(SetOpKind::Union, "UNION", all, left, right)?
        } else {
            check_around(query)?;
            self.recursive_rows(index, (&name, position), all, left, right)?
        };
        let mut rows = rows;
        if uses == 0 {
            let keys = super::order::order_keys(query.order_by.as_ref())?;
            rows = self.sort_rows(rows, keys, true)?;
            rows.plan = self.limit(query, rows.plan)?;
        }
        self.check_clauses(cte)?;
        self.ctes.truncate(outside);
        self.decide_columns(&mut rows)?;
        renamed(&mut rows.columns, cte)?;
        let inner: Vec<_> =
            inner.into_iter().filter(|(id, _)| self.used_ctes.contains(id)).collect();
        if !inner.is_empty() {
            rows.plan = LogicalPlan::With { ctes: inner, body: Box::new(rows.plan) };
        }
        Ok((described(&rows.columns), rows.plan))
    }

    /// The rows of a query that refers to itself on the right side of its UNION.
    fn recursive_rows(
        &mut self,
        index: usize,
        (name, position): (&str, u32),
        all: bool,
        mut left: Rows,
        mut right: Rows,
    ) -> Result<Rows> {
        check_step(&right.plan, self.ctes[index].id, name).map_err(|e| e.at(position))?;
        if left.columns.len() != right.columns.len() {
            let message = "each UNION query must have the same number of columns";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        self.decide_columns(&mut left)?;
        let types: Vec<DataType> = left.columns.iter().map(|column| column.ty).collect();
        let mut columns = Vec::with_capacity(types.len());
        let mut outputs = Vec::with_capacity(types.len());
        for (place, ty) in types.into_iter().enumerate() {
            let overall = common_type(&[ty, right.columns[place].ty])
                .map_err(|differ| differ.error("UNION"))?;
            if overall != ty {
                let message = format!(
                    "recursive query \"{name}\" column {} has type {ty} in non-recursive term \
                     but type {overall} overall",
                    place + 1
                );
                let hint = "Cast the output of the non-recursive term to the correct type.";
                return Err(SqlError::new(SqlState::DatatypeMismatch, message).with_hint(hint));
            }
            let fitted = left.columns[place].meta.typmod;
            if fitted >= 0 && right.columns[place].meta.typmod != fitted {
                let message = format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but \
                     type {ty} overall",
                    place + 1,
                    type_name_with_typmod(ty, fitted)
                );
                let hint = "Cast the output of the non-recursive term to the correct type.";
                return Err(SqlError::new(SqlState::DatatypeMismatch, message).with_hint(hint));
            }
            self.coerce_column(&mut right, place, ty, -1, CastContext::Implicit)?;
            if !all {
                super::order::check_equality(ty)?;
            }
            let (id, meta) = (self.column_id(), left.columns[place].meta);
            self.meta.insert(id, meta);
            outputs.push(OutputColumn { id, ty });
            let name = left.columns[place].name.clone();
            columns.push(RowsColumn { name, id, ty, meta });
        }
        let plan = LogicalPlan::Recursive {
            table: self.ctes[index].id,
            all,
            seed: Box::new(left.plan),
            step: Box::new(right.plan),
            columns: outputs,
        };
        Ok(Rows { plan, columns })
    }

    /// SEARCH and CYCLE.
    fn check_clauses(&self, cte: &ast::Cte) -> Result<()> {
        let Some(content) = self.content else { return Ok(()) };
        let place = cte.closing_paren_token.0.span.start.column as u32;
        match content.lifted.cte_clauses.get(&place) {
            None => Ok(()),
            Some(what) => Err(SqlError::unsupported(*what)),
        }
    }

    fn self_uses(&self, index: usize) -> usize {
        match &self.ctes[index].state {
            CteState::Binding { uses, .. } => *uses,
            _ => 0,
        }
    }

    /// The common table expression of a name, bound if need be.
    pub(crate) fn find_cte(&mut self, name: &str) -> Result<Option<usize>> {
        let Some(index) = self.ctes.iter().rposition(|cte| cte.name == name) else {
            return Ok(None);
        };
        self.bind_pending(index)?;
        Ok(Some(index))
    }

    /// A reference to a common table expression.
    pub(crate) fn cte_item(
        &mut self,
        index: usize,
        position: u32,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let mutual = self
            .binding
            .last()
            .is_some_and(|last| *last != index && self.ctes[*last].end == self.ctes[index].end);
        let scopes = self.scopes.len();
        let cte = &mut self.ctes[index];
        let (name, id, outside) = (cte.name.clone(), cte.id, cte.scopes);
        let mut columns = cte.columns.clone();
        if matches!(cte.state, CteState::Silent) {
            let message = format!("WITH query \"{name}\" does not have a RETURNING clause");
            return Err(SqlError::new(SqlState::FeatureNotSupported, message).at(position));
        }
        let mut is_working = false;
        if let CteState::Binding { columns: working, uses } = &mut cte.state {
            // Another expression of the clause is being bound for this one.
            if mutual {
                let message = "mutual recursion between WITH items is not implemented";
                return Err(SqlError::new(SqlState::FeatureNotSupported, message).at(position));
            }
            *uses += 1;
            let Some(working) = working else {
                // The binder of the expression says what is wrong.
                let message = format!(
                    "recursive reference to query \"{name}\" must not appear within its \
                     non-recursive term"
                );
                return Err(recursion(message).at(position));
            };
            let uses = *uses;
            let refused = |what: &str| {
                let message =
                    format!("recursive reference to query \"{name}\" must not appear {what}");
                Err(recursion(message).at(position))
            };
            columns = working.clone();
            let inside = &self.scopes[outside.min(scopes)..];
            if inside.iter().any(|scope| scope.clause != Clause::FunctionInFrom) {
                return refused("within a subquery");
            }
            if uses > 1 {
                return refused("more than once");
            }
            is_working = true;
        }
        let mut outputs = Vec::with_capacity(columns.len());
        let mut named = Vec::with_capacity(columns.len());
        for (name, ty, meta) in &columns {
            let id = self.column_id();
            self.meta.insert(id, *meta);
            outputs.push(OutputColumn { id, ty: *ty });
            named.push(Named { name: name.clone(), expr: Expr::Column { id, ty: *ty } });
        }
        let plan = if is_working {
            LogicalPlan::WorkingTable { table: id, columns: outputs }
        } else {
            self.used_ctes.insert(id);
            LogicalPlan::CteScan { cte: id, columns: outputs }
        };
        item(plan, named, Aliased { alias, own: name, schema: None }, None, None)
    }
}

/// The change that an expression is.
fn change_of(cte: &ast::Cte) -> Option<&ast::Statement> {
    match &*cte.query.body {
        ast::SetExpr::Insert(change)
        | ast::SetExpr::Update(change)
        | ast::SetExpr::Merge(change)
        | ast::SetExpr::Delete(change) => Some(change),
        _ => None,
    }
}

/// What may not stand around a query that refers to itself.
fn check_around(query: &ast::Query) -> Result<()> {
    for (present, what) in [
        (query.order_by.is_some(), "ORDER BY"),
        (has_offset(query), "OFFSET"),
        (has_limit(query), "LIMIT"),
        (!query.locks.is_empty(), "FOR UPDATE/SHARE"),
    ] {
        if present {
            let message = format!("{what} in a recursive query is not implemented");
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
    }
    Ok(())
}

fn has_limit(query: &ast::Query) -> bool {
    query.fetch.is_some()
        || matches!(&query.limit_clause, Some(ast::LimitClause::LimitOffset { limit: Some(_), .. }))
}

fn has_offset(query: &ast::Query) -> bool {
    matches!(&query.limit_clause, Some(ast::LimitClause::LimitOffset { offset: Some(_), .. }))
}

fn ill_formed(name: &str) -> SqlError {
    recursion(format!(
        "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] \
         recursive-term"
    ))
}

fn described(columns: &[RowsColumn]) -> Vec<(String, DataType, Meta)> {
    columns.iter().map(|column| (column.name.clone(), column.ty, column.meta)).collect()
}

/// Gives columns the names in an expression's alias.
fn renamed(columns: &mut [RowsColumn], cte: &ast::Cte) -> Result<()> {
    let renames = &cte.alias.columns;
    if renames.len() > columns.len() {
        let message = format!(
            "WITH query \"{}\" has {} columns available but {} columns specified",
            ident(&cte.alias.name),
            columns.len(),
            renames.len()
        );
        let error = SqlError::new(SqlState::InvalidColumnReference, message);
        return Err(error.at(ident_position(&cte.alias.name)));
    }
    for (column, rename) in columns.iter_mut().zip(renames) {
        column.name = ident(&rename.name);
    }
    Ok(())
}

/// Whether a step refers to itself where it may.
fn check_step(plan: &LogicalPlan, table: CteId, name: &str) -> Result<()> {
    let refused = |what: &str| {
        let message =
            format!("recursive reference to query \"{name}\" must not appear within {what}");
        Err(recursion(message))
    };
    match plan {
        LogicalPlan::Join { kind, left, right, .. } => {
            let padded = match kind {
                JoinKind::Left => [None, Some(right)],
                JoinKind::Right => [Some(left), None],
                JoinKind::Full => [Some(left), Some(right)],
                _ => [None, None],
            };
            if padded.into_iter().flatten().any(|side| reads(side, table)) {
                return refused("an outer join");
            }
            check_step(left, table, name)?;
            check_step(right, table, name)
        }
        LogicalPlan::SetOp { kind, all, left, right, .. } => {
            let (left_reads, right_reads) = (reads(left, table), reads(right, table));
            if *kind == SetOpKind::Except && (right_reads || *all && left_reads) {
                return refused("EXCEPT");
            }
            if *kind == SetOpKind::Intersect && *all && (left_reads || right_reads) {
                return refused("INTERSECT");
            }
            check_step(left, table, name)?;
            check_step(right, table, name)
        }
        LogicalPlan::Aggregate { input, .. } | LogicalPlan::GroupingSets { input, .. }
            if reads_directly(input, table) =>
        {
            let message =
                "aggregate functions are not allowed in a recursive query's recursive term";
            Err(recursion(message.to_owned()))
        }
        other => {
            let mut result = Ok(());
            other.for_each_input(&mut |input| {
                if result.is_ok() {
                    result = check_step(input, table, name);
                }
            });
            result
        }
    }
}

fn reads(plan: &LogicalPlan, table: CteId) -> bool {
    let mut found = matches!(plan, LogicalPlan::WorkingTable { table: own, .. } if *own == table);
    plan.for_each_input(&mut |input| found = found || reads(input, table));
    found
}

/// Whether the working table is in the FROM right below.
fn reads_directly(plan: &LogicalPlan, table: CteId) -> bool {
    match plan {
        LogicalPlan::WorkingTable { table: own, .. } => *own == table,
        LogicalPlan::Filter { input, .. } => reads_directly(input, table),
        LogicalPlan::Join { left, right, .. } => {
            reads_directly(left, table) || reads_directly(right, table)
        }
        _ => false,
    }
}
