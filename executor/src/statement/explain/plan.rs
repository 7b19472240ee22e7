//! From a plan to what EXPLAIN shows: which nodes, under which names.

use std::collections::VecDeque;

use driftdb_query::{
    ConflictTarget, Expr, JoinKind, PhysicalPlan, PhysicalSortKey, PhysicalStatement, SetFunction,
    SetOpKind, Subplan, Table, TableAt,
};
use driftdb_types::{EvalContext, aggregate};

use super::expr::{Names, show};
use super::node::Node;
use crate::context::on_deep_stack;
use crate::operator::meter::Meter;
use crate::operator::outer::inputs;

/// The node of a statement. `meters` are in the order in which the operators were built.
pub(super) fn explain(
    statement: &PhysicalStatement,
    source: &PhysicalPlan,
    meters: Vec<Meter>,
    ctx: &EvalContext,
) -> Node {
    let metered = !meters.is_empty();
    let qualify = table_count(source) > 1;
    let mut explainer =
        Explainer { ctx, meters: meters.into(), metered, qualify, subplans: 0, outer: Vec::new() };
    let (child, _) = explainer.plan(source);
    let (command, table) = match statement {
        PhysicalStatement::Insert(insert) => ("Insert", &insert.table),
        PhysicalStatement::Update(update) => ("Update", &update.table),
        PhysicalStatement::Delete(delete) => ("Delete", &delete.table),
        PhysicalStatement::Merge(merge) => ("Merge", &merge.table),
        _ => return child,
    };
    let mut node = on_table(command, table);
    if let PhysicalStatement::Insert(insert) = statement
        && let Some(action) = &insert.on_conflict
    {
        let resolution = if action.update.is_some() { "UPDATE" } else { "NOTHING" };
        node.property("Conflict Resolution", resolution);
        if let ConflictTarget::Indexes(ids) = &action.target {
            let names = ids.iter().filter_map(|id| table.index(*id)).map(|i| i.name.as_str());
            node.property("Conflict Arbiter Indexes", names.collect::<Vec<_>>().join(", "));
        }
    }
    node.children.push(child);
    node
}

fn table_count(plan: &PhysicalPlan) -> usize {
    on_deep_stack(|| match plan {
        PhysicalPlan::Access(_) => 1,
        _ => inputs(plan).into_iter().map(table_count).sum(),
    })
}

pub(super) fn on_table(kind: &str, table: &Table) -> Node {
    let mut node = Node::new(kind);
    node.suffix = format!(" on {}", table.name);
    node.facts.push(("Relation Name", table.name.clone()));
    node
}

pub(super) struct Explainer<'a> {
    pub(super) ctx: &'a EvalContext,
    meters: VecDeque<Meter>,
    metered: bool,
    pub(super) qualify: bool,
    subplans: usize,
    /// What is handed down here.
    outer: Vec<String>,
}

