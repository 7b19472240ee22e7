//! Schemas: each holds names of tables, indexes and whatever else has a name of its own.
//!
//! A database begins with the system's schemas and with `public`, which may be dropped, renamed and made
//! anew like any other. A name without a schema is looked for along the session's search path, where the
//! system's schema comes first unless it is named; what is made without one is made in the first schema
//! of the path that exists.

use std::sync::Arc;

use crate::{INFORMATION_SCHEMA, SYSTEM_SCHEMA, Table};

/// The schema that a new database has for its users.
pub const PUBLIC: &str = "public";

/// The identifier of [`PUBLIC`] as a new database has it.
pub const PUBLIC_ID: u32 = 2200;

/// What each session calls the schema of its temporary tables.
pub const TEMPORARY: &str = "pg_temp";

/// The schema of the temporary tables of the session with a process number.
pub fn temporary_schema(pid: i32) -> String {
    format!("{TEMPORARY}_{pid}")
}

/// Whether it is the schema of some session's temporary tables.
pub fn is_temporary(schema: &str) -> bool {
    schema.strip_prefix(TEMPORARY).is_some_and(|rest| rest.starts_with('_'))
}

/// What becomes of a temporary table at every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCommit {
    /// It stays as it is.
    #[default]
    PreserveRows,
    /// Its rows go.
    DeleteRows,
    /// It goes itself.
    Drop,
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Its object identifier, the same through renames.
    pub id: u32,
    /// Its name.
    pub name: String,
}

impl Schema {
    /// The system's own, which nobody drops or renames.
    pub fn of_system() -> [Self; 2] {
        let schema = |id, name: &str| Self { id, name: name.to_owned() };
        [schema(11, SYSTEM_SCHEMA), schema(13_000, INFORMATION_SCHEMA)]
    }

    /// One of those, by name.
    pub fn of_system_named(name: &str) -> Option<Self> {
        Self::of_system().into_iter().find(|schema| schema.name == name)
    }

    /// Whether it is one of the system's.
    pub fn is_of_system(&self) -> bool {
        self.name == SYSTEM_SCHEMA || self.name == INFORMATION_SCHEMA
    }
}

/// CREATE, DROP and ALTER SCHEMA.
#[derive(Debug, Clone, PartialEq)]
pub enum SchemaStatement {
    /// CREATE SCHEMA
    Create {
        /// Its name.
        name: String,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// DROP SCHEMA
    Drop {
        /// Which.
        schemas: Vec<Arc<Schema>>,
        /// CASCADE: what is in them goes, too.
        cascade: bool,
        /// What IF EXISTS did not find: texts of notices.
        notices: Vec<String>,
    },
    /// ALTER SCHEMA … RENAME TO
    Rename {
        /// Which.
        schema: Arc<Schema>,
        /// Its new name.
        to: String,
    },
    /// ALTER SCHEMA … OWNER TO the one role that owns everything
    SetOwner {
        /// Which.
        schema: Arc<Schema>,
    },
    /// DISCARD TEMP: the temporary tables of this session go
    DropTemporary {
        /// Their schema, if there is one.
        schema: Option<Arc<Schema>>,
    },
    /// ALTER TABLE … SET SCHEMA
    MoveTable {
        /// Which.
        table: Arc<Table>,
        /// Where to.
        to: String,
    },
}

impl SchemaStatement {
    /// The command tag.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE SCHEMA",
            Self::Drop { .. } => "DROP SCHEMA",
            Self::Rename { .. } | Self::SetOwner { .. } => "ALTER SCHEMA",
            Self::MoveTable { table, .. } if table.materialized().is_some() => {
                "ALTER MATERIALIZED VIEW"
            }
            Self::MoveTable { .. } => "ALTER TABLE",
            Self::DropTemporary { .. } => "DISCARD TEMP",
        }
    }
}
