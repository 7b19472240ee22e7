//! Changing definitions: tables and indexes come, change and go inside a transaction.
//!
//! Each change locks the table, mostly alone, so it waits for transactions that write rows of the
//! table and they wait for it; and it claims the definition. It then works on what is there now ([`ReadAt::Newest`]): rows that
//! committed while it waited are carried over, too. A change of a table's key, TRUNCATE and a new
//! index give new keyspaces; the old ones stay readable for earlier times.

mod add_index;
mod alter;
mod comment;
mod dependents;
mod fill;
mod foreign;
mod materialized;
mod object;
mod period;
mod rewrite;
pub(crate) mod roles;
pub(crate) mod schema;
mod sequence;
mod terms;
mod trigger;
mod undrop;
mod user_type;

use std::sync::Arc;

use driftdb_concurrency::{
    Counter, LockIntent, LockMode, LockObject, LockStrength, ReadAt, Store, Transaction, WaitPolicy,
};
use driftdb_query::{
    Check, Column, ColumnId, ConstraintSpec, CreateTable, DropObjects, Generated, Index,
    IndexColumn, IndexId, Result, RowKey, Securable, SqlError, Subject, Table, TableId, TablePart,
};
use driftdb_storage::KeyspaceId;
use driftdb_types::{EvalContext, SqlState, Value};

pub use add_index::create_index;
pub use alter::alter_table;
pub use comment::set_comment;
pub use dependents::{Thing, drop_all};
pub use foreign::told;
pub use materialized::empty_materialized;
pub use object::{create_object, rename_object, replace_object};
pub use roles::run_role_statement;
pub use schema::{drop_schemas, move_table, rename_schema, tables_in};
pub use sequence::{alter_sequence, create_sequence};
pub use terms::{NoTerms, Terms};
pub use trigger::{create_trigger, enable_triggers, triggers_of};
pub use undrop::{undrop_references, undrop_table};
pub use user_type::change_type;
pub(crate) use user_type::{note_types, refuse_own_rows};

use crate::catalog::{
    Named, TABLES, claim_name, delete_name, lock_table, put_name, put_table, set_retention,
    table_by_id, table_key,
};

/// What a definition change works on.
pub struct DdlContext<'a> {
    /// The transaction.
    pub txn: &'a mut dyn Transaction,
    /// Gives out identifiers.
    pub store: &'a dyn Store,
    /// Session and time.
    pub eval: &'a EvalContext,
    /// Whoever computes what indexes on expressions are about.
    pub terms: Box<dyn Terms + 'a>,
}

impl std::fmt::Debug for DdlContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DdlContext")
    }
}

impl DdlContext<'_> {
    fn new_object_id(&self) -> Result<u32> {
        let id = self.store.unique_ids(Counter::ObjectId, 1)?;
        u32::try_from(id).map_err(|_| exhausted("object identifiers"))
    }

    /// A new keyspace, in being from this transaction on.
    fn new_keyspace(&mut self) -> Result<KeyspaceId> {
        let id = self.store.unique_ids(Counter::Keyspace, 1)?;
        let space = KeyspaceId(u32::try_from(id).map_err(|_| exhausted("keyspaces"))?);
        self.txn.create_keyspace(space)?;
        Ok(space)
    }

    /// Locks a table alone and gives its definition as of now.
    fn take(&mut self, table: &Table) -> Result<Table> {
        self.take_in(table, LockMode::AccessExclusive)
    }

    /// Locks a table, claims its definition, and gives that as of now.
    fn take_in(&mut self, table: &Table, mode: LockMode) -> Result<Table> {
        let wait = WaitPolicy::Wait(None);
        lock_table(self.txn, table, mode, wait)?;
        let (strength, intent) = (LockStrength::Update, LockIntent::Existing);
        self.txn.lock(TABLES, &table_key(table.id), strength, intent, wait)?;
        match table_by_id(self.txn, table.id, ReadAt::Newest)? {
            Some(table) => Ok(Arc::unwrap_or_clone(table)),
            None => Err(undefined_table(&table.name)),
        }
    }

    /// As [`Self::take`], by identity.
    fn take_id(&mut self, id: TableId) -> Result<Table> {
        let undefined = || undefined_table(&format!("with OID {}", id.0));
        self.try_take_id(id)?.ok_or_else(undefined)
    }

    /// As [`Self::take_id`]; `None` if it is gone.
    fn try_take_id(&mut self, id: TableId) -> Result<Option<Table>> {
        let (intent, wait) = (LockIntent::Existing, WaitPolicy::Wait(None));
        self.txn.lock_object(LockObject::Table(id.0), LockMode::AccessExclusive, wait)?;
        self.txn.lock(TABLES, &table_key(id), LockStrength::Update, intent, wait)?;
        Ok(table_by_id(self.txn, id, ReadAt::Newest)?.map(Arc::unwrap_or_clone))
    }

    fn name_is_free(&mut self, schema: &str, name: &str) -> Result<bool> {
        Ok(claim_name(self.txn, schema, name)?.is_none())
    }
}

