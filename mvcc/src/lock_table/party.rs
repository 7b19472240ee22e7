//! Who holds and who waits.
//!
//! A session has one transaction at a time and may hold advisory locks beside it; nothing of this
//! excludes the rest of it, and a wait of one part is a wait of the whole. So the parties of the
//! table are sessions, and transactions that have none.

use driftdb_concurrency::{CancelToken, TxnId};

/// One that may exclude others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Party {
    Session(i32),
    Txn(TxnId),
}

impl Party {
    /// The party of a transaction.
    pub(super) fn of(txn: TxnId, token: &CancelToken) -> Self {
        token.session().map_or(Self::Txn(txn), Self::Session)
    }

    pub(super) fn session(self) -> Option<i32> {
        match self {
            Self::Session(session) => Some(session),
            Self::Txn(_) => None,
        }
    }
}

/// A party, and as which of its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Who {
    pub(super) party: Party,
    /// None for a session beside its transactions.
    pub(super) txn: Option<TxnId>,
}
