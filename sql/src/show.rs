//! Queries as PostgreSQL shows them, as templates: from the parser's tree for their clauses, and from the
//! bound expressions for what stands in them.
//!
//! What this does not know how to show it gives up on (`None`); the text as written is kept then. Whether
//! what is shown means the same is not decided here: it is bound again and compared.
//!
//! Source: PostgreSQL 15, utils/adt/ruleutils.c (get_query_def and what it calls).

use std::collections::BTreeMap;

use driftdb_query::{AggregateCall, ColId, Expr, Marker, Subquery, plain};
use driftdb_types::DataType;
use sqlparser::ast;

use crate::bind::names::{ident, object_name};
use crate::bind::record::{Recorder, SelectNote, address, place_of};
use crate::deparse::{expression, quoted};

/// How far one level of a query is indented.
const STEP: i32 = 8;
/// Deeper lines are not indented further.
const DEEPEST: i32 = 40;

/// A query as a template, its columns under these names.
pub(crate) fn query(
    query: &ast::Query,
    recorder: &Recorder,
    names: &[(&str, DataType)],
    pretty: bool,
) -> Option<String> {
    let mut inner = BTreeMap::new();
    in_query(query, &mut inner);
    let mut writer = Writer { recorder, inner: &inner, pretty, indent: 0, out: String::new() };
    writer.query(query, Some(names))?;
    Some(writer.out)
}

/// The queries within a query, by where they are in the tree.
type Inner<'t> = BTreeMap<usize, &'t ast::Query>;

fn in_query<'t>(query: &'t ast::Query, found: &mut Inner<'t>) {
    found.insert(address(query), query);
    if let Some(with) = &query.with {
        with.cte_tables.iter().for_each(|cte| in_query(&cte.query, found));
    }
    in_body(&query.body, found);
}

fn in_body<'t>(body: &'t ast::SetExpr, found: &mut Inner<'t>) {
    match body {
        ast::SetExpr::Select(select) => {
            for item in &select.projection {
                if let ast::SelectItem::UnnamedExpr(expr)
                | ast::SelectItem::ExprWithAlias { expr, .. } = item
                {
                    in_expr(expr, found);
                }
            }
            for table in &select.from {
                in_factor(&table.relation, found);
                for join in &table.joins {
                    in_factor(&join.relation, found);
                    use ast::JoinOperator as J;
                    if let J::Join(on)
                    | J::Inner(on)
                    | J::Left(on)
                    | J::LeftOuter(on)
                    | J::Right(on)
                    | J::RightOuter(on)
                    | J::FullOuter(on) = &join.join_operator
                        && let ast::JoinConstraint::On(on) = on
                    {
                        in_expr(on, found);
                    }
                }
            }
            select.selection.iter().chain(&select.having).for_each(|expr| in_expr(expr, found));
        }
        ast::SetExpr::Query(query) => in_query(query, found),
        ast::SetExpr::SetOperation { left, right, .. } => {
            in_body(left, found);
            in_body(right, found);
        }
        _ => {}
    }
}

fn in_factor<'t>(factor: &'t ast::TableFactor, found: &mut Inner<'t>) {
    match factor {
        ast::TableFactor::Derived { subquery, .. } => in_query(subquery, found),
        ast::TableFactor::NestedJoin { table_with_joins, .. } => {
            in_factor(&table_with_joins.relation, found);
            table_with_joins.joins.iter().for_each(|join| in_factor(&join.relation, found));
        }
        _ => {}
    }
}

/// What is not looked into here is not found, and then not shown.
fn in_expr<'t>(expr: &'t ast::Expr, found: &mut Inner<'t>) {
    use ast::Expr as E;
    match expr {
        E::Subquery(query) => in_query(query, found),
        E::Exists { subquery, .. } => in_query(subquery, found),
        E::InSubquery { expr, subquery, .. } => {
            in_expr(expr, found);
            in_query(subquery, found);
        }
        E::BinaryOp { left, right, .. }
        | E::AnyOp { left, right, .. }
        | E::AllOp { left, right, .. } => {
            in_expr(left, found);
            in_expr(right, found);
        }
        E::Nested(expr)
        | E::UnaryOp { expr, .. }
        | E::Cast { expr, .. }
        | E::IsNull(expr)
        | E::IsNotNull(expr) => in_expr(expr, found),
        E::Between { expr, low, high, .. } => {
            [expr, low, high].into_iter().for_each(|expr| in_expr(expr, found));
        }
        E::Case { operand, conditions, else_result, .. } => {
            let ends = operand.iter().chain(else_result);
            ends.for_each(|expr| in_expr(expr, found));
            for when in conditions {
                in_expr(&when.condition, found);
                in_expr(&when.result, found);
            }
        }
        E::Function(function) => {
            let ast::FunctionArguments::List(list) = &function.args else { return };
            for arg in &list.args {
                if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) = arg {
                    in_expr(expr, found);
                }
            }
        }
        _ => {}
    }
}

