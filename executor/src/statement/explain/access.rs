//! What EXPLAIN shows of an access to a table.

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    AccessPath, KeyBound, KeyBounds, Moment, Period, PeriodForm, Span, TableAccess, timestamptz_of,
};
use driftdb_storage::Timestamp;
use driftdb_types::{Value, write_text};

use super::node::Node;
use super::plan::{Explainer, conjunction, on_table};

impl Explainer<'_> {
    /// The node of an access, with the names of its columns.
    pub(super) fn access(&mut self, access: &TableAccess) -> (Node, Vec<String>) {
        let table = &access.table;
        let column = |position: usize| {
            let name = table.name_at(position);
            // An expression says itself whose columns it has.
            let is_named = position < table.columns.len();
            if self.qualify && is_named {
                format!("{}.{name}", table.name)
            } else {
                name.to_owned()
            }
        };
        let key = access.with_key.then(|| "ctid".to_owned());
        let names: Vec<String> = key
            .into_iter()
            .chain(access.columns.iter().map(|&position| column(position)))
            .chain(access.temporal.system.iter().map(|system| {
                let name = system.name();
                if self.qualify { format!("{}.{name}", table.name) } else { name.to_owned() }
            }))
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
                .filter_map(|key| table.place(key.column))
                .map(column)
                .collect();
            let condition = self.bounds(&bounds, &keys, &mut node);
            if !condition.is_empty() {
                node.property("Index Cond", conjunction(condition));
            }
        } else {
            node = on_table(&format!("Seq Scan{direction}"), table);
        }
        match (&access.temporal.span, access.at) {
            (Span::Once, ReadAt::AsOf(ts)) => node.property("As Of", self.time(ts)),
            (Span::Once, _) => {}
            (Span::Each(time), _) => {
                let text = self.expr(time, &[], &mut node);
                node.property("As Of Each", text);
            }
            (Span::Period(period), _) => node.property("Versions", self.period(period)),
        }
        if let Some(filter) = &access.filter {
            let text = self.expr(filter, &names, &mut node);
            node.property("Filter", text);
        }
        (node, names)
    }

    fn time(&self, ts: Timestamp) -> String {
        let mut text = Vec::new();
        let value = Value::Timestamptz(timestamptz_of(ts));
        write_text(&value, value.data_type(), self.ctx, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A stretch of time, as it is written.
    fn period(&self, period: &Period) -> String {
        let from = match period.from {
            Moment::BEGINNING => "-infinity".to_owned(),
            from => self.time(from.last),
        };
        let to = self.time(period.to.last);
        match period.form {
            PeriodForm::Between => format!("between {from} and {to}"),
            PeriodForm::FromTo => format!("from {from} to {to}"),
            PeriodForm::ContainedIn => format!("contained in ({from}, {to})"),
            PeriodForm::All => "all".to_owned(),
        }
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
