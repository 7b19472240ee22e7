//! What a session has to do with sequences: the values that it took and keeps, and what `currval` and
//! `lastval` say.

use std::collections::BTreeMap;

use driftdb_concurrency::Store;
use driftdb_query::{Object, ObjectKind, Result, SequenceDefinition, SqlError};
use driftdb_tables::{Sequences, Taken};
use driftdb_types::SqlState;

/// What a session took from sequences, by their identifiers.
#[derive(Debug, Default)]
pub(super) struct TakenValues {
    taken: BTreeMap<u32, Used>,
    /// The sequence that a value was taken from last.
    last: Option<u32>,
}

#[derive(Debug)]
struct Used {
    /// As it was: another state or increment makes what is kept worthless.
    definition: SequenceDefinition,
    /// What `currval` says, if anything was taken.
    current: Option<i64>,
    /// The last value that is kept; `current` if none is.
    kept: i64,
}

/// The sequence that an object is.
///
/// # Errors
/// 42809
pub(super) fn sequence_of(object: &Object) -> Result<&SequenceDefinition> {
    match &object.kind {
        ObjectKind::Sequence(definition) => Ok(definition),
        _ => Err(not_a_sequence(&object.name)),
    }
}

/// 42809
pub(super) fn not_a_sequence(name: &str) -> SqlError {
    SqlError::new(SqlState::WrongObjectType, format!("\"{name}\" is not a sequence"))
}

/// A sequence as a statement sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) oid: u32,
    pub(super) name: &'a str,
    pub(super) definition: &'a SequenceDefinition,
}

impl TakenValues {
    /// `nextval`
    pub(super) fn next(
        &mut self,
        found: Found<'_>,
        sequences: &Sequences,
        store: &dyn Store,
    ) -> Result<i64> {
        let used = self.used(found);
        let definition = found.definition;
        if let Some(current) = used.current
            && current != used.kept
        {
            let next = current + definition.increment;
            used.current = Some(next);
            self.last = Some(found.oid);
            return Ok(next);
        }
        let Taken { first, last } = sequences.next(store, definition, found.name)?;
        (used.current, used.kept) = (Some(first), last);
        self.last = Some(found.oid);
        Ok(first)
    }

    /// What the session knows of a sequence.
    fn used(&mut self, found: Found<'_>) -> &mut Used {
        let fresh = || Used { definition: found.definition.clone(), current: None, kept: 0 };
        let used = self.taken.entry(found.oid).or_insert_with(fresh);
        if used.definition != *found.definition {
            // What was kept is gone, what was taken was taken.
            used.definition = found.definition.clone();
            used.kept = used.current.unwrap_or_default();
        }
        used
    }

    /// `currval`
    pub(super) fn current(&self, found: Found<'_>) -> Result<i64> {
        let current = self.taken.get(&found.oid).and_then(|used| used.current);
        current.ok_or_else(|| {
            let message = format!(
                "currval of sequence \"{}\" is not yet defined in this session",
                found.name
            );
            SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
        })
    }

    /// The sequence that `lastval` is about.
    pub(super) fn last(&self) -> Result<(u32, i64)> {
        let used = self.last.and_then(|oid| Some((oid, self.taken.get(&oid)?.current?)));
        used.ok_or_else(not_yet)
    }

    /// `setval`
    pub(super) fn set(
        &mut self,
        found: Found<'_>,
        value: i64,
        is_called: bool,
        sequences: &Sequences,
        store: &dyn Store,
    ) -> Result<()> {
        sequences.set(store, found.definition, found.name, value, is_called)?;
        let used = self.used(found);
        if is_called {
            used.current = Some(value);
        }
        // What was kept is gone.
        used.kept = used.current.unwrap_or_default();
        Ok(())
    }

    /// DISCARD SEQUENCES
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// 55000
pub(super) fn not_yet() -> SqlError {
    let message = "lastval is not yet defined in this session";
    SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
}
