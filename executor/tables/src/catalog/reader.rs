//! The binder's view of the catalog for one statement.

use std::sync::Arc;

use driftdb_concurrency::{LockMode, ReadAt, Store, Transaction};
use driftdb_env::planted;
use driftdb_query::{
    Acting, BOOTSTRAP_ROLE, Catalog, CatalogAt, Demand, INFORMATION_SCHEMA, IndexId, NameSpace,
    Object, ObjectId, ObjectKind, PUBLIC, Result, SYSTEM_SCHEMA, Schema, SqlError, Subject,
    SystemRelation, TEMPORARY, Table, TableId, is_temporary,
};
use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_types::SqlState;

use super::objects::{names_key, object_by_id, objects, objects_named};
use super::{
    CatalogStore, Knowing, Named, dropped_table, lookup, restore_point, table_by_id, tables,
};

/// See [`CatalogStore::reader`].
pub struct CatalogReader<'a> {
    shared: &'a CatalogStore,
    txn: &'a mut dyn Transaction,
    store: &'a dyn Store,
    own_changes: bool,
    used: Vec<(Arc<Table>, LockMode)>,
    /// The search path; `None`: [`PUBLIC`].
    path: Option<&'a [Box<str>]>,
    /// The schema of the session's temporary tables, if it may have any.
    temporary: Option<&'a str>,
    lend: Option<Lend<'a>>,
    is_asked: bool,
    /// Whose rights are asked for.
    role: u32,
    acting: Vec<Acting>,
}

/// Takes the definitions of all tables and objects as of the statement.
type Lend<'a> = Box<dyn FnOnce(Vec<Arc<Table>>, Vec<Arc<Object>>) + 'a>;

impl<'a> CatalogReader<'a> {
    pub(super) fn new(
        shared: &'a CatalogStore,
        txn: &'a mut dyn Transaction,
        store: &'a dyn Store,
        own_changes: bool,
    ) -> Self {
        let (path, temporary, lend, is_asked) = (None, None, None, false);
        let used = Vec::new();
        let (role, acting) = (BOOTSTRAP_ROLE, Vec::new());
        Self {
            shared,
            txn,
            store,
            own_changes,
            used,
            path,
            temporary,
            lend,
            is_asked,
            role,
            acting,
        }
    }

    /// Looks along a search path; the system's schema comes first, whether it is on it or not.
    #[must_use]
    pub fn on_path(self, path: &'a [Box<str>]) -> Self {
        Self { path: Some(path), ..self }
    }

    /// Looks for temporary tables first, in this schema.
    #[must_use]
    pub fn with_temporary(self, schema: Option<&'a str>) -> Self {
        Self { temporary: schema, ..self }
    }

    /// Asks for the rights of a role; without it, for nobody's.
    #[must_use]
    pub fn acting_as(self, role: u32) -> Self {
        Self { role, ..self }
    }

    /// A role with all that it is.
    fn acting_role(&mut self, role: u32) -> Result<&Acting> {
        let place = match self.acting.iter().position(|acting| acting.id == role) {
            Some(place) => place,
            None => {
                self.acting.push(Acting::of(role, &mut Knowing(self.txn))?);
                self.acting.len() - 1
            }
        };
        Ok(&self.acting[place])
    }

    /// Where a schema stands on the path.
    fn place(&self, schema: &str) -> Option<usize> {
        match self.path {
            Some(path) => path.iter().position(|on_path| **on_path == *schema),
            None => (schema == PUBLIC).then_some(0),
        }
    }