struct Writer<'a> {
    recorder: &'a Recorder,
    inner: &'a Inner<'a>,
    pretty: bool,
    indent: i32,
    out: String,
}

/// What a target list shows: the names and types of the columns, where they are told.
type Names<'n> = Option<&'n [(&'n str, DataType)]>;

impl Writer<'_> {
    /// A keyword on a line of its own.
    fn line(&mut self, word: &str, before: i32, after: i32, plus: i32) {
        self.indent += before;
        self.out.truncate(self.out.trim_end_matches(' ').len());
        self.out.push('\n');
        let spaces = self.indent.clamp(0, DEEPEST) + plus;
        self.out.extend(std::iter::repeat_n(' ', spaces.max(0) as usize));
        self.out.push_str(word);
        self.indent = (self.indent + after).max(0);
    }

    fn clause(&mut self, word: &str, plus: i32) {
        self.line(word, -STEP, STEP, plus);
    }

    fn query(&mut self, query: &ast::Query, names: Names<'_>) -> Option<()> {
        if query.fetch.is_some() || !query.locks.is_empty() || query.for_clause.is_some() {
            return None;
        }
        let indent = self.indent;
        if let Some(with) = &query.with {
            self.with(with)?;
        }
        let note = match &*query.body {
            ast::SetExpr::Select(select) => {
                self.select(select, names)?;
                Some(self.recorder.selects.get(&address(&**select))?)
            }
            body => {
                self.set_expr(body, names)?;
                None
            }
        };
        if let Some(order) = &query.order_by {
            let ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), .. } = order else {
                return None;
            };
            self.clause(" ORDER BY ", 1);
            self.order(keys, note)?;
        }
        match &query.limit_clause {
            None => {}
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by })
                if limit_by.is_empty() =>
            {
                if let Some(offset) = offset {
                    self.clause(" OFFSET ", 0);
                    self.recorded(&offset.value)?;
                }
                if let Some(limit) = limit {
                    self.clause(" LIMIT ", 0);
                    self.recorded(limit)?;
                }
            }
            Some(_) => return None,
        }
        self.indent = indent;
        Some(())
    }

    fn with(&mut self, with: &ast::With) -> Option<()> {
        if with.recursive {
            return None;
        }
        self.indent += STEP;
        self.out.push(' ');
        for (index, cte) in with.cte_tables.iter().enumerate() {
            self.out.push_str(if index == 0 { "WITH " } else { ", " });
            self.out.push_str(&plain(&quoted(&ident(&cte.alias.name))));
            if !cte.alias.columns.is_empty() {
                let columns: Vec<String> =
                    cte.alias.columns.iter().map(|c| plain(&quoted(&ident(&c.name)))).collect();
                self.out.push_str(&format!("({})", columns.join(", ")));
            }
            if cte.materialized.is_some() {
                return None;
            }
            self.out.push_str(" AS (");
            self.line("", 0, 0, 0);
            self.query(&cte.query, None)?;
            self.line("", 0, 0, 0);
            self.out.push(')');
        }
        self.line("", -STEP, 0, 0);
        Some(())
    }

    fn select(&mut self, select: &ast::Select, names: Names<'_>) -> Option<()> {
        let note = self.recorder.selects.get(&address(select))?.clone();
        if !select.named_window.is_empty() || select.into.is_some() {
            return None;
        }
        let indent = self.indent;
        self.indent += STEP;
        self.out.push_str(" SELECT");
        match &select.distinct {
            None | Some(ast::Distinct::All) => {}
            Some(ast::Distinct::Distinct) => self.out.push_str(" DISTINCT"),
            Some(ast::Distinct::On(_)) => return None,
        }
        self.targets(&note, names)?;
        if !select.from.is_empty() {
            self.from(&select.from)?;
        }
        if let Some(condition) = &select.selection {
            self.clause(" WHERE ", 1);
            self.recorded(condition)?;
        }
        match &select.group_by {
            ast::GroupByExpr::Expressions(_, modifiers) if modifiers.is_empty() => {}
            _ => return None,
        }
        if !note.groups.is_empty() {
            self.clause(" GROUP BY ", 1);
            for (index, group) in note.groups.iter().enumerate() {
                if index > 0 {
                    self.out.push_str(", ");
                }
                self.key(group)?;
            }
        }
        if let Some(having) = &select.having {
            self.clause(" HAVING ", 0);
            self.recorded(having)?;
        }
        self.indent = indent;
        Some(())
    }

    fn targets(&mut self, note: &SelectNote, names: Names<'_>) -> Option<()> {
        for (index, (own, expr)) in note.targets.iter().enumerate() {
            let told = names.map(|names| names[index]);
            let mut text = match (expr, told) {
                // Decided by what stands beside it.
                (Expr::Const { value, ty: DataType::Unknown }, Some((_, ty))) => {
                    self.expr(&Expr::Const { value: value.clone(), ty }, true)?
                }
                _ => self.expr(expr, true)?,
            };
            let name = told.map_or(own.as_str(), |(name, _)| name);
            let note = match expr {
                Expr::Column { id, .. } => self.recorder.columns.get(id),
                _ => None,
            };
            let shown = plain(&quoted(name));
            match note {
                Some((_, column)) => match self.recorder.numbers.get(column) {
                    // Told where the column is called something else then.
                    Some((table, column)) => {
                        text.push_str(&Marker::Alias(*table, *column, name).write());
                    }
                    None if *column == shown => {}
                    None => text.push_str(&format!(" AS {shown}")),
                },
                None if names.is_some() || name != "?column?" => {
                    text.push_str(&format!(" AS {shown}"));
                }
                None => {}
            }
            if index == 0 {
                self.out.push(' ');
            } else if text.starts_with('\n') {
                self.out.push(',');
            } else {
                self.out.push_str(", ");
                self.line("", -STEP, STEP, 4);
            }
            self.out.push_str(&text);
        }
        Some(())
    }

    fn from(&mut self, tables: &[ast::TableWithJoins]) -> Option<()> {
        for (index, table) in tables.iter().enumerate() {
            if index == 0 {
                self.clause(" FROM ", 2);
            } else {
                self.out.push_str(", ");
                self.line("", -STEP, STEP, 4);
            }
            self.joined(table)?;
        }
        Some(())
    }

    fn joined(&mut self, table: &ast::TableWithJoins) -> Option<()> {
        if !self.pretty {
            self.out.push_str(&"(".repeat(table.joins.len()));
        }
        self.factor(&table.relation)?;
        for join in &table.joins {
            self.join(join)?;
        }
        Some(())
    }

    fn join(&mut self, join: &ast::Join) -> Option<()> {
        use ast::JoinOperator as J;
        let (word, constraint) = match &join.join_operator {
            J::Join(constraint) | J::Inner(constraint) => (" JOIN ", constraint),
            J::Left(constraint) | J::LeftOuter(constraint) => (" LEFT JOIN ", constraint),
            J::Right(constraint) | J::RightOuter(constraint) => (" RIGHT JOIN ", constraint),
            J::FullOuter(constraint) => (" FULL JOIN ", constraint),
            J::CrossJoin(constraint) => (" CROSS JOIN ", constraint),
            _ => return None,
        };
        self.line(word, -STEP, STEP, 4);
        let is_nested = matches!(join.relation, ast::TableFactor::NestedJoin { .. });
        let needs_brackets = self.pretty && is_nested;
        if needs_brackets {
            self.out.push('(');
        }
        self.factor(&join.relation)?;
        if needs_brackets {
            self.out.push(')');
        }
        match constraint {
            ast::JoinConstraint::None => {}
            ast::JoinConstraint::On(condition) => {
                self.out.push_str(" ON ");
                if !self.pretty {
                    self.out.push('(');
                }
                self.recorded(condition)?;
                if !self.pretty {
                    self.out.push(')');
                }
            }
            ast::JoinConstraint::Using(names) => {
                let names: Option<Vec<String>> = names
                    .iter()
                    .map(|name| Some(plain(&quoted(&object_name(name).ok()?.name))))
                    .collect();
                self.out.push_str(&format!(" USING ({})", names?.join(", ")));
            }
            ast::JoinConstraint::Natural => return None,
        }
        if !self.pretty {
            self.out.push(')');
        }
        Some(())
    }

    fn factor(&mut self, factor: &ast::TableFactor) -> Option<()> {
        use ast::TableFactor as F;
        match factor {
            F::Table { name, alias, args: None, sample: None, with_ordinality: false, .. } => {
                let factor_alias = alias.as_ref();
                let first = name.0.first()?.as_ident()?.span.start.column as u32;
                match self.recorder.items.get(&first) {
                    Some(item) => {
                        self.out.push_str(&item.full);
                        if let Some(alias) = &item.alias {
                            self.out.push_str(&format!(" {alias}"));
                            self.alias_columns(factor_alias);
                            return Some(());
                        }
                    }
                    // A common table expression.
                    None => {
                        let name = object_name(name).ok()?;
                        if name.schema.is_some() {
                            return None;
                        }
                        self.out.push_str(&plain(&quoted(&name.name)));
                    }
                }
                self.alias(alias.as_ref());
                Some(())
            }
            F::Derived { lateral, subquery, alias, sample: None } => {
                if *lateral {
                    self.out.push_str("LATERAL ");
                }
                self.out.push('(');
                self.query(subquery, None)?;
                self.out.push(')');
                self.alias(alias.as_ref());
                Some(())
            }
            F::NestedJoin { table_with_joins, alias: None } => self.joined(table_with_joins),
            _ => None,
        }
    }

    fn alias(&mut self, alias: Option<&ast::TableAlias>) {
        let Some(alias) = alias else { return };
        self.out.push(' ');
        self.out.push_str(&plain(&quoted(&ident(&alias.name))));
        self.alias_columns(Some(alias));
    }

    fn alias_columns(&mut self, alias: Option<&ast::TableAlias>) {
        let Some(alias) = alias else { return };
        if !alias.columns.is_empty() {
            let columns: Vec<String> =
                alias.columns.iter().map(|c| plain(&quoted(&ident(&c.name)))).collect();
            self.out.push_str(&format!("({})", columns.join(", ")));
        }
    }

    fn order(&mut self, keys: &[ast::OrderByExpr], note: Option<&SelectNote>) -> Option<()> {
        // Of a set operation it is a column that is sorted by, which has no expression here.
        let note = note?;
        for (index, key) in keys.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.key(note.keys.get(index)?)?;
            let descending = match &key.options.sort {
                None | Some(ast::OrderBySort::Asc) => false,
                Some(ast::OrderBySort::Desc) => true,
                Some(ast::OrderBySort::Using(_)) => return None,
            };
            if descending {
                self.out.push_str(" DESC");
            }
            match key.options.nulls_first {
                Some(first) if first != descending => {
                    self.out.push_str(if first { " NULLS FIRST" } else { " NULLS LAST" });
                }
                _ => {}
            }
        }
        Some(())
    }

    /// What is grouped or sorted by: in brackets where it could be taken for a name.
    fn key(&mut self, expr: &Expr) -> Option<()> {
        let text = self.expr(expr, true)?;
        let is_bare = match expr {
            Expr::Column { id, .. } => !self.recorder.aggregates.contains_key(id),
            Expr::Const { .. } => true,
            _ => !self.pretty && text.starts_with('('),
        };
        if is_bare {
            self.out.push_str(&text);
        } else {
            self.out.push_str(&format!("({text})"));
        }
        Some(())
    }

    fn set_expr(&mut self, body: &ast::SetExpr, names: Names<'_>) -> Option<()> {
        match body {
            ast::SetExpr::Select(select) => self.select(select, names),
            ast::SetExpr::Query(query) => {
                self.out.push('(');
                self.query(query, names)?;
                self.out.push(')');
                Some(())
            }
            ast::SetExpr::Values(values) => {
                let is_renamed = names.is_some_and(|names| {
                    let is_own = |(at, name): (usize, &&str)| **name == format!("column{}", at + 1);
                    let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
                    !names.iter().enumerate().all(is_own)
                });
                if let (true, Some(names)) = (is_renamed, names) {
                    let columns = names.iter().enumerate().map(|(at, (name, _))| {
                        format!("\"*VALUES*\".column{} AS {}", at + 1, plain(&quoted(name)))
                    });
                    let columns: Vec<String> = columns.collect();
                    self.out.push_str(&format!(" SELECT {}\n", columns.join(",\n    ")));
                    self.out.push_str("   FROM (");
                    self.values(values)?;
                    self.out.push_str(") \"*VALUES*\"");
                    return Some(());
                }
                self.out.push(' ');
                self.values(values)
            }
            ast::SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let is_same = |side: &ast::SetExpr| {
                    matches!(side, ast::SetExpr::SetOperation { op: o, set_quantifier: q, .. }
                        if o == op && q == set_quantifier)
                };
                let is_set =
                    |side: &ast::SetExpr| matches!(side, ast::SetExpr::SetOperation { .. });
                self.side(left, is_set(left) && !is_same(left), names)?;
                self.line("", 0, 0, 0);
                self.out.push_str(match op {
                    ast::SetOperator::Union => "UNION ",
                    ast::SetOperator::Intersect => "INTERSECT ",
                    ast::SetOperator::Except => "EXCEPT ",
                    ast::SetOperator::Minus => return None,
                });
                match set_quantifier {
                    ast::SetQuantifier::All => self.out.push_str("ALL "),
                    ast::SetQuantifier::None | ast::SetQuantifier::Distinct => {}
                    _ => return None,
                }
                self.line("", 0, 0, 0);
                self.side(right, is_set(right), names)
            }
            _ => None,
        }
    }

    fn values(&mut self, values: &ast::Values) -> Option<()> {
        self.out.push_str("VALUES ");
        for (index, row) in values.rows.iter().enumerate() {
            self.out.push_str(if index == 0 { "(" } else { ", (" });
            for (index, cell) in row.content.iter().enumerate() {
                if index > 0 {
                    self.out.push(',');
                }
                self.recorded(cell)?;
            }
            self.out.push(')');
        }
        Some(())
    }

    fn side(&mut self, side: &ast::SetExpr, in_brackets: bool, names: Names<'_>) -> Option<()> {
        if in_brackets {
            self.out.push('(');
        }
        self.set_expr(side, names)?;
        if in_brackets {
            self.out.push(')');
        }
        Some(())
    }

    /// An expression of the tree, as it was bound.
    fn recorded(&mut self, expr: &ast::Expr) -> Option<()> {
        let bound = self.recorder.exprs.get(&place_of(expr))?;
        let text = self.expr(bound, false)?;
        self.out.push_str(&text);
        Some(())
    }

    fn expr(&self, expr: &Expr, show_implicit: bool) -> Option<String> {
        let name_of = |id: ColId| self.name(id);
        let subquery_of = |subquery: &Subquery| self.subquery(subquery);
        let indent = self.indent.max(0) as usize;
        expression(expr, self.pretty, show_implicit, indent, &name_of, &subquery_of)
    }

    fn name(&self, id: ColId) -> Option<String> {
        if let Some((relation, column)) = self.recorder.columns.get(&id) {
            return Some(format!("{relation}.{column}"));
        }
        self.aggregate(self.recorder.aggregates.get(&id)?)
    }

    fn aggregate(&self, call: &AggregateCall) -> Option<String> {
        let name = driftdb_types::aggregate(call.aggregate).name;
        let args: Option<Vec<String>> = call.args.iter().map(|arg| self.expr(arg, true)).collect();
        let args = args?;
        let mut text = quoted(name);
        text.push('(');
        if call.distinct {
            text.push_str("DISTINCT ");
        }
        text.push_str(&if args.is_empty() { "*".to_owned() } else { args.join(", ") });
        if !call.order_by.is_empty() {
            let mut keys = Vec::new();
            for key in &call.order_by {
                let mut shown = self.expr(&key.expr, true)?;
                if key.descending {
                    shown.push_str(" DESC");
                }
                if key.nulls_first != key.descending {
                    shown.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
                }
                keys.push(shown);
            }
            text.push_str(&format!(" ORDER BY {}", keys.join(", ")));
        }
        text.push(')');
        if let Some(filter) = &call.filter {
            text.push_str(&format!(" FILTER (WHERE {})", self.expr(filter, false)?));
        }
        Some(text)
    }

    /// The query of a subquery.
    fn subquery(&self, subquery: &Subquery) -> Option<String> {
        let first = subquery.plan.columns().first()?.id;
        let place = *self.recorder.queries.get(&first)?;
        let query = self.inner.get(&place)?;
        let mut writer = Writer {
            recorder: self.recorder,
            inner: self.inner,
            pretty: self.pretty,
            indent: self.indent,
            out: String::new(),
        };
        writer.query(query, None)?;
        Some(writer.out)
    }
}
