//! The catalog's relations, computed from the definitions of tables as of a time.
//!
//! What has no identifier of its own gets one that is made of its table's: constraints that check rows
//! above 2^31, by their places among the table's checks; defaults by their places among all.

mod attribute;
mod class;
mod constraint;
mod depend;
mod index;
mod role;
mod routine;
mod sequence;
mod user_type;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use driftdb_concurrency::{Keep, ReadAt, Transaction};
use driftdb_query::{
    Check, Column, ForeignKey, Generated, Index, NameSpace, Object, ObjectKind, Result, Schema,
    Securable, SequenceDefinition, Subject, Table, TableId,
};
use driftdb_types::Value;

use super::rows::Rows;

/// The identifiers of the relations that other rows refer to.
pub(super) mod classes {
    pub(crate) const PG_CLASS: u32 = 1259;
    pub(crate) const PG_CONSTRAINT: u32 = 2606;
    pub(crate) const PG_ATTRDEF: u32 = 2604;
    pub(crate) const PG_NAMESPACE: u32 = 2615;
    pub(crate) const PG_REWRITE: u32 = 2618;
    pub(crate) const PG_PROC: u32 = 1255;
}

/// The access methods.
const HEAP: u32 = 2;
const BTREE: u32 = 403;
const HASH: u32 = 405;

/// Where the identifiers of defaults begin.
const FIRST_DEFAULT: u32 = 1 << 30;

/// The definitions of all tables and other objects as of a time.
#[derive(Debug, Default)]
pub(in crate::session) struct Definitions {
    pub(in crate::session) tables: Vec<Arc<Table>>,
    pub(in crate::session) objects: Vec<Arc<Object>>,
    pub(in crate::session) schemas: Vec<Schema>,
    /// The tables that keep their history for a time of their own.
    retentions: BTreeMap<TableId, Keep>,
    /// Made when something is first looked up.
    places: OnceLock<Places>,
    /// Where among the objects it is said whose something is.
    said: OnceLock<BTreeMap<Subject, usize>>,
}

/// Where things are among the tables.
#[derive(Debug, Default)]
struct Places {
    /// Tables, and what belongs to them and has an identifier.
    tables: BTreeMap<u32, usize>,
    /// Tables, indexes and other relations by schema and name.
    names: BTreeMap<(String, String), u32>,
}

/// A constraint of a table.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) enum Constraint<'a> {
    Key(&'a Index),
    Check(&'a Check),
    Foreign(&'a ForeignKey),
}

impl Constraint<'_> {
    pub(in crate::session) fn name(&self) -> &str {
        match self {
            Self::Key(index) => &index.name,
            Self::Check(check) => &check.name,
            Self::Foreign(key) => &key.name,
        }
    }
}

impl Definitions {
    /// Those of some tables and objects.
    pub(in crate::session) fn new(tables: Vec<Arc<Table>>, objects: Vec<Arc<Object>>) -> Self {
        let of_users = objects.iter().filter(|object| object.kind == ObjectKind::Schema);
        let of_users = of_users.map(|o| Schema { id: o.id.0, name: o.name.clone() });
        let schemas = Schema::of_system().into_iter().chain(of_users).collect();
        let retentions = BTreeMap::new();
        let (places, said) = (OnceLock::new(), OnceLock::new());
        Self { tables, objects, schemas, retentions, places, said }
    }

    /// Reads them.
    ///
    /// # Errors
    /// Storage; a time outside of the promise.
    pub(in crate::session) fn read(txn: &mut dyn Transaction, at: ReadAt) -> Result<Self> {
        let mut read =
            Self::new(driftdb_tables::tables(txn, at)?, driftdb_tables::objects(txn, at)?);
        read.retentions = driftdb_tables::table_retentions(txn, at)?;
        Ok(read)
    }

    /// What is said of objects: class, identifier, column, text.
    pub(in crate::session) fn comments(&self) -> impl Iterator<Item = (u32, u32, u16, &str)> {
        self.objects.iter().filter_map(|object| {
            let ObjectKind::Comment { subject, text } = &object.kind else { return None };
            let mut id = subject.id;
            if !subject.check.is_empty() {
                let mut of_domains = self.domain_checks();
                let is_it = |domain: u32, check: &str| domain == id && check == subject.check;
                if let Some(found) = of_domains.find(|one| is_it(one.1.id.0, &one.3.name)) {
                    return Some((subject.class, found.0, 0, text.as_str()));
                }
                let table = self.table(id)?;
                let place = table.checks.iter().position(|check| check.name == subject.check)?;
                id = table.check_id(place);
            }
            // What goes without its table leaves its comment behind.
            let is_there = self.places().tables.contains_key(&id)
                || self.objects.iter().any(|object| object.id.0 == id);
            is_there.then_some((subject.class, id, subject.column, text.as_str()))
        })
    }

    /// A schema by name.
    pub(in crate::session) fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.name == name)
    }

    /// The identifier of a schema.
    fn schema_oid(&self, name: &str) -> u32 {
        self.schema(name).map_or(0, |schema| schema.id)
    }

    fn places(&self) -> &Places {
        self.places.get_or_init(|| {
            let mut places = Places::default();
            for (place, table) in self.tables.iter().enumerate() {
                let mut name = |name: &str, oid: u32| {
                    places.tables.insert(oid, place);
                    places.names.insert((table.schema.clone(), name.to_owned()), oid);
                };
                name(&table.name, table.id.0);
                table.indexes.iter().for_each(|index| name(&index.name, index.id.0));
                for (oid, _) in constraints_of(table) {
                    places.tables.insert(oid, place);
                }
            }
            for object in &self.objects {
                if object.kind.name_space() == NameSpace::Relation {
                    let name = (object.schema.clone(), object.name.clone());
                    places.names.insert(name, object.id.0);
                }
            }
            places
        })
    }

    /// The table that has an identifier, or something of which has it.
    fn owner(&self, oid: u32) -> Option<&Arc<Table>> {
        self.places().tables.get(&oid).map(|place| &self.tables[*place])
    }

    /// A table by identity.
    pub(in crate::session) fn table(&self, oid: u32) -> Option<&Arc<Table>> {
        self.owner(oid).filter(|table| table.id == TableId(oid))
    }

    /// An object by identity: they are in that order.
    pub(in crate::session) fn object(&self, oid: u32) -> Option<&Arc<Object>> {
        let place = self.objects.binary_search_by_key(&oid, |object| object.id.0).ok()?;
        Some(&self.objects[place])
    }

    /// The sequences.
    fn sequences(&self) -> impl Iterator<Item = (&Object, &SequenceDefinition)> {
        self.objects.iter().filter_map(|object| match &object.kind {
            ObjectKind::Sequence(definition) => Some((&**object, definition)),
            _ => None,
        })
    }

    /// An index by identity, and its table.
    pub(in crate::session) fn index(&self, oid: u32) -> Option<(&Arc<Table>, &Index)> {
        let table = self.owner(oid)?;
        table.indexes.iter().find(|index| index.id.0 == oid).map(|index| (table, index))
    }

    /// A constraint by identity, and its table.
    pub(in crate::session) fn constraint(&self, oid: u32) -> Option<(&Table, Constraint<'_>)> {
        let table = self.owner(oid)?;
        constraints_of(table).find(|known| known.0 == oid).map(|known| (&**table, known.1))
    }

    /// A table or index by name.
    pub(in crate::session) fn named(&self, schema: &str, name: &str) -> Option<u32> {
        self.places().names.get(&(schema.to_owned(), name.to_owned())).copied()
    }

    /// Every constraint with its identifier and table.
    pub(in crate::session) fn constraints(
        &self,
    ) -> impl Iterator<Item = (u32, &Table, Constraint<'_>)> {
        self.tables.iter().flat_map(|table| {
            constraints_of(table).map(|(oid, constraint)| (oid, &**table, constraint))
        })
    }

    /// The columns with a default, each with the identifier that the default has.
    fn defaults(&self) -> impl Iterator<Item = (u32, &Table, &Column, &str)> {
        let columns = self.tables.iter().flat_map(|table| {
            table
                .columns
                .iter()
                .filter_map(move |column| Some((&**table, column, default_of(column)?)))
        });
        (FIRST_DEFAULT..)
            .zip(columns)
            .map(|(oid, (table, column, text))| (oid, table, column, text))
    }
}

