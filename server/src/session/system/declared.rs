//! What system relations look like: `relations.txt` and `views.sql`, read once.
//!
//! A relation is a line `name oid kind`, where names outside of pg_catalog have their schema and the
//! kind is pg_class.relkind; `now` says that it knows no past, `key=c` that it is asked for by ranges of
//! its column c. Its columns follow, each a line `  name type` with perhaps ` = ` and what it holds
//! where nothing else is said; that is NULL otherwise. Names, identifiers and types of columns are
//! PostgreSQL 15's. A type that this build lacks is text, an array of one an array of text.
//!
//! A view's text follows its name in `views.sql`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use driftdb_query::{INFORMATION_SCHEMA, SYSTEM_SCHEMA, SystemRelation};
use driftdb_types::{DataType, Element, EvalContext, Value, parse_text};

const RELATIONS: &str = include_str!("relations.txt");
const VIEWS: &str = include_str!("views.sql");

/// A relation and what its rows hold where nobody says.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) definition: Arc<SystemRelation>,
    pub(super) kind: char,
    pub(super) blank: Vec<Value>,
}

/// Every relation.
pub(super) fn declared() -> &'static [Declared] {
    static DECLARED: OnceLock<Vec<Declared>> = OnceLock::new();
    DECLARED.get_or_init(|| {
        let views = views();
        let mut lines = RELATIONS.lines().peekable();
        let mut relations = Vec::new();
        while let Some(head) = lines.next() {
            let mut columns = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with("  ")) {
                columns.push(column(line));
            }
            relations.push(relation(head, columns, &views));
        }
        relations
    })
}

/// The declaration of a relation.
pub(super) fn declaration(relation: &SystemRelation) -> Option<&'static Declared> {
    declared().iter().find(|declared| declared.definition.oid == relation.oid)
}

/// The texts of views by their full names.
fn views() -> BTreeMap<&'static str, &'static str> {
    let sections = VIEWS.split("-- ").filter_map(|section| section.split_once('\n'));
    sections.map(|(name, text)| (name, text.trim())).collect()
}

fn relation(
    head: &'static str,
    columns: Vec<(&'static str, DataType, Value)>,
    views: &BTreeMap<&'static str, &'static str>,
) -> Declared {
    let mut words = head.split(' ');
    let full_name = words.next().unwrap_or_default();
    let oid = words.next().and_then(|oid| oid.parse().ok()).unwrap_or_default();
    let kind = words.next().and_then(|kind| kind.chars().next()).unwrap_or('r');
    let (mut has_history, mut key) = (true, None);
    for word in words {
        match word.strip_prefix("key=") {
            Some(name) => key = columns.iter().position(|column| column.0 == name),
            None => has_history = word != "now",
        }
    }
    let (schema, name) = match full_name.strip_prefix("information_schema.") {
        Some(name) => (INFORMATION_SCHEMA, name),
        None => (SYSTEM_SCHEMA, full_name),
    };
    let definition = SystemRelation {
        oid,
        schema,
        name,
        columns: columns.iter().map(|&(name, ty, _)| (name, ty)).collect(),
        key,
        has_history,
        view: views.get(full_name).copied(),
    };
    let blank = columns.into_iter().map(|(_, _, value)| value).collect();
    Declared { definition: Arc::new(definition), kind, blank }
}

/// `  name type = value`
fn column(line: &'static str) -> (&'static str, DataType, Value) {
    let (declared, value) = match line.split_once(" = ") {
        Some((declared, value)) => (declared, Some(value.trim_matches('\''))),
        None => (line, None),
    };
    let (name, ty) = declared.trim().split_once(' ').unwrap_or((declared.trim(), "text"));
    let ty = ty.trim();
    let known = DataType::all().find(|known| known.name() == ty && !known.is_pseudo());
    let is_array = ty.starts_with('_') || ty == "anyarray";
    let other = if is_array { DataType::Array(Element::Text) } else { DataType::Text };
    let ty = known.unwrap_or(other);
    let value = value.map_or(Value::Null, |text| typed(ty, text));
    (name, ty, value)
}

/// A value as the files write it.
pub(super) fn typed(ty: DataType, text: &str) -> Value {
    parse_text(ty, -1, text, &EvalContext::default()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_files_are_read_whole() {
        let relations = declared();
        assert_eq!(
            relations.len(),
            RELATIONS.lines().filter(|line| !line.starts_with("  ")).count()
        );
        let (mut oids, mut names, mut view_count) = (BTreeSet::new(), BTreeSet::new(), 0);
        for relation in relations {
            let definition = &relation.definition;
            assert!(definition.oid != 0, "{}", definition.name);
            assert!(oids.insert(definition.oid), "{}", definition.name);
            assert!(names.insert((definition.schema, definition.name)), "{}", definition.name);
            assert!(!definition.columns.is_empty(), "{}", definition.name);
            view_count += usize::from(definition.view.is_some());
        }
        assert_eq!(view_count, views().len());
    }

    #[test]
    fn blanks_are_of_their_types() {
        for line in RELATIONS.lines().filter(|line| line.contains(" = ")) {
            assert!(!column(line).2.is_null(), "{line}");
        }
    }
}