fn exhausted(what: &str) -> SqlError {
    SqlError::new(SqlState::ProgramLimitExceeded, format!("out of {what}"))
}

fn undefined_table(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedTable, format!("relation \"{name}\" does not exist"))
}

fn duplicate_relation(name: &str) -> SqlError {
    SqlError::new(SqlState::DuplicateTable, format!("relation \"{name}\" already exists"))
}

/// Creates a table; `None` if it exists and IF NOT EXISTS was said.
///
/// # Errors
/// 42P07 for a name that is taken; storage.
pub fn create_table(cx: &mut DdlContext<'_>, spec: &CreateTable) -> Result<Option<Arc<Table>>> {
    cx.hold_schema(&spec.schema)?;
    if !cx.name_is_free(&spec.schema, &spec.name)? {
        return if spec.if_not_exists { Ok(None) } else { Err(duplicate_relation(&spec.name)) };
    }
    let columns = spec.columns.iter().zip(1..).map(|(column, id)| Column {
        id: ColumnId(id),
        name: column.name.clone(),
        ty: column.ty,
        typmod: column.typmod,
        not_null: column.not_null,
        default: column.default.clone(),
        missing: Value::Null,
        generated: column.stored.clone().map(Generated::Stored),
    });
    let mut table = Table {
        id: TableId(cx.new_object_id()?),
        schema: spec.schema.clone(),
        name: spec.name.clone(),
        keyspace: cx.new_keyspace()?,
        key: RowKey::RowId,
        columns: columns.collect(),
        dropped_columns: 0,
        indexes: Vec::new(),
        terms: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
        row_count: None,
        period: None,
        needs: Vec::new(),
    };
    if let Some(period) = &spec.period {
        period::add(&mut table, period)?;
    }
    put_name(cx.txn, &table.schema, &table.name, Named::Table(table.id))?;
    for (position, column) in spec.columns.iter().enumerate() {
        sequence::add_to_column(cx, &mut table, position, column.sequence.as_ref(), &column.needs)?;
    }
    // Keys first: a foreign key may rely on one of the same table.
    let (keys, others): (Vec<_>, Vec<_>) = spec
        .constraints
        .iter()
        .partition(|constraint| !matches!(constraint, ConstraintSpec::ForeignKey(_)));
    for constraint in keys.into_iter().chain(others) {
        add_empty_constraint(cx, &mut table, constraint)?;
    }
    cx.txn.lock(
        TABLES,
        &table_key(table.id),
        LockStrength::Update,
        LockIntent::Insert,
        WaitPolicy::Wait(None),
    )?;
    if spec.retention.is_some() {
        set_retention(cx.txn, &table, spec.retention)?;
    }
    hold_types(cx, &mut table)?;
    if let Some(spec) = &spec.materialized {
        materialized::attach(cx, &mut table, spec)?;
    }
    put_table(cx.txn, &table)?;
    roles::own_new(cx, Subject::whole(Securable::Table, table.id.0))?;
    Ok(Some(Arc::new(table)))
}

/// Notes what types a table's columns need, and holds what was not needed before.
fn hold_types(cx: &mut DdlContext<'_>, table: &mut Table) -> Result<()> {
    refuse_own_rows(table)?;
    let before = table.needs.clone();
    note_types(table);
    for needing in table.needs.iter().filter(|needing| !before.contains(needing)) {
        let (object, wait) = (LockObject::Table(needing.need.id), WaitPolicy::Wait(None));
        cx.txn.lock_object(object, LockMode::AccessShare, wait)?;
    }
    Ok(())
}

