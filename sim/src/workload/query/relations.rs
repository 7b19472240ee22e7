//! What must hold between the answers of queries, whatever the rows are.
//!
//! * *Ternary logic partitioning* [Rigger20b]: a row passes a condition, its negation, or neither knows; the three
//!   parts make the whole, of rows, of distinct rows, of aggregates, of groups.
//! * *NoREC* [Rigger20a]: a condition in WHERE, which is planned, against the same one in the select list, which is
//!   only computed.
//! * *Algebra*: set operations against the multisets they are made of, an outer join against the inner one and the rows without a
//!   match, a part of an order against the whole of it, a window against a subquery.
//! * *Other plans*: without indexes, without hash joins, behind a fence that nothing is pushed through.
//!
//! All queries of a relation read one snapshot.

use std::collections::BTreeMap;

use driftdb_types::{SqlState, Value};

use super::generate::{From, Generator, Ty};
use crate::sql::{Client, Refusal};

/// Rows as text, sorted.
pub(super) type Bag = Vec<String>;

/// What a relation came to: `None` if a query failed as it may.
pub(super) type Verdict = Result<Option<()>, Refusal>;

/// Errors that depend on what is computed first, or on how much memory there is.
fn is_excused(state: SqlState) -> bool {
    matches!(
        state,
        SqlState::NumericValueOutOfRange
            | SqlState::DatetimeFieldOverflow
            | SqlState::DivisionByZero
            | SqlState::OutOfMemory
    )
}

/// The rows in order; `None` if the query failed as it may, and the transaction with it.
fn rows(client: &mut Client, sql: &str) -> Result<Option<Vec<Vec<Value>>>, Refusal> {
    match client.attempt(sql) {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if is_excused(error.state) => Ok(None),
        Err(error) => match Refusal::from(error) {
            Refusal::Violation(what) => Err(Refusal::Violation(format!("query: {what}: {sql}"))),
            refusal => Err(refusal),
        },
    }
}

fn ordered(client: &mut Client, sql: &str) -> Result<Option<Bag>, Refusal> {
    let rows = rows(client, sql)?;
    Ok(rows.map(|rows| rows.iter().map(|row| format!("{row:?}")).collect()))
}

/// The answer of a query, without its order.
pub(super) fn bag(client: &mut Client, sql: &str) -> Result<Option<Bag>, Refusal> {
    let mut bag = ordered(client, sql)?;
    if let Some(bag) = &mut bag {
        bag.sort_unstable();
    }
    Ok(bag)
}

/// What two ways to one answer differ in.
fn alike(name: &str, one: (&str, Bag), other: (&str, Bag)) -> Verdict {
    if one.1 == other.1 {
        return Ok(Some(()));
    }
    let lost: Vec<&String> = one.1.iter().filter(|row| !other.1.contains(row)).take(3).collect();
    let more: Vec<&String> = other.1.iter().filter(|row| !one.1.contains(row)).take(3).collect();
    Err(Refusal::Violation(format!(
        "{name}: {} rows against {}; only there {lost:?}, only here {more:?}\n{}\n{}",
        one.1.len(),
        other.1.len(),
        one.0,
        other.0,
    )))
}

macro_rules! known {
    ($answer:expr) => {
        match $answer? {
            Some(answer) => answer,
            None => return Ok(None),
        }
    };
}

fn one_or_more(generator: &mut Generator, from: &From) -> String {
    let exprs: Vec<String> = (0..1 + generator.below(3))
        .map(|_| {
            let ty = from.columns[generator.below(from.columns.len())].ty;
            generator.expr(&from.columns, ty, 1)
        })
        .collect();
    exprs.join(", ")
}

/// The three parts of a condition, after another one.
fn parts(base: Option<&str>, condition: &str) -> [String; 3] {
    let base = base.map_or(String::new(), |base| format!("{base} AND "));
    [
        format!("WHERE {base}{condition}"),
        format!("WHERE {base}(NOT {condition})"),
        format!("WHERE {base}({condition} IS NULL)"),
    ]
}

/// One relation, of those that there are.
pub(super) fn check(client: &mut Client, generator: &mut Generator) -> Verdict {
    if generator.once_in(8) {
        // Every other plan must do as well.
        let setting = generator.of(&["enable_hashjoin", "enable_indexscan"]);
        client.run(&format!("SET LOCAL {setting} = off"), &[])?;
    }
    match generator.below(14) {
        0 | 1 => partition_of_rows(client, generator),
        2 => partition_of_distinct_rows(client, generator),
        3 => partition_of_aggregates(client, generator),
        4 => partition_of_groups(client, generator),
        5 | 6 => planned_and_computed(client, generator),
        7 => set_operation(client, generator),
        8 => outer_join(client, generator),
        9 => order(client, generator),
        10 => window(client, generator),
        11 => fence(client, generator),
        _ => other_plans(client, generator),
    }
}

