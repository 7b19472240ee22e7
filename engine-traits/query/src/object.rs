//! Catalog objects that are neither tables nor indexes, and what things need of each other.
//!
//! All have one sequence of identifiers with tables and indexes, so that a number alone tells what
//! is meant. A [`Need`] is PostgreSQL's `pg_depend` row, kept with the one that needs.

use crate::{
    ColumnId, CommentSubject, IndexId, Materialized, Privileges, Role, Routine, SequenceDefinition,
    Trigger, TypeDefinition, View, routine_signature,
};

/// An object's identifier, of one sequence with those of tables and indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// Where a name must be unique, within its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameSpace {
    /// With tables and indexes (`pg_class`).
    Relation,
    /// Schemas, which are in no schema (`pg_namespace`).
    Schema,
    /// Comments, named by what they are about (`pg_description`).
    Comment,
    /// Functions and procedures, told apart by their arguments (`pg_proc`).
    Routine,
    /// Triggers, told apart by their tables (`pg_trigger`).
    Trigger,
    /// Roles, which are in no schema (`pg_authid`).
    Role,
    /// Owners and privileges, named by what they are of.
    Privileges,
    /// Types (`pg_type`).
    Type,
    /// What makes tables materialized views, named by the tables.
    Materialized,
}

/// An object, as of some time. Immutable: DDL makes a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its identity, the same through renames.
    pub id: ObjectId,
    /// Its schema; empty for what is in none.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it cannot be without.
    pub needs: Vec<Need>,
    /// What it is.
    pub kind: ObjectKind,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectKind {
    /// A schema.
    Schema,
    /// A view.
    View(View),
    /// What makes a table a materialized view.
    Materialized(Box<Materialized>),
    /// A sequence.
    Sequence(SequenceDefinition),
    /// What is said of something.
    Comment {
        /// Of what.
        subject: CommentSubject,
        /// What.
        text: String,
    },
    /// A function or procedure.
    Routine(Box<Routine>),
    /// A trigger.
    Trigger(Box<Trigger>),
    /// A role.
    Role(Box<Role>),
    /// Whose something is, and who may do what with it.
    Privileges(Box<Privileges>),
    /// A type.
    Type(Box<TypeDefinition>),
}

/// That something cannot be without something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The table, index or object that is needed.
    pub id: u32,
    /// The column of the table that is needed; `None`: all of it.
    pub column: Option<ColumnId>,
    /// Whether it is dropped with what it needs, unasked, as a part of that; else only by CASCADE.
    pub is_part: bool,
}

/// The part of a table that needs something, and alone goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TablePart {
    /// A column.
    Column(ColumnId),
    /// The default of a column.
    Default(ColumnId),
    /// An index.
    Index(IndexId),
    /// That it has a trigger, which is what it needs.
    Trigger,
    /// That it is a materialized view, by what it needs.
    Materialized,
    /// That it is a materialized view without data.
    Unpopulated,
}

/// What a part of a table needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableNeed {
    /// The part.
    pub part: TablePart,
    /// What it needs.
    pub need: Need,
}

impl Need {
    /// A need of all of something, which only CASCADE drops with it.
    pub fn of(id: u32) -> Self {
        Self { id, column: None, is_part: false }
    }
}

impl ObjectKind {
    /// Where its name must be unique.
    pub fn name_space(&self) -> NameSpace {
        match self {
            Self::Schema => NameSpace::Schema,
            Self::View(_) => NameSpace::Relation,
            Self::Materialized(_) => NameSpace::Materialized,
            Self::Sequence(_) => NameSpace::Relation,
            Self::Comment { .. } => NameSpace::Comment,
            Self::Routine(_) => NameSpace::Routine,
            Self::Trigger(_) => NameSpace::Trigger,
            Self::Role(_) => NameSpace::Role,
            Self::Privileges(_) => NameSpace::Privileges,
            Self::Type(_) => NameSpace::Type,
        }
    }

    /// What tells objects of one name apart, if their names may repeat; else empty.
    pub fn signature(&self) -> Vec<u8> {
        match self {
            Self::Schema
            | Self::Sequence(_)
            | Self::View(_)
            | Self::Materialized(_)
            | Self::Comment { .. }
            | Self::Role(_)
            | Self::Privileges(_)
            | Self::Type(_) => Vec::new(),
            Self::Routine(routine) => {
                routine.input_types().iter().flat_map(|ty| ty.oid().to_be_bytes()).collect()
            }
            Self::Trigger(trigger) => trigger.table.0.to_be_bytes().to_vec(),
        }
    }

    /// PostgreSQL's word for it in messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::View(_) => "view",
            Self::Materialized(_) => "materialized view",
            Self::Sequence(_) => "sequence",
            Self::Comment { .. } => "comment",
            Self::Routine(routine) => routine.word(),
            Self::Trigger(_) => "trigger",
            Self::Role(_) => "role",
            Self::Privileges(_) => "privileges",
            // Domains, too, where what depends on them is told.
            Self::Type(_) => "type",
        }
    }
}

impl Object {
    /// As messages name it: `schema s`.
    pub fn describe(&self) -> String {
        if let ObjectKind::Routine(routine) = &self.kind {
            let signature = routine_signature(&self.name, &routine.input_types());
            return format!("{} {signature}", routine.word());
        }
        format!("{} {}", self.kind.word(), self.name)
    }
}
