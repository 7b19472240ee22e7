//! Locks on what is not a key: tables, and numbers that applications agree on (advisory locks).
//!
//! They live in the same table as the locks on keys, so that a deadlock between a row, a table and an
//! advisory lock is one cycle in one graph. Modes and their conflicts are PostgreSQL's.

use std::fmt;
use std::time::Duration;

use driftdb_storage::KeyspaceId;

use crate::{CancelToken, LockStrength, Result, TxnId, WaitPolicy};

/// What listings call the database that is no branch.
const MAIN: u32 = 1;

/// What is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockObject {
    /// A table, by its object identifier.
    Table(u32),
    /// A number of the applications': the columns of `pg_locks`.
    Advisory {
        /// The upper half of one `bigint`, or the first of two `int`s.
        class: u32,
        /// The lower half, or the second.
        object: u32,
        /// 1: one `bigint`; 2: two `int`s. The two never meet.
        form: u8,
    },
    /// A table or a number of a branch, which never meets those of others.
    InBranch {
        /// The branch.
        branch: u32,
        /// As above; 0 for a table.
        class: u32,
        /// As above; a table's identifier.
        object: u32,
        /// As above; 0 for a table.
        form: u8,
    },
}

impl LockObject {
    /// The object of this name in a branch. An object of another branch stays what it is.
    #[must_use]
    pub fn in_branch(self, branch: u32) -> Self {
        match self {
            Self::Table(object) => Self::InBranch { branch, class: 0, object, form: 0 },
            Self::Advisory { class, object, form } => {
                Self::InBranch { branch, class, object, form }
            }
            Self::InBranch { .. } => self,
        }
    }

    /// The branch, unless it is none, and the object within it.
    pub fn within_branch(self) -> (Option<u32>, Self) {
        match self {
            Self::InBranch { branch, object, form: 0, .. } => (Some(branch), Self::Table(object)),
            Self::InBranch { branch, class, object, form } => {
                (Some(branch), Self::Advisory { class, object, form })
            }
            own => (None, own),
        }
    }
}

impl fmt::Display for LockObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (branch, object) = self.within_branch();
        let database = branch.unwrap_or(MAIN);
        match object {
            Self::Advisory { class, object, form } => {
                write!(f, "advisory lock [{database},{class},{object},{form}]")
            }
            Self::Table(object) | Self::InBranch { object, .. } => {
                write!(f, "relation {object} of database {database}")
            }
        }
    }
}

/// How an object is locked, weakest first as far as they can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// Reading.
    AccessShare,
    /// Locking rows.
    RowShare,
    /// Changing rows.
    RowExclusive,
    /// VACUUM, ANALYZE.
    ShareUpdateExclusive,
    /// CREATE INDEX; shared advisory locks.
    Share,
    /// Adding triggers and foreign keys.
    ShareRowExclusive,
    /// Beside readers only; advisory locks.
    Exclusive,
    /// Alone.
    AccessExclusive,
}

impl LockMode {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// PostgreSQL's conflict table of table locks.
    pub fn conflicts_with(self, other: Self) -> bool {
        use LockMode::{
            AccessExclusive, AccessShare, Exclusive, RowExclusive, RowShare, Share,
            ShareRowExclusive, ShareUpdateExclusive,
        };
        match (self.min(other), self.max(other)) {
            (AccessShare, strong) => strong == AccessExclusive,
            (RowShare, strong) => strong >= Exclusive,
            (RowExclusive, strong) => strong >= Share,
            (ShareUpdateExclusive, strong) => strong >= ShareUpdateExclusive,
            (Share, strong) => strong != Share,
            (ShareRowExclusive | Exclusive | AccessExclusive, _) => true,
        }
    }

    /// As LOCK TABLE names it.
    pub fn sql_name(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// As `pg_locks` and deadlock reports name it.
    pub fn pg_name(self) -> &'static str {
        match self {
            Self::AccessShare => "AccessShareLock",
            Self::RowShare => "RowShareLock",
            Self::RowExclusive => "RowExclusiveLock",
            Self::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Self::Share => "ShareLock",
            Self::ShareRowExclusive => "ShareRowExclusiveLock",
            Self::Exclusive => "ExclusiveLock",
            Self::AccessExclusive => "AccessExclusiveLock",
        }
    }
}

/// How a lock on an object came to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectLocked {
    /// It was held in this mode already.
    Before,
    /// Nobody stood in the way.
    AtOnce,
    /// Others stood in the way, and may have changed the object.
    AfterWait,
}

/// What a lock of a listing is on, and how strong it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedThing {
    /// A table, an advisory lock.
    Object(LockObject, LockMode),
    /// A key.
    Key(KeyspaceId, Box<[u8]>, LockStrength),
    /// Ranges of a keyspace, for reading.
    Ranges(KeyspaceId),
    /// Every key of a keyspace, by one who held too many of them singly.
    Keys(KeyspaceId, LockStrength),
}

