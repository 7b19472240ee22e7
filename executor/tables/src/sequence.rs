//! Where sequences stand.
//!
//! A value that was taken is taken: no rollback gives it back, and no crash gives it twice. So where a sequence
//! stands is kept beside transactions, in memory and in keyspace 21 (`docs/formats/catalog.md`), under the
//! number that its definition names as its state. What is written there is ahead of what was given by
//! [`AHEAD`] values, each time in a commit of its own that is durable before the first of them is given; so a
//! value costs a latch, and every 32nd a commit. Whoever opens the database begins behind what is written: after a
//! stop there is a gap of at most so many values, as in PostgreSQL after a crash.
//!
//! A branch inherits the keyspace as of its moment, with everything else, and goes on by itself. A number
//! that nothing is written under stands where the definition says, so that a new sequence, or RESTART,
//! writes nothing here, and goes with its transaction.
//!
//! Invariants
//! * Under one number, with one definition that does not cycle, no value is given twice.
//! * What is in memory is at or behind what is written, in the sequence's direction.
//!
//! Sources: PostgreSQL 15, src/backend/commands/sequence.c (nextval_internal), whose arithmetic this is.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::{
    BeginOptions, LockIntent, LockStrength, ReadAt, Store, Transaction, WaitPolicy,
};
use driftdb_env::sync::Mutex;
use driftdb_env::{planted, sometimes};
use driftdb_query::{Result, SequenceDefinition, SqlError};
use driftdb_storage::KeyspaceId;
use driftdb_types::{SequenceState, SqlState};

use crate::catalog::{malformed, read};

/// Where sequences stand, by the numbers of their states.
pub(crate) const SEQUENCES: KeyspaceId = KeyspaceId(21);

const VERSION: u8 = 1;

/// How many values are logged ahead.
const AHEAD: i64 = 32;

/// Those of one database.
#[derive(Debug, Default)]
pub struct Sequences {
    open: Mutex<BTreeMap<u32, Arc<Mutex<Option<Standing>>>>>,
}

/// Where one stands.
#[derive(Debug, Clone, Copy)]
struct Standing {
    at: SequenceState,
    /// What the values ahead were counted with.
    counted: (i64, i64, i64),
}

/// Values taken from a sequence: the first of them is given, the rest may be kept for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The first.
    pub first: i64,
    /// The last; the others lie between at the sequence's increment.
    pub last: i64,
}

fn counted(definition: &SequenceDefinition) -> (i64, i64, i64) {
    (definition.increment, definition.min, definition.max)
}

fn encode(value: i64, is_called: bool) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[0] = VERSION;
    bytes[1..9].copy_from_slice(&value.to_le_bytes());
    bytes[9] = u8::from(is_called);
    bytes
}

fn decode(bytes: &[u8]) -> Option<(i64, bool)> {
    let [VERSION, value @ .., is_called @ (0 | 1)] = bytes else { return None };
    Some((i64::from_le_bytes(value.try_into().ok()?), *is_called == 1))
}

impl Sequences {
    fn standing(&self, state: u32) -> Arc<Mutex<Option<Standing>>> {
        Arc::clone(self.open.lock().entry(state).or_default())
    }

    /// Takes as many values as the definition caches. `name` is for the error.
    ///
    /// # Errors
    /// 2200H at the end of a sequence that does not cycle; storage.
    pub fn next(
        &self,
        store: &dyn Store,
        definition: &SequenceDefinition,
        name: &str,
    ) -> Result<Taken> {
        let standing = self.standing(definition.state);
        // Held over the commit: whoever else wants a value has to wait for it.
        let mut standing = standing.lock();
        let Standing { at, counted: before } = known(&mut standing, store, definition)?;
        let mut log = if before == counted(definition) { at.log_count } else { 0 };
        let cache = definition.cache;
        let (mut next, mut last, mut first) = (at.last_value, at.last_value, at.last_value);
        let mut fetch = cache;
        let mut found = 0;
        if !at.is_called {
            found = 1;
            fetch -= 1;
        }
        let logs = log < fetch || !at.is_called;
        if logs {
            fetch += AHEAD;
            log = fetch;
        }
        while fetch > 0 {
            next = match definition.after(next) {
                Some(after) => after,
                // Only who has nothing yet goes past the end.
                None if found > 0 => break,
                None if definition.cycle => definition.turn(),
                None => return Err(exhausted(definition, name)),
            };
            fetch -= 1;
            if found < cache {
                log -= 1;
                found += 1;
                last = next;
                if found == 1 {
                    first = next;
                }
            }
        }
        sometimes!("catalog.sequence-logged-ahead", logs);
        log -= fetch;
        if logs && !planted!("tables.sequence-not-logged") {
            write(store, definition.state, next, true)?;
        }
        let at = SequenceState { last_value: last, log_count: log, is_called: true };
        *standing = Some(Standing { at, counted: counted(definition) });
        Ok(Taken { first, last })
    }

