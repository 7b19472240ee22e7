//! Types that users make: enumerations, domains, composite types and the row types of tables.
//!
//! A [`UserType`] is a definition as of the time at which it was read, kept for as long as the process
//! lives and shared by all who read the same one, so that it is as small and as quick to compare as the
//! types that are built in. Definitions are few and short; each version of one is kept once.
//!
//! Invariants
//! * Two are equal if they are of one object, whatever that was when each was read.
//! * What a definition says never changes: another definition is another entry.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use crate::data_type::Row;
use crate::{DataType, Element, EvalContext, SqlState, TypeCategory, Value, ValueError};

/// A user's type.
#[derive(Clone, Copy)]
pub struct UserType(&'static Entry);

/// What is kept of a definition.
struct Entry {
    definition: UserDefinition,
    row: Row,
    array_row: Row,
    checks: OnceLock<Arc<dyn DomainChecks>>,
    /// The next one with the same place in [`ENTRIES`].
    next: OnceLock<&'static Self>,
}

/// Definitions by the low bits of their identifiers.
static ENTRIES: [OnceLock<&'static Entry>; 256] = [const { OnceLock::new() }; 256];

/// A definition.
#[derive(Debug, Clone)]
pub struct UserDefinition {
    /// The type's identifier.
    pub oid: u32,
    /// That of its arrays.
    pub array_oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: UserKind,
}

/// What a user's type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserKind {
    /// An enumeration: its labels in their order.
    Enum(Vec<EnumLabel>),
    /// A domain.
    Domain(Domain),
    /// Columns: a composite type, or the rows of a table or view.
    Composite {
        /// The columns.
        fields: Arc<[Field]>,
        /// The table or view.
        relation: Option<u32>,
    },
    /// A type of which there is the name only.
    Shell,
}

/// A label of an enumeration.
#[derive(Debug, Clone, PartialEq)]
pub struct EnumLabel {
    /// The number by which values are kept and compared, the same for ever.
    pub key: u64,
    /// The number that pg_enum shows.
    pub order: f32,
    /// What it is called.
    pub label: String,
}

impl EnumLabel {
    /// How far apart the keys of labels are that are made one after the other: so often the space between
    /// two can be halved.
    pub const APART: u64 = 1 << 40;

    /// The label at a place of a new enumeration, from 1.
    pub fn new(label: &str, place: u64) -> Self {
        Self { key: place * Self::APART, order: place as f32, label: label.to_owned() }
    }
}

// The order is never NaN.
impl Eq for EnumLabel {}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The type that it is over, perhaps a domain itself.
    pub base: DataType,
    /// That type's modifier.
    pub typmod: i32,
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT, as SQL text.
    pub default: Option<String>,
    /// Its CHECK constraints, in the order in which they are looked at.
    pub checks: Vec<DomainCheck>,
}

/// A CHECK constraint of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainCheck {
    /// Its name.
    pub name: String,
    /// Its condition, as SQL text over VALUE.
    pub condition: String,
    /// Whether all that was there when it was added is known to hold it.
    pub is_valid: bool,
}

/// A column of a composite type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its number, from 1; never reused.
    pub number: u16,
    /// Its name.
    pub name: Box<str>,
    /// Its type.
    pub ty: DataType,
    /// Its type's modifier, or -1.
    pub typmod: i32,
}

/// The CHECK constraints of a domain, ready to be looked at.
pub trait DomainChecks: Send + Sync {
    /// The name of the first one that a value violates.
    ///
    /// # Errors
    /// What evaluating a condition raises.
    fn violated(&self, value: &Value, ctx: &EvalContext) -> Result<Option<&str>, ValueError>;
}

/// Whether two types are of the same definitions, not only of the same objects.
pub(crate) fn is_same(a: DataType, b: DataType) -> bool {
    match (a.user(), b.user()) {
        (Some(left), Some(right)) => a == b && std::ptr::eq(left.0, right.0),
        _ => a == b,
    }
}

impl Field {
    fn is_same(&self, other: &Self) -> bool {
        self.number == other.number
            && self.name == other.name
            && self.typmod == other.typmod
            && is_same(self.ty, other.ty)
    }
}

impl UserDefinition {
    fn is_same(&self, other: &Self) -> bool {
        let named = |of: &Self| (of.oid, of.array_oid);
        named(self) == named(other)
            && self.name == other.name
            && self.schema == other.schema
            && match (&self.kind, &other.kind) {
                (UserKind::Shell, UserKind::Shell) => true,
                (UserKind::Enum(a), UserKind::Enum(b)) => a == b,
                (UserKind::Domain(a), UserKind::Domain(b)) => {
                    is_same(a.base, b.base)
                        && (a.typmod, a.not_null) == (b.typmod, b.not_null)
                        && a.default == b.default
                        && a.checks == b.checks
                }
                (
                    UserKind::Composite { fields: a, relation: left },
                    UserKind::Composite { fields: b, relation: right },
                ) => {
                    left == right
                        && a.len() == b.len()
                        && a.iter().zip(b.iter()).all(|(a, b)| a.is_same(b))
                }
                _ => false,
            }
    }

