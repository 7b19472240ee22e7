//! What depends on what, and DROP with everything that must go along.
//!
//! Needs are kept with the one that needs, so the way back is found by reading all definitions once
//! per DROP: [`Graph`]. Foreign keys, and what lies in a schema, count as needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    ColumnId, ConstraintId, Given, IndexId, NameSpace, Object, ObjectId, ObjectKind, Result, Table,
    TableId, TablePart, is_temporary, need_of_type,
};
use driftdb_types::DataType;

use super::{DdlContext, alter, drop_keyspace, drop_table, foreign, object};
use crate::catalog::{delete_name, delete_object, delete_object_name, objects, put_table, tables};

/// Something that DROP drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A table.
    Table(TableId),
    /// A column of a table.
    Column(TableId, ColumnId),
    /// The default of a column.
    Default(TableId, ColumnId),
    /// An index of a table.
    Index(TableId, IndexId),
    /// A foreign key of a table.
    ForeignKey(TableId, ConstraintId),
    /// That a table has a trigger.
    HasTrigger(TableId, ObjectId),
    /// Another object.
    Object(ObjectId),
}

/// All definitions as of now.
struct Graph {
    tables: Vec<Arc<Table>>,
    objects: Vec<Arc<Object>>,
    /// Where tables are among them.
    places: BTreeMap<TableId, usize>,
    /// The names of relations that the search path leads to, and to which schema.
    visible: BTreeMap<String, Box<str>>,
    path: Arc<[Box<str>]>,
}

/// Something that must go, because something else does.
struct Dependent {
    thing: Thing,
    /// What it needs, as messages name it.
    needed: String,
    /// Whether it goes unasked.
    is_part: bool,
}

impl Graph {
    fn read(cx: &mut DdlContext<'_>) -> Result<Self> {
        let (tables, objects) = (tables(cx.txn, ReadAt::Newest)?, objects(cx.txn, ReadAt::Newest)?);
        let places = tables.iter().enumerate().map(|(place, table)| (table.id, place)).collect();
        let path = Arc::clone(&cx.eval.schemas);
        let mut visible = BTreeMap::<String, Box<str>>::new();
        for schema in path.iter() {
            let in_schema = tables.iter().filter(|table| *table.schema == **schema);
            let indexes = in_schema.clone().flat_map(|table| &table.indexes);
            let relations = objects.iter().filter(|object| {
                object.kind.name_space() == NameSpace::Relation && *object.schema == **schema
            });
            let names = in_schema.map(|table| &table.name);
            let names = names.chain(indexes.map(|index| &index.name));
            for name in names.chain(relations.map(|object| &object.name)) {
                visible.entry(name.clone()).or_insert_with(|| schema.clone());
            }
        }
        Ok(Self { tables, objects, places, visible, path })
    }

    fn table(&self, id: TableId) -> Option<&Arc<Table>> {
        self.places.get(&id).map(|place| &self.tables[*place])
    }

    /// The schema before a relation's name, where the search path does not lead to it.
    fn prefix(&self, schema: &str, name: &str) -> String {
        if is_temporary(schema) {
            return String::new();
        }
        match self.visible.get(name) {
            Some(visible) if **visible == *schema => String::new(),
            _ => format!("{schema}."),
        }
    }

    fn table_name(&self, id: TableId) -> String {
        self.table(id).map_or_else(
            || "?".to_owned(),
            |table| format!("{}{}", self.prefix(&table.schema, &table.name), table.name),
        )
    }

    fn describe_object(&self, object: &Object) -> String {
        let is_visible = match object.kind.name_space() {
            _ if object.schema.is_empty() => true,
            NameSpace::Relation => self.prefix(&object.schema, &object.name).is_empty(),
            // What is in a schema of the path is hardly ever hidden.
            _ => self.path.iter().any(|schema| **schema == *object.schema),
        };
        let described = object.describe();
        if is_visible {
            return described;
        }
        let word = object.kind.word();
        let rest = described.strip_prefix(word).unwrap_or(&described).trim_start();
        format!("{word} {}.{rest}", object.schema)
    }

