//! What names mean at one level of query, and how they are looked up.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_query::{
    AggregateCall, ColId, CteId, Expr, LogicalPlan, Result, SqlError, SystemColumn, Table,
    WindowCall,
};
use driftdb_types::{DataType, SqlState};
use sqlparser::ast;

use super::names::{ident, ident_position};
use super::set_function::ListedCall;
use super::stored::NamedPart;
use super::whole_row::Whole;
use super::window::{InWindow, Window};
use super::with::CteState;
use super::{Binder, Meta};

/// A column under a name.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// Usually a column; `coalesce(l, r)` for a column merged by a full join.
    pub(crate) expr: Expr,
}

/// The column of system relations that says which they are.
const TABLEOID: &str = "tableoid";

/// A table, subquery or function under its alias.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) name: String,
    /// The schema, if the name is a table's own.
    pub(crate) schema: Option<String>,
    pub(crate) columns: Vec<Named>,
    pub(crate) table: Option<Arc<Table>>,
    /// The scan's identity for its first column decides which scan a lock clause means.
    pub(crate) lockable: Option<ColId>,
    /// The first of the system columns' identities, if it has any: they are found by name, after all
    /// other columns of the level, and `*` leaves them out.
    pub(crate) hidden: Option<ColId>,
    /// The column `tableoid`, if it has one: found as system columns are.
    pub(crate) tableoid: Option<ColId>,
    /// What its name is as an expression.
    pub(crate) whole: Whole,
}

impl Relation {
    /// The system column with a name.
    pub(super) fn system_column(&self, name: &str) -> Option<Expr> {
        if let Some(id) = self.tableoid.filter(|_| name == TABLEOID) {
            return Some(Expr::Column { id, ty: DataType::Oid });
        }
        let first = self.hidden?;
        let column = SystemColumn::named(name)?;
        Some(Expr::Column { id: ColId(first.0 + column.offset()), ty: column.ty() })
    }

    /// The identities of its system columns.
    pub(crate) fn system_ids(&self) -> impl Iterator<Item = ColId> {
        let first = self.hidden;
        SystemColumn::ALL
            .into_iter()
            .filter_map(move |column| Some(ColId(first?.0 + column.offset())))
            .chain(self.tableoid)
    }
}

/// A FROM item: its plan and the names it gives.
#[derive(Debug)]
pub(crate) struct FromItem {
    pub(crate) plan: LogicalPlan,
    /// For qualified names.
    pub(crate) relations: Vec<Relation>,
    /// For bare names and `*`.
    pub(crate) visible: Vec<Named>,
}

/// Where in a query an expression stands; decides what aggregates may do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    JoinCondition,
    FunctionInFrom,
    Where,
    Select,
    GroupBy,
    Having,
    OrderBy,
    DistinctOn,
    Limit,
    Values,
    MergeWhen,
    WindowRows,
    WindowRange,
    WindowGroups,
    Update,
    Returning,
    Check,
    CopyWhere,
    Generated,
    Index,
    IndexPredicate,
    Default,
    AsOf,
    Period,
    Other,
}

impl Clause {
    /// How messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FunctionInFrom => "functions in FROM",
            Self::JoinCondition => "JOIN conditions",
            Self::Where => "WHERE",
            Self::Select => "SELECT",
            Self::GroupBy => "GROUP BY",
            Self::Having => "HAVING",
            Self::OrderBy => "ORDER BY",
            Self::DistinctOn => "DISTINCT ON",
            Self::Limit => "LIMIT",
            Self::Values => "VALUES",
            Self::MergeWhen => "MERGE WHEN conditions",
            Self::WindowRows => "window ROWS",
            Self::WindowRange => "window RANGE",
            Self::WindowGroups => "window GROUPS",
            Self::Update => "UPDATE",
            Self::Returning => "RETURNING",
            Self::Check => "check constraints",
            Self::CopyWhere => "COPY FROM WHERE conditions",
            Self::Generated => "column generation expressions",
            Self::Index => "index expressions",
            Self::IndexPredicate => "index predicates",
            Self::Default => "DEFAULT expressions",
            Self::AsOf => "FOR SYSTEM_TIME AS OF",
            Self::Period => "clauses of application time",
            Self::Other => "this context",
        }
    }

    /// Whether it is evaluated after grouping.
    pub(crate) fn is_grouped(self) -> bool {
        matches!(self, Self::Select | Self::Having | Self::OrderBy | Self::DistinctOn)
    }
}

