//! Bound statements on one line, for people.

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    Expr, HistoryStatement, JoinKind, LogicalPlan, OutputColumn, Query, RowRules, SetFunction,
    SortKey, Span, Statement, Subquery, SubqueryKind,
};
use driftdb_types::{DataType, EvalContext, Value, aggregate, function, write_text};

fn list<T>(items: impl IntoIterator<Item = T>, show: impl Fn(T) -> String) -> String {
    items.into_iter().map(show).collect::<Vec<_>>().join(", ")
}

fn value(value: &Value, ty: DataType) -> String {
    let mut out = Vec::new();
    if value.is_null() {
        return format!("null::{}", ty.name());
    }
    write_text(value, ty, &EvalContext::default(), &mut out);
    let text = String::from_utf8_lossy(&out);
    match ty {
        DataType::Int4 | DataType::Bool => text.into_owned(),
        _ => format!("'{text}'::{}", ty.name()),
    }
}

pub(crate) fn expr(e: &Expr) -> String {
    match e {
        Expr::Const { value: v, ty } => value(v, *ty),
        Expr::Column { id, .. } => format!("#{}", id.0),
        Expr::Slot { index, .. } => format!("@{index}"),
        Expr::Param { index, ty } => format!("${}::{}", index + 1, ty.name()),
        Expr::Call { function: id, args, .. } => {
            let called = function(*id);
            match (called.is_operator(), &args[..]) {
                (true, [a, b]) => format!("({} {} {})", expr(a), called.name, expr(b)),
                (true, [a]) => format!("({} {})", called.name, expr(a)),
                _ => format!("{}({})", called.name, list(args, expr)),
            }
        }
        Expr::Cast { input, to, typmod, context } => {
            let typmod = if *typmod < 0 { String::new() } else { format!("({typmod})") };
            let context = format!("{context:?}").chars().next().unwrap_or('?');
            format!("{}::{context}:{}{typmod}", expr(input), to.name())
        }
        Expr::And(args) => format!("and({})", list(args, expr)),
        Expr::Or(args) => format!("or({})", list(args, expr)),
        Expr::Not(input) => format!("not({})", expr(input)),
        Expr::IsNull(input) => format!("isnull({})", expr(input)),
        Expr::IsBool { input, test, negated } => {
            format!("is{}{test:?}({})", if *negated { "not" } else { "" }, expr(input))
        }
        Expr::IsDistinct { left, right, negated, .. } => {
            format!(
                "{}({}, {})",
                if *negated { "same" } else { "distinct" },
                expr(left),
                expr(right)
            )
        }
        Expr::InList { input, list: items, negated, .. } => {
            let name = if *negated { "notin" } else { "in" };
            format!("{name}({}; {})", expr(input), list(items, expr))
        }
        Expr::Quantified { input, array, all, .. } => {
            let name = if *all { "all" } else { "any" };
            format!("{name}({}; {})", expr(input), expr(array))
        }
        Expr::Case { arms, otherwise, .. } => {
            let arms = list(arms, |(when, then)| format!("{} -> {}", expr(when), expr(then)));
            let otherwise =
                otherwise.as_ref().map_or(String::new(), |o| format!(" else {}", expr(o)));
            format!("case({arms}{otherwise})")
        }
        Expr::Routine { call, args, .. } => {
            format!("{}!({})", call.object.name, list(args, expr))
        }
        Expr::Coalesce { args, .. } => format!("coalesce({})", list(args, expr)),
        Expr::Extreme { args, greatest, .. } => {
            format!("{}({})", if *greatest { "greatest" } else { "least" }, list(args, expr))
        }
        Expr::Subquery(subquery) => show_subquery(subquery),
        Expr::Outer { .. } | Expr::Subplan(_) => "physical".into(),
    }
}

fn show_subquery(subquery: &Subquery) -> String {
    match &subquery.kind {
        SubqueryKind::Scalar => format!("scalar[{}]", plan(&subquery.plan)),
        SubqueryKind::Exists => format!("exists[{}]", plan(&subquery.plan)),
        SubqueryKind::Compare { left, operators, all } => {
            let symbols = list(operators, |id| function(*id).name.into());
            let kind = if *all { "all" } else { "any" };
            format!("({} {symbols} {kind}[{}])", list(left, expr), plan(&subquery.plan))
        }
    }
}