    fn object(&self, id: ObjectId) -> Option<&Arc<Object>> {
        self.objects.iter().find(|object| object.id == id)
    }

    /// As PostgreSQL's messages name it.
    fn describe(&self, thing: Thing) -> String {
        let table = |id| self.table_name(id);
        let word = |id| self.table(id).map_or("table", |table| table.word());
        let column = |id, column: ColumnId| {
            let table = self.table(id)?;
            Some(table.columns[table.position(column)?].name.as_str())
        };
        match thing {
            Thing::Table(id) => format!("{} {}", word(id), table(id)),
            Thing::Column(id, at) => {
                let column = column(id, at).unwrap_or("?");
                format!("column {column} of {} {}", word(id), table(id))
            }
            Thing::Default(id, at) => {
                let column = column(id, at).unwrap_or("?");
                format!("default value for column {column} of table {}", table(id))
            }
            Thing::Index(id, index) => {
                let found = self.table(id).and_then(|table| Some((table, table.index(index)?)));
                found.map_or_else(
                    || "index ?".to_owned(),
                    |(table, index)| {
                        format!("index {}{}", self.prefix(&table.schema, &index.name), index.name)
                    },
                )
            }
            Thing::ForeignKey(id, key) => {
                let keys = self.table(id).map_or(&[][..], |table| &table.foreign_keys);
                let name = keys.iter().find(|other| other.id == key);
                let name = name.map_or("?", |key| key.name.as_str());
                format!("constraint {name} on table {}", table(id))
            }
            Thing::HasTrigger(id, _) => format!("trigger on table {}", table(id)),
            Thing::Object(id) => match self.object(id).map(|object| (object, &object.kind)) {
                Some((object, ObjectKind::Trigger(trigger))) => {
                    format!("trigger {} on table {}", object.name, table(trigger.table))
                }
                Some((object, _)) => self.describe_object(object),
                None => "?".into(),
            },
        }
    }

    /// What needs `thing` directly, and whether as a part of it.
    fn needing(&self, thing: Thing) -> Vec<(Thing, bool)> {
        let mut found = Vec::new();
        let (id, column) = match thing {
            Thing::Table(id) => (id.0, None),
            Thing::Column(id, column) => (id.0, Some(column)),
            Thing::Index(_, id) => (id.0, None),
            Thing::Object(id) => (id.0, None),
            // Nobody can need these.
            Thing::Default(..) | Thing::ForeignKey(..) | Thing::HasTrigger(..) => return found,
        };
        let meets = |need: &driftdb_query::Need| {
            need.id == id && (column.is_none() || need.column == column)
        };
        for object in &self.objects {
            let needs = object.needs.iter().filter(|need| meets(need));
            // The stronger bond counts: a part goes unasked.
            if let Some(is_part) = needs.map(|need| need.is_part).max() {
                found.push((of_object(object, id), is_part));
            } else if column.is_none() && names_type(object, id) {
                found.push((Thing::Object(object.id), false));
            }
        }
        for table in &self.tables {
            for needing in table.needs.iter().filter(|needing| meets(&needing.need)) {
                let thing = match needing.part {
                    TablePart::Column(id) => Thing::Column(table.id, id),
                    TablePart::Default(id) => Thing::Default(table.id, id),
                    TablePart::Index(id) => Thing::Index(table.id, id),
                    TablePart::Trigger => Thing::HasTrigger(table.id, ObjectId(needing.need.id)),
                    TablePart::Materialized | TablePart::Unpopulated => Thing::Table(table.id),
                };
                found.push((thing, needing.need.is_part));
            }
            let Thing::Table(dropped) = thing else { continue };
            if table.id != dropped {
                let keys = table.foreign_keys.iter().filter(|key| key.referenced == dropped);
                found.extend(keys.map(|key| (Thing::ForeignKey(table.id, key.id), false)));
            }
        }
        if let Thing::Object(id) = thing
            && let Some(schema) = self.object(id).filter(|object| object.kind == ObjectKind::Schema)
        {
            let tables = self.tables.iter().filter(|table| table.schema == schema.name);
            found.extend(tables.map(|table| (Thing::Table(table.id), false)));
            let objects = self.objects.iter().filter(|object| object.schema == schema.name);
            found.extend(objects.map(|object| (Thing::Object(object.id), false)));
        }
        found
    }

