//! Statements about branches.

use crate::PastTime;

/// A statement about branches. The session runs it: it is about databases, not about what is in one.
#[derive(Debug, Clone, PartialEq)]
pub enum BranchStatement {
    /// CREATE BRANCH; CREATE DATABASE … TEMPLATE
    Create {
        /// Its name.
        name: String,
        /// FROM; `None`: the database that the session is in.
        parent: Option<String>,
        /// AS OF; `None`: now.
        at: Option<PastTime>,
        /// Whether it was written as CREATE DATABASE.
        as_database: bool,
    },
    /// DROP BRANCH; DROP DATABASE
    Drop {
        /// Its name.
        name: String,
        /// IF EXISTS
        if_exists: bool,
        /// Whether it was written as DROP DATABASE.
        as_database: bool,
    },
    /// USE: the session goes on in another database.
    Use(String),
}

impl BranchStatement {
    /// The command tag.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Create { as_database: false, .. } => "CREATE BRANCH",
            Self::Create { as_database: true, .. } => "CREATE DATABASE",
            Self::Drop { as_database: false, .. } => "DROP BRANCH",
            Self::Drop { as_database: true, .. } => "DROP DATABASE",
            Self::Use(_) => "USE",
        }
    }
}