/// Adds a constraint to the definition of a table without rows.
fn add_empty_constraint(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    constraint: &ConstraintSpec,
) -> Result<()> {
    match constraint {
        // Of rows that are not there any condition holds.
        ConstraintSpec::Check { name, condition, no_inherit, .. } => {
            let check = Check { no_inherit: *no_inherit, ..Check::new(name, condition) };
            add_check(table, check)?;
        }
        ConstraintSpec::Unique { name, columns, deferral, extra } => {
            let columns = index_columns(table, columns)?;
            let keyspace = Some(cx.new_keyspace()?);
            let index = new_index(cx, table, name, columns, keyspace)?;
            let index = add_index::with_extra(table, index, extra)?;
            table.indexes.push(Index {
                unique: true,
                constraint: true,
                deferral: *deferral,
                ..index
            });
        }
        ConstraintSpec::PrimaryKey { name, columns, deferral, extra } => {
            let columns = primary_key_columns(table, columns)?;
            // A row cannot be found by a key that may repeat: such a key gets an index of its own.
            let keyspace = if deferral.is_deferrable() { Some(cx.new_keyspace()?) } else { None };
            let index = new_index(cx, table, name, columns, keyspace)?;
            let index = add_index::with_extra(table, index, extra)?;
            let deferral = *deferral;
            table.indexes.push(Index {
                unique: true,
                primary: true,
                constraint: true,
                deferral,
                ..index
            });
            if keyspace.is_none() {
                table.key = RowKey::Primary;
            }
        }
        ConstraintSpec::UsingIndex { .. } => {
            return Err(SqlError::internal("an index of a table that is about to be created"));
        }
        ConstraintSpec::ForeignKey(spec) => foreign::add_foreign_key(cx, table, spec)?,
    }
    Ok(())
}

fn add_check(table: &mut Table, check: Check) -> Result<()> {
    if table.checks.iter().any(|other| other.name == check.name) {
        return Err(duplicate_constraint(table, &check.name));
    }
    table.checks.push(check);
    Ok(())
}

fn duplicate_constraint(table: &Table, name: &str) -> SqlError {
    SqlError::new(
        SqlState::DuplicateObject,
        format!("constraint \"{name}\" for relation \"{}\" already exists", table.name),
    )
}

/// The columns of a primary key, which become NOT NULL.
fn primary_key_columns(table: &mut Table, names: &[String]) -> Result<Vec<IndexColumn>> {
    if table.primary_key().is_some() {
        return Err(SqlError::new(
            SqlState::InvalidTableDefinition,
            format!("multiple primary keys for table \"{}\" are not allowed", table.name),
        ));
    }
    let columns = index_columns(table, names)?;
    for column in &mut table.columns {
        column.not_null |= columns.iter().any(|key| key.column == column.id);
    }
    Ok(columns)
}

fn index_columns(table: &Table, names: &[String]) -> Result<Vec<IndexColumn>> {
    names
        .iter()
        .map(|name| match table.column(name) {
            Some((_, column)) => Ok(IndexColumn::new(column.id, false)),
            None => Err(SqlError::new(
                SqlState::UndefinedColumn,
                format!("column \"{name}\" named in key does not exist"),
            )),
        })
        .collect()
}

/// A new index under a claimed name, not yet part of the table's definition.
fn new_index(
    cx: &mut DdlContext<'_>,
    table: &Table,
    name: &str,
    columns: Vec<IndexColumn>,
    keyspace: Option<KeyspaceId>,
) -> Result<Index> {
    if !cx.name_is_free(&table.schema, name)? {
        return Err(duplicate_relation(name));
    }
    let id = IndexId(cx.new_object_id()?);
    put_name(cx.txn, &table.schema, name, Named::Index(table.id, id))?;
    Ok(Index::new(id, name, keyspace, columns))
}

/// Drops tables (with their indexes) and indexes; gives descriptions of what went with them.
///
/// # Errors
/// 2BP01 for an index that belongs to a constraint, and for what a foreign key of another table
/// needs, unless CASCADE was said; storage.
pub fn drop_objects(cx: &mut DdlContext<'_>, objects: &DropObjects) -> Result<Vec<String>> {
    let going: Vec<Thing> = objects.tables.iter().map(|table| Thing::Table(table.id)).collect();
    let mut dropped =
        if going.is_empty() { Vec::new() } else { drop_all(cx, &going, objects.cascade)? };
    for (table, id) in &objects.indexes {
        let mut table = cx.take(table)?;
        let Some(index) = table.index(*id).cloned() else { continue };
        if index.constraint {
            return Err(required_by_constraint(&table, &index));
        }
        dropped.extend(drop_needs_of_index(cx, &mut table, &index, objects.cascade)?);
        delete_name(cx.txn, &table.schema, &index.name)?;
        drop_keyspace(cx, index.keyspace)?;
        table.remove_index(index.id);
        table.needs.retain(|need| need.part != TablePart::Index(index.id));
        put_table(cx.txn, &table)?;
    }
    Ok(dropped)
}