    fn category(&self) -> TypeCategory {
        match &self.kind {
            UserKind::Enum(_) => TypeCategory::Enum,
            UserKind::Domain(domain) => domain.base.category(),
            UserKind::Composite { .. } => TypeCategory::Composite,
            UserKind::Shell => TypeCategory::Pseudo,
        }
    }

    /// Its name as messages have it: with its schema unless that is where names are looked for anyway.
    fn shown(&self) -> String {
        let name = quoted(&self.name);
        match self.schema.as_str() {
            "public" => name,
            schema if schema.starts_with("pg_temp") => name,
            schema => format!("{}.{name}", quoted(schema)),
        }
    }

    fn entry(self) -> Entry {
        let leak = |text: String| -> &'static str { text.leak() };
        let category = self.category();
        let shown = self.shown();
        let len = match &self.kind {
            UserKind::Enum(_) => 4,
            UserKind::Domain(domain) => domain.base.wire_len(),
            _ => -1,
        };
        let row = Row {
            oid: self.oid,
            name: leak(self.name.clone()),
            sql_name: leak(shown.clone()),
            category,
            len,
        };
        let array_row = Row {
            oid: self.array_oid,
            name: leak(format!("_{}", self.name)),
            sql_name: leak(format!("{shown}[]")),
            category: TypeCategory::Array,
            len: -1,
        };
        let (checks, next) = (OnceLock::new(), OnceLock::new());
        Entry { definition: self, row, array_row, checks, next }
    }
}

/// A name as it must be written.
fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl UserType {
    /// The type of a definition.
    pub fn new(definition: UserDefinition) -> Self {
        let mut slot = &ENTRIES[definition.oid as usize % ENTRIES.len()];
        loop {
            let entry = *slot.get_or_init(|| Box::leak(Box::new(definition.clone().entry())));
            if entry.definition.is_same(&definition) {
                return Self(entry);
            }
            slot = &entry.next;
        }
    }

    pub(crate) const fn row(self) -> &'static Row {
        &self.0.row
    }

    pub(crate) const fn array_row(self) -> &'static Row {
        &self.0.array_row
    }

    /// Its identifier.
    pub fn oid(self) -> u32 {
        self.0.definition.oid
    }

    /// Its definition.
    pub fn definition(self) -> &'static UserDefinition {
        &self.0.definition
    }

    /// Its labels, if it is an enumeration.
    pub fn labels(self) -> Option<&'static [EnumLabel]> {
        match &self.0.definition.kind {
            UserKind::Enum(labels) => Some(labels),
            _ => None,
        }
    }

    /// What it is as a domain, if it is one.
    pub fn domain(self) -> Option<&'static Domain> {
        match &self.0.definition.kind {
            UserKind::Domain(domain) => Some(domain),
            _ => None,
        }
    }

    /// Its columns, if it has any.
    pub fn fields(self) -> Option<&'static Arc<[Field]>> {
        match &self.0.definition.kind {
            UserKind::Composite { fields, .. } => Some(fields),
            _ => None,
        }
    }

    /// The label of a value.
    pub fn label_of(self, key: u64) -> Option<&'static str> {
        let labels = self.labels()?;
        let place = labels.binary_search_by_key(&key, |label| label.key).ok()?;
        Some(&labels[place].label)
    }

    /// The value with a label.
    ///
    /// # Errors
    /// 22P02 if there is none.
    pub fn labelled(self, label: &str) -> Result<Value, ValueError> {
        let mut labels = self.labels().unwrap_or_default().iter();
        match labels.find(|known| known.label == label) {
            Some(known) => Ok(Value::Enum(self, known.key)),
            None => {
                let name = self.0.row.sql_name;
                let message = format!("invalid input value for enum {name}: \"{label}\"");
                Err(ValueError::new(SqlState::InvalidTextRepresentation, message))
            }
        }
    }

    /// Holds a value, which fits the type that a domain is over, against the domain's constraints.
    ///
    /// # Errors
    /// 23502 and 23514 if it violates one; what evaluating a condition raises.
    pub fn check(self, value: &Value, ctx: &EvalContext) -> Result<(), ValueError> {
        let Some(domain) = self.domain() else { return Ok(()) };
        if let DataType::User(base) = domain.base {
            base.check(value, ctx)?;
        }
        let name = self.0.row.sql_name;
        if domain.not_null && value.is_null() {
            let message = format!("domain {name} does not allow null values");
            return Err(ValueError::new(SqlState::NotNullViolation, message));
        }
        if domain.checks.is_empty() {
            return Ok(());
        }
        let checks = match self.0.checks.get() {
            Some(checks) => checks,
            None => {
                let checks = ctx.actions.domain_checks(self)?;
                self.0.checks.get_or_init(|| checks)
            }
        };
        match checks.violated(value, ctx)? {
            None => Ok(()),
            Some(check) => {
                let message =
                    format!("value for domain {name} violates check constraint \"{check}\"");
                Err(ValueError::new(SqlState::CheckViolation, message))
            }
        }
    }
}