    /// What is found first: in the schema that is named, or else along the path.
    fn find<T>(
        &mut self,
        named: Option<&str>,
        mut find: impl FnMut(&mut Self, &str) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        match named {
            Some(TEMPORARY) => {
                return self.temporary.map_or(Ok(None), |schema| find(self, schema));
            }
            Some(named) if is_temporary(named) && self.temporary != Some(named) => {
                if find(self, named)?.is_none() {
                    return Ok(None);
                }
                let message = "cannot access temporary tables of other sessions";
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
            Some(named) => return find(self, named),
            None => {}
        }
        if let Some(temporary) = self.temporary
            && self.place(temporary).is_none()
            && let Some(found) = find(self, temporary)?
        {
            return Ok(Some(found));
        }
        let Some(path) = self.path else { return find(self, PUBLIC) };
        for schema in path {
            if let Some(found) = find(self, schema)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Names who is given the definitions of all tables and objects if the statement asks for them.
    #[must_use]
    pub fn lending(self, lend: impl FnOnce(Vec<Arc<Table>>, Vec<Arc<Object>>) + 'a) -> Self {
        Self { lend: Some(Box::new(lend)), ..self }
    }

    /// Whether the statement asks for the definitions.
    pub fn was_asked(&self) -> bool {
        self.is_asked
    }

    /// The tables that were looked up as of the statement, and how it must lock them to read them.
    pub fn into_used(self) -> Vec<(Arc<Table>, LockMode)> {
        self.used
    }

    fn note(&mut self, table: &Arc<Table>, mode: LockMode) {
        match self.used.iter_mut().find(|(used, _)| used.id == table.id) {
            Some((_, used)) => *used = mode.max(*used),
            None => self.used.push((Arc::clone(table), mode)),
        }
    }

    fn current_table(
        &mut self,
        schema: &str,
        name: &str,
        at: ReadAt,
    ) -> Result<Option<Arc<Table>>> {
        if self.own_changes {
            return self.read_table(schema, name, at);
        }
        let snapshot = self.txn.snapshot_ts();
        if let Some(known) = self.shared.cached(schema, name, snapshot) {
            return Ok(known);
        }
        let table = self.read_table(schema, name, at)?;
        self.shared.remember(schema, name, snapshot, table.clone());
        Ok(table)
    }

    /// The objects of a name in one schema.
    fn objects_in(
        &mut self,
        space: NameSpace,
        schema: &str,
        name: &str,
        at: CatalogAt,
    ) -> Result<Vec<Arc<Object>>> {
        if self.own_changes || at != CatalogAt::Statement {
            return objects_named(self.txn, space, schema, name, read_at(at));
        }
        let (key, snapshot) = (names_key(space, schema, name), self.txn.snapshot_ts());
        if let Some(known) = self.shared.cached_objects(&key, snapshot) {
            return Ok(known);
        }
        let found = objects_named(self.txn, space, schema, name, read_at(at))?;
        self.shared.remember_objects(key, snapshot, found.clone());
        Ok(found)
    }

    fn read_table(&mut self, schema: &str, name: &str, at: ReadAt) -> Result<Option<Arc<Table>>> {
        match lookup(self.txn, schema, name, at)? {
            Some(Named::Table(id)) => table_by_id(self.txn, id, at),
            _ => Ok(None),
        }
    }
}

fn read_at(at: CatalogAt) -> ReadAt {
    match at {
        CatalogAt::Statement => ReadAt::Statement,
        CatalogAt::AsOf(ts) => ReadAt::AsOf(ts),
    }
}

impl std::fmt::Debug for CatalogReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogReader").field("own_changes", &self.own_changes).finish()
    }
}

impl Catalog for CatalogReader<'_> {
    fn table(
        &mut self,
        schema: Option<&str>,
        name: &str,
        at: CatalogAt,
    ) -> Result<Option<Arc<Table>>> {
        let at = match at {
            CatalogAt::AsOf(ts) => {
                let is_of_now = planted!("tables.definition-of-now");
                let at = if is_of_now { ReadAt::Statement } else { ReadAt::AsOf(ts) };
                // Temporary tables have no past.
                let found = self.find(schema, |reader, schema| {
                    if is_temporary(schema) {
                        Ok(None)
                    } else {
                        reader.read_table(schema, name, at)
                    }
                });
                return found.map_err(|error| error.about_table(name));
            }
            CatalogAt::Statement => ReadAt::Statement,
        };
        let table = self.find(schema, |reader, schema| reader.current_table(schema, name, at))?;
        if let Some(table) = &table {
            self.note(table, LockMode::AccessShare);
        }
        Ok(table)
    }

    fn rows_are_locked(&mut self, table: &Arc<Table>) {
        self.note(table, LockMode::RowShare);
    }

    fn table_by_id(&mut self, id: TableId) -> Result<Option<Arc<Table>>> {
        table_by_id(self.txn, id, ReadAt::Statement)
    }

    fn index(&mut self, schema: Option<&str>, name: &str) -> Result<Option<(Arc<Table>, IndexId)>> {
        let at = ReadAt::Statement;
        self.find(schema, |reader, schema| match lookup(reader.txn, schema, name, at)? {
            Some(Named::Index(table, index)) => {
                Ok(table_by_id(reader.txn, table, at)?.map(|table| (table, index)))
            }
            _ => Ok(None),
        })
    }

