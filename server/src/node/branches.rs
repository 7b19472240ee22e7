//! The databases of a node: the one it has from the start, and the branches that are open.
//!
//! A branch is a [`Node`] of its own over a branch of the store. It is opened when the first session
//! wants it and kept for as long as any does; sessions hold it, so that nobody can be in a branch that is
//! being dropped.
//!
//! What the catalogs of all databases say of retention and pins is gathered here: the store is told the
//! whole whenever one of them changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use driftdb_concurrency::{
    BeginOptions, HistoryRules, Keep, Provenance, ReadAt, Store, Transaction,
};
use driftdb_env::sync::Mutex;
use driftdb_mvcc::{Branch, BranchError, BranchStore, Branches, NewBranch};
use driftdb_query::{Result, SqlError, Table};
use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_tables::CatalogStore;
use driftdb_types::SqlState;

use super::{DATABASE, Node, Place};
use crate::session::system;

/// The number of the database that is no branch; a branch has that of its own keyspace.
pub(crate) const MAIN_ID: u32 = 1;

/// What the main node knows of the branches.
pub(super) struct Databases {
    branches: Branches,
    open: Mutex<BTreeMap<String, Weak<Node>>>,
    /// What is told of each database. The latch is held while the store is told: what was read first must
    /// not be told last.
    rules: Mutex<BTreeMap<u32, Rules>>,
}

/// What one database wants to be remembered.
#[derive(Default)]
struct Rules {
    /// What its catalog says.
    of_catalog: HistoryRules,
    /// The moment that it inherits.
    inherits: Option<Timestamp>,
}

impl Databases {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { branches: Branches::new(store), open: Mutex::default(), rules: Mutex::default() }
    }
}

fn does_not_exist(name: &str) -> SqlError {
    let message = format!("database \"{name}\" does not exist");
    let hint = format!(
        "Databases are \"{DATABASE}\" and what SELECT name FROM driftdb_branches lists; \
         CREATE BRANCH makes one."
    );
    SqlError::new(SqlState::InvalidCatalogName, message).with_hint(hint)
}

fn in_use(name: &str) -> SqlError {
    let message = format!("database \"{name}\" is being accessed by other users");
    SqlError::new(SqlState::ObjectInUse, message)
}

fn branch_error(error: BranchError) -> SqlError {
    let message = error.to_string();
    match error {
        BranchError::Txn(error) => error.into(),
        BranchError::Exists { .. } => SqlError::new(SqlState::DuplicateDatabase, message),
        BranchError::Unknown { name } => does_not_exist(&name),
        BranchError::HasBranches { branches, .. } => {
            let of_it = format!("Branches of it: {}.", branches.join(", "));
            SqlError::new(SqlState::DependentObjectsStillExist, message)
                .with_detail(of_it)
                .with_hint("Drop those first.")
        }
        BranchError::TooDeep => SqlError::new(SqlState::ProgramLimitExceeded, message),
    }
}

impl Node {
    fn main(&self) -> &Self {
        match &self.place {
            Place::Main { .. } => self,
            Place::Branch(main) => main,
        }
    }

    fn databases(&self) -> &Databases {
        match &self.place {
            Place::Main { databases, .. } => databases,
            Place::Branch(main) => main.databases(),
        }
    }

    /// The database of a name, of those on this node.
    ///
    /// # Errors
    /// 3D000 if there is none; storage.
    pub fn database(self: &Arc<Self>, name: &str) -> Result<Arc<Self>> {
        let main = match &self.place {
            Place::Main { .. } => self,
            Place::Branch(main) => main,
        };
        if name == DATABASE {
            return Ok(Arc::clone(main));
        }
        let databases = main.databases();
        let mut open = databases.open.lock();
        if let Some(node) = open.get(name).and_then(Weak::upgrade) {
            return Ok(node);
        }
        let node = Arc::new(main.open_branch(main, name)?);
        open.retain(|_, node| node.strong_count() > 0);
        open.insert(name.to_owned(), Arc::downgrade(&node));
        Ok(node)
    }