/// One level of query.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) relations: Vec<Relation>,
    pub(crate) visible: Vec<Named>,
    pub(crate) clause: Clause,
    /// Inside an aggregate's arguments.
    pub(crate) in_aggregate: bool,
    /// The aggregates met so far.
    pub(crate) aggregates: Vec<AggregateCall>,
    /// The set-returning functions met in the select list.
    pub(crate) set_calls: Vec<ListedCall>,
    /// Inside a window's parts.
    pub(crate) in_window: InWindow,
    /// The windows met so far, and the calls over each.
    pub(crate) windows: Vec<Window>,
    pub(crate) window_calls: Vec<(usize, WindowCall)>,
    /// The calls of GROUPING met so far.
    pub(crate) groupings: Vec<(ColId, Vec<Expr>)>,
    /// What aggregates with WITHIN GROUP take once for each group.
    pub(crate) direct: Vec<Expr>,
    /// Where each column was last named.
    pub(crate) positions: BTreeMap<ColId, u32>,
    /// Columns that subqueries in grouped clauses named.
    pub(crate) outer_uses: Vec<(ColId, u32)>,
    /// How often its columns were named, in queries below, too.
    pub(crate) named: usize,
}

impl Scope {
    pub(crate) fn new(clause: Clause) -> Self {
        Self {
            relations: Vec::new(),
            visible: Vec::new(),
            clause,
            in_aggregate: false,
            aggregates: Vec::new(),
            set_calls: Vec::new(),
            in_window: InWindow::No,
            windows: Vec::new(),
            window_calls: Vec::new(),
            groupings: Vec::new(),
            direct: Vec::new(),
            positions: BTreeMap::new(),
            outer_uses: Vec::new(),
            named: 0,
        }
    }

    pub(crate) fn with(clause: Clause, relations: Vec<Relation>, visible: Vec<Named>) -> Self {
        Self { relations, visible, ..Self::new(clause) }
    }

    /// `t.a` for a column of this level.
    pub(crate) fn display(&self, id: ColId) -> Option<String> {
        self.relations.iter().find_map(|relation| {
            let own = relation.columns.iter().find(|c| column_of(&c.expr) == Some(id));
            let name = match own {
                Some(column) => column.name.as_str(),
                None if relation.tableoid == Some(id) => TABLEOID,
                None => {
                    SystemColumn::ALL[relation.system_ids().position(|system| system == id)?].name()
                }
            };
            Some(format!("{}.{name}", relation.name))
        })
    }
}

/// The column that an expression is.
pub(crate) fn column_of(expr: &Expr) -> Option<ColId> {
    if let Expr::Column { id, .. } = expr { Some(*id) } else { None }
}

/// A common table expression in sight.
#[derive(Debug, Clone)]
pub(crate) struct Cte {
    pub(crate) name: String,
    pub(crate) id: CteId,
    /// Name, type and modifier of each column.
    pub(crate) columns: Vec<(String, DataType, Meta)>,
    /// How far it is bound.
    pub(crate) state: CteState,
    /// Where among the common table expressions in sight its clause ends.
    pub(crate) end: usize,
    /// How many scopes are around its clause.
    pub(crate) scopes: usize,
}