fn drop_table(cx: &mut DdlContext<'_>, mut table: Table) -> Result<()> {
    while let Some(id) = table.foreign_keys.last().map(|key| key.id) {
        foreign::remove(cx, &mut table, id)?;
    }
    for index in &table.indexes {
        delete_name(cx.txn, &table.schema, &index.name)?;
        drop_keyspace(cx, index.keyspace)?;
    }
    delete_name(cx.txn, &table.schema, &table.name)?;
    cx.txn.drop_keyspace(table.keyspace)?;
    cx.txn.delete(TABLES, &table_key(table.id))?;
    Ok(())
}

/// Drops the foreign keys that rely on an index, or fails.
fn drop_needs_of_index(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    index: &Index,
    cascade: bool,
) -> Result<Vec<String>> {
    let dependents = foreign::dependents(cx, table, |key| key.referenced_index == index.id)?;
    let needed = format!("index {}", index.name);
    let object = if index.constraint {
        format!("constraint {} on table {}", index.name, table.name)
    } else {
        needed.clone()
    };
    foreign::drop_dependents(cx, table, dependents, cascade, &object, &needed)
}

fn required_by_constraint(table: &Table, index: &Index) -> SqlError {
    let (index, table) = (&index.name, &table.name);
    SqlError::new(
        SqlState::DependentObjectsStillExist,
        format!(
            "cannot drop index {index} because constraint {index} on table {table} requires it"
        ),
    )
    .with_hint(format!("You can drop constraint {index} on table {table} instead."))
}

fn drop_keyspace(cx: &mut DdlContext<'_>, space: Option<KeyspaceId>) -> Result<()> {
    if let Some(space) = space {
        cx.txn.drop_keyspace(space)?;
    }
    Ok(())
}

/// Empties tables: they get new keyspaces, earlier times keep the old ones. Gives the names of the
/// tables that were emptied because they refer to one that was.
///
/// # Errors
/// 0A000 for a table that another one refers to, unless that is emptied, too, or CASCADE was said;
/// storage.
pub fn truncate(
    cx: &mut DdlContext<'_>,
    tables: &[Arc<Table>],
    cascade: bool,
    restart: bool,
) -> Result<Vec<String>> {
    let mut emptied: Vec<Table> = Vec::new();
    for table in tables {
        if !emptied.iter().any(|other| other.id == table.id) {
            emptied.push(cx.take(table)?);
        }
    }
    let named = emptied.len();
    let mut next = 0;
    while next < emptied.len() {
        for id in emptied[next].referenced_by.clone() {
            if emptied.iter().any(|other| other.id == id) {
                continue;
            }
            let child = cx.take_id(id)?;
            if !cascade {
                return Err(referenced(&emptied[next], &child));
            }
            emptied.push(child);
        }
        next += 1;
    }
    let cascaded = emptied[named..].iter().map(|table| table.name.clone()).collect();
    for mut table in emptied {
        if restart {
            sequence::restart_of_table(cx, &table)?;
        }
        empty(cx, &mut table)?;
        put_table(cx.txn, &table)?;
    }
    Ok(cascaded)
}

fn referenced(table: &Table, child: &Table) -> SqlError {
    let (table, child) = (&table.name, &child.name);
    let message = "cannot truncate a table referenced in a foreign key constraint";
    SqlError::new(SqlState::FeatureNotSupported, message)
        .with_detail(format!("Table \"{child}\" references \"{table}\"."))
        .with_hint(format!(
            "Truncate table \"{child}\" at the same time, or use TRUNCATE ... CASCADE."
        ))
}

/// Gives a table new keyspaces, which its caller writes down.
fn empty(cx: &mut DdlContext<'_>, table: &mut Table) -> Result<()> {
    cx.txn.drop_keyspace(table.keyspace)?;
    table.keyspace = cx.new_keyspace()?;
    for index in table.indexes.iter_mut().filter(|index| index.keyspace.is_some()) {
        drop_keyspace(cx, index.keyspace)?;
        index.keyspace = Some(cx.new_keyspace()?);
    }
    table.row_count = None;
    Ok(())
}

/// Records what ANALYZE counted.
///
/// # Errors
/// Storage.
pub fn set_row_count(cx: &mut DdlContext<'_>, table: &Table, row_count: u64) -> Result<()> {
    let mut table = cx.take_in(table, LockMode::ShareUpdateExclusive)?;
    table.row_count = Some(row_count);
    put_table(cx.txn, &table)
}