/// One lock, held or waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockEntry {
    /// The session, if there is one.
    pub session: Option<i32>,
    /// The transaction; none for what a session holds beside its transactions.
    pub txn: Option<TxnId>,
    /// What is locked.
    pub thing: LockedThing,
    /// Since when it is waited for, by the wall clock since 1970; `None`: it is held.
    pub waits_since: Option<Duration>,
}

impl LockEntry {
    /// Whether it is held, not waited for.
    pub fn is_granted(&self) -> bool {
        self.waits_since.is_none()
    }
}

/// One wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitEntry {
    /// The waiting session, if there is one.
    pub session: Option<i32>,
    /// The waiting transaction.
    pub txn: TxnId,
    /// What it waits for.
    pub thing: LockedThing,
    /// The statement that waits.
    pub statement: Option<std::sync::Arc<str>>,
    /// Whom it waits for: session and transaction, where there is one.
    pub blockers: Vec<(Option<i32>, Option<TxnId>)>,
}

/// A table of locks, seen as locks on objects. Of each concurrency control there is one, which may
/// hold locks on keys as well; an `Owner` is one transaction's, or one session's, side of it.
pub trait ObjectLocks: Send + Sync + 'static {
    /// Who holds.
    type Owner: Send;

    /// An owner beside any transaction, for locks of a session.
    fn session_owner(&self, token: &CancelToken) -> Self::Owner;

    /// Takes a lock. Taking what is held is nothing new.
    ///
    /// # Errors
    /// Deadlock, cancel, timeout, not available.
    fn lock_object(
        &self,
        owner: &mut Self::Owner,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked>;

    /// Gives a lock back; false if it was not held.
    fn unlock_object(&self, owner: &mut Self::Owner, object: LockObject, mode: LockMode) -> bool;

    /// Where an owner stands, for [`ObjectLocks::release_since`].
    fn mark(owner: &Self::Owner) -> usize;

    /// Gives back what was taken since a mark, as far as the protocol can do without it.
    fn release_since(&self, owner: &mut Self::Owner, mark: usize);

    /// Gives back the claims on keys, of a transaction that makes no more; locks on objects stay.
    fn release_keys(&self, owner: &mut Self::Owner);

    /// Whether anybody holds or waits for [`LockMode::AccessExclusive`], so that readers must ask
    /// for [`LockMode::AccessShare`]. One load.
    fn must_lock_reads(&self) -> bool;

    /// The sessions that a session waits for.
    fn blockers(&self, session: i32) -> Vec<i32>;

    /// Every lock; of keys held, a bounded number.
    fn list(&self) -> Vec<LockEntry>;

    /// Every wait.
    fn waits(&self) -> Vec<WaitEntry>;
}

/// Locks that a session holds beside its transactions. Dropping it gives all back.
pub trait SessionLocks: Send {
    /// See [`ObjectLocks::lock_object`].
    ///
    /// # Errors
    /// Deadlock, cancel, timeout, not available.
    fn lock(
        &mut self,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked>;

    /// See [`ObjectLocks::unlock_object`].
    fn unlock(&mut self, object: LockObject, mode: LockMode) -> bool;

    /// See [`ObjectLocks::mark`].
    fn mark(&self) -> usize;

    /// See [`ObjectLocks::release_since`].
    fn release_since(&mut self, mark: usize);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_branches_come_back_and_meet_nobody() {
        let advisory = LockObject::Advisory { class: 3, object: 7, form: 2 };
        for object in [LockObject::Table(7), advisory] {
            assert_eq!(object.within_branch(), (None, object));
            let inside = object.in_branch(1030);
            assert_eq!(inside.within_branch(), (Some(1030), object));
            assert_eq!(inside.in_branch(9), inside);
            assert_ne!(inside, object.in_branch(1031));
        }
        let shown = LockObject::Table(7).in_branch(1030).to_string();
        assert_eq!(shown, "relation 7 of database 1030");
    }

    #[test]
    fn modes_conflict_as_postgres_has_it() {
        // One row per mode, one column per mode: PostgreSQL's documentation, table 13.2.
        let table = [
            "       X", "      XX", "    XXXX", "   XXXXX", "  XX XXX", "  XXXXXX", " XXXXXXX",
            "XXXXXXXX",
        ];
        for (row, mode) in table.iter().zip(LockMode::ALL) {
            let conflicts: String = LockMode::ALL
                .map(|other| if mode.conflicts_with(other) { 'X' } else { ' ' })
                .iter()
                .collect();
            assert_eq!(&conflicts, row, "{}", mode.sql_name());
        }
    }
}
