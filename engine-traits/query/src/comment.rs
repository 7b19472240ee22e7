//! COMMENT ON: what is said of an object, kept as an object of its own that is a part of it.

use crate::Need;

/// What a comment is about, as `pg_description` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentSubject {
    /// The system relation that lists such objects.
    pub class: u32,
    /// The object; of a CHECK its table or domain.
    pub id: u32,
    /// The column of a table, or 0.
    pub column: u16,
    /// The name of a CHECK of a table or domain, whose identifier is that of its place; else empty.
    pub check: String,
}

impl CommentSubject {
    /// pg_class
    pub const RELATIONS: u32 = 1259;
    /// pg_constraint
    pub const CONSTRAINTS: u32 = 2606;
    /// pg_type
    pub const TYPES: u32 = 1247;
    /// pg_proc
    pub const ROUTINES: u32 = 1255;
    /// pg_trigger
    pub const TRIGGERS: u32 = 2620;
    /// pg_namespace
    pub const SCHEMAS: u32 = 2615;

    /// The name under which the catalog has its comment.
    pub fn name(&self) -> String {
        format!("{}.{}.{}.{}", self.class, self.id, self.column, self.check)
    }
}

/// COMMENT ON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// About what.
    pub subject: CommentSubject,
    /// With what it goes.
    pub need: Need,
    /// What is said; `None`: nothing any more.
    pub text: Option<String>,
}
