//! `json` and `jsonb`.
//!
//! `json` is the text as it was written, checked: [`parse::Reader`] walks it, and takes it apart again
//! where an operator asks. `jsonb` is the tree [`Json`]: the keys of an object are unique (the last one
//! of a name counts) and sorted by length, then by bytes; numbers are `numeric`.
//!
//! Order (`compareJsonbContainers`): by kind, Null < String < Number < Bool < Array < Object; arrays and
//! objects by how many members they have, then by the members. At the top, the array without elements is
//! below everything, as in PostgreSQL.
//!
//! Invariants
//! * No tree is deeper than [`MAX_DEPTH`]: readers refuse more, and so do functions that build.

mod build;
mod key;
mod parse;
mod write;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

pub(crate) use build::{to_json, write_json_value};
pub(crate) use key::{decode_json_key, encode_json_key};
pub(crate) use parse::{Reader, check_json, parse_json, scalar_text};
pub(crate) use write::{write_json, write_pretty, write_quoted};

use crate::{Numeric, SqlState, ValueError};

/// How deep arrays and objects may be nested: readers and writers recurse.
pub(crate) const MAX_DEPTH: usize = 1000;

/// A value of `jsonb`.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// A string.
    String(Box<str>),
    /// A number.
    Number(Numeric),
    /// `true` or `false`
    Bool(bool),
    /// An array.
    Array(Vec<Self>),
    /// An object; its keys are unique and in order.
    Object(Vec<(Box<str>, Self)>),
}

/// The order of keys in an object.
pub(crate) fn compare_keys(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

/// The error of a tree that is too deep.
pub(crate) fn too_deep() -> ValueError {
    ValueError::new(SqlState::StatementTooComplex, "stack depth limit exceeded")
        .with_detail(format!("JSON may be nested {MAX_DEPTH} levels deep."))
}

impl Json {
    /// An object of pairs in any order; of equal keys the last one counts.
    pub(crate) fn object(mut pairs: Vec<(Box<str>, Self)>) -> Self {
        // Stable: the last of equal keys stays the last.
        pairs.sort_by(|a, b| compare_keys(&a.0, &b.0));
        let mut unique: Vec<(Box<str>, Self)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match unique.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => unique.push(pair),
            }
        }
        Self::Object(unique)
    }

    /// The member of an object.
    pub(crate) fn field(&self, key: &str) -> Option<&Self> {
        let Self::Object(pairs) = self else { return None };
        let at = pairs.binary_search_by(|(known, _)| compare_keys(known, key)).ok()?;
        Some(&pairs[at].1)
    }

    /// The element of an array, counted from its end if negative.
    pub(crate) fn element(&self, index: i64) -> Option<&Self> {
        let Self::Array(items) = self else { return None };
        items.get(place(index, items.len())?)
    }

    /// How deep it is: 0 for what is neither array nor object.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(pairs) => 1 + pairs.iter().map(|pair| pair.1.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// What `jsonb_typeof` calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::String(_) => "string",
            Self::Number(_) => "number",
            Self::Bool(_) => "boolean",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Whether this is an array or object.
    pub(crate) fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::String(_) => 1,
            Self::Number(_) => 2,
            Self::Bool(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }

    /// PostgreSQL's order of two values of `jsonb`.
    pub fn compare(&self, other: &Self) -> Ordering {
        let is_empty = |json: &Self| matches!(json, Self::Array(items) if items.is_empty());
        match (is_empty(self), is_empty(other)) {
            // Below everything but objects' members; and a scalar at the top is an array of one.
            (true, false) if !matches!(other, Self::Object(_)) => Ordering::Less,
            (false, true) if !matches!(self, Self::Object(_)) => Ordering::Greater,
            _ => self.compare_inner(other),
        }
    }

    fn compare_inner(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::String(a), Self::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Number(a), Self::Number(b)) => a.compare(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Array(a), Self::Array(b)) => a.len().cmp(&b.len()).then_with(|| {
                let mut orders = a.iter().zip(b).map(|(a, b)| a.compare_inner(b));
                orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }),
            (Self::Object(a), Self::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| {
                        a.0.as_bytes().cmp(b.0.as_bytes()).then_with(|| a.1.compare_inner(&b.1))
                    })
                    .find(|order| order.is_ne())
                    .unwrap_or(Ordering::Equal)
            }),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Hashes it such that equal values hash alike.
    pub(crate) fn hash_into(&self, hasher: &mut impl Hasher) {
        hasher.write_u8(self.rank());
        match self {
            Self::Null => {}
            Self::String(text) => text.hash(hasher),
            Self::Number(number) => number.hash_canonical(hasher),
            Self::Bool(v) => v.hash(hasher),
            Self::Array(items) => {
                hasher.write_usize(items.len());
                items.iter().for_each(|item| item.hash_into(hasher));
            }
            Self::Object(pairs) => {
                hasher.write_usize(pairs.len());
                for (key, value) in pairs {
                    key.hash(hasher);
                    value.hash_into(hasher);
                }
            }
        }
    }

    /// An estimate of the memory it takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::String(text) => text.len(),
                Self::Array(items) => items.iter().map(Self::heap_bytes).sum(),
                Self::Object(pairs) => {
                    pairs.iter().map(|(key, value)| key.len() + 16 + value.heap_bytes()).sum()
                }
                _ => 0,
            }
    }

    /// Whether it contains another value: `@>`. At the top an array also contains a scalar.
    pub(crate) fn contains(&self, part: &Self) -> bool {
        match (self, part) {
            (Self::Array(_), part) if !part.is_container() => self.contains_inner_scalar(part),
            _ => self.contains_inner(part),
        }
    }

    fn contains_inner_scalar(&self, part: &Self) -> bool {
        let Self::Array(items) = self else { return false };
        items.iter().any(|item| !item.is_container() && item.compare_inner(part).is_eq())
    }

    fn contains_inner(&self, part: &Self) -> bool {
        match (self, part) {
            (Self::Object(_), Self::Object(parts)) => parts
                .iter()
                .all(|(key, part)| self.field(key).is_some_and(|value| value.contains_inner(part))),
            (Self::Array(items), Self::Array(parts)) => parts.iter().all(|part| {
                if part.is_container() {
                    items.iter().any(|item| item.contains_inner(part))
                } else {
                    self.contains_inner_scalar(part)
                }
            }),
            (a, b) => a.rank() == b.rank() && !a.is_container() && a.compare_inner(b).is_eq(),
        }
    }
}

/// The place of an index that counts from the end if negative.
pub(crate) fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(i64::try_from(len).ok()?)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}
