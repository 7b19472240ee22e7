//! Which branches there are, and how they come and go.
//!
//! A record per branch in a keyspace of the store's own (docs/formats/branch.md), so that a branch is
//! made and dropped by one commit, and is there after a crash or not. Callers tell the store the pins:
//! [`Branches::pins`], with [`driftdb_concurrency::HistoryRules`].

use std::sync::Arc;

use driftdb_concurrency::{
    BeginOptions, Counter, LockIntent, LockStrength, Provenance, ReadAt, Result, Store,
    Transaction, TxnError, WaitPolicy,
};
use driftdb_env::sync::Mutex;
use driftdb_storage::{KeyRange, KeyspaceId, StorageError, Timestamp};

use super::{BranchStore, Point, for_each_row};

/// From name to record.
pub const BRANCHES: KeyspaceId = KeyspaceId(3);

/// How many branches may stand on one another: a read of what none of them changed asks each.
const MOST_LEVELS: usize = 8;

const VERSION: u8 = 1;
const RECORD_BYTES: usize = 17;
/// Stands for the database that is no branch.
const MAIN: KeyspaceId = KeyspaceId(0);

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// Its own keyspace, which also tells it from a later one of its name.
    pub keyspace: KeyspaceId,
    /// The own keyspace of the branch that it is a branch of, if it is of one.
    pub parent: Option<KeyspaceId>,
    /// As of when it inherits.
    pub at: Timestamp,
    /// The commit that made it.
    pub created: Timestamp,
}

/// A branch that is to be made.
#[derive(Debug, Clone)]
pub struct NewBranch<'a> {
    /// Its name.
    pub name: &'a str,
    /// The branch that it is to be of, if it is to be of one.
    pub parent: Option<&'a str>,
    /// As of when it inherits; `None`: of now.
    pub at: Option<Timestamp>,
}

/// Why a branch cannot be made, dropped or opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BranchError {
    /// Transactions and storage.
    #[error(transparent)]
    Txn(#[from] TxnError),
    /// The name is taken.
    #[error("branch \"{name}\" already exists")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is none of the name.
    #[error("branch \"{name}\" does not exist")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Others are branches of it.
    #[error("branch \"{name}\" has branches of its own")]
    HasBranches {
        /// The name.
        name: String,
        /// Those.
        branches: Vec<String>,
    },
    /// Too many branches stand on one another.
    #[error("branches cannot be nested more than {MOST_LEVELS} deep")]
    TooDeep,
}

impl From<StorageError> for BranchError {
    fn from(error: StorageError) -> Self {
        Self::Txn(error.into())
    }
}

type BranchResult<T> = std::result::Result<T, BranchError>;

