//! Plans a person can read: `tests/scripts/plans.txt` holds statements and the shapes they get.
//! `DRIFTDB_GOLDEN=write cargo test -p driftdb-planner` rewrites it; the diff is the review.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a golden file is a real file")]

use std::fmt::Write as _;
use std::sync::Arc;

use driftdb_planner::HeuristicPlanner;
use driftdb_query::{
    AccessPath, Catalog, CatalogAt, Column, ColumnId, Index, IndexColumn, IndexId, JoinKind,
    KeyBound, PhysicalPlan, PhysicalStatement, PlanContext, Planner, Result, RowKey,
    SystemRelation, Table, TableAccess, TableId,
};
use driftdb_sql::{BindContext, bind, parse};
use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_types::{DataType, EvalContext, Value};

struct Tables(Vec<Arc<Table>>);

impl Tables {
    /// `big` and `other` of 100,000 rows, `small` of 10; each with id (key), x (indexed), y.
    fn new() -> Self {
        let tables = [("big", 100_000), ("other", 100_000), ("small", 10)];
        Self(tables.iter().zip(1..).map(|((name, rows), id)| table(name, id, *rows)).collect())
    }
}

fn table(name: &str, id: u32, rows: u64) -> Arc<Table> {
    let columns = ["id", "x", "y"].iter().zip(1..).map(|(name, number)| Column {
        id: ColumnId(number),
        name: (*name).into(),
        ty: DataType::Int4,
        typmod: -1,
        not_null: number == 1,
        default: None,
        missing: Value::Null,
        generated: None,
    });
    let index = |number: u16, primary: bool| Index {
        unique: primary,
        primary,
        constraint: primary,
        ..Index::new(
            IndexId(id * 10 + u32::from(number)),
            format!("{name}_{number}"),
            (!primary).then_some(KeyspaceId(id * 10)),
            vec![IndexColumn::new(ColumnId(number), false)],
        )
    };
    Arc::new(Table {
        id: TableId(id),
        schema: "public".into(),
        name: name.into(),
        keyspace: KeyspaceId(id),
        key: RowKey::Primary,
        columns: columns.collect(),
        dropped_columns: 0,
        indexes: vec![index(1, true), index(2, false)],
        terms: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
        row_count: Some(rows),
        period: None,
        needs: Vec::new(),
    })
}

impl Catalog for Tables {
    fn table(&mut self, _: Option<&str>, name: &str, _: CatalogAt) -> Result<Option<Arc<Table>>> {
        Ok(self.0.iter().find(|table| table.name == name).cloned())
    }

    fn table_by_id(&mut self, id: TableId) -> Result<Option<Arc<Table>>> {
        Ok(self.0.iter().find(|table| table.id == id).cloned())
    }

    fn index(&mut self, _: Option<&str>, _: &str) -> Result<Option<(Arc<Table>, IndexId)>> {
        Ok(None)
    }

