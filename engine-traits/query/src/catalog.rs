//! What the binder and the planner know about tables: the read side of the catalog.

use std::sync::Arc;

use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_types::{DataType, Value};

use crate::{
    ApplicationPeriod, Demand, ForeignKey, Index, NameSpace, Object, ObjectId, PUBLIC, PUBLIC_ID,
    Result, Schema, Subject, SystemRelation, TableNeed, Term,
};

/// A table's object identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// An index's object identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u32);

/// A column's number within its table, from 1; never reused (pg_attribute.attnum).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId(pub u16);

/// As of when to look something up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogAt {
    /// As the running statement sees it, own DDL included.
    Statement,
    /// As it was.
    AsOf(Timestamp),
}

/// A table, as of some time. Immutable: DDL makes a new one.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its identity, the same through renames.
    pub id: TableId,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Where its rows are. TRUNCATE and a change of key give it a new one.
    pub keyspace: KeyspaceId,
    /// What its rows are keyed by.
    pub key: RowKey,
    /// The columns that are not dropped, in order of their numbers.
    pub columns: Vec<Column>,
    /// The highest number of a dropped column, or 0: numbers are never reused, or an old row's cell
    /// would show up in a new column.
    pub dropped_columns: u16,
    /// Its indexes, the primary key's included.
    pub indexes: Vec<Index>,
    /// The expressions that its indexes are about, predicates included.
    pub terms: Vec<Term>,
    /// Its CHECK constraints.
    pub checks: Vec<Check>,
    /// Its foreign keys, in order of creation.
    pub foreign_keys: Vec<ForeignKey>,
    /// The tables with foreign keys that refer to this one, in order; itself, too, if it has one.
    pub referenced_by: Vec<TableId>,
    /// Rows at the last ANALYZE; `None` if never.
    pub row_count: Option<u64>,
    /// Its application-time period.
    pub period: Option<ApplicationPeriod>,
    /// What parts of it need, keys of other tables aside.
    pub needs: Vec<TableNeed>,
}

/// What a table's rows are keyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKey {
    /// A hidden number, in order of insertion: eight bytes, big-endian.
    RowId,
    /// The primary key's columns: each through `driftdb_types::encode_key`.
    Primary,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its number, by which stored rows name it.
    pub id: ColumnId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
    /// Its type's modifier, or -1.
    pub typmod: i32,
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT, as SQL text to be bound where it is used.
    pub default: Option<String>,
    /// What rows hold that were written before the column was added.
    pub missing: Value,
    /// Where its values come from, if not from who writes rows.
    pub generated: Option<Generated>,
}

impl Column {
    /// Whether it is computed from the others (GENERATED … STORED).
    pub fn is_stored(&self) -> bool {
        matches!(self.generated, Some(Generated::Stored(_)))
    }
}

/// Where a column's values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Generated {
    /// GENERATED … AS IDENTITY: from a sequence.
    Identity {
        /// ALWAYS, not BY DEFAULT.
        always: bool,
        /// The sequence.
        sequence: u32,
    },
    /// GENERATED ALWAYS AS (…) STORED: an SQL text over the other columns.
    Stored(String),
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Its condition, as SQL text to be bound where it is used.
    pub condition: String,
    /// Whether all rows are known to satisfy it (not after NOT VALID).
    pub validated: bool,
    /// NO INHERIT, which is shown and changes nothing.
    pub no_inherit: bool,
}

impl Check {
    /// A CHECK that all rows satisfy.
    pub fn new(name: impl Into<String>, condition: impl Into<String>) -> Self {
        let (name, condition) = (name.into(), condition.into());
        Self { name, condition, validated: true, no_inherit: false }
    }
}

impl Table {
    /// The position and definition of a column by name.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }

    /// The position of a column by number.
    pub fn position(&self, id: ColumnId) -> Option<usize> {
        self.columns.iter().position(|column| column.id == id)
    }

    /// The positions of columns by number; `None` if one is not there.
    pub fn positions(&self, ids: &[ColumnId]) -> Option<Vec<usize>> {
        ids.iter().map(|id| self.position(*id)).collect()
    }