/// Holds a value, and those in it, against the domains that they are of: what is read in binary form is
/// not held against them before.
///
/// # Errors
/// As [`UserType::check`].
pub fn check_domains(ty: DataType, value: &Value, ctx: &EvalContext) -> Result<(), ValueError> {
    if let Some(domain) = ty.as_domain() {
        domain.check(value, ctx)?;
    }
    match value {
        Value::Array(array) if array.element().user().is_some() => {
            let element = array.element();
            array.values().iter().try_for_each(|value| check_domains(element, value, ctx))
        }
        Value::Record(record) => {
            record.pairs().try_for_each(|(field, value)| check_domains(field.ty, value, ctx))
        }
        _ => Ok(()),
    }
}

impl DataType {
    /// The user's type that this is, or is an array of.
    pub const fn user(self) -> Option<UserType> {
        match self {
            Self::User(user) | Self::Array(Element::User(user)) => Some(user),
            _ => None,
        }
    }

    /// The type that a domain is over in the end; of what is no domain, itself.
    pub fn base(self) -> Self {
        let mut ty = self;
        while let Self::User(user) = ty
            && let Some(domain) = user.domain()
        {
            ty = domain.base;
        }
        ty
    }

    /// As [`DataType::base`], with the modifier that the base type has.
    pub fn base_with_typmod(self, typmod: i32) -> (Self, i32) {
        let (mut ty, mut typmod) = (self, typmod);
        while let Self::User(user) = ty
            && let Some(domain) = user.domain()
        {
            (ty, typmod) = (domain.base, domain.typmod);
        }
        (ty, typmod)
    }

    /// The domain that this is, if it is one.
    pub fn as_domain(self) -> Option<UserType> {
        match self {
            Self::User(user) if user.domain().is_some() => Some(user),
            _ => None,
        }
    }

    /// Whether it is an enumeration.
    pub fn is_enum(self) -> bool {
        matches!(self, Self::User(user) if user.labels().is_some())
    }

    /// The columns of a composite type.
    pub fn fields(self) -> Option<&'static Arc<[Field]>> {
        match self.base() {
            Self::User(user) => user.fields(),
            _ => None,
        }
    }

    /// Whether values are rows.
    pub fn is_row(self) -> bool {
        self == Self::Record || self.fields().is_some()
    }
}

impl PartialEq for UserType {
    fn eq(&self, other: &Self) -> bool {
        self.oid() == other.oid()
    }
}

impl Eq for UserType {}

impl PartialOrd for UserType {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UserType {
    fn cmp(&self, other: &Self) -> Ordering {
        self.oid().cmp(&other.oid())
    }
}

impl Hash for UserType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.oid().hash(state);
    }
}

impl fmt::Debug for UserType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.row.sql_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mood(labels: &[&str]) -> UserType {
        let labels = labels.iter().enumerate().map(|(place, label)| EnumLabel {
            key: (place as u64 + 1) << 40,
            order: place as f32 + 1.0,
            label: (*label).to_owned(),
        });
        UserType::new(UserDefinition {
            oid: 20_001,
            array_oid: 20_002,
            schema: "public".into(),
            name: "Mood".into(),
            kind: UserKind::Enum(labels.collect()),
        })
    }

    #[test]
    fn a_definition_is_kept_once_and_each_version_of_it() {
        let (first, again, other) = (mood(&["a", "b"]), mood(&["a", "b"]), mood(&["a"]));
        assert!(std::ptr::eq(first.0, again.0));
        assert!(!std::ptr::eq(first.0, other.0));
        assert_eq!(first, other);
        assert_eq!(other.labels().unwrap().len(), 1);
        let ty = DataType::User(first);
        assert_eq!(ty.sql_name(), "\"Mood\"");
        assert_eq!(ty.array().unwrap().sql_name(), "\"Mood\"[]");
        assert_eq!(ty.array().unwrap().oid(), 20_002);
        assert_eq!(ty.array().unwrap().element(), Some(ty));
    }

    #[test]
    fn labels_are_read_and_ordered() {
        let mood = mood(&["sad", "ok"]);
        let (sad, ok) = (mood.labelled("sad").unwrap(), mood.labelled("ok").unwrap());
        assert!(crate::compare(&sad, &ok).is_lt());
        let error = mood.labelled("x").unwrap_err();
        assert_eq!(error.message, "invalid input value for enum \"Mood\": \"x\"");
        let mut cell = Vec::new();
        crate::encode_value(&ok, DataType::User(mood), &mut cell);
        assert_eq!(crate::decode_value(DataType::User(mood), &mut &cell[..]).unwrap(), ok);
        let mut keys = [Vec::new(), Vec::new()];
        crate::encode_key(&sad, DataType::User(mood), &mut keys[0]);
        crate::encode_key(&ok, DataType::User(mood), &mut keys[1]);
        assert!(keys[0] < keys[1]);
        assert_eq!(crate::decode_key(DataType::User(mood), &mut &keys[1][..]).unwrap(), ok);
    }
}