fn whole(base: Option<&str>) -> String {
    base.map_or(String::new(), |base| format!("WHERE {base}"))
}

struct Partition {
    from: From,
    base: Option<String>,
    parts: [String; 3],
}

impl Partition {
    fn draw(generator: &mut Generator) -> Self {
        let from = generator.from(1);
        let base = generator.once_in(2).then(|| generator.condition(&from.columns, 1));
        let condition = generator.condition(&from.columns, 2);
        let parts = parts(base.as_deref(), &condition);
        Self { from, base, parts }
    }

    fn whole(&self) -> String {
        whole(self.base.as_deref())
    }
}

fn partition_of_rows(client: &mut Client, generator: &mut Generator) -> Verdict {
    let partition = Partition::draw(generator);
    let exprs = one_or_more(generator, &partition.from);
    let query = |filter: &str| format!("SELECT {exprs} FROM {} {filter}", partition.from.sql);
    let all = query(&partition.whole());
    let expected = known!(bag(client, &all));
    let mut found = Vec::new();
    for part in &partition.parts {
        found.extend(known!(bag(client, &query(part))));
    }
    found.sort_unstable();
    alike("tlp of rows", (&all, expected), (&query(&partition.parts[0]), found))
}

fn partition_of_distinct_rows(client: &mut Client, generator: &mut Generator) -> Verdict {
    let partition = Partition::draw(generator);
    let exprs = one_or_more(generator, &partition.from);
    let query = |kind: &str, filter: &str| {
        format!("SELECT {kind} {exprs} FROM {} {filter}", partition.from.sql)
    };
    let distinct = query("DISTINCT", &partition.whole());
    let expected = known!(bag(client, &distinct));
    let mut plain = known!(bag(client, &query("ALL", &partition.whole())));
    plain.dedup();
    alike("distinct", (&distinct, expected.clone()), ("its rows, each once", plain))?;
    let [one, two, three] = &partition.parts;
    let union = format!(
        "{} UNION {} UNION {}",
        query("ALL", one),
        query("DISTINCT", two),
        query("ALL", three)
    );
    let found = known!(bag(client, &union));
    alike("tlp of distinct rows", (&distinct, expected), (&union, found))
}

fn partition_of_aggregates(client: &mut Client, generator: &mut Generator) -> Verdict {
    let partition = Partition::draw(generator);
    let ty = [Ty::Int, Ty::Num, Ty::Text, Ty::Date, Ty::Int][generator.below(5)];
    let value = generator.expr(&partition.from.columns, ty, 1);
    let call = match (ty, generator.below(5)) {
        (_, 0) => "count(V)",
        (_, 1) => "count(DISTINCT V)",
        (Ty::Int | Ty::Num, 2) => "sum(V)",
        (Ty::Int, 3) => "avg(V)",
        (_, 4) => "max(V)",
        (_, _) => "min(V)",
    };
    let direct = call.replace('V', &value);
    let from = &partition.from.sql;
    let all = format!("SELECT count(*), {direct} FROM {from} {}", partition.whole());
    let part = |filter: &String| format!("SELECT {value} AS v FROM {from} {filter}");
    let [one, two, three] = &partition.parts;
    let union = [part(one), part(two), part(three)].join(" UNION ALL ");
    let apart = format!("SELECT count(*), {} FROM ({union}) AS u", call.replace('V', "u.v"));
    let expected = known!(bag(client, &all));
    let found = known!(bag(client, &apart));
    alike("tlp of aggregates", (&all, expected), (&apart, found))
}

/// Groups, whole or by HAVING.
fn partition_of_groups(client: &mut Client, generator: &mut Generator) -> Verdict {
    let from = generator.from(1);
    let ty = [Ty::Int, Ty::Text, Ty::Bool, Ty::Num, Ty::Date][generator.below(5)];
    let Some(key) = generator.column(&from.columns, ty) else { return Ok(None) };
    let filter = format!("WHERE {}", generator.condition(&from.columns, 1));
    let aggregate = generator.aggregate(&from.columns, Ty::Int);
    let query = |having: &str| {
        format!("SELECT {key}, {aggregate} FROM {} {filter} GROUP BY {key} {having}", from.sql)
    };
    let having = match generator.below(3) {
        0 => format!("({aggregate} > {})", generator.below(4)),
        1 => format!("({key} = {})", generator.constant(ty)),
        _ => format!("({key} <> {} OR count(*) = 1)", generator.constant(ty)),
    };
    let all = query("");
    let expected = known!(bag(client, &all));
    let mut found = Vec::new();
    for part in parts(None, &having) {
        found.extend(known!(bag(client, &query(&part.replacen("WHERE", "HAVING", 1)))));
    }
    found.sort_unstable();
    alike("tlp of groups", (&all, expected), (&having, found))
}

