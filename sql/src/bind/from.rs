//! FROM items: tables, subqueries, functions, common table expressions.

use driftdb_query::{
    ColId, Expr, JoinKind, LogicalPlan, Marker, Result, ScanColumn, SqlError, SystemColumn,
    Temporal, plain,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::coerce::shows_names;
use super::names::{ObjectName, check_database, ident, ident_position, object_name};
use super::scope::{Clause, FromItem, Named, Relation, Scope, column_of};
use super::target::{Rows, RowsColumn};
use super::view::quoted;
use super::whole_row::Whole;
use super::{Binder, Meta};

/// System columns have identities of their own from here on, so that those of a statement's other
/// columns count up without gaps.
const FIRST_SYSTEM_COLUMN: u32 = 1 << 31;

/// Which items beside it an item uses.
#[derive(Debug, Clone, Copy, Default)]
struct Lateral {
    /// Those before it in FROM.
    before: bool,
    /// The left side of its join.
    left: bool,
}

/// What may be in front of an alias list.
pub(crate) struct Aliased<'e> {
    pub(crate) alias: Option<&'e ast::TableAlias>,
    /// The name without an alias.
    pub(crate) own: String,
    pub(crate) schema: Option<String>,
}

impl Binder<'_> {
    /// The whole of FROM: items separated by commas are joined; LATERAL ones see those before them.
    pub(crate) fn bind_from(&mut self, tables: &[ast::TableWithJoins]) -> Result<FromItem> {
        let mut whole: Option<FromItem> = None;
        for table in tables {
            let item = self.deeper(1, |binder| binder.joined_item(table, whole.as_ref()))?;
            whole = Some(match whole {
                None => item.0,
                Some(left) => cross(left, item.0, item.1.before)?,
            });
        }
        Ok(whole.unwrap_or_else(|| FromItem {
            plan: LogicalPlan::one_row(),
            relations: Vec::new(),
            visible: Vec::new(),
        }))
    }

    /// An item with the joins after it; also whether it uses columns of `before`.
    fn joined_item(
        &mut self,
        table: &ast::TableWithJoins,
        before: Option<&FromItem>,
    ) -> Result<(FromItem, Lateral)> {
        let (mut item, mut lateral) = self.single_item(&table.relation, before, None)?;
        self.note_item(&item);
        let levels = table.joins.len() as u32;
        self.deeper(levels, |binder| {
            for join in &table.joins {
                let (right, uses) = binder.single_item(&join.relation, before, Some(&item))?;
                binder.note_item(&right);
                lateral.before |= uses.before;
                item = binder.join(item_take(&mut item), right, uses.left, &join.join_operator)?;
            }
            Ok(())
        })?;
        Ok((item, lateral))
    }

    /// While a view's query is recorded: how the columns of an item are named that is no table.
    fn note_item(&mut self, item: &FromItem) {
        let Some(recorder) = &mut self.recorder else { return };
        for relation in &item.relations {
            let name = plain(&quoted(&relation.name));
            for column in &relation.columns {
                if let Some(id) = column_of(&column.expr) {
                    let note = (name.clone(), plain(&quoted(&column.name)));
                    recorder.columns.entry(id).or_insert(note);
                }
            }
        }
    }

    /// One item. If it is lateral, it sees `before` and `left`.
    fn single_item(
        &mut self,
        factor: &ast::TableFactor,
        before: Option<&FromItem>,
        left: Option<&FromItem>,
    ) -> Result<(FromItem, Lateral)> {
        use ast::TableFactor as F;
        match factor {
            F::Table { name, alias, args: None, with_ordinality: false, sample: None, .. } => {
                let has_no_times = self.content.is_some_and(|content| {
                    content.lifted.times.is_empty() && content.lifted.periods.is_empty()
                });
                if has_no_times {
                    return Ok((self.table_item(name, alias.as_ref())?, Lateral::default()));
                }
                // Its time may come from the items beside it.
                self.beside(before, left, |binder| binder.table_item(name, alias.as_ref()))
            }
            F::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.beside(before, left, |binder| {
                    binder.function_item(name, &args.args, *with_ordinality, alias.as_ref())
                })
            }
            F::Function { name, args, with_ordinality, alias, .. } => {
                self.beside(before, left, |binder| {
                    binder.function_item(name, args, *with_ordinality, alias.as_ref())
                })
            }
            F::Derived { lateral, subquery, alias, sample: None } => {
                self.hand_down(alias.as_ref());
                let (rows, uses) = if *lateral {
                    self.beside(before, left, |binder| binder.query(subquery))?
                } else {
                    (self.query(subquery)?, Lateral::default())
                };
                Ok((self.derived(rows, alias.as_ref(), subquery)?, uses))
            }
            F::NestedJoin { table_with_joins, alias } => {
                let (mut item, lateral) =
                    self.deeper(1, |binder| binder.joined_item(table_with_joins, before))?;
                if let Some(alias) = alias {
                    let columns = std::mem::take(&mut item.visible);
                    let relation = Relation {
                        name: ident(&alias.name),
                        schema: None,
                        columns: renamed(columns, alias)?,
                        table: None,
                        lockable: None,
                        hidden: None,
                        tableoid: None,
                        whole: Whole::default(),
                    };
                    item.visible = relation.columns.clone();
                    item.relations = vec![relation];
                }
                Ok((item, lateral))
            }
            F::Table {
                name,
                alias,
                args: None,
                with_ordinality: false,
                sample: Some(sample),
                ..
            } => {
                let item = self.table_item(name, alias.as_ref())?;
                Ok((self.sampled(item, sample)?, Lateral::default()))
            }
            F::Table { sample: Some(_), .. } | F::Derived { .. } => {
                Err(SqlError::unsupported("TABLESAMPLE"))
            }
            F::Table { .. } => Err(SqlError::unsupported("WITH ORDINALITY")),
            F::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } => {
                let exprs: Vec<&ast::Expr> = array_exprs.iter().collect();
                self.beside(before, left, |binder| {
                    binder.set_item("unnest", &exprs, *with_ordinality, alias.as_ref())
                })
            }
            other => Err(SqlError::unsupported(format!("the FROM item {other}"))),
        }
    }

    /// Binds something that sees the items beside it as an outer query's; also which of them it used.
    fn beside<T>(
        &mut self,
        before: Option<&FromItem>,
        left: Option<&FromItem>,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Lateral)> {
        self.scopes.push(lateral_scope(before, left));
        let result = work(self);
        let scope = self.scopes.pop();
        let used = |item: Option<&FromItem>| {
            let Some((scope, item)) = scope.as_ref().zip(item) else { return false };
            item.relations.iter().any(|relation| {
                let columns = relation.columns.iter().filter_map(|column| column_of(&column.expr));
                columns.chain(relation.system_ids()).any(|id| scope.positions.contains_key(&id))
            })
        };
        Ok((result?, Lateral { before: used(before), left: used(left) }))
    }

    /// A table or common table expression.
    fn table_item(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        check_database(name, &self.eval.database)?;
        let parsed = object_name(name)?;
        let clause = self.take_time(parsed.last, alias)?;
        let alias_position = alias.map(|alias| ident_position(&alias.name));
        let period = self.take_period(parsed.last, alias_position)?;
        if let Some(period) = period
            && self.is_no_table(&parsed)?
        {
            let what = format!("{} on what is not a table", period.name());
            return Err(SqlError::unsupported(what).at(period.position));
        }
        if parsed.schema.is_none()
            && let Some(cte) = self.find_cte(&parsed.name)?
        {
            if let Some(clause) = clause {
                return Err(SqlError::unsupported(format!(
                    "{} on a common table expression",
                    clause.range.name()
                ))
                .with_hint("Put it on the tables inside.")
                .at(parsed.position));
            }
            return self.cte_item(cte, parsed.position, alias);
        }
        let schema = parsed.schema.as_deref();
        if let Some(relation) = self.catalog.system_relation(schema, &parsed.name)? {
            if let Some(recorder) = &mut self.recorder {
                recorder.named(name, format!("{}.{}", relation.schema, relation.name));
            }
            return self.system_item(relation, &parsed, clause, alias);
        }
        if let Some(object) = self.relation_object(&parsed)? {
            if let Some(clause) = clause {
                let what = format!("{} on sequence \"{}\"", clause.range.name(), parsed.name);
                return Err(SqlError::unsupported(what).at(clause.position));
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.relation(name, object.id.0, Vec::new());
            }
            self.ask_read_object(&object, Vec::new());
            return self.sequence_item(&object, &parsed, alias);
        }
        let (table, at, span) = match self.table_at(&parsed, clause) {
            Err(error) if error.state == SqlState::UndefinedTable => {
                let view = self.view_item(name, clause, alias)?;
                return match (view, period) {
                    (Some(_), Some(period)) => {
                        let what = format!("{} on a view", period.name());
                        Err(SqlError::unsupported(what).at(period.position))
                    }
                    (Some(item), None) => Ok(item),
                    (None, _) => Err(error),
                };
            }
            found => found?,
        };
        if table.columns.iter().any(|column| shows_names(column.ty)) {
            self.catalog.is_asked()?;
        }
        let mut columns = Vec::with_capacity(table.columns.len());
        let mut named = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            let id = self.column_id();
            let origin = (table.id.0, column.id.0);
            self.meta.insert(id, Meta { typmod: column.typmod, origin });
            columns.push(ScanColumn { id, position });
            let expr = Expr::Column { id, ty: column.ty };
            named.push(Named { name: column.name.clone(), expr });
        }
        self.note_table(name, alias, &table, &columns);
        let numbers = columns.iter().map(|scan| (scan.id, table.columns[scan.position].id.0));
        self.ask_read(&table, numbers);
        // A locking query asks for the key; it fills in this identity.
        let lockable = self.column_id();
        let own = Aliased { alias, own: table.name.clone(), schema: Some(table.schema.clone()) };
        let (system, hidden) = self.system_columns();
        let temporal = Temporal { span, system };
        let mut plan = LogicalPlan::Scan { table: table.clone(), at, columns, key: None, temporal };
        if let Some(period) = period {
            plan = self.held(plan, &table, &named, period)?;
        }
        let mut item = item(plan, named, own, Some(table), Some(lockable))?;
        item.relations.iter_mut().for_each(|relation| relation.hidden = Some(hidden));
        Ok(item)
    }

    /// While a view's query is recorded: how the columns of a table in FROM are named.
    fn note_table(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
        table: &driftdb_query::Table,
        columns: &[ScanColumn],
    ) {
        let Some(recorder) = &mut self.recorder else { return };
        // PostgreSQL tells relations of one name apart by numbers.
        let own = alias.map_or_else(|| table.name.clone(), |alias| ident(&alias.name));
        let has_it = |scope: &&Scope| scope.relations.iter().any(|relation| relation.name == own);
        let taken = match self.scopes.iter().filter(has_it).count() {
            0 => None,
            count => Some(plain(&quoted(&format!("{own}_{count}")))),
        };
        let numbered = columns.iter().map(|scan| (scan.id, table.columns[scan.position].id));
        let numbered: Vec<(ColId, driftdb_query::ColumnId)> = numbered.collect();
        let relation = match (&taken, alias) {
            (Some(taken), _) => taken.clone(),
            (None, Some(alias)) => plain(&quoted(&ident(&alias.name))),
            (None, None) => Marker::Name(table.id.0).write(),
        };
        let renames = alias.map_or(&[][..], |alias| &alias.columns);
        for (place, (id, column)) in numbered.iter().enumerate() {
            let own = match renames.get(place) {
                Some(rename) => plain(&quoted(&ident(&rename.name))),
                None => {
                    let own = Marker::Column(table.id.0, *column).write();
                    recorder.numbers.insert(own.clone(), (table.id.0, *column));
                    own
                }
            };
            recorder.columns.insert(*id, (relation.clone(), own));
        }
        recorder.relation(name, table.id.0, numbered);
        if let Some(taken) = taken {
            recorder.called(name, taken);
        }
    }

    /// Whether a name stands for something without a definition of its own.
    fn is_no_table(&mut self, name: &ObjectName) -> Result<bool> {
        let is_cte = name.schema.is_none() && self.ctes.iter().any(|cte| cte.name == name.name);
        let schema = name.schema.as_deref();
        Ok(is_cte || self.catalog.system_relation(schema, &name.name)?.is_some())
    }

    /// Identities for the system columns of a scan; those that are not used are pruned.
    pub(crate) fn system_columns(&mut self) -> (Vec<(ColId, SystemColumn)>, ColId) {
        let count = SystemColumn::ALL.len() as u32;
        let first = ColId(FIRST_SYSTEM_COLUMN + self.next_scan * count);
        self.next_scan += 1;
        let id = |column: SystemColumn| ColId(first.0 + column.offset());
        (SystemColumn::ALL.into_iter().map(|column| (id(column), column)).collect(), first)
    }

    /// A subquery under its alias.
    fn derived(
        &mut self,
        mut rows: Rows,
        alias: Option<&ast::TableAlias>,
        query: &ast::Query,
    ) -> Result<FromItem> {
        let Some(alias) = alias else {
            let error = SqlError::new(SqlState::SyntaxError, "subquery in FROM must have an alias")
                .with_hint("For example, FROM (SELECT ...) [AS] foo.");
            return Err(match super::position::query_position(query) {
                Some(position) => error.at(position.saturating_sub(1).max(1)),
                None => error,
            });
        };
        self.decide_columns(&mut rows)?;
        let named = rows.columns.iter().map(named_column).collect();
        let own = Aliased { alias: Some(alias), own: String::new(), schema: None };
        item(rows.plan, named, own, None, None)
    }
}