impl Binder<'_> {
    /// The innermost scope.
    pub(crate) fn scope(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("an expression is bound within a scope")
    }

    /// Runs `work` with a clause set in the innermost scope.
    pub(crate) fn in_clause<T>(
        &mut self,
        clause: Clause,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before = std::mem::replace(&mut self.scope().clause, clause);
        let result = work(self);
        self.scope().clause = before;
        result
    }

    /// A bare name.
    pub(crate) fn bare_column(&mut self, name: &ast::Ident) -> Result<Expr> {
        let position = ident_position(name);
        let text = ident(name);
        let found = self.find_bare(&text, position)?;
        let found = match found {
            None => self.row_named(&text, position)?,
            found => found,
        };
        let found = self.or_variable(found, std::slice::from_ref(&text), position)?;
        let found = match found {
            None => self.record_variable(&text)?,
            found => found,
        };
        match found {
            Some(expr) => {
                self.note_parts(std::slice::from_ref(name), &expr);
                Ok(expr)
            }
            None => Err(self.no_such_bare_column(&text).at(position)),
        }
    }

    /// A bare name, if any scope has it.
    pub(crate) fn find_bare(&mut self, name: &str, position: u32) -> Result<Option<Expr>> {
        for level in (0..self.scopes.len()).rev() {
            let scope = &self.scopes[level];
            let visible = scope.visible.iter().filter(|column| column.name == name);
            let mut found: Vec<Expr> = visible.map(|column| column.expr.clone()).collect();
            if found.is_empty() {
                found.extend(scope.relations.iter().filter_map(|r| r.system_column(name)));
                self.check_system(!found.is_empty(), name, position)?;
            }
            if found.is_empty() {
                // The whole row of a function that yields one value is that value.
                let called = scope.relations.iter().filter(|relation| relation.name == name);
                let values = called.filter_map(|relation| match &relation.columns[..] {
                    [only] => Some(only.expr.clone()),
                    _ => None,
                });
                found.extend(values.filter(|expr| {
                    column_of(expr).is_some_and(|id| self.function_values.contains(&id))
                }));
            }
            let Some(expr) = found.pop() else { continue };
            if !found.is_empty() {
                return Err(SqlError::new(
                    SqlState::AmbiguousColumn,
                    format!("column reference \"{name}\" is ambiguous"),
                )
                .at(position));
            }
            self.note(level, &expr, position);
            return Ok(Some(expr));
        }
        Ok(None)
    }

    /// Of the system columns, WHEN of MERGE may only ask which table a row is of.
    fn check_system(&self, is_found: bool, name: &str, position: u32) -> Result<()> {
        let is_when = self.scopes.last().is_some_and(|scope| scope.clause == Clause::MergeWhen);
        if !is_found || !is_when || name == TABLEOID {
            return Ok(());
        }
        let message = format!("cannot use system column \"{name}\" in MERGE WHEN condition");
        Err(SqlError::new(SqlState::InvalidColumnReference, message).at(position))
    }

    fn no_such_bare_column(&self, name: &str) -> SqlError {
        let error =
            SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist"));
        match self.scopes.last().and_then(|scope| similar(&scope.relations, name)) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// Remembers that a column was named.
    pub(super) fn note(&mut self, level: usize, expr: &Expr, position: u32) {
        if let Some(recorder) = &mut self.recorder {
            recorder.uses(expr);
        }
        self.note_used(expr);
        let outer = level + 1 < self.scopes.len();
        let scope = &mut self.scopes[level];
        scope.named += 1;
        let mut note = |expr: &Expr| {
            let Some(id) = column_of(expr) else { return };
            scope.positions.insert(id, position);
            if outer && scope.clause.is_grouped() && !scope.in_aggregate {
                scope.outer_uses.push((id, position));
            }
        };
        note(expr);
        expr.for_each_child(&mut |child| note(child));
    }

    /// `a.b`, `schema.a.b`.
    pub(crate) fn qualified_column(&mut self, parts: &[ast::Ident]) -> Result<Expr> {
        let position = parts.first().map_or(0, ident_position);
        let names: Vec<String> = parts.iter().map(ident).collect();
        let (schema, relation, column) = match &names[..] {
            [relation, column] => (None, relation, column),
            [schema, relation, column] | [_, schema, relation, column] => {
                (Some(schema.as_str()), relation, column)
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    format!("improper qualified name (too many dotted names): {}", names.join(".")),
                )
                .at(position));
            }
        };
        if self.variables.is_some()
            && self.find_relation(schema, relation, position).is_err()
            && let Some(variable) = self.variable_or_column(&names)?
        {
            return Ok(variable);
        }
        let (level, index) = self.find_relation(schema, relation, position)?;
        let relation = &self.scopes[level].relations[index];
        let named = relation.columns.iter().filter(|c| c.name == *column);
        let mut found: Vec<Expr> = named.map(|column| column.expr.clone()).collect();
        if found.is_empty() {
            found.extend(relation.system_column(column));
            self.check_system(!found.is_empty(), column, position)?;
        }
        let Some(expr) = found.pop() else {
            let error = SqlError::new(
                SqlState::UndefinedColumn,
                format!("column {}.{column} does not exist", relation.name),
            );
            return self.of_whole_row((level, index), column, position)?.ok_or(error.at(position));
        };
        if !found.is_empty() {
            return Err(SqlError::new(
                SqlState::AmbiguousColumn,
                format!("column reference \"{column}\" is ambiguous"),
            )
            .at(position));
        }
        self.note(level, &expr, position);
        self.note_parts(parts, &expr);
        Ok(expr)
    }

    /// Remembers where a column and its table stand, for a renaming.
    fn note_parts(&mut self, parts: &[ast::Ident], expr: &Expr) {
        let Some(named) = &mut self.named_parts else { return };
        if let [.., column] = parts {
            named.push(NamedPart::new(column, column_of(expr)));
        }
        if let [.., table, _] = parts {
            named.push(NamedPart::new(table, None));
        }
    }

    /// The scope and place of a relation.
    pub(crate) fn find_relation(
        &self,
        schema: Option<&str>,
        name: &str,
        position: u32,
    ) -> Result<(usize, usize)> {
        for (level, scope) in self.scopes.iter().enumerate().rev() {
            let found = scope.relations.iter().position(|relation| {
                relation.name == name && (schema.is_none() || relation.schema.as_deref() == schema)
            });
            if let Some(index) = found {
                return Ok((level, index));
            }
        }
        let error = SqlError::new(
            SqlState::UndefinedTable,
            format!("missing FROM-clause entry for table \"{name}\""),
        );
        Err(error.at(position))
    }
}

/// PostgreSQL's hint for a mistyped column: one that differs in a letter or two.
fn similar(relations: &[Relation], name: &str) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for relation in relations {
        for column in &relation.columns {
            let distance = edit_distance(name, &column.name);
            let close = distance <= 3 && distance * 2 <= name.chars().count();
            if close && best.as_ref().is_none_or(|(least, _)| distance < *least) {
                let text = format!(
                    "Perhaps you meant to reference the column \"{}.{}\".",
                    relation.name, column.name
                );
                best = Some((distance, text));
            }
        }
    }
    best.map(|(_, hint)| hint)
}

/// Levenshtein's distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