    fn system_relation(
        &mut self,
        _: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<SystemRelation>>> {
        let columns = vec![("n", DataType::Int8), ("note", DataType::Text)];
        let relation = SystemRelation {
            oid: 1,
            schema: driftdb_query::SYSTEM_SCHEMA,
            name: "numbered",
            columns,
            key: Some(0),
            has_history: false,
            view: None,
        };
        Ok((name == "numbered").then(|| Arc::new(relation)))
    }

    fn tables(&mut self, _: CatalogAt) -> Result<Vec<Arc<Table>>> {
        Ok(self.0.clone())
    }

    fn time_of_sequence(&mut self, sequence: u64) -> Result<Timestamp> {
        Ok(Timestamp(sequence))
    }
}

fn plan(sql: &str) -> Result<PhysicalPlan> {
    let statement = parse(sql)?.remove(0);
    let mut param_types = Vec::new();
    let bound = bind(
        &statement,
        &mut BindContext {
            catalog: &mut Tables::new(),
            eval: &EvalContext::default(),
            param_types: &mut param_types,
            params: None,
            variables: None,
        },
    )?;
    Ok(match HeuristicPlanner.plan(bound, &PlanContext::default())? {
        PhysicalStatement::Query(query) => query.plan,
        PhysicalStatement::Update(update) => update.source,
        PhysicalStatement::Delete(delete) => delete.source,
        other => panic!("no plan in {other:?}"),
    })
}

/// One word an operator, inputs in parentheses.
fn shape(plan: &PhysicalPlan) -> String {
    let of = |plan: &PhysicalPlan| shape(plan);
    match plan {
        PhysicalPlan::Values { .. } => "values".into(),
        PhysicalPlan::Access(access) => access_shape(access),
        PhysicalPlan::FunctionScan { args, .. } if args.len() == 2 => "function[range]".into(),
        PhysicalPlan::FunctionScan { .. } => "function".into(),
        PhysicalPlan::Filter { input, .. } => format!("filter({})", of(input)),
        PhysicalPlan::Project { input, .. } => of(input),
        PhysicalPlan::HashJoin { kind, left, right, .. } => {
            format!("{}hash({}, {})", kind_word(*kind), of(left), of(right))
        }
        PhysicalPlan::NestedLoopJoin { kind, left, right, .. } => {
            format!("{}loop({}, {})", kind_word(*kind), of(left), of(right))
        }
        PhysicalPlan::Apply { kind, left, right, .. } => {
            format!("{}apply({}, {})", kind_word(*kind), of(left), of(right))
        }
        PhysicalPlan::Aggregate { input, groups, .. } => {
            format!("aggregate {}({})", groups.len(), of(input))
        }
        PhysicalPlan::Sort { input, top, .. } => {
            format!("{}({})", if top.is_empty() { "sort" } else { "top" }, of(input))
        }
        PhysicalPlan::Limit { input, .. } => format!("limit({})", of(input)),
        PhysicalPlan::Distinct { input, .. } => format!("distinct({})", of(input)),
        PhysicalPlan::SetOp { left, right, .. } => format!("setop({}, {})", of(left), of(right)),
        PhysicalPlan::With { ctes, body } => {
            let ctes: Vec<String> = ctes.iter().map(|(_, plan)| of(plan)).collect();
            format!("with [{}] {}", ctes.join(", "), of(body))
        }
        PhysicalPlan::CteScan { .. } => "cte".into(),
        PhysicalPlan::GroupingSets { input, sets, .. } => {
            format!("sets {}({})", sets.len(), of(input))
        }
        PhysicalPlan::Window { input, calls, .. } => {
            format!("window {}({})", calls.len(), of(input))
        }
        PhysicalPlan::Recursive { seed, step, .. } => {
            format!("recursive({}, {})", of(seed), of(step))
        }
        PhysicalPlan::WorkingTable { .. } => "working".into(),
        PhysicalPlan::Change { .. } => "change".into(),
        PhysicalPlan::Lock { input, .. } => format!("lock({})", of(input)),
    }
}

fn kind_word(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "",
        JoinKind::Left => "left ",
        JoinKind::Right => "right ",
        JoinKind::Full => "full ",
        JoinKind::Semi => "semi ",
        JoinKind::Anti => "anti ",
    }
}

fn access_shape(access: &TableAccess) -> String {
    let name = &access.table.name;
    let mut out = match &access.path {
        AccessPath::Point { .. } => format!("{name}.point"),
        AccessPath::Table { bounds } | AccessPath::Index { bounds, .. } => {
            let kind = match access.path {
                AccessPath::Index { .. } => ".index",
                _ => "",
            };
            let ranged = bounds.lower != KeyBound::Unbounded || bounds.upper != KeyBound::Unbounded;
            let range = if ranged { "range" } else { "" };
            let equal = if bounds.equal.is_empty() { "" } else { "=" };
            format!(
                "{name}{kind}{}{equal}{range}",
                if ranged || !equal.is_empty() { "." } else { "" }
            )
        }
    };
    if access.reverse {
        out.push_str(" reverse");
    }
    if access.filter.is_some() {
        out.push('?');
    }
    let columns = access.columns.iter().map(|&c| access.table.columns[c].name.as_str());
    write!(out, "[{}]", columns.collect::<Vec<_>>().join("")).unwrap();
    out
}

#[test]
fn plans_are_as_recorded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/plans.txt");
    let script = std::fs::read_to_string(path).unwrap();
    let mut rewritten = String::new();
    for line in script.lines() {
        if line.starts_with("  => ") {
            continue;
        }
        writeln!(rewritten, "{line}").unwrap();
        if !line.is_empty() && !line.starts_with('#') {
            let answer = match plan(line) {
                Ok(plan) => shape(&plan),
                Err(error) => format!("error: {error}"),
            };
            writeln!(rewritten, "  => {answer}").unwrap();
        }
    }
    if std::env::var("DRIFTDB_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::write(path, &rewritten).unwrap();
        return;
    }
    assert_eq!(script, rewritten, "rewrite with DRIFTDB_GOLDEN=write and read the diff");
}
