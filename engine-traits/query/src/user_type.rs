//! Types that users make, as the catalog has them, and the statements that change them.
//!
//! A type is an object whose identifier is the type's. What else needs an identifier has one that is made
//! of another's: arrays of a type, the row types of tables and views, and arrays of those.

use std::sync::Arc;

use driftdb_types::{DataType, DomainCheck, Field, UserDefinition, UserKind, UserType};

use crate::{Need, Object, ObjectId, ObjectKind, Table, View};

/// The identifiers of arrays of users' types.
const ARRAYS: u32 = 0x2000_0000;
/// Those of row types.
const ROWS: u32 = 0x5000_0000;
/// What tells them apart.
const KINDS: u32 = 0xf000_0000;

/// What the identifier of a user's type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeOid {
    /// A type that is an object.
    Object(u32),
    /// The rows of a table or view.
    RowsOf(u32),
    /// The arrays of another.
    ArrayOf(u32),
}

impl TypeOid {
    /// What an identifier says.
    pub fn of(oid: u32) -> Option<Self> {
        match oid & KINDS {
            0 => Some(Self::Object(oid)),
            ROWS => Some(Self::RowsOf(oid & !KINDS)),
            kind if kind & ARRAYS != 0 => {
                let element = oid & !ARRAYS;
                matches!(element & KINDS, 0 | ROWS).then_some(Self::ArrayOf(element))
            }
            _ => None,
        }
    }
}

/// The identifier of the row type of a table or view.
pub fn row_type_oid(relation: u32) -> u32 {
    ROWS | relation
}

/// The identifier of the array type of a user's type.
pub fn array_type_oid(oid: u32) -> u32 {
    ARRAYS | oid
}

/// A type, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeDefinition {
    /// What it is.
    pub kind: UserKind,
    /// The highest number that a column of a composite type ever had.
    pub highest: u16,
}

impl TypeDefinition {
    /// A new type.
    pub fn new(kind: UserKind) -> Self {
        let highest = match &kind {
            UserKind::Composite { fields, .. } => fields.len() as u16,
            _ => 0,
        };
        Self { kind, highest }
    }

    /// PostgreSQL's word for it in messages.
    pub fn word(&self) -> &'static str {
        if matches!(self.kind, UserKind::Domain(_)) { "domain" } else { "type" }
    }
}

/// The type that an object is.
pub fn object_type(object: &Object) -> Option<DataType> {
    let ObjectKind::Type(definition) = &object.kind else { return None };
    Some(named((&object.schema, &object.name), object.id.0, definition.kind.clone()))
}

/// The row type of a table.
pub fn table_type(table: &Table) -> DataType {
    let fields = table.columns.iter().map(|column| Field {
        number: column.id.0,
        name: column.name.as_str().into(),
        ty: column.ty,
        typmod: column.typmod,
    });
    row_type((&table.schema, &table.name), table.id.0, fields.collect())
}

/// The row type of a view.
pub fn view_type(object: &Object, view: &View) -> DataType {
    let fields = view.columns.iter().zip(1..).map(|(column, number)| Field {
        number,
        name: column.name.as_str().into(),
        ty: column.ty,
        typmod: column.typmod,
    });
    row_type((&object.schema, &object.name), object.id.0, fields.collect())
}

fn row_type(name: (&str, &str), relation: u32, fields: Arc<[Field]>) -> DataType {
    let kind = UserKind::Composite { fields, relation: Some(relation) };
    named(name, row_type_oid(relation), kind)
}

fn named((schema, name): (&str, &str), oid: u32, kind: UserKind) -> DataType {
    DataType::User(UserType::new(UserDefinition {
        oid,
        array_oid: array_type_oid(oid),
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind,
    }))
}

/// What must be there for a type to be: the object or relation that it is of.
pub fn need_of_type(ty: DataType) -> Option<Need> {
    let oid = ty.user()?.oid();
    match TypeOid::of(oid)? {
        TypeOid::Object(id) | TypeOid::RowsOf(id) => Some(Need::of(id)),
        TypeOid::ArrayOf(_) => None,
    }
}