/// The branches of a store.
pub struct Branches {
    base: Arc<dyn Store>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Branches {
    /// Those of a store that is itself no branch.
    pub fn new(base: Arc<dyn Store>) -> Self {
        Self { base, changing: Mutex::default() }
    }

    /// All of them by name, as any transaction of the database sees them.
    ///
    /// # Errors
    /// Storage; a malformed record.
    pub fn list(txn: &mut dyn Transaction, at: ReadAt) -> Result<Vec<Branch>> {
        let mut branches = Vec::new();
        let listed = for_each_row(txn, BRANCHES, KeyRange::ALL, at, &mut |row| {
            branches.push(decode(row.key, row.value.unwrap_or_default(), row.ts)?);
            Ok(())
        });
        match listed {
            // No branch was ever made.
            Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => Ok(Vec::new()),
            listed => listed.map(|()| branches),
        }
    }

    /// All of them, now.
    ///
    /// # Errors
    /// Storage; a malformed record.
    pub fn now(&self) -> Result<Vec<Branch>> {
        let options = BeginOptions { read_only: true, ..BeginOptions::default() };
        let mut txn = self.base.begin(options)?;
        Self::list(&mut *txn, ReadAt::Newest)
    }

    /// The times that the store must remember for the branches that there are.
    ///
    /// # Errors
    /// Storage; a malformed record.
    pub fn pins(&self) -> Result<Vec<Timestamp>> {
        Ok(self.now()?.into_iter().map(|branch| branch.at).collect())
    }

    /// A branch as a store.
    ///
    /// # Errors
    /// There is none of the name; storage.
    pub fn open(&self, name: &str) -> BranchResult<Arc<BranchStore>> {
        let all = self.now()?;
        let branch = named(&all, name)?;
        Ok(Arc::new(self.open_one(&all, branch)?))
    }

    fn open_one(&self, all: &[Branch], branch: &Branch) -> Result<BranchStore> {
        let mut parent = Arc::clone(&self.base);
        for ancestor in lineage(all, branch)?.into_iter().rev() {
            parent = Arc::new(BranchStore::open(Arc::clone(&self.base), parent, ancestor.point())?);
        }
        BranchStore::open(Arc::clone(&self.base), parent, branch.point())
    }

    /// Makes a branch. With it comes a reader that holds the branch's moment: to be kept until the store
    /// has been told the new [`Branches::pins`].
    ///
    /// # Errors
    /// The name is taken, the parent unknown, the time not remembered; storage.
    pub fn create(
        &self,
        new: &NewBranch<'_>,
        provenance: &Provenance,
    ) -> BranchResult<(Branch, Box<dyn Transaction>)> {
        let _turn = self.changing.lock();
        let all = self.now()?;
        let name = new.name.to_owned();
        if named(&all, new.name).is_ok() {
            return Err(BranchError::Exists { name });
        }
        let parent = new.parent.map(|parent| named(&all, parent)).transpose()?;
        let parent_store: Arc<dyn Store> = match parent {
            None => Arc::clone(&self.base),
            Some(parent) if lineage(&all, parent)?.len() + 2 > MOST_LEVELS => {
                return Err(BranchError::TooDeep);
            }
            Some(parent) => Arc::new(self.open_one(&all, parent)?),
        };
        let at = new.at.unwrap_or_else(|| self.base.newest());
        // A parent that began later is as it began.
        let at = match parent {
            Some(parent) if at < parent.created => at.min(parent.at),
            _ => at,
        };
        let held =
            parent_store.begin(BeginOptions { as_of: Some(at), ..BeginOptions::default() })?;
        // Only now, so that every keyspace of the parent's moment has a lower number.
        let keyspace = self.base.unique_ids(Counter::Keyspace, 1)?;
        let keyspace = KeyspaceId(u32::try_from(keyspace).map_err(|_| used_up())?);
        let mut txn = self.base.begin(BeginOptions::default())?;
        txn.begin_statement()?;
        if !exists(&mut *txn, BRANCHES)? {
            txn.create_keyspace(BRANCHES)?;
        }
        claim(&mut *txn, new.name)?;
        txn.create_keyspace(keyspace)?;
        let parent = parent.map(|parent| parent.keyspace);
        txn.put(BRANCHES, new.name.as_bytes(), &encode(keyspace, parent, at))?;
        txn.describe(provenance);
        let committed = txn.commit()?.commit.map(|commit| commit.ts);
        let created = committed.unwrap_or_else(|| self.base.newest());
        Ok((Branch { name, keyspace, parent, at, created }, held))
    }

    /// Drops a branch and with it what it had: its own keyspace, and those in `spaces`, which were made
    /// in it. Nobody may use it any more.
    ///
    /// # Errors
    /// There is none of the name; it has branches; storage.
    pub fn drop(
        &self,
        name: &str,
        spaces: &[KeyspaceId],
        provenance: &Provenance,
    ) -> BranchResult<()> {
        let _turn = self.changing.lock();
        let all = self.now()?;
        let branch = named(&all, name)?;
        let own = Some(branch.keyspace);
        let branches: Vec<String> = all
            .iter()
            .filter(|other| other.parent == own)
            .map(|other| other.name.clone())
            .collect();
        if !branches.is_empty() {
            return Err(BranchError::HasBranches { name: name.to_owned(), branches });
        }
        let mut txn = self.base.begin(BeginOptions::default())?;
        txn.begin_statement()?;
        claim(&mut *txn, name)?;
        txn.delete(BRANCHES, name.as_bytes())?;
        txn.drop_keyspace(branch.keyspace)?;
        for space in spaces {
            assert!(*space > branch.keyspace, "keyspace {space} was not made in the branch");
            txn.drop_keyspace(*space)?;
        }
        txn.describe(provenance);
        txn.commit()?;
        Ok(())
    }
}

impl Branch {
    fn point(&self) -> Point {
        Point { keyspace: self.keyspace, at: self.at, created: self.created }
    }
}

fn named<'a>(all: &'a [Branch], name: &str) -> BranchResult<&'a Branch> {
    let found = all.iter().find(|branch| branch.name == name);
    found.ok_or_else(|| BranchError::Unknown { name: name.to_owned() })
}