    fn open_branch(&self, main: &Arc<Self>, name: &str) -> Result<Self> {
        let store = self.databases().branches.open(name).map_err(branch_error)?;
        let catalog = CatalogStore::open(&*store)?;
        Ok(Self {
            env: self.env.clone(),
            config: self.config.clone(),
            name: Arc::from(name),
            id: store.keyspace().0,
            store,
            catalog: Arc::new(catalog.with_system_relations(system::definitions())),
            planner: Arc::clone(&self.planner),
            registry: Arc::clone(&self.registry),
            timeouts: Arc::clone(&self.timeouts),
            place: Place::Branch(Arc::clone(main)),
        })
    }

    /// Makes a branch of a database.
    ///
    /// # Errors
    /// 42P04 for a name that is taken, 3D000 for a parent that is not there, 72000 for a time that is not
    /// remembered; storage.
    pub(crate) fn create_branch(&self, new: &NewBranch<'_>, provenance: &Provenance) -> Result<()> {
        if new.name == DATABASE {
            let name = DATABASE.to_owned();
            return Err(branch_error(BranchError::Exists { name }));
        }
        let parent = new.parent.filter(|parent| *parent != DATABASE);
        let new = NewBranch { parent, ..new.clone() };
        let databases = self.databases();
        let (branch, held) = databases.branches.create(&new, provenance).map_err(branch_error)?;
        let rules = Rules { inherits: Some(branch.at), ..Rules::default() };
        {
            let mut all = databases.rules.lock();
            all.insert(branch.keyspace.0, rules);
            self.main().tell_rules(&all);
        }
        drop(held);
        // It is made. If this fails, its catalog is followed from its next change on.
        drop(self.main().follow_branch(&branch));
        Ok(())
    }

    /// Drops a branch.
    ///
    /// # Errors
    /// 3D000 if it is not there, 55006 while a session is in it, 2BP01 if others are branches of it;
    /// storage.
    pub(crate) fn drop_branch(&self, name: &str, provenance: &Provenance) -> Result<()> {
        if name == &**self.name() {
            let message = "cannot drop the currently open database";
            return Err(SqlError::new(SqlState::ObjectInUse, message));
        }
        if name == DATABASE {
            let message = format!("database \"{DATABASE}\" is no branch and cannot be dropped");
            return Err(SqlError::new(SqlState::ObjectInUse, message));
        }
        let databases = self.databases();
        // Held to the end, so that nobody comes in meanwhile.
        let mut open = databases.open.lock();
        if open.get(name).is_some_and(|node| node.strong_count() > 0) {
            return Err(in_use(name));
        }
        let store = databases.branches.open(name).map_err(branch_error)?;
        let spaces = made_in(&store)?;
        databases.branches.drop(name, &spaces, provenance).map_err(branch_error)?;
        open.remove(name);
        let mut rules = databases.rules.lock();
        rules.remove(&store.keyspace().0);
        self.main().tell_rules(&rules);
        Ok(())
    }

    /// The branches, as of some time, as a transaction of any database sees them.
    ///
    /// # Errors
    /// Storage.
    pub(crate) fn branches(&self, txn: &mut dyn Transaction, at: ReadAt) -> Result<Vec<Branch>> {
        Ok(Branches::list(txn, at)?)
    }

    /// Tells the store what this database's catalog says of retention and pins, beside what the others
    /// say.
    ///
    /// # Errors
    /// Storage; the store then goes on with what it was told before.
    pub(crate) fn follow_history_rules(&self) -> Result<()> {
        let mut rules = self.databases().rules.lock();
        if rules.keys().any(|id| *id != self.id) {
            // The rules know of what was made until the oldest of them was read.
            drop(rules);
            return self.main().follow_every_rule();
        }
        let of_catalog = self.rules_of(&*self.store, self.id)?;
        rules.entry(self.id).or_default().of_catalog = of_catalog;
        self.main().tell_rules(&rules);
        Ok(())
    }

