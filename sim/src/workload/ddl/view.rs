//! All that is there in one snapshot: the books, the catalog and the rows; and whether they agree.

use std::collections::{BTreeMap, BTreeSet};

use driftdb_types::{SqlState, Value};

use super::book::Number;
use crate::sql::{Client, Refusal, integer, text};

/// A table as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    columns: Vec<String>,
    indexes: BTreeSet<String>,
    /// In the order of columns.
    rows: Vec<Vec<Option<i64>>>,
    /// The rows by `a`, once by an index if there is one, once without.
    by_index: Vec<i64>,
    by_scan: Vec<i64>,
}

/// What one snapshot shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct View {
    /// Of tables: name and number.
    tables: BTreeMap<String, i64>,
    /// Of columns: number and table's number.
    columns: Vec<Vec<i64>>,
    /// Of indexes: number and table's number.
    indexes: Vec<Vec<i64>>,
    /// Of rows: number and table's number.
    log: Vec<Vec<i64>>,
    /// The tables that the catalog has.
    found: BTreeMap<String, Table>,
}

/// Runs a query; a table that is gone since the snapshot, or was replaced, is for another try.
fn ask(client: &mut Client, sql: &str) -> Result<Vec<Vec<Value>>, Refusal> {
    client.attempt(sql).map_err(|error| match error.state {
        SqlState::UndefinedTable => Refusal::Retry,
        _ => Refusal::from(error),
    })
}

fn numbers(client: &mut Client, sql: &str) -> Result<Vec<Vec<i64>>, Refusal> {
    let rows = ask(client, sql)?;
    rows.iter().map(|row| row.iter().map(integer).collect()).collect()
}

fn names(client: &mut Client, sql: &str) -> Result<Vec<String>, Refusal> {
    let rows = ask(client, sql)?;
    rows.iter().map(|row| Ok(text(&row[0])?.to_owned())).collect()
}

/// Reads everything in a transaction with those modes.
pub(super) fn read(client: &mut Client, modes: &str) -> Result<View, Refusal> {
    client.transaction(modes, |client| {
        let mut view = View {
            columns: numbers(client, "SELECT number, tid FROM columns ORDER BY number")?,
            indexes: numbers(client, "SELECT number, tid FROM indexes ORDER BY number")?,
            log: numbers(client, "SELECT id, tid FROM log ORDER BY id")?,
            ..View::default()
        };
        for row in ask(client, "SELECT name, tid FROM tables")? {
            view.tables.insert(text(&row[0])?.to_owned(), integer(&row[1])?);
        }
        let all = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname ~ '^u[0-9]$'";
        for name in names(client, all)? {
            let table = read_table(client, &name)?;
            view.found.insert(name, table);
        }
        Ok(view)
    })
}

fn read_table(client: &mut Client, name: &str) -> Result<Table, Refusal> {
    let columns = names(
        client,
        &format!(
            "SELECT attname::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
             WHERE relname = '{name}' AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ),
    )?;
    let indexes = names(
        client,
        &format!("SELECT indexname::text FROM pg_indexes WHERE tablename = '{name}'"),
    )?;
    let cell = |value: &Value| match value {
        Value::Null => Ok(None),
        value => integer(value).map(Some),
    };
    let rows = ask(client, &format!("SELECT * FROM {name} ORDER BY id"))?;
    let rows: Result<Vec<Vec<Option<i64>>>, Refusal> =
        rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let mut paths = [Vec::new(), Vec::new()];
    for (path, setting) in paths.iter_mut().zip(["on", "off"]) {
        client.script(&format!("SET LOCAL enable_indexscan = {setting}"))?;
        let by = format!(
            "SELECT id FROM {name} WHERE a > 1 UNION ALL SELECT -id FROM {name} WHERE a + 1 = 1"
        );
        *path = numbers(client, &format!("SELECT id FROM ({by}) AS both_ways ORDER BY 1"))?
            .iter()
            .map(|row| row[0])
            .collect();
    }
    let [by_index, by_scan] = paths;
    Ok(Table { columns, indexes: indexes.into_iter().collect(), rows: rows?, by_index, by_scan })
}

