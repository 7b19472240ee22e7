//! System relations in FROM: those with rows of their own, and views of them.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    Expr, LogicalPlan, OutputColumn, Result, SetFunction, SqlError, SystemRelation,
};
use driftdb_storage::Timestamp;
use driftdb_types::{CastContext, DataType};
use sqlparser::ast;
use sqlparser::parser::Parser;

use super::Binder;
use super::coerce::shows_names;
use super::from::{Aliased, item, named_column};
use super::names::ObjectName;
use super::scope::{FromItem, Named};
use super::target::{NO_META, Rows};
use crate::front::limits::{depth, with_room};
use crate::front::rewrite::{TimeClause, TimeRange};
use crate::front::tokens::{Source, tokenize};
use crate::front::tree::parse_all;

impl Binder<'_> {
    /// A system relation under its name or alias.
    pub(crate) fn system_item(
        &mut self,
        relation: Arc<SystemRelation>,
        name: &ObjectName,
        clause: Option<&TimeClause>,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let time = match clause {
            Some(clause) if !relation.has_history => {
                let what = format!("{} on system relation \"{}\"", clause.range.name(), name.name);
                return Err(SqlError::unsupported(what).at(clause.position));
            }
            Some(clause) => match &clause.range {
                TimeRange::AsOf(point) => self.point(point, clause.range.name())?,
                other => {
                    let what = format!("{} on a system relation", other.name());
                    return Err(SqlError::unsupported(what).at(clause.position));
                }
            },
            None => self.default_time.filter(|_| relation.has_history),
        };
        if let "pg_authid" | "pg_shadow" = relation.name {
            let kind = if relation.view.is_some() { "view" } else { "table" };
            let message = format!("permission denied for {kind} {}", relation.name);
            self.ask_other(driftdb_query::Demand::Superuser(message));
        }
        if relation.columns.iter().any(|column| shows_names(column.1)) {
            self.catalog.is_asked()?;
        }
        let own = Aliased {
            alias,
            own: relation.name.to_owned(),
            schema: Some(relation.schema.to_owned()),
        };
        if let Some(text) = relation.view {
            let rows = self.view_rows(text, &relation, time)?;
            let named = rows.columns.iter().map(named_column).collect();
            return item(rows.plan, named, own, None, None);
        }
        let mut columns = Vec::with_capacity(relation.columns.len() + 1);
        let mut named = Vec::with_capacity(relation.columns.len());
        for &(name, ty) in &relation.columns {
            let id = self.column_id();
            self.meta.insert(id, NO_META);
            columns.push(OutputColumn { id, ty });
            named.push(Named { name: name.to_owned(), expr: Expr::Column { id, ty } });
        }
        // Last, and not part of `*`.
        let tableoid = self.column_id();
        self.meta.insert(tableoid, NO_META);
        columns.push(OutputColumn { id: tableoid, ty: DataType::Oid });
        let at = time.map_or(ReadAt::Statement, ReadAt::AsOf);
        let function = SetFunction::System { relation, at };
        let plan = LogicalPlan::FunctionScan { function, args: Vec::new(), columns };
        let mut item = item(plan, named, own, None, None)?;
        item.relations.iter_mut().for_each(|relation| relation.tableoid = Some(tableoid));
        Ok(item)
    }

    /// The rows of a view, all that it names read at one time. Nothing of the statement around it is in
    /// sight.
    fn view_rows(
        &mut self,
        text: &str,
        relation: &SystemRelation,
        time: Option<Timestamp>,
    ) -> Result<Rows> {
        let source = Source::new(text);
        let tokens = tokenize(&source)?;
        let depth = depth(&tokens)?;
        let scopes = std::mem::take(&mut self.scopes);
        let ctes = std::mem::take(&mut self.ctes);
        let locking = std::mem::take(&mut self.locking);
        let handed_down = std::mem::take(&mut self.handed_down);
        let content = self.content.take();
        let default_time = std::mem::replace(&mut self.default_time, time);
        let result = self.deeper(1, |binder| {
            with_room(depth, || {
                let tree = parse_all(&source, tokens, None, Parser::parse_query)?;
                binder.query(&tree)
            })
        });
        self.scopes = scopes;
        self.ctes = ctes;
        self.locking = locking;
        self.handed_down = handed_down;
        self.content = content;
        self.default_time = default_time;
        let place = |error: SqlError| SqlError { position: None, ..error };
        let mut rows = result.map_err(place)?;
        if rows.columns.len() != relation.columns.len() {
            let message = format!("the view {} has other columns than its query", relation.name);
            return Err(SqlError::internal(message));
        }
        for (index, &(name, ty)) in relation.columns.iter().enumerate() {
            self.coerce_column(&mut rows, index, ty, -1, CastContext::Explicit).map_err(place)?;
            name.clone_into(&mut rows.columns[index].name);
        }
        Ok(rows)
    }
}