fn keys(keys: &[SortKey]) -> String {
    list(keys, |key| {
        let direction = if key.descending { " desc" } else { "" };
        let nulls = match (key.descending, key.nulls_first) {
            (true, false) => " nulls last",
            (false, true) => " nulls first",
            _ => "",
        };
        format!("{}{direction}{nulls}", expr(&key.expr))
    })
}

fn scan(p: &LogicalPlan) -> String {
    let LogicalPlan::Scan { table, at, columns, key, temporal } = p else {
        unreachable!("the caller chose the scans")
    };
    let at = match at {
        ReadAt::Statement => String::new(),
        ReadAt::AsOf(time) => format!("@{}", time.0),
        ReadAt::Newest => "@newest".into(),
    };
    let at = match &temporal.span {
        Span::Once => at,
        Span::Each(time) => format!("@[{}]", expr(time)),
        Span::Period(p) => {
            format!("@{:?}({}..{})", p.form, p.from.first.0, p.to.last.0)
        }
    };
    let key = key.map_or(String::new(), |key| format!("#{} key; ", key.0));
    let columns = list(columns, |c| format!("#{} {}", c.id.0, table.columns[c.position].name));
    format!("{}{at}({key}{columns})", table.name)
}

fn function_scan(function: &SetFunction, args: &[Expr], columns: &[OutputColumn]) -> String {
    let ids = list(columns, |c| format!("#{}", c.id.0));
    match function {
        SetFunction::TableDiff { .. } => format!("table_diff({ids})"),
        SetFunction::Changes(scan) => {
            let table = scan.table.as_ref().map_or("*", |table| &table.name);
            let follow = if scan.follow.is_some() { "; follow" } else { "" };
            format!("changes<{table}>({ids}{follow})")
        }
        SetFunction::Digest => format!("digest({ids})"),
        SetFunction::VerifyDigest => format!("verify_digest({ids})"),
        SetFunction::System { relation, .. } => format!("{}({ids})", relation.name),
        _ => format!("series<#{} {}>({})", columns[0].id.0, columns[0].ty.name(), list(args, expr)),
    }
}

