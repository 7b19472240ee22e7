//! `pg_get_keywords()`: the words of the grammar, as PostgreSQL 15 has them.
//!
//! `keywords.txt` has a line for each: the word, its category (U, C, T, R), and whether it may be a bare
//! label.

use driftdb_query::{Expr, LogicalPlan, OutputColumn, Result};
use driftdb_types::{DataType, Value};
use sqlparser::ast;

use super::Binder;
use super::from::{Aliased, item};
use super::scope::{FromItem, Named};
use super::target::NO_META;

/// Its name.
pub(crate) const KEYWORDS: &str = "pg_get_keywords";

const WORDS: &str = include_str!("keywords.txt");

const COLUMNS: [(&str, DataType); 5] = [
    ("word", DataType::Text),
    ("catcode", DataType::Char),
    ("barelabel", DataType::Bool),
    ("catdesc", DataType::Text),
    ("baredesc", DataType::Text),
];

impl Binder<'_> {
    /// The function in FROM.
    pub(crate) fn keywords_item(&mut self, alias: Option<&ast::TableAlias>) -> Result<FromItem> {
        let mut columns = Vec::with_capacity(COLUMNS.len());
        let mut named = Vec::with_capacity(COLUMNS.len());
        for (name, ty) in COLUMNS {
            let id = self.column_id();
            self.meta.insert(id, NO_META);
            columns.push(OutputColumn { id, ty });
            named.push(Named { name: name.to_owned(), expr: Expr::Column { id, ty } });
        }
        let rows = WORDS.lines().filter_map(row).collect();
        let plan = LogicalPlan::Values { columns, rows };
        item(plan, named, Aliased { alias, own: KEYWORDS.to_owned(), schema: None }, None, None)
    }
}

fn row(line: &str) -> Option<Vec<Expr>> {
    let mut words = line.split(' ');
    let (word, category, bare) = (words.next()?, words.next()?, words.next()? == "t");
    let described = match category {
        "U" => "unreserved",
        "C" => "unreserved (cannot be function or type name)",
        "T" => "reserved (can be function or type name)",
        _ => "reserved",
    };
    let label = if bare { "can be bare label" } else { "requires AS" };
    let values = [
        Value::text(word),
        Value::Char(*category.as_bytes().first()?),
        Value::Bool(bare),
        Value::text(described),
        Value::text(label),
    ];
    Some(values.into_iter().zip(COLUMNS).map(|(v, (_, ty))| Expr::constant(v, ty)).collect())
}