/// A change of a type.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeChange {
    /// ADD VALUE
    AddLabel {
        /// The label.
        label: String,
        /// Whether before another, and which.
        beside: Option<(bool, String)>,
        /// IF NOT EXISTS
        if_not_exists: bool,
    },
    /// RENAME VALUE
    RenameLabel {
        /// From what.
        from: String,
        /// To what.
        to: String,
    },
    /// ADD ATTRIBUTE; its number is given when it is made.
    AddField(Field),
    /// DROP ATTRIBUTE
    DropField {
        /// Which.
        name: String,
        /// IF EXISTS
        if_exists: bool,
    },
    /// ALTER ATTRIBUTE … TYPE
    AlterField(Field),
    /// RENAME ATTRIBUTE
    RenameField {
        /// From what.
        from: String,
        /// To what.
        to: String,
    },
    /// SET DEFAULT, DROP DEFAULT
    SetDefault(Option<String>),
    /// SET NOT NULL, DROP NOT NULL
    SetNotNull(bool),
    /// ADD CHECK
    AddCheck(DomainCheck),
    /// DROP CONSTRAINT
    DropCheck {
        /// Which.
        name: String,
        /// IF EXISTS
        if_exists: bool,
    },
    /// RENAME CONSTRAINT
    RenameCheck {
        /// From what.
        from: String,
        /// To what.
        to: String,
    },
    /// VALIDATE CONSTRAINT
    ValidateCheck(String),
}

/// Statements about types.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeStatement {
    /// CREATE TYPE, CREATE DOMAIN
    Create {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// What it is.
        definition: TypeDefinition,
        /// What it needs.
        needs: Vec<Need>,
        /// The shell that it fills.
        shell: Option<ObjectId>,
    },
    /// ALTER TYPE, ALTER DOMAIN
    Change {
        /// Which.
        id: ObjectId,
        /// What changes, one after the other.
        changes: Vec<TypeChange>,
        /// What it comes to need.
        needs: Vec<Need>,
        /// Whether it is ALTER DOMAIN.
        is_domain: bool,
    },
    /// RENAME TO, SET SCHEMA
    Rename {
        /// Which.
        id: ObjectId,
        /// Its schema from now on.
        schema: String,
        /// Its name from now on.
        name: String,
        /// Whether it is ALTER DOMAIN.
        is_domain: bool,
    },
    /// OWNER TO: it is the owner already.
    SetOwner {
        /// Whether it is ALTER DOMAIN.
        is_domain: bool,
    },
    /// DROP TYPE, DROP DOMAIN
    Drop {
        /// Which.
        ids: Vec<ObjectId>,
        /// CASCADE: what depends on them goes, too.
        cascade: bool,
        /// What IF EXISTS did not find: texts of notices.
        notices: Vec<String>,
        /// Whether it is DROP DOMAIN.
        is_domain: bool,
    },
}

impl TypeStatement {
    /// The command tag.
    pub fn command(&self) -> &'static str {
        let (ty, domain, is_domain) = match self {
            Self::Create { definition, .. } => {
                ("CREATE TYPE", "CREATE DOMAIN", definition.word() == "domain")
            }
            Self::Change { is_domain, .. }
            | Self::Rename { is_domain, .. }
            | Self::SetOwner { is_domain } => ("ALTER TYPE", "ALTER DOMAIN", *is_domain),
            Self::Drop { is_domain, .. } => ("DROP TYPE", "DROP DOMAIN", *is_domain),
        };
        if is_domain { domain } else { ty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_say_what_they_are_of() {
        assert_eq!(TypeOid::of(16_400), Some(TypeOid::Object(16_400)));
        assert_eq!(TypeOid::of(array_type_oid(16_400)), Some(TypeOid::ArrayOf(16_400)));
        assert_eq!(TypeOid::of(row_type_oid(7)), Some(TypeOid::RowsOf(7)));
        let rows = row_type_oid(7);
        assert_eq!(TypeOid::of(array_type_oid(rows)), Some(TypeOid::ArrayOf(rows)));
        assert_eq!(TypeOid::of(1 << 31), None);
    }
}