impl View {
    /// The numbers of the rows and tables that are there.
    pub(super) fn numbers(&self) -> BTreeSet<Number> {
        let rows = self.log.iter().map(|row| Number::Row(row[0]));
        rows.chain(self.tables.values().map(|tid| Number::Table(*tid))).collect()
    }

    /// Whether everything is as the books say.
    pub(super) fn check(&self) -> Result<(), String> {
        let listed: Vec<&String> = self.tables.keys().collect();
        let found: Vec<&String> = self.found.keys().collect();
        if listed != found {
            return Err(format!("the books have the tables {listed:?}, the catalog {found:?}"));
        }
        for (name, tid) in &self.tables {
            self.check_table(name, *tid).map_err(|what| format!("table {name}: {what}"))?;
        }
        let of_table = |row: &&Vec<i64>| !self.tables.values().any(|tid| *tid == row[1]);
        let books = [("columns", &self.columns), ("indexes", &self.indexes), ("rows", &self.log)];
        for (what, book) in books {
            if let Some(row) = book.iter().find(of_table) {
                return Err(format!("the books have {what} of a table that is not there: {row:?}"));
            }
        }
        Ok(())
    }

    fn of(&self, book: &[Vec<i64>], tid: i64) -> Vec<i64> {
        book.iter().filter(|row| row[1] == tid).map(|row| row[0]).collect()
    }

    fn check_table(&self, name: &str, tid: i64) -> Result<(), String> {
        let table = &self.found[name];
        let mut columns: BTreeSet<String> =
            ["id", "v", "a", "tid"].iter().map(|name| (*name).to_owned()).collect();
        columns.extend(self.of(&self.columns, tid).iter().map(|number| format!("x{number}")));
        if table.columns.iter().cloned().collect::<BTreeSet<_>>() != columns {
            return Err(format!("the books have the columns {columns:?}, it {:?}", table.columns));
        }
        let indexes: BTreeSet<String> =
            self.of(&self.indexes, tid).iter().map(|number| format!("i{number}")).collect();
        // The key's index keeps the name that it got from the table's first name.
        let is_made = |name: &&String| name.starts_with('i');
        let others: BTreeSet<String> = table.indexes.iter().filter(is_made).cloned().collect();
        if others != indexes || table.indexes.len() != indexes.len() + 1 {
            return Err(format!("the books have the indexes {indexes:?}, it {:?}", table.indexes));
        }
        let rows: Vec<Option<i64>> = table.rows.iter().map(|row| row[0]).collect();
        let log: Vec<Option<i64>> = self.of(&self.log, tid).into_iter().map(Some).collect();
        if rows != log {
            return Err(format!("the books have the rows {log:?}, it {rows:?}"));
        }
        for row in &table.rows {
            self.check_row(table, row, tid)?;
        }
        match table.by_index == table.by_scan {
            true => Ok(()),
            false => {
                Err(format!("by its indexes {:?}, by scan {:?}", table.by_index, table.by_scan))
            }
        }
    }

    fn check_row(&self, table: &Table, row: &[Option<i64>], tid: i64) -> Result<(), String> {
        if row.len() != table.columns.len() {
            return Err(format!("a row of {} columns: {row:?}", table.columns.len()));
        }
        for (column, value) in table.columns.iter().zip(row) {
            let expected = match column.as_str() {
                "id" | "a" => continue,
                "v" => row[0].map(|id| id * 7),
                "tid" => Some(tid),
                added => added[1..].parse().ok(),
            };
            if *value != expected {
                return Err(format!("{column} is {value:?} instead of {expected:?}: {row:?}"));
            }
        }
        Ok(())
    }
}