    /// The table that something belongs to.
    fn table_of(thing: Thing) -> Option<TableId> {
        match thing {
            Thing::Table(id)
            | Thing::Column(id, _)
            | Thing::Default(id, _)
            | Thing::Index(id, _)
            | Thing::ForeignKey(id, _)
            | Thing::HasTrigger(id, _) => Some(id),
            Thing::Object(_) => None,
        }
    }

    /// All that must go with `roots`, each after what it needs, otherwise in order of creation, as
    /// PostgreSQL has them (findDependentObjects).
    fn dependents(&self, roots: &[Thing]) -> Vec<Dependent> {
        let mut seen: BTreeSet<Thing> = roots.iter().copied().collect();
        let mut last_first: Vec<Dependent> = Vec::new();
        for root in roots {
            let mut path = vec![Visit::new(self, *root, None)];
            while let Some(visit) = path.last_mut() {
                let Some((thing, is_part)) = visit.ahead.pop() else {
                    last_first.extend(path.pop().and_then(|visit| visit.dependent));
                    continue;
                };
                let mut goes_anyhow =
                    Self::table_of(thing).is_some_and(|table| seen.contains(&Thing::Table(table)));
                if let Thing::Default(table, column) = thing {
                    goes_anyhow |= seen.contains(&Thing::Column(table, column));
                }
                if !goes_anyhow && seen.insert(thing) {
                    let needed = visit.described.clone();
                    let dependent = Dependent { thing, needed, is_part };
                    path.push(Visit::new(self, thing, Some(dependent)));
                }
            }
        }
        let mut found = last_first;
        found.reverse();
        // A table may have come after a part of it.
        found.retain(|dependent| {
            let table = Self::table_of(dependent.thing);
            let of_table = table.map(Thing::Table);
            of_table == Some(dependent.thing) || of_table.is_none_or(|t| !seen.contains(&t))
        });
        found
    }
}

/// What goes with what an object needs: of a materialized view all of it.
fn of_object(object: &Object, needed: u32) -> Thing {
    match &object.kind {
        ObjectKind::Materialized(it) if it.table.0 != needed => Thing::Table(it.table),
        _ => Thing::Object(object.id),
    }
}

/// Whether a function's or view's types are, or are of, what has an identifier.
fn names_type(object: &Object, id: u32) -> bool {
    let is_it = |ty: DataType| need_of_type(ty).is_some_and(|need| need.id == id);
    match &object.kind {
        ObjectKind::Routine(routine) => {
            let given = match routine.given {
                Given::Value(ty) => is_it(ty),
                _ => false,
            };
            given || routine.arguments.iter().any(|argument| is_it(argument.ty))
        }
        ObjectKind::View(view) => {
            object.id.0 != id && view.columns.iter().any(|column| is_it(column.ty))
        }
        _ => false,
    }
}

/// Something whose dependents are being looked at.
struct Visit {
    described: String,
    dependent: Option<Dependent>,
    /// The dependents that were not looked at, oldest first.
    ahead: Vec<(Thing, bool)>,
}

impl Visit {
    fn new(graph: &Graph, thing: Thing, dependent: Option<Dependent>) -> Self {
        let mut ahead = graph.needing(thing);
        ahead.sort_by_key(|(thing, _)| thing.oid());
        Self { described: graph.describe(thing), dependent, ahead }
    }
}

