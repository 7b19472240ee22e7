//! A catalog in memory, with a past.

use std::sync::Arc;

use driftdb_query::{
    Catalog, CatalogAt, Check, Column, ColumnId, Index, IndexColumn, IndexId, Result, RowKey,
    Schema, SqlError, Statement, Table, TableId,
};
use driftdb_sql::{BindContext, ParsedStatement, bind, parse};
use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_types::{DataType, EvalContext, SqlState, Value};

/// Tables by name; `old` existed only before 2024, `t` had no column `c` then.
pub(crate) struct Fixture {
    tables: Vec<Arc<Table>>,
    past: Vec<Arc<Table>>,
}

/// 2024-01-01 00:00:00 UTC in nanoseconds.
const TURN: u64 = 1_704_067_200_000_000_000;

fn table(id: u32, name: &str, columns: &[(&str, DataType, i32)], key: &[u16]) -> Table {
    let columns = columns.iter().enumerate().map(|(index, (name, ty, typmod))| Column {
        id: ColumnId(index as u16 + 1),
        name: (*name).into(),
        ty: *ty,
        typmod: *typmod,
        not_null: key.contains(&(index as u16 + 1)),
        default: None,
        missing: Value::Null,
        generated: None,
    });
    let keys = key.iter().map(|id| IndexColumn::new(ColumnId(*id), false)).collect();
    let index = Index {
        unique: true,
        primary: true,
        constraint: true,
        ..Index::new(IndexId(id + 1000), format!("{name}_pkey"), None, keys)
    };
    Table {
        id: TableId(id),
        schema: "public".into(),
        name: name.into(),
        keyspace: KeyspaceId(id),
        key: if key.is_empty() { RowKey::RowId } else { RowKey::Primary },
        columns: columns.collect(),
        indexes: if key.is_empty() { Vec::new() } else { vec![index] },
        terms: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
        row_count: None,
        period: None,
        needs: Vec::new(),
        dropped_columns: 0,
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        use DataType as T;
        let t = &[("a", T::Int4, -1), ("b", T::Text, -1), ("c", T::Numeric, 655_366)];
        let t = table(1, "t", t, &[1]);
        let mut u =
            table(2, "u", &[("a", T::Int8, -1), ("d", T::Date, -1), ("v", T::Varchar, 9)], &[]);
        u.columns[1].default = Some("CURRENT_DATE".into());
        u.checks.push(Check::new("u_a_check", "a > 0"));
        u.checks
            .push(Check::new("u_check", "d::date > date '2000-01-01' or u.a < length('u.a'||V)"));
        let w = &[
            ("ts", T::Timestamptz, -1),
            ("f", T::Float8, -1),
            ("ok", T::Bool, -1),
            ("i", T::Interval, -1),
            ("s", T::Int2, -1),
        ];
        let w = table(3, "w", w, &[]);
        let then = table(1, "t", &[("a", T::Int4, -1), ("b", T::Text, -1)], &[1]);
        let old = table(4, "old", &[("x", T::Int4, -1)], &[1]);
        Self {
            tables: vec![Arc::new(t), Arc::new(u), Arc::new(w)],
            past: vec![Arc::new(then), Arc::new(old)],
        }
    }
}

impl Catalog for Fixture {
    fn schema(&mut self, name: &str, _: CatalogAt) -> Result<Option<Arc<Schema>>> {
        let known = ["pg_catalog", "public", "s"].into_iter().zip([11, 2200, 16_000]);
        let mut known = known.filter(|(known, _)| *known == name);
        Ok(known.next().map(|(name, id)| Arc::new(Schema { id, name: name.to_owned() })))
    }

    fn table(
        &mut self,
        schema: Option<&str>,
        name: &str,
        at: CatalogAt,
    ) -> Result<Option<Arc<Table>>> {
        let tables = match at {
            CatalogAt::AsOf(time) if time.0 < TURN => &self.past,
            _ => &self.tables,
        };
        let found = tables.iter().find(|table| table.name == name);
        Ok(found.filter(|_| schema.is_none_or(|schema| schema == "public")).cloned())
    }

    fn table_by_id(&mut self, id: TableId) -> Result<Option<Arc<Table>>> {
        Ok(self.tables.iter().find(|table| table.id == id).cloned())
    }

    fn index(&mut self, _: Option<&str>, name: &str) -> Result<Option<(Arc<Table>, IndexId)>> {
        Ok(self.tables.iter().find_map(|table| {
            let index = table.indexes.iter().find(|index| index.name == name)?;
            Some((table.clone(), index.id))
        }))
    }

    fn tables(&mut self, at: CatalogAt) -> Result<Vec<Arc<Table>>> {
        Ok(match at {
            CatalogAt::AsOf(time) if time.0 < TURN => self.past.clone(),
            _ => self.tables.clone(),
        })
    }

    fn time_of_restore_point(&mut self, name: &str) -> Result<Option<Timestamp>> {
        Ok((name == "p").then_some(Timestamp(TURN - 1)))
    }

    fn time_of_sequence(&mut self, sequence: u64) -> Result<Timestamp> {
        if sequence > 100 {
            let message = format!("there is no sequence number {sequence}");
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        Ok(Timestamp(TURN + sequence))
    }
}

/// Binds a statement; also yields the parameters' types.
pub(crate) fn bind_one(
    statement: &ParsedStatement,
    params: Option<&[Value]>,
) -> Result<(Statement, Vec<DataType>)> {
    let mut catalog = Fixture::new();
    let eval = EvalContext::default();
    let mut param_types = Vec::new();
    let mut cx = BindContext {
        catalog: &mut catalog,
        eval: &eval,
        param_types: &mut param_types,
        params,
        variables: None,
    };
    let bound = bind(statement, &mut cx)?;
    Ok((bound, param_types))
}

/// Parses and binds the first statement of a text.
pub(crate) fn bind_text(sql: &str) -> Result<(Statement, Vec<DataType>)> {
    let statements = parse(sql)?;
    bind_one(statements.first().expect("a statement"), None)
}
