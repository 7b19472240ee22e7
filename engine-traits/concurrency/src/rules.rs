//! How long history is kept, said in durations: the store turns them into times as the clock goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use driftdb_storage::{KeyspaceId, Timestamp};

/// How long one keyspace keeps its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Every time within so long is readable.
    For(Duration),
    /// Every time.
    Forever,
}

/// Exceptions from the store's own period, and times that stay readable for as long as they are here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryRules {
    /// Keyspaces with a period of their own.
    pub by_keyspace: BTreeMap<KeyspaceId, Keep>,
    /// Pinned times, in all keyspaces.
    pub pins: Vec<Timestamp>,
    /// Up to when they know of keyspaces that were made; `None`: of all. Until they know of a keyspace,
    /// nothing of it is forgotten.
    pub read_at: Option<Timestamp>,
}