/// The branches that a branch stands on, nearest first.
fn lineage<'a>(all: &'a [Branch], branch: &'a Branch) -> Result<Vec<&'a Branch>> {
    let mut lineage = Vec::new();
    let mut next = branch.parent;
    while let Some(keyspace) = next {
        let found = all.iter().find(|branch| branch.keyspace == keyspace);
        // A parent's number is lower, so that no circle is possible; a damaged record may say anything.
        let found = found.filter(|_| lineage.len() < MOST_LEVELS);
        let parent = found.ok_or_else(|| {
            let what = format!("branch \"{}\" stands on no branch", branch.name);
            StorageError::corruption(format!("system keyspace {BRANCHES}"), 0, what)
        })?;
        lineage.push(parent);
        next = parent.parent;
    }
    Ok(lineage)
}

fn used_up() -> StorageError {
    StorageError::Internal("keyspace numbers are used up".into())
}

fn exists(txn: &mut dyn Transaction, space: KeyspaceId) -> Result<bool> {
    match txn.get(space, &[], ReadAt::Newest, &mut Vec::new()) {
        Ok(_) => Ok(true),
        Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

fn claim(txn: &mut dyn Transaction, name: &str) -> Result<()> {
    let wait = WaitPolicy::Wait(None);
    txn.lock(BRANCHES, name.as_bytes(), LockStrength::Update, LockIntent::Insert, wait)?;
    Ok(())
}

fn encode(keyspace: KeyspaceId, parent: Option<KeyspaceId>, at: Timestamp) -> [u8; RECORD_BYTES] {
    let mut bytes = [VERSION; RECORD_BYTES];
    bytes[1..5].copy_from_slice(&keyspace.0.to_le_bytes());
    bytes[5..9].copy_from_slice(&parent.unwrap_or(MAIN).0.to_le_bytes());
    bytes[9..].copy_from_slice(&at.0.to_le_bytes());
    bytes
}

/// The branch of a record, which was written at `created` and never since.
fn decode(name: &[u8], bytes: &[u8], created: Timestamp) -> Result<Branch> {
    let malformed = || {
        let what = format!("a record of {} bytes that this program does not read", bytes.len());
        StorageError::corruption(format!("system keyspace {BRANCHES}"), 0, what)
    };
    let record: &[u8; RECORD_BYTES] = bytes.try_into().map_err(|_| malformed())?;
    let number = |from: usize| {
        let bytes = [record[from], record[from + 1], record[from + 2], record[from + 3]];
        KeyspaceId(u32::from_le_bytes(bytes))
    };
    let (keyspace, parent) = (number(1), Some(number(5)).filter(|parent| *parent != MAIN));
    let low_half = u64::from(number(9).0);
    let at = Timestamp(low_half | u64::from(number(13).0) << 32);
    let name = String::from_utf8(name.to_vec()).map_err(|_| malformed())?;
    let is_sound = record[0] == VERSION
        && at < created
        && keyspace != MAIN
        && parent.is_none_or(|parent| parent < keyspace);
    if !is_sound {
        return Err(malformed().into());
    }
    Ok(Branch { name, keyspace, parent, at, created })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            name in prop::collection::vec(any::<u8>(), 0..8),
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            created in any::<u64>(),
        ) {
            if let Ok(branch) = decode(&name, &bytes, Timestamp(created)) {
                let record = encode(branch.keyspace, branch.parent, branch.at);
                prop_assert_eq!(&record[..], &bytes[..]);
            }
        }
    }

    /// docs/formats/branch.md, byte for byte.
    #[test]
    fn records_come_back_and_others_are_refused() {
        let (keyspace, at) = (KeyspaceId(0x0102_0304), Timestamp(0x1112_1314_1516_1718));
        let bytes = encode(keyspace, Some(KeyspaceId(1030)), at);
        let golden = [1, 4, 3, 2, 1, 6, 4, 0, 0, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11];
        assert_eq!(bytes, golden);
        let created = at.next();
        let parent = Some(KeyspaceId(1030));
        let branch = Branch { name: "b".into(), keyspace, parent, at, created };
        assert_eq!(decode(b"b", &bytes, created).unwrap(), branch);
        let of_main = decode(b"b", &encode(keyspace, None, at), created).unwrap();
        assert_eq!(of_main, Branch { parent: None, ..branch });
        decode(b"\xff", &bytes, created).unwrap_err();
        decode(b"b", &bytes[1..], created).unwrap_err();
        decode(b"b", &bytes, at).unwrap_err();
        decode(b"b", &encode(keyspace, Some(keyspace), at), created).unwrap_err();
        let mut newer = bytes;
        newer[0] = 2;
        decode(b"b", &newer, created).unwrap_err();
    }
}