    /// The primary key, if there is one.
    pub fn primary_key(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| index.primary)
    }

    /// The identifier of a CHECK by its place: made of the table's, and beyond those that are given out.
    pub fn check_id(&self, place: usize) -> u32 {
        const FIRST: u32 = 1 << 31;
        const PER_TABLE: u32 = 64;
        FIRST | self.id.0.wrapping_mul(PER_TABLE).wrapping_add(place as u32)
    }

    /// An index by identity.
    pub fn index(&self, id: IndexId) -> Option<&Index> {
        self.indexes.iter().find(|index| index.id == id)
    }
}

/// Looks things up by name, as of some time.
pub trait Catalog {
    /// The table called `name`, in `schema` or else along the search path.
    ///
    /// # Errors
    /// Storage; a time outside of the promise.
    fn table(
        &mut self,
        schema: Option<&str>,
        name: &str,
        at: CatalogAt,
    ) -> Result<Option<Arc<Table>>>;

    /// A table by identity, as the running statement sees it.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn table_by_id(&mut self, id: TableId) -> Result<Option<Arc<Table>>>;

    /// The table that owns the index called `name`, and the index's identity.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn index(&mut self, schema: Option<&str>, name: &str) -> Result<Option<(Arc<Table>, IndexId)>>;

    /// The schema called `name`.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn schema(&mut self, name: &str, _at: CatalogAt) -> Result<Option<Arc<Schema>>> {
        let public = (name == PUBLIC).then(|| Schema { id: PUBLIC_ID, name: name.to_owned() });
        Ok(Schema::of_system_named(name).or(public).map(Arc::new))
    }

    /// The system relation called `name`, in `schema` or, without one, where the search path leads to
    /// it before it leads to a user's.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn system_relation(
        &mut self,
        _schema: Option<&str>,
        _name: &str,
    ) -> Result<Option<Arc<SystemRelation>>> {
        Ok(None)
    }

    /// A statement will lock rows of a table that was looked up.
    fn rows_are_locked(&mut self, _table: &Arc<Table>) {}

    /// The statement will ask what the catalog says as of it, in functions or by names of objects:
    /// from now on there is somebody who answers.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn is_asked(&mut self) -> Result<()> {
        Ok(())
    }

    /// The time of a restore point, if there is one of the name.
    ///
    /// # Errors
    /// Storage.
    fn time_of_restore_point(&mut self, _name: &str) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// The keyspaces in which commit `sequence` wrote keys; `None` if it does not say.
    ///
    /// # Errors
    /// Storage.
    fn keyspaces_of_commit(&mut self, _sequence: u64) -> Result<Option<Vec<KeyspaceId>>> {
        Ok(None)
    }

    /// The table that last lost a name by being dropped, and its last moment.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn dropped_table(
        &mut self,
        _schema: Option<&str>,
        _name: &str,
    ) -> Result<Option<(Arc<Table>, Timestamp)>> {
        Ok(None)
    }

    /// Every table as of some time, in order of creation.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn tables(&mut self, at: CatalogAt) -> Result<Vec<Arc<Table>>>;

    /// The objects called `name`, in `schema` or else in the first schema of the search path that has
    /// one; more than one only in a name space where names may repeat.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn objects_named(
        &mut self,
        _space: NameSpace,
        _schema: Option<&str>,
        _name: &str,
        _at: CatalogAt,
    ) -> Result<Vec<Arc<Object>>> {
        Ok(Vec::new())
    }

    /// An object by identity.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn object_by_id(&mut self, _id: ObjectId, _at: CatalogAt) -> Result<Option<Arc<Object>>> {
        Ok(None)
    }

    /// Every object, in order of creation.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn objects(&mut self, _at: CatalogAt) -> Result<Vec<Arc<Object>>> {
        Ok(Vec::new())
    }

    /// The role whose rights are asked for; `None`: it may do everything.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn acting(&mut self) -> Result<Option<u32>> {
        Ok(None)
    }

    /// Fails unless a role may do something now, whatever the time of the statement.
    ///
    /// # Errors
    /// 42501; as [`Catalog::table`].
    fn demand(&mut self, _role: u32, _demand: &Demand) -> Result<()> {
        Ok(())
    }

    /// Who owns something.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn owner_of(&mut self, subject: Subject) -> Result<u32> {
        Ok(subject.first_owner())
    }

    /// The time of commit sequence number `sequence` (`AS OF @SEQ:N`).
    ///
    /// # Errors
    /// There is no such number.
    fn time_of_sequence(&mut self, sequence: u64) -> Result<Timestamp>;
}
