//! System relations in FROM.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    Expr, LogicalPlan, OutputColumn, Result, SYSTEM_SCHEMA, SetFunction, SqlError, SystemRelation,
};
use sqlparser::ast;

use super::Binder;
use super::from::{Aliased, item};
use super::names::ObjectName;
use super::scope::{FromItem, Named};
use super::target::NO_META;
use crate::front::rewrite::{TimeClause, TimeRange};

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
        let mut columns = Vec::with_capacity(relation.columns.len());
        let mut named = Vec::with_capacity(relation.columns.len());
        for &(name, ty) in &relation.columns {
            let id = self.column_id();
            self.meta.insert(id, NO_META);
            columns.push(OutputColumn { id, ty });
            named.push(Named { name: name.to_owned(), expr: Expr::Column { id, ty } });
        }
        let own = Aliased {
            alias,
            own: relation.name.to_owned(),
            schema: Some(SYSTEM_SCHEMA.to_owned()),
        };
        let at = time.map_or(ReadAt::Statement, ReadAt::AsOf);
        let function = SetFunction::System { relation, at };
        let plan = LogicalPlan::FunctionScan { function, args: Vec::new(), columns };
        item(plan, named, own, None, None)
    }
}