/// NoREC: how many rows pass, by plan and by computing.
fn planned_and_computed(client: &mut Client, generator: &mut Generator) -> Verdict {
    let from = generator.from(1);
    let condition = generator.condition(&from.columns, 2);
    let planned = format!("SELECT count(*) FROM {} WHERE {condition}", from.sql);
    let computed = format!(
        "SELECT coalesce(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)::bigint FROM {}",
        from.sql
    );
    let expected = known!(bag(client, &computed));
    let found = known!(bag(client, &planned));
    alike("norec", (&computed, expected), (&planned, found))
}

fn counts(rows: Bag) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row).or_insert(0) += 1;
    }
    counts
}

fn set_operation(client: &mut Client, generator: &mut Generator) -> Verdict {
    let (left, types) = generator.query(&[], 1);
    let mut right = generator.query(&[], 1);
    for _ in 0..20 {
        if right.1 == types {
            break;
        }
        right = generator.query(&[], 1);
    }
    let right = if right.1 == types { right.0 } else { left.clone() };
    let one = counts(known!(bag(client, &format!("SELECT * FROM ({left}) AS l"))));
    let other = counts(known!(bag(client, &format!("SELECT * FROM ({right}) AS r"))));
    let operator =
        generator.of(&["UNION", "UNION ALL", "EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL"]);
    let mut expected = Vec::new();
    let mut rows: Vec<&String> = one.keys().chain(other.keys()).collect();
    rows.sort_unstable();
    rows.dedup();
    for row in rows {
        let [l, r] = [&one, &other].map(|side| side.get(row).copied().unwrap_or(0));
        let count = match operator {
            "UNION" => 1,
            "UNION ALL" => l + r,
            "EXCEPT" => usize::from(l > 0 && r == 0),
            "EXCEPT ALL" => l.saturating_sub(r),
            "INTERSECT" => usize::from(l > 0 && r > 0),
            _ => l.min(r),
        };
        expected.extend(std::iter::repeat_n(row.clone(), count));
    }
    let both = format!("({left}) {operator} ({right})");
    let found = known!(bag(client, &both));
    alike("set operation", ("by counting", expected), (&both, found))
}

/// An outer join is the inner one and the rows of its sides that have no match.
fn outer_join(client: &mut Client, generator: &mut Generator) -> Verdict {
    let (left, right) = (generator.table(), generator.table());
    let on = generator.join_condition(&left.columns, &right.columns);
    let pick = |generator: &mut Generator, from: &From| {
        let column = &from.columns[generator.below(from.columns.len())];
        (column.sql.clone(), format!("NULL::{}", column.ty.widest()))
    };
    let (l, l_null) = pick(generator, &left);
    let (r, r_null) = pick(generator, &right);
    let (from_left, from_right) = (&left.sql, &right.sql);
    let kind = generator.of(&["LEFT", "RIGHT", "FULL"]);
    let outer = format!("SELECT {l}, {r} FROM {from_left} {kind} JOIN {from_right} ON {on}");
    let mut parts = vec![format!("SELECT {l}, {r} FROM {from_left} JOIN {from_right} ON {on}")];
    if kind != "RIGHT" {
        parts.push(format!(
            "SELECT {l}, {r_null} FROM {from_left} WHERE NOT EXISTS (SELECT 1 FROM {from_right} WHERE {on})"
        ));
    }
    if kind != "LEFT" {
        parts.push(format!(
            "SELECT {l_null}, {r} FROM {from_right} WHERE NOT EXISTS (SELECT 1 FROM {from_left} WHERE {on})"
        ));
    }
    let found = known!(bag(client, &outer));
    let mut expected = Vec::new();
    for part in &parts {
        expected.extend(known!(bag(client, part)));
    }
    expected.sort_unstable();
    alike("outer join", (&parts.join(" UNION ALL "), expected), (&outer, found))
}