fn item_take(item: &mut FromItem) -> FromItem {
    let empty =
        FromItem { plan: LogicalPlan::one_row(), relations: Vec::new(), visible: Vec::new() };
    std::mem::replace(item, empty)
}

/// The names that a lateral item sees: those of the items before it.
fn lateral_scope(before: Option<&FromItem>, left: Option<&FromItem>) -> Scope {
    let mut scope = Scope::new(Clause::FunctionInFrom);
    for item in [before, left].into_iter().flatten() {
        scope.relations.extend(item.relations.iter().cloned());
        scope.visible.extend(item.visible.iter().cloned());
    }
    scope
}

/// A query's column under its name.
pub(crate) fn named_column(column: &RowsColumn) -> Named {
    Named { name: column.name.clone(), expr: Expr::Column { id: column.id, ty: column.ty } }
}

/// A FROM item of one relation.
pub(crate) fn item(
    plan: LogicalPlan,
    columns: Vec<Named>,
    aliased: Aliased<'_>,
    table: Option<std::sync::Arc<driftdb_query::Table>>,
    lockable: Option<ColId>,
) -> Result<FromItem> {
    let (name, schema, columns) = match aliased.alias {
        Some(alias) => (ident(&alias.name), None, renamed(columns, alias)?),
        None => (aliased.own, aliased.schema, columns),
    };
    let relation = Relation {
        name,
        schema,
        columns: columns.clone(),
        table,
        lockable,
        hidden: None,
        tableoid: None,
        whole: Whole::default(),
    };
    Ok(FromItem { plan, relations: vec![relation], visible: columns })
}