    /// Sets where a sequence stands.
    ///
    /// # Errors
    /// 22003 outside of its bounds; storage.
    pub fn set(
        &self,
        store: &dyn Store,
        definition: &SequenceDefinition,
        name: &str,
        value: i64,
        is_called: bool,
    ) -> Result<()> {
        let (min, max) = (definition.min, definition.max);
        if !(min..=max).contains(&value) {
            let message = format!(
                "setval: value {value} is out of bounds for sequence \"{name}\" ({min}..{max})"
            );
            return Err(SqlError::new(SqlState::NumericValueOutOfRange, message));
        }
        let standing = self.standing(definition.state);
        let mut standing = standing.lock();
        write(store, definition.state, value, is_called)?;
        let at = SequenceState { last_value: value, log_count: 0, is_called };
        *standing = Some(Standing { at, counted: counted(definition) });
        Ok(())
    }

    /// Where a sequence stands.
    ///
    /// # Errors
    /// Storage.
    pub fn state(
        &self,
        store: &dyn Store,
        definition: &SequenceDefinition,
    ) -> Result<SequenceState> {
        let standing = self.standing(definition.state);
        let mut standing = standing.lock();
        Ok(known(&mut standing, store, definition)?.at)
    }
}

/// 2200H
pub(crate) fn exhausted(definition: &SequenceDefinition, name: &str) -> SqlError {
    let (what, bound) = if definition.increment > 0 {
        ("maximum", definition.max)
    } else {
        ("minimum", definition.min)
    };
    let message = format!("nextval: reached {what} value of sequence \"{name}\" ({bound})");
    SqlError::new(SqlState::SequenceGeneratorLimitExceeded, message)
}

/// Where a sequence stands: in memory, else as it is written, else as its definition says.
fn known(
    standing: &mut Option<Standing>,
    store: &dyn Store,
    definition: &SequenceDefinition,
) -> Result<Standing> {
    if let Some(standing) = standing {
        return Ok(*standing);
    }
    let mut txn = store.begin(BeginOptions { read_only: true, ..BeginOptions::default() })?;
    txn.begin_statement()?;
    let written = read(txn.as_mut(), SEQUENCES, &key(definition.state), ReadAt::Newest)?;
    txn.rollback();
    let (last_value, is_called) = match written {
        Some(bytes) => decode(&bytes).ok_or_else(malformed)?,
        None => definition.initial,
    };
    let at = SequenceState { last_value, log_count: 0, is_called };
    Ok(*standing.insert(Standing { at, counted: counted(definition) }))
}

fn key(state: u32) -> [u8; 4] {
    state.to_be_bytes()
}

/// Writes where a sequence will stand, durably.
fn write(store: &dyn Store, state: u32, value: i64, is_called: bool) -> Result<()> {
    let mut txn: Box<dyn Transaction> = store.begin(BeginOptions::default())?;
    txn.begin_statement()?;
    let (strength, intent) = (LockStrength::Update, LockIntent::Insert);
    txn.lock(SEQUENCES, &key(state), strength, intent, WaitPolicy::Wait(None))?;
    txn.put(SEQUENCES, &key(state), &encode(value, is_called))?;
    txn.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        for (value, is_called) in [(0, false), (i64::MIN, true), (i64::MAX, false)] {
            let bytes = encode(value, is_called);
            assert_eq!(decode(&bytes), Some((value, is_called)));
            for len in 0..bytes.len() {
                assert_eq!(decode(&bytes[..len]), None);
            }
        }
        assert_eq!(decode(&[2; 10]), None);
    }
}