/// LIMIT and OFFSET cut a piece out of the whole order.
fn order(client: &mut Client, generator: &mut Generator) -> Verdict {
    let from = generator.from(1);
    let filter = format!("WHERE {}", generator.condition(&from.columns, 1));
    let exprs: Vec<String> = (0..1 + generator.below(2))
        .map(|_| {
            let ty = from.columns[generator.below(from.columns.len())].ty;
            match generator.column(&from.columns, ty) {
                Some(column) => column,
                None => generator.expr(&from.columns, ty, 1),
            }
        })
        .collect();
    let keys: Vec<String> = (1..=exprs.len())
        .map(|at| {
            let end = generator.of(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            format!("{at}{end}")
        })
        .collect();
    let all = format!(
        "SELECT {} FROM {} {filter} ORDER BY {}",
        exprs.join(", "),
        from.sql,
        keys.join(", ")
    );
    let (limit, offset) = (generator.below(6), generator.below(4));
    let piece = format!("{all} LIMIT {limit} OFFSET {offset}");
    let whole = known!(ordered(client, &all));
    let found = known!(ordered(client, &piece));
    let mut sorted = whole.clone();
    sorted.sort_unstable();
    let plain = format!("SELECT {} FROM {} {filter}", exprs.join(", "), from.sql);
    let unsorted = known!(bag(client, &plain));
    alike("order", (&plain, unsorted), (&all, sorted))?;
    let expected = whole.into_iter().skip(offset).take(limit).collect();
    alike("limit", (&all, expected), (&piece, found))
}

/// What a window counts is what a subquery counts.
fn window(client: &mut Client, generator: &mut Generator) -> Verdict {
    let table = generator.below(super::generate::TABLES);
    let (key, by) =
        (generator.of(&["a", "c", "d", "n", "w", "s"]), generator.of(&["id", "b", "c", "w"]));
    let call = generator.of(&["count(b)", "sum(a)", "max(c)", "min(w)", "count(*)"]);
    let kept = generator.of(&["true", "x.a > 0", "x.c IS NOT NULL", "x.d"]);
    let windowed = format!(
        "SELECT x.{key}, x.{by}, {} OVER (PARTITION BY x.{key}) FROM t{table} AS x WHERE {kept}",
        call.replace('(', "(x.").replace("x.*", "*"),
    );
    let asked = format!(
        "SELECT x.{key}, x.{by}, (SELECT {} FROM t{table} AS y WHERE y.{key} IS NOT DISTINCT FROM x.{key} \
         AND {}) FROM t{table} AS x WHERE {kept}",
        call.replace('(', "(y.").replace("y.*", "*"),
        kept.replace("x.", "y."),
    );
    let expected = known!(bag(client, &asked));
    let found = known!(bag(client, &windowed));
    alike("window", (&asked, expected), (&windowed, found))
}

/// A condition above a query, and above the same one behind a fence.
fn fence(client: &mut Client, generator: &mut Generator) -> Verdict {
    let (query, types) = generator.query(&[], 1);
    let names: Vec<String> = (0..types.len()).map(|at| format!("c{at}")).collect();
    let columns: Vec<super::generate::Column> = names
        .iter()
        .zip(types)
        .map(|(name, ty)| super::generate::Column { sql: format!("q.{name}"), ty })
        .collect();
    let condition = generator.condition(&columns, 1);
    let names = names.join(", ");
    let open = format!("SELECT * FROM ({query}) AS q ({names}) WHERE {condition}");
    let fenced =
        format!("WITH q ({names}) AS MATERIALIZED ({query}) SELECT * FROM q WHERE {condition}");
    let expected = known!(bag(client, &fenced));
    let found = known!(bag(client, &open));
    alike("fence", (&fenced, expected), (&open, found))
}

/// A query of any sort, and the same one planned otherwise.
pub(super) fn other_plans(client: &mut Client, generator: &mut Generator) -> Verdict {
    let query = any(generator);
    let found = known!(bag(client, &query));
    let settings: &[&str] = match generator.below(3) {
        0 => &["enable_indexscan"],
        1 => &["enable_hashjoin"],
        _ => &["enable_indexscan", "enable_hashjoin"],
    };
    for setting in settings {
        client.run(&format!("SET LOCAL {setting} = off"), &[])?;
    }
    let expected = known!(bag(client, &query));
    alike("plans", (&format!("{settings:?} off"), expected), (&query, found))
}

/// A query of any sort.
pub(super) fn any(generator: &mut Generator) -> String {
    if generator.once_in(3) {
        return generator.query(&[], 2).0;
    }
    let from = generator.from(1);
    let exprs = one_or_more(generator, &from);
    format!("SELECT {exprs} FROM {} WHERE {}", from.sql, generator.condition(&from.columns, 2))
}