impl Thing {
    /// What tells the order of creation.
    fn oid(self) -> u32 {
        match self {
            Self::Table(id) | Self::Column(id, _) | Self::Default(id, _) => id.0,
            Self::Index(_, id) => id.0,
            Self::ForeignKey(_, id) => id.0,
            Self::Object(id) | Self::HasTrigger(_, id) => id.0,
        }
    }
}

/// Drops things and, if CASCADE was said, what depends on them; gives descriptions of what went along.
///
/// # Errors
/// 2BP01 for what something else needs, unless CASCADE was said; storage.
pub fn drop_all(cx: &mut DdlContext<'_>, roots: &[Thing], cascade: bool) -> Result<Vec<String>> {
    let dropped = drop_dependents_of(cx, roots, cascade)?;
    roots.iter().try_for_each(|root| drop_one(cx, *root))?;
    Ok(dropped)
}

/// As [`drop_all`], but leaves the things themselves to the caller.
pub(super) fn drop_dependents_of(
    cx: &mut DdlContext<'_>,
    roots: &[Thing],
    cascade: bool,
) -> Result<Vec<String>> {
    // Nobody comes to need what is locked alone.
    for root in roots {
        match *root {
            Thing::Object(id) => drop(object::take(cx, id)?),
            _ => {
                if let Some(id) = Graph::table_of(*root) {
                    cx.take_id(id)?;
                }
            }
        }
    }
    let graph = Graph::read(cx)?;
    let dependents = graph.dependents(roots);
    let asked: Vec<&Dependent> = dependents.iter().filter(|one| !one.is_part).collect();
    if !asked.is_empty() && !cascade {
        let line =
            |one: &&Dependent| format!("{} depends on {}", graph.describe(one.thing), one.needed);
        let lines: Vec<String> = asked.iter().map(line).collect();
        return Err(match roots {
            [root] => foreign::still_needed(&graph.describe(*root), &lines),
            _ => foreign::several_needed(&lines),
        });
    }
    let dropped = asked.iter().map(|one| graph.describe(one.thing)).collect();
    for dependent in dependents.iter().rev() {
        drop_one(cx, dependent.thing)?;
    }
    Ok(dropped)
}

/// Drops one thing, on which nothing depends any more.
fn drop_one(cx: &mut DdlContext<'_>, thing: Thing) -> Result<()> {
    match thing {
        Thing::Object(id) => {
            let object = object::take(cx, id)?;
            delete_object_name(cx.txn, &object)?;
            delete_object(cx.txn, id)
        }
        Thing::Table(id) => {
            let table = cx.take_id(id)?;
            drop_table(cx, table)
        }
        Thing::Column(id, column) => {
            let mut table = cx.take_id(id)?;
            let Some(position) = table.position(column) else { return Ok(()) };
            alter::drop_column(cx, &mut table, position, true)?;
            put_table(cx.txn, &table)
        }
        Thing::Default(id, column) => {
            let mut table = cx.take_id(id)?;
            let Some(position) = table.position(column) else { return Ok(()) };
            table.columns[position].default = None;
            table.needs.retain(|need| need.part != TablePart::Default(column));
            put_table(cx.txn, &table)
        }
        Thing::Index(id, index) => {
            let mut table = cx.take_id(id)?;
            let Some(index) = table.index(index).cloned() else { return Ok(()) };
            delete_name(cx.txn, &table.schema, &index.name)?;
            drop_keyspace(cx, index.keyspace)?;
            table.remove_index(index.id);
            table.needs.retain(|need| need.part != TablePart::Index(index.id));
            put_table(cx.txn, &table)
        }
        Thing::HasTrigger(id, trigger) => {
            let mut table = cx.take_id(id)?;
            let is_it = |needing: &driftdb_query::TableNeed| {
                needing.part == TablePart::Trigger && needing.need.id == trigger.0
            };
            table.needs.retain(|needing| !is_it(needing));
            put_table(cx.txn, &table)
        }
        Thing::ForeignKey(id, key) => {
            let mut table = cx.take_id(id)?;
            foreign::remove(cx, &mut table, key)?;
            put_table(cx.txn, &table)
        }
    }
}