/// Columns under the names of an alias's list, as far as it goes.
fn renamed(mut columns: Vec<Named>, alias: &ast::TableAlias) -> Result<Vec<Named>> {
    if alias.columns.len() > columns.len() {
        let message = format!(
            "table \"{}\" has {} columns available but {} columns specified",
            ident(&alias.name),
            columns.len(),
            alias.columns.len()
        );
        return Err(SqlError::new(SqlState::InvalidColumnReference, message)
            .at(ident_position(&alias.name)));
    }
    for (column, new) in columns.iter_mut().zip(&alias.columns) {
        column.name = ident(&new.name);
    }
    Ok(columns)
}

/// Puts two items side by side.
pub(crate) fn cross(left: FromItem, right: FromItem, lateral: bool) -> Result<FromItem> {
    let mut relations = left.relations;
    check_names(&relations, &right.relations)?;
    relations.extend(right.relations);
    let mut visible = left.visible;
    visible.extend(right.visible);
    let plan = LogicalPlan::Join {
        kind: JoinKind::Inner,
        left: Box::new(left.plan),
        right: Box::new(right.plan),
        on: Expr::truth(),
        lateral,
    };
    Ok(FromItem { plan, relations, visible })
}

/// Two relations may not have one name.
pub(crate) fn check_names(left: &[Relation], right: &[Relation]) -> Result<()> {
    for relation in right {
        let same = left.iter().any(|other| {
            // Tables of different schemas may share a name as long as neither has an alias.
            other.name == relation.name
                && (other.schema.is_none()
                    || relation.schema.is_none()
                    || other.schema == relation.schema)
        });
        if same {
            let message = format!("table name \"{}\" specified more than once", relation.name);
            return Err(SqlError::new(SqlState::DuplicateAlias, message));
        }
    }
    Ok(())
}