    fn system_relation(
        &mut self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<SystemRelation>>> {
        if schema.is_some() {
            return Ok(self.shared.system_relation(schema, name));
        }
        if let Some(temporary) = self.temporary
            && self.place(temporary).is_none()
            && self.shared.system_relation(None, name).is_some()
            && lookup(self.txn, temporary, name, ReadAt::Statement)?.is_some()
        {
            return Ok(None);
        }
        for schema in [SYSTEM_SCHEMA, INFORMATION_SCHEMA] {
            let place = self.place(schema).or((schema == SYSTEM_SCHEMA).then_some(0));
            let Some(place) = place else { continue };
            let Some(found) = self.shared.system_relation(Some(schema), name) else { continue };
            // Behind schemas of users, what is there comes first.
            for before in self.path.unwrap_or_default().iter().take(place) {
                if lookup(self.txn, before, name, ReadAt::Statement)?.is_some() {
                    return Ok(None);
                }
            }
            return Ok(Some(found));
        }
        Ok(None)
    }

    fn schema(&mut self, name: &str, at: CatalogAt) -> Result<Option<Arc<Schema>>> {
        if let Some(schema) = Schema::of_system_named(name) {
            return Ok(Some(Arc::new(schema)));
        }
        let found = self.objects_in(NameSpace::Schema, "", name, at)?;
        let schema = |object: &Arc<Object>| Schema { id: object.id.0, name: object.name.clone() };
        Ok(found.first().map(schema).map(Arc::new))
    }

    fn is_asked(&mut self) -> Result<()> {
        self.is_asked = true;
        if let Some(lend) = self.lend.take() {
            lend(tables(self.txn, ReadAt::Statement)?, objects(self.txn, ReadAt::Statement)?);
        }
        Ok(())
    }

    fn time_of_restore_point(&mut self, name: &str) -> Result<Option<Timestamp>> {
        Ok(restore_point(self.txn, name, ReadAt::Statement)?.map(|point| point.at))
    }

    fn keyspaces_of_commit(&mut self, sequence: u64) -> Result<Option<Vec<KeyspaceId>>> {
        let notes = self.store.commits(sequence, sequence, 1)?;
        Ok(notes.into_iter().next().and_then(|note| note.keyspaces))
    }

    fn dropped_table(
        &mut self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<(Arc<Table>, Timestamp)>> {
        self.find(schema, |reader, schema| dropped_table(reader.txn, schema, name))
    }

    fn tables(&mut self, at: CatalogAt) -> Result<Vec<Arc<Table>>> {
        tables(self.txn, read_at(at))
    }

    fn objects_named(
        &mut self,
        space: NameSpace,
        schema: Option<&str>,
        name: &str,
        at: CatalogAt,
    ) -> Result<Vec<Arc<Object>>> {
        if matches!(
            space,
            NameSpace::Schema | NameSpace::Comment | NameSpace::Role | NameSpace::Privileges
        ) {
            return self.objects_in(space, "", name, at);
        }
        let found = self.find(schema, |reader, schema| {
            let found = reader.objects_in(space, schema, name, at)?;
            Ok((!found.is_empty()).then_some(found))
        })?;
        Ok(found.unwrap_or_default())
    }

    fn object_by_id(&mut self, id: ObjectId, at: CatalogAt) -> Result<Option<Arc<Object>>> {
        object_by_id(self.txn, id, read_at(at))
    }

    fn objects(&mut self, at: CatalogAt) -> Result<Vec<Arc<Object>>> {
        objects(self.txn, read_at(at))
    }

    fn acting(&mut self) -> Result<Option<u32>> {
        // Mostly it is this one.
        if self.role == BOOTSTRAP_ROLE {
            return Ok(None);
        }
        let role = self.role;
        Ok((!self.acting_role(role)?.is_superuser).then_some(role))
    }

    fn demand(&mut self, role: u32, demand: &Demand) -> Result<()> {
        if role == BOOTSTRAP_ROLE {
            return Ok(());
        }
        let acting = self.acting_role(role)?.clone();
        super::demand(&acting, demand, &mut Knowing(self.txn))
    }

    fn owner_of(&mut self, subject: Subject) -> Result<u32> {
        let found =
            self.objects_in(NameSpace::Privileges, "", &subject.name(), CatalogAt::Statement)?;
        Ok(match found.first().map(|object| &object.kind) {
            Some(ObjectKind::Privileges(privileges)) => privileges.owner,
            _ => subject.first_owner(),
        })
    }

    fn time_of_sequence(&mut self, sequence: u64) -> Result<Timestamp> {
        Ok(self.store.timestamp_of_sequence(sequence)?)
    }
}