impl Explainer<'_> {
    /// A node with the names of its columns.
    fn plan(&mut self, plan: &PhysicalPlan) -> (Node, Vec<String>) {
        let meter = if self.metered { self.meters.pop_front() } else { None };
        let (mut node, names) = on_deep_stack(|| self.node(plan));
        // A projection or filter is shown as part of its input; the count after it is the one that
        // matters.
        if meter.is_some() {
            if let Some(versions) = meter.as_ref().map(Meter::versions).filter(|count| *count > 0) {
                node.property("Versions Read", versions.to_string());
            }
            node.meter = meter;
        }
        (node, names)
    }

    /// An expression of a node, whose subqueries become sections of it.
    pub(super) fn expr(&mut self, expr: &Expr, slots: &[String], node: &mut Node) -> String {
        let mut found: Vec<(String, Subplan)> = Vec::new();
        let mut count = self.subplans;
        let text = {
            let names = Names { slots, outer: &self.outer, ctx: self.ctx };
            show(expr, &names, &mut |subplan| {
                count += 1;
                let kind = if subplan.outer.is_empty() { "InitPlan" } else { "SubPlan" };
                let name = format!("{kind} {count}");
                found.push((name.clone(), subplan.clone()));
                name
            })
        };
        self.subplans = count;
        for (name, subplan) in found {
            let handed: Vec<String> =
                subplan.outer.iter().map(|expr| self.expr(expr, slots, node)).collect();
            let enclosing = std::mem::replace(&mut self.outer, handed);
            let metered = std::mem::replace(&mut self.metered, false);
            let (section, _) = self.plan(&subplan.plan);
            (self.outer, self.metered) = (enclosing, metered);
            node.sections.push((name, section));
        }
        text
    }

    fn exprs(&mut self, exprs: &[Expr], slots: &[String], node: &mut Node) -> Vec<String> {
        exprs.iter().map(|expr| self.expr(expr, slots, node)).collect()
    }

    fn function_scan(
        &mut self,
        function: &SetFunction,
        args: &[Expr],
        column_count: usize,
    ) -> (Node, Vec<String>) {
        let mut node = Node::new("Function Scan");
        let (name, names) = match function {
            SetFunction::Unnest => ("unnest".to_owned(), vec!["unnest".to_owned()]),
            SetFunction::UnnestRows => ("rows".to_owned(), vec!["rows".to_owned()]),
            SetFunction::Subscripts => {
                let name = "generate_subscripts".to_owned();
                (name.clone(), vec![name])
            }
            SetFunction::Zip { .. } => {
                let names = (1..=column_count).map(|number| format!("column{number}"));
                ("several functions".to_owned(), names.collect())
            }
            SetFunction::GenerateSeries { .. } => {
                let name = "generate_series".to_owned();
                (name.clone(), vec![name; column_count])
            }
            SetFunction::TableDiff { before, after } => {
                let sides = [before, after].map(|side| side.as_ref());
                let [old, new] = [sides[0].or(sides[1]), sides[1].or(sides[0])];
                let columns = |side: Option<&TableAt>, prefix: &str| -> Vec<String> {
                    let columns = side.map_or(&[][..], |side| &side.table.columns);
                    columns.iter().map(|column| format!("{prefix}_{}", column.name)).collect()
                };
                let names = [vec!["op".to_owned()], columns(old, "old"), columns(new, "new")];
                ("driftdb_diff".to_owned(), names.concat())
            }
            SetFunction::Routine { call, .. } => {
                let names = call.columns.iter().map(|column| column.name.clone());
                (call.object.name.clone(), names.collect())
            }
            SetFunction::Changes(scan) => {
                let name =
                    if scan.table.is_some() { "driftdb_changes" } else { "driftdb_all_changes" };
                let names = scan.columns().into_iter().map(|(name, ..)| name);
                (name.to_owned(), names.collect())
            }
            SetFunction::Digest => {
                ("driftdb_digest".to_owned(), vec!["digest".to_owned(); column_count])
            }
            SetFunction::VerifyDigest => {
                ("driftdb_verify_digest".to_owned(), vec!["verdict".to_owned(); column_count])
            }
            SetFunction::System { relation, .. } => {
                let names = relation.columns.iter().map(|(name, _)| (*name).to_owned());
                (relation.name.to_owned(), names.collect())
            }
        };
        node.suffix = format!(" on {name}");
        if let (SetFunction::System { .. }, [from, to]) = (function, args) {
            let ends = [from, to].map(|end| self.expr(end, &[], &mut node));
            node.property("Key Range", format!("{} to {}", ends[0], ends[1]));
        }
        (node, names)
    }

    fn node(&mut self, plan: &PhysicalPlan) -> (Node, Vec<String>) {
        match plan {
            PhysicalPlan::Values { rows, types } => {
                let names = (1..=types.len()).map(|column| format!("column{column}")).collect();
                let mut node = Node::new(if rows.len() == 1 { "Result" } else { "Values Scan" });
                if rows.len() != 1 {
                    node.suffix = " on \"*VALUES*\"".to_owned();
                }
                (node, names)
            }
            PhysicalPlan::Access(access) => self.access(access),
            PhysicalPlan::FunctionScan { function, args, types } => {
                self.function_scan(function, args, types.len())
            }
            PhysicalPlan::Filter { input, predicate } => {
                let (mut node, names) = self.plan(input);
                let takes_filter = !matches!(
                    **input,
                    PhysicalPlan::Limit { .. }
                        | PhysicalPlan::Sort { .. }
                        | PhysicalPlan::Distinct { .. }
                        | PhysicalPlan::Window { .. }
                        | PhysicalPlan::Recursive { .. }
                        | PhysicalPlan::SetOp { .. }
                        | PhysicalPlan::Lock { .. }
                );
                if !takes_filter {
                    let mut scan = Node::new("Subquery Scan");
                    scan.children.push(node);
                    node = scan;
                }
                let text = self.expr(predicate, &names, &mut node);
                node.property("Filter", text);
                (node, names)
            }
            PhysicalPlan::Project { input, exprs } => {
                let (mut node, names) = self.plan(input);
                let names = self.exprs(exprs, &names, &mut node);
                (node, names)
            }
            PhysicalPlan::Aggregate { input, groups, aggregates } => {
                let (child, names) = self.plan(input);
                let kind = if groups.is_empty() { "Aggregate" } else { "HashAggregate" };
                let mut node = Node::new(kind);
                let mut out = self.exprs(groups, &names, &mut node);
                if !groups.is_empty() {
                    node.property("Group Key", out.join(", "));
                }
                for call in aggregates {
                    let args = self.exprs(&call.args, &names, &mut node);
                    let args = if args.is_empty() { "*".to_owned() } else { args.join(", ") };
                    let distinct = if call.distinct { "DISTINCT " } else { "" };
                    out.push(format!("{}({distinct}{args})", aggregate(call.aggregate).name));
                }
                node.children.push(child);
                (node, out)
            }
            PhysicalPlan::Sort { input, keys, .. } => {
                let (child, names) = self.plan(input);
                let mut node = Node::new("Sort");
                let keys: Vec<String> =
                    keys.iter().map(|key| self.sort_key(key, &names, &mut node)).collect();
                node.property("Sort Key", keys.join(", "));
                node.children.push(child);
                (node, names)
            }
            PhysicalPlan::Limit { input, .. } => self.above("Limit", input),
            PhysicalPlan::Lock { input, .. } => self.above("LockRows", input),
            PhysicalPlan::Distinct { input, on } => {
                let (child, names) = self.plan(input);
                let mut node = Node::new(if on.is_empty() { "HashAggregate" } else { "Unique" });
                let keys =
                    if on.is_empty() { names.clone() } else { self.exprs(on, &names, &mut node) };
                node.property("Group Key", keys.join(", "));
                node.children.push(child);
                (node, names)
            }
            PhysicalPlan::SetOp { kind, all, left, right } => self.set_op(*kind, *all, left, right),
            PhysicalPlan::With { ctes, body } => {
                let sections: Vec<(String, Node)> = ctes
                    .iter()
                    .map(|(id, plan)| (format!("CTE cte{}", id.0), self.plan(plan).0))
                    .collect();
                let (mut node, names) = self.plan(body);
                node.sections.splice(0..0, sections);
                (node, names)
            }
            PhysicalPlan::HashJoin { .. }
            | PhysicalPlan::NestedLoopJoin { .. }
            | PhysicalPlan::Apply { .. } => self.join(plan),
            PhysicalPlan::CteScan { .. }
            | PhysicalPlan::GroupingSets { .. }
            | PhysicalPlan::Window { .. }
            | PhysicalPlan::Recursive { .. }
            | PhysicalPlan::Change { .. }
            | PhysicalPlan::WorkingTable { .. } => self.rarer(plan),
        }
    }

    /// What most statements have none of.
    fn rarer(&mut self, plan: &PhysicalPlan) -> (Node, Vec<String>) {
        match plan {
            PhysicalPlan::GroupingSets { input, groups, sets, aggregates, groupings } => {
                let (child, names) = self.plan(input);
                let mut node = Node::new("MixedAggregate");
                let mut out = self.exprs(groups, &names, &mut node);
                for set in sets {
                    let keys: Vec<&str> = set.iter().map(|place| out[*place].as_str()).collect();
                    let keys = if keys.is_empty() { "()".to_owned() } else { keys.join(", ") };
                    node.property("Group Key", keys);
                }
                for call in aggregates {
                    let args = self.exprs(&call.args, &names, &mut node);
                    let args = if args.is_empty() { "*".to_owned() } else { args.join(", ") };
                    out.push(format!("{}({args})", aggregate(call.aggregate).name));
                }
                for places in groupings {
                    let named: Vec<&str> =
                        places.iter().map(|place| out[*place].as_str()).collect();
                    out.push(format!("GROUPING({})", named.join(", ")));
                }
                node.children.push(child);
                (node, out)
            }
            PhysicalPlan::Window { input, calls, .. } => {
                let (child, mut names) = self.plan(input);
                let mut node = Node::new("WindowAgg");
                let mut out = Vec::with_capacity(calls.len());
                for call in calls {
                    let args = self.exprs(&call.args, &names, &mut node);
                    let name = call.function.name();
                    let is_count = call.args.is_empty() && name == "count";
                    let args = if is_count { "*".to_owned() } else { args.join(", ") };
                    out.push(format!("{name}({args}) OVER (?)"));
                }
                names.extend(out);
                node.children.push(child);
                (node, names)
            }
            PhysicalPlan::Recursive { seed, step, .. } => {
                let (seed, names) = self.plan(seed);
                let (step, _) = self.plan(step);
                let mut node = Node::new("Recursive Union");
                node.children = vec![seed, step];
                (node, names)
            }
            PhysicalPlan::Change { change, types } => {
                let (kind, table, source) = match &**change {
                    PhysicalStatement::Insert(insert) => ("Insert", &insert.table, &insert.source),
                    PhysicalStatement::Update(update) => ("Update", &update.table, &update.source),
                    PhysicalStatement::Delete(delete) => ("Delete", &delete.table, &delete.source),
                    _ => return (Node::new("Change"), Vec::new()),
                };
                let metered = std::mem::replace(&mut self.metered, false);
                let (child, _) = self.plan(source);
                self.metered = metered;
                let mut node = on_table(kind, table);
                node.children.push(child);
                (node, (1..=types.len()).map(|column| format!("column{column}")).collect())
            }
            PhysicalPlan::WorkingTable { table, types } => {
                let mut node = Node::new("WorkTable Scan");
                node.suffix = format!(" on cte{}", table.0);
                let names =
                    (1..=types.len()).map(|column| format!("cte{}.column{column}", table.0));
                (node, names.collect())
            }
            PhysicalPlan::CteScan { cte, types } => {
                let mut node = Node::new("CTE Scan");
                node.suffix = format!(" on cte{}", cte.0);
                let names = (1..=types.len()).map(|column| format!("cte{}.column{column}", cte.0));
                (node, names.collect())
            }
            _ => unreachable!("the caller chose the nodes"),
        }
    }

    /// A node that yields its input's columns.
    fn above(&mut self, kind: &str, input: &PhysicalPlan) -> (Node, Vec<String>) {
        let (child, names) = self.plan(input);
        let mut node = Node::new(kind);
        node.children.push(child);
        (node, names)
    }

    fn sort_key(&mut self, key: &PhysicalSortKey, names: &[String], node: &mut Node) -> String {
        let mut text = self.expr(&key.expr, names, node);
        if key.descending {
            text.push_str(" DESC");
        }
        match (key.descending, key.nulls_first) {
            (false, true) => text.push_str(" NULLS FIRST"),
            (true, false) => text.push_str(" NULLS LAST"),
            _ => {}
        }
        text
    }

    fn set_op(
        &mut self,
        kind: SetOpKind,
        all: bool,
        left: &PhysicalPlan,
        right: &PhysicalPlan,
    ) -> (Node, Vec<String>) {
        let (left_node, names) = self.plan(left);
        let (right_node, _) = self.plan(right);
        let mut node = match kind {
            SetOpKind::Union => Node::new("Append"),
            SetOpKind::Intersect => Node::new("HashSetOp Intersect"),
            SetOpKind::Except => Node::new("HashSetOp Except"),
        };
        if kind != SetOpKind::Union && all {
            node.kind.push_str(" All");
        }
        node.children = vec![left_node, right_node];
        if kind == SetOpKind::Union && !all {
            let mut distinct = Node::new("HashAggregate");
            distinct.property("Group Key", names.join(", "));
            distinct.children.push(node);
            node = distinct;
        }
        (node, names)
    }

    fn join(&mut self, plan: &PhysicalPlan) -> (Node, Vec<String>) {
        let (kind, left, right) = match plan {
            PhysicalPlan::HashJoin { kind, left, right, .. }
            | PhysicalPlan::NestedLoopJoin { kind, left, right, .. }
            | PhysicalPlan::Apply { kind, left, right, .. } => (*kind, left, right),
            _ => unreachable!("the caller chose the joins"),
        };
        let hashed = matches!(plan, PhysicalPlan::HashJoin { .. });
        let mut node = Node::new(join_kind(kind, hashed));
        let (left_node, left_names) = self.plan(left);
        let handed = match plan {
            PhysicalPlan::Apply { outer, .. } => Some(self.exprs(outer, &left_names, &mut node)),
            _ => None,
        };
        let enclosing = handed.map(|handed| std::mem::replace(&mut self.outer, handed));
        let (right_node, right_names) = self.plan(right);
        if let Some(enclosing) = enclosing {
            self.outer = enclosing;
        }
        let both: Vec<String> = left_names.iter().chain(&right_names).cloned().collect();
        let mut filter = None;
        let wrapped = match plan {
            PhysicalPlan::HashJoin { left_keys, right_keys, residual, .. } => {
                let left_keys = self.exprs(left_keys, &left_names, &mut node);
                let right_keys = self.exprs(right_keys, &right_names, &mut node);
                let pairs = left_keys.iter().zip(&right_keys).map(|(l, r)| format!("({l} = {r})"));
                node.property("Hash Cond", conjunction(pairs.collect()));
                filter = residual.as_ref();
                Some("Hash")
            }
            PhysicalPlan::NestedLoopJoin { on, .. } => {
                filter = on.as_ref();
                Some("Materialize")
            }
            PhysicalPlan::Apply { on, .. } => {
                filter = on.as_ref();
                None
            }
            _ => None,
        };
        if let Some(filter) = filter {
            let text = self.expr(filter, &both, &mut node);
            node.property("Join Filter", text);
        }
        node.children.push(left_node);
        node.children.push(match wrapped {
            Some(kind) => {
                let mut wrapper = Node::new(kind);
                wrapper.meter.clone_from(&right_node.meter);
                wrapper.children.push(right_node);
                wrapper
            }
            None => right_node,
        });
        let names = if matches!(kind, JoinKind::Semi | JoinKind::Anti) { left_names } else { both };
        (node, names)
    }
}

pub(super) fn conjunction(mut terms: Vec<String>) -> String {
    if terms.len() == 1 { terms.remove(0) } else { format!("({})", terms.join(" AND ")) }
}

fn join_kind(kind: JoinKind, hashed: bool) -> String {
    let kind = match kind {
        JoinKind::Inner if hashed => return "Hash Join".to_owned(),
        JoinKind::Inner => return "Nested Loop".to_owned(),
        JoinKind::Left => "Left",
        JoinKind::Right => "Right",
        JoinKind::Full => "Full",
        JoinKind::Semi => "Semi",
        JoinKind::Anti => "Anti",
    };
    let algorithm = if hashed { "Hash" } else { "Nested Loop" };
    format!("{algorithm} {kind} Join")
}
