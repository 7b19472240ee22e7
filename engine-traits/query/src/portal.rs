//! Cursors, and messages between sessions.

use crate::{Query, TableId};

/// DECLARE … CURSOR.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclareCursor {
    /// Its name.
    pub name: String,
    /// BINARY
    pub binary: bool,
    /// SCROLL (true) or NO SCROLL (false); `None`: as the plan allows.
    pub scroll: Option<bool>,
    /// WITH HOLD
    pub hold: bool,
    /// Its query; the plan yields the storage keys of `keys` after the fields.
    pub query: Query,
    /// The tables whose rows WHERE CURRENT OF finds.
    pub keys: Vec<TableId>,
    /// Whether the query locks rows: then only those that it locks are found.
    pub locks: bool,
}

/// Where FETCH and MOVE go. Counts of `None` are ALL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchStep {
    /// So many on; 0 is the current row again; negative is back.
    Forward(Option<i64>),
    /// So many back.
    Backward(Option<i64>),
    /// To the row with this number, from the end if negative.
    Absolute(i64),
    /// So many on or back, giving only the last.
    Relative(i64),
}

/// FETCH or MOVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The cursor.
    pub cursor: String,
    /// Where to.
    pub step: FetchStep,
    /// MOVE: no rows are given.
    pub is_move: bool,
}

/// LISTEN and its kin; they have effect when the transaction commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelStatement {
    /// LISTEN
    Listen(String),
    /// UNLISTEN; `None`: all.
    Unlisten(Option<String>),
    /// NOTIFY
    Notify {
        /// To whom.
        channel: String,
        /// What.
        payload: String,
    },
}