#[expect(clippy::too_many_lines, reason = "one arm per node")]
pub(crate) fn plan(p: &LogicalPlan) -> String {
    match p {
        LogicalPlan::Values { columns, rows } if columns.is_empty() && rows.len() == 1 => {
            "one".into()
        }
        LogicalPlan::Values { columns, rows } => {
            let rows = list(rows, |row| format!("({})", list(row, expr)));
            format!("values<{}>{{{rows}}}", list(columns, |c| format!("#{}", c.id.0)))
        }
        LogicalPlan::Scan { .. } => scan(p),
        LogicalPlan::FunctionScan { function, args, columns } => {
            function_scan(function, args, columns)
        }
        LogicalPlan::Filter { input, predicate } => {
            format!("filter({}; {})", expr(predicate), plan(input))
        }
        LogicalPlan::Project { input, exprs } => {
            let exprs = list(exprs, |(id, e)| match e {
                Expr::Column { id: same, .. } if same == id => format!("#{}", id.0),
                _ => format!("#{}={}", id.0, expr(e)),
            });
            format!("project({exprs}; {})", plan(input))
        }
        LogicalPlan::Join { kind, left, right, on, lateral } => {
            let kind = match kind {
                JoinKind::Inner => "join",
                JoinKind::Left => "leftjoin",
                JoinKind::Right => "rightjoin",
                JoinKind::Full => "fulljoin",
                JoinKind::Semi | JoinKind::Anti => "planned",
            };
            let lateral = if *lateral { " lateral" } else { "" };
            format!("{kind}{lateral}({}; {}, {})", expr(on), plan(left), plan(right))
        }
        LogicalPlan::Aggregate { input, groups, aggregates } => {
            let groups = list(groups, |(id, e)| match e {
                Expr::Column { id: same, .. } if same == id => format!("#{}", id.0),
                _ => format!("#{}={}", id.0, expr(e)),
            });
            let calls = list(aggregates, |call| {
                let distinct = if call.distinct { "distinct " } else { "" };
                let order = if call.order_by.is_empty() {
                    String::new()
                } else {
                    format!(" order {}", keys(&call.order_by))
                };
                let filter =
                    call.filter.as_ref().map_or(String::new(), |f| format!(" where {}", expr(f)));
                let name = aggregate(call.aggregate).name;
                format!(
                    "#{}={name}({distinct}{}{order}{filter})",
                    call.output.0,
                    list(&call.args, expr)
                )
            });
            format!("group({groups}; {calls}; {})", plan(input))
        }
        LogicalPlan::GroupingSets { input, groups, sets, aggregates, groupings } => {
            let groups = list(groups, |(id, g)| format!("#{}={}", id.0, expr(g)));
            let names = list(aggregates, |call| format!("#{}", call.output.0));
            format!("sets({groups}; {sets:?}; {names}; {groupings:?}; {})", plan(input))
        }
        LogicalPlan::Window { input, partition, order, calls } => {
            let calls = list(calls, |call| {
                let name = call.function.name();
                format!("#{}={name}({})", call.output.0, list(&call.args, expr))
            });
            format!("window({}; {}; {calls}; {})", list(partition, expr), keys(order), plan(input))
        }
        LogicalPlan::Recursive { table, all, seed, step, columns } => {
            let all = if *all { " all" } else { "" };
            let ids = list(columns, |c| format!("#{} {}", c.id.0, c.ty.name()));
            format!("recursive{all} w{}<{ids}>({}, {})", table.0, plan(seed), plan(step))
        }
        LogicalPlan::Change { columns, .. } => {
            format!("change({})", list(columns, |c| format!("#{}", c.id.0)))
        }
        LogicalPlan::WorkingTable { table, columns } => {
            format!("working w{}({})", table.0, list(columns, |c| format!("#{}", c.id.0)))
        }
        LogicalPlan::Sort { input, keys: by } => format!("sort({}; {})", keys(by), plan(input)),
        LogicalPlan::Limit { input, count, offset } => {
            let count = count.as_ref().map_or("all".into(), expr);
            let offset = offset.as_ref().map_or(String::new(), |o| format!(" offset {}", expr(o)));
            format!("limit({count}{offset}; {})", plan(input))
        }
        LogicalPlan::Distinct { input, on: None } => format!("distinct({})", plan(input)),
        LogicalPlan::Distinct { input, on: Some(on) } => {
            format!("distinct({}; {})", list(on, expr), plan(input))
        }
        LogicalPlan::SetOp { kind, all, left, right, columns } => {
            let kind = format!("{kind:?}").to_lowercase();
            let all = if *all { " all" } else { "" };
            let ids = list(columns, |c| format!("#{} {}", c.id.0, c.ty.name()));
            format!("{kind}{all}<{ids}>({}, {})", plan(left), plan(right))
        }
        LogicalPlan::With { ctes, body } => {
            let ctes = list(ctes, |(id, p)| format!("w{}={}", id.0, plan(p)));
            format!("with({ctes}; {})", plan(body))
        }
        LogicalPlan::CteScan { cte, columns } => {
            format!("w{}({})", cte.0, list(columns, |c| format!("#{}", c.id.0)))
        }
        LogicalPlan::Lock { input, clauses } => {
            let clauses = list(clauses, |c| {
                let skip = if c.skip_locked { " skip" } else { "" };
                format!("{} #{} {:?} {:?}{skip}", c.table.name, c.key.0, c.strength, c.wait)
            });
            format!("lock({clauses}; {})", plan(input))
        }
    }
}

fn query(q: &Query) -> String {
    format!("{} {}", fields(&q.fields), plan(&q.plan))
}

fn fields(fields: &[driftdb_query::Field]) -> String {
    let shown = list(fields, |f| {
        format!("{} {}", f.name, driftdb_types::type_name_with_typmod(f.ty, f.typmod))
    });
    format!("[{shown}]")
}

fn returning(exprs: &Option<Vec<Expr>>, names: &[driftdb_query::Field]) -> String {
    match exprs {
        None => String::new(),
        Some(exprs) => format!(" returning {} {}", fields(names), list(exprs, expr)),
    }
}

fn sets(sets: &[(usize, Expr)]) -> String {
    list(sets, |(position, e)| format!("{position}={}", expr(e)))
}

fn checks(rules: &RowRules) -> String {
    let generated = match &rules.generated[..] {
        [] => String::new(),
        generated => format!(" generated {}", sets(generated)),
    };
    if rules.checks.is_empty() {
        return generated;
    }
    let checks = list(&rules.checks, |(name, e)| format!("{name}: {}", expr(e)));
    format!("{generated} check {checks}")
}