/// A table's constraints with their identifiers.
fn constraints_of(table: &Table) -> impl Iterator<Item = (u32, Constraint<'_>)> {
    let keys = table.indexes.iter().filter(|index| index.constraint || index.primary);
    let keys = keys.map(|index| (index.constraint_id().0, Constraint::Key(index)));
    let checks = table.checks.iter().enumerate();
    let checks = checks.map(|(place, check)| (table.check_id(place), Constraint::Check(check)));
    let foreign = table.foreign_keys.iter();
    let foreign = foreign.map(|key| (key.id.0, Constraint::Foreign(key)));
    keys.chain(checks).chain(foreign)
}

/// A column's DEFAULT, or what it is generated from; a DEFAULT of NULL is none.
pub(in crate::session) fn default_of(column: &Column) -> Option<&str> {
    match &column.generated {
        Some(Generated::Stored(text)) => Some(text),
        _ => column.default.as_deref().filter(|text| !text.eq_ignore_ascii_case("null")),
    }
}

pub(super) use role::roles;

/// Whoever has the rows of a relation.
pub(super) type Source = fn(&Definitions, &mut Rows<'_>) -> Result<()>;

/// The source of a relation's rows, if they come from the definitions.
pub(super) fn source(relation: &str) -> Option<Source> {
    Some(match relation {
        "pg_namespace" => namespaces,
        "pg_description" => descriptions,
        "pg_class" => class::rows,
        "pg_attribute" => attribute::rows,
        "pg_attrdef" => attribute::defaults,
        "pg_index" => index::rows,
        "pg_indexes" => index::definitions,
        "pg_constraint" => constraint::rows,
        "pg_depend" => depend::rows,
        "pg_rewrite" => view::rules,
        "pg_sequence" => sequence::rows,
        "pg_type" => user_type::types,
        "pg_enum" => user_type::labels,
        "pg_proc" => routine::functions,
        "pg_trigger" => routine::triggers,
        "pg_auth_members" => role::members,
        _ => return None,
    })
}

fn descriptions(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns(["objoid", "classoid", "objsubid", "description"])?;
    definitions.comments().try_for_each(|(class, id, column, text)| {
        columns.add([
            Value::Oid(id),
            Value::Oid(class),
            Value::Int4(column.into()),
            Value::text(text),
        ])
    })
}

fn namespaces(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns(["oid", "nspname", "nspowner", "nspacl"])?;
    definitions.schemas.iter().try_for_each(|Schema { id, name }| {
        let subject = Subject::whole(Securable::Schema, *id);
        let (owner, list) = (definitions.owner_of(subject), definitions.list_of(subject)?);
        columns.add([Value::Oid(*id), Value::text(name.clone()), owner, list])
    })
}

/// A number of columns or of anything that a `smallint` counts.
fn small(count: usize) -> Value {
    Value::Int2(i16::try_from(count).unwrap_or(i16::MAX))
}
