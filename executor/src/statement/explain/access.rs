//! What EXPLAIN shows of an access to a table.

use driftdb_concurrency::ReadAt;
use driftdb_query::{AccessPath, KeyBound, KeyBounds, TableAccess};
use driftdb_types::{Value, write_text};

use super::node::Node;
use super::plan::{Explainer, conjunction, on_table};

impl Explainer<'_> {
    /// The node of an access, with the names of its columns.
    pub(super) fn access(&mut self, access: &TableAccess) -> (Node, Vec<String>) {
        let table = &access.table;
        let column = |position: usize| {
            let name = &table.columns[position].name;
            if self.qualify { format!("{}.{name}", table.name) } else { name.clone() }
        };
        let key = access.with_key.then(|| "ctid".to_owned());
        let names: Vec<String> = key
            .into_iter()
            .chain(access.columns.iter().map(|&position| column(position)))
            .collect();
        let (index, bounds) = match &access.path {
            AccessPath::Table { bounds } => {
                let bounded = *bounds != KeyBounds::ALL;
                (if bounded { table.primary_key() } else { None }, bounds.clone())
            }
            AccessPath::Point { key } => {
                (table.primary_key(), KeyBounds { equal: key.clone(), ..KeyBounds::ALL })
            }
            AccessPath::Index { index, bounds } => (table.index(*index), bounds.clone()),
        };
        let direction = if access.reverse { " Backward" } else { "" };
        let mut node;
        if let Some(index) = index {
            node = on_table(&format!("Index Scan{direction}"), table);
            node.suffix = format!(" using {} on {}", index.name, table.name);
            node.facts.push(("Index Name", index.name.clone()));
            let keys: Vec<String> = index
                .columns
                .iter()
                .filter_map(|key| table.position(key.column))
                .map(column)
                .collect();
            let condition = self.bounds(&bounds, &keys, &mut node);
            if !condition.is_empty() {
                node.property("Index Cond", conjunction(condition));
            }
        } else {
            node = on_table(&format!("Seq Scan{direction}"), table);
        }
        if let ReadAt::AsOf(ts) = access.at {
            // Timestamps count from 1970, values from 2000.
            let micros = (ts.0 / 1000) as i64 - 946_684_800_000_000;
            let mut text = Vec::new();
            let value = Value::Timestamptz(micros);
            write_text(&value, value.data_type(), self.ctx, &mut text);
            node.property("As Of", String::from_utf8_lossy(&text));
        }
        if let Some(filter) = &access.filter {
            let text = self.expr(filter, &names, &mut node);
            node.property("Filter", text);
        }
        (node, names)
    }

    fn bounds(&mut self, bounds: &KeyBounds, keys: &[String], node: &mut Node) -> Vec<String> {
        let mut terms = Vec::new();
        for (expr, key) in bounds.equal.iter().zip(keys) {
            terms.push(format!("({key} = {})", self.expr(expr, &[], node)));
        }
        let ends = [(&bounds.lower, ">=", ">"), (&bounds.upper, "<=", "<")];
        if let Some(key) = keys.get(bounds.equal.len()) {
            for (bound, including, excluding) in ends {
                match bound {
                    KeyBound::Unbounded => {}
                    KeyBound::Included(expr) => {
                        terms.push(format!("({key} {including} {})", self.expr(expr, &[], node)));
                    }
                    KeyBound::Excluded(expr) => {
                        terms.push(format!("({key} {excluding} {})", self.expr(expr, &[], node)));
                    }
                }
            }
        }
        terms
    }
}
