//! Views' queries as text.

use driftdb_query::{Marker, ObjectKind, View, expand};
use driftdb_sql::written_through;
use driftdb_types::{DataType, SqlState, Value, ValueError};

use super::super::system::{Definitions, relation_with_oid};
use super::Answering;
use super::definition::quoted;

impl Answering<'_> {
    /// `pg_get_viewdef`.
    pub(super) fn view_definition(&self, args: &[Value]) -> Result<Value, ValueError> {
        let oid = match &args[0] {
            Value::Text(name) => self.relation_oid(name)?,
            id => id.as_int().unwrap_or_default() as u32,
        };
        if let Some(text) = relation_with_oid(oid).and_then(|relation| relation.view) {
            return Ok(Value::text(format!("{text};")));
        }
        let Some(view) = self.definitions.view(oid) else {
            // PostgreSQL has no rule for it, and says nothing else.
            return Ok(Value::Null);
        };
        let is_pretty = match args.get(1) {
            None => false,
            Some(Value::Bool(pretty)) => *pretty,
            Some(_) => true,
        };
        let template = if is_pretty { &view.pretty } else { &view.shown };
        let shown = expand(template, &mut |marker| self.marked(marker));
        let text = shown.ok_or_else(|| {
            ValueError::new(SqlState::InternalError, "a view that names what is not there")
        })?;
        Ok(Value::text(format!("{text};")))
    }

    /// What a relation can be changed by: 4 for UPDATE, 8 for INSERT, 16 for DELETE.
    pub(super) fn updatable(&self, oid: u32, depth: u32) -> i32 {
        const ALL: i32 = 4 | 8 | 16;
        /// Views on views beyond this are taken for what is not changed.
        const DEEPEST: u32 = 100;
        if let Some(table) = self.definitions.table(oid) {
            return if table.materialized().is_some() { 0 } else { ALL };
        }
        let Some(view) = self.definitions.view(oid).filter(|_| depth < DEEPEST) else { return 0 };
        let full = |marker: Marker<'_>| match marker {
            Marker::Relation(id) if self.relation_name(id).is_some() => {
                let (schema, name) = self.relation_name(id)?;
                Some(format!("{}.{}", quoted(schema), quoted(name)))
            }
            marker => self.marked(marker),
        };
        let below = expand(&view.query, &mut { full }).and_then(|text| written_through(&text));
        let Some((schema, name, has_columns)) = below else { return 0 };
        let below = schema.and_then(|schema| self.definitions.named(&schema, &name));
        let below = below.map_or(0, |oid| self.updatable(oid, depth + 1));
        if has_columns { below } else { below & 16 }
    }

    fn marked(&self, marker: Marker<'_>) -> Option<String> {
        match marker {
            Marker::Relation(id) => {
                // A function or a type is no relation, and named in the same way.
                let kinds = [DataType::Regclass, DataType::Regproc, DataType::Regtype];
                kinds.into_iter().find_map(|kind| self.name(kind, id))
            }
            Marker::Name(id) => self.relation_name(id).map(|(_, name)| quoted(name)),
            Marker::Column(id, column) => {
                let table = self.definitions.table(id)?;
                Some(quoted(&table.columns[table.position(column)?].name))
            }
            Marker::Alias(id, column, name) => {
                let table = self.definitions.table(id)?;
                let is_called = table.columns[table.position(column)?].name == name;
                Some(if is_called { String::new() } else { format!(" AS {}", quoted(name)) })
            }
        }
    }
}

impl Definitions {
    /// A view by identity, materialized or not.
    pub(in crate::session) fn view(&self, oid: u32) -> Option<&View> {
        let materialized = self.table(oid).and_then(|table| table.materialized());
        let id = materialized.map_or(oid, |id| id.0);
        let object = self.objects.iter().find(|object| object.id.0 == id)?;
        match &object.kind {
            ObjectKind::View(view) => Some(view),
            ObjectKind::Materialized(it) => Some(&it.view),
            _ => None,
        }
    }
}