    /// Does the same for every database.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn follow_every_rule(&self) -> Result<()> {
        let databases = self.databases();
        {
            let mut rules = databases.rules.lock();
            let of_catalog = self.rules_of(&*self.store, MAIN_ID)?;
            rules.insert(MAIN_ID, Rules { of_catalog, inherits: None });
            for branch in databases.branches.now()? {
                let store = databases.branches.open(&branch.name).map_err(branch_error)?;
                let id = branch.keyspace.0;
                let of_catalog = self.rules_of(&*store, id)?;
                rules.insert(id, Rules { of_catalog, inherits: Some(branch.at) });
            }
            self.tell_rules(&rules);
        }
        Ok(())
    }

    fn follow_branch(&self, branch: &Branch) -> Result<()> {
        let databases = self.databases();
        let store = databases.branches.open(&branch.name).map_err(branch_error)?;
        let mut rules = databases.rules.lock();
        let id = branch.keyspace.0;
        // It may be gone again already.
        if let Some(of_branch) = rules.get_mut(&id) {
            of_branch.of_catalog = self.rules_of(&*store, id)?;
            self.tell_rules(&rules);
        }
        Ok(())
    }

    /// What a database's catalog says, as the store must be told it.
    fn rules_of(&self, store: &dyn Store, id: u32) -> Result<HistoryRules> {
        let options = BeginOptions { read_only: true, ..BeginOptions::default() };
        let mut txn = store.begin(options)?;
        let database = self.config.retention.map_or(Keep::Forever, Keep::For);
        let mut rules = driftdb_tables::history_rules(&mut *txn, database)?;
        if id != MAIN_ID {
            // What is inherited is the parent's to keep. What the branch has in front of it lies in one
            // keyspace, with its catalog.
            let own = KeyspaceId(id);
            let inherited = rules.by_keyspace.range(..own).map(|(_, keep)| *keep);
            let longest = inherited.fold(database, Keep::max);
            rules.by_keyspace.retain(|space, _| *space > own);
            if longest != database {
                rules.by_keyspace.insert(own, longest);
            }
        }
        Ok(rules)
    }

    fn tell_rules(&self, rules: &BTreeMap<u32, Rules>) {
        let mut all = HistoryRules::default();
        for rules in rules.values() {
            all.by_keyspace.extend(&rules.of_catalog.by_keyspace);
            all.pins.extend(rules.of_catalog.pins.iter().chain(&rules.inherits));
            let read_at = rules.of_catalog.read_at;
            all.read_at = [all.read_at, read_at].into_iter().flatten().min();
        }
        self.store.set_history_rules(all);
    }

    /// What is kept in the keyspaces of branches, as far as it can be read.
    pub(super) fn branch_keyspace_names(&self) -> BTreeMap<KeyspaceId, String> {
        let mut names = BTreeMap::new();
        let databases = self.databases();
        for branch in databases.branches.now().unwrap_or_default() {
            names.insert(branch.keyspace, format!("branch {}", branch.name));
            let Ok(store) = databases.branches.open(&branch.name) else { continue };
            for table in tables_of(&store).unwrap_or_default() {
                let what =
                    format!("table {}.{} of branch {}", table.schema, table.name, branch.name);
                let made = keyspaces(&table).filter(|space| *space > branch.keyspace);
                names.extend(made.map(|space| (space, what.clone())));
            }
        }
        names
    }
}

fn tables_of(store: &BranchStore) -> Result<Vec<Arc<Table>>> {
    let options = BeginOptions { read_only: true, ..BeginOptions::default() };
    let mut txn = store.begin(options)?;
    driftdb_tables::tables(&mut *txn, ReadAt::Newest)
}

fn keyspaces(table: &Table) -> impl Iterator<Item = KeyspaceId> {
    let indexes = table.indexes.iter().filter_map(|index| index.keyspace);
    [table.keyspace].into_iter().chain(indexes)
}

/// The keyspaces that were made in a branch and are still in use: what it dropped is dropped.
fn made_in(store: &BranchStore) -> Result<Vec<KeyspaceId>> {
    let tables = tables_of(store)?;
    let all = tables.iter().flat_map(|table| keyspaces(table));
    Ok(all.filter(|space| *space > store.keyspace()).collect())
}