pub(crate) fn statement(s: &Statement) -> String {
    match s {
        Statement::Query(q) => query(q),
        Statement::Insert(i) => {
            let conflict = i.on_conflict.as_ref().map_or(String::new(), |c| {
                let update = match &c.update {
                    None => "nothing".into(),
                    Some(update) => format!("update {}", sets(update)),
                };
                let filter =
                    c.filter.as_ref().map_or(String::new(), |f| format!(" where {}", expr(f)));
                format!(" on conflict {:?} {update}{filter}", c.target)
            });
            let row = list(&i.row, |id| format!("#{}", id.0));
            format!(
                "insert {}<{row}> {}{}{conflict}{}",
                i.table.name,
                plan(&i.source),
                checks(&i.checks),
                returning(&i.returning, &i.fields)
            )
        }
        Statement::Update(u) => format!(
            "update {} set {}{} from {}{}",
            u.table.name,
            sets(&u.assignments),
            checks(&u.checks),
            plan(&u.source),
            returning(&u.returning, &u.fields)
        ),
        Statement::Delete(d) => {
            format!(
                "delete {} from {}{}",
                d.table.name,
                plan(&d.source),
                returning(&d.returning, &d.fields)
            )
        }
        Statement::CreateTableAs(create, q) => format!("{create:?} as {}", query(q)),
        Statement::CreateIndex(c) => {
            format!("index {} on {} {:?} unique={}", c.name, c.table.name, c.columns, c.unique)
        }
        Statement::Drop(d) => {
            let tables = list(&d.tables, |t| t.name.clone());
            let indexes = list(&d.indexes, |(t, id)| format!("{}.{}", t.name, id.0));
            format!("drop tables [{tables}] indexes [{indexes}] notices {:?}", d.notices)
        }
        Statement::AlterTable { table, actions } => {
            let actions = list(actions, |(action, violation)| {
                let violation =
                    violation.as_ref().map_or(String::new(), |p| format!(" unless {}", plan(p)));
                format!("{action:?}{violation}")
            });
            format!("alter {}: {actions}", table.name)
        }
        Statement::Truncate { tables, cascade, restart } => {
            let restart = if *restart { " restart" } else { "" };
            format!("truncate {} cascade={cascade}{restart}", list(tables, |t| t.name.clone()))
        }
        Statement::Analyze(tables) => format!("analyze [{}]", list(tables, |t| t.name.clone())),
        Statement::Vacuum { tables, analyze } => {
            format!("vacuum [{}] analyze={analyze}", list(tables, |t| t.name.clone()))
        }
        Statement::Explain(e) => {
            format!(
                "explain analyze={} {:?} {}",
                e.analyze,
                e.output.format,
                statement(&e.statement)
            )
        }
        Statement::Copy(c) => {
            let source = match &c.source {
                driftdb_query::CopySource::To(q) => format!("to {}", query(q)),
                driftdb_query::CopySource::From { table, columns, row, checks: c, .. } => {
                    format!("into {} {columns:?} ({}){}", table.name, list(row, expr), checks(c))
                }
            };
            format!("copy {source} {:?}", c.options)
        }
        Statement::History(h) => history(h),
        Statement::Execute { name, args } => format!("execute {name}({})", list(args, expr)),
        other => format!("{other:?}"),
    }
}

fn history(h: &HistoryStatement) -> String {
    match h {
        HistoryStatement::Restore { tables, at, is_database, created, dropped } => {
            let tables = list(tables, |(restored, was)| {
                format!("{}({} columns then)", restored.table.name, was.columns.len())
            });
            let [created, dropped] = [created, dropped].map(|l| list(l, |t| t.name.clone()));
            let all = if *is_database { " all" } else { "" };
            format!("restore{all} [{tables}] @{} without [{created}] with [{dropped}]", at.0)
        }
        HistoryStatement::Undo { sequence, ts, tables, gone, skip_conflicts } => {
            let tables = list(tables, |(restored, _)| restored.table.name.clone());
            let gone = list(gone, |t| t.name.clone());
            format!("undo {sequence}@{} [{tables}] gone [{gone}] skip={skip_conflicts}", ts.0)
        }
        HistoryStatement::Undrop { was, at, name } => {
            format!("undrop {} as {name} @{}", was.name, at.0)
        }
        other => format!("{other:?}"),
    }
}
