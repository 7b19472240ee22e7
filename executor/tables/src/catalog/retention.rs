//! Retention of single tables: how long each keeps its history.
//!
//! Keyspace 19 has one record for each table that does not follow the database's period: the period, and
//! every keyspace that the table's rows and indexes ever had while it had one. TRUNCATE, a change of key
//! and DROP TABLE leave keyspaces behind whose history is promised as before, so the record stays when
//! the table goes; identifiers of tables are never given to another.

use std::collections::BTreeMap;
use std::time::Duration;

use driftdb_concurrency::{
    HistoryRules, Keep, LockIntent, LockStrength, ReadAt, Transaction, WaitPolicy,
};
use driftdb_query::{Result, Table, TableId};
use driftdb_storage::{KeyspaceId, read_varint, write_varint};

use super::restore_points::{RESTORE_POINTS, restore_points};
use super::{NAMES, OBJECTS, TABLES, malformed, read, scan_all, table_key};

pub(crate) const RETENTION: KeyspaceId = KeyspaceId(19);

const VERSION: u8 = 1;
/// More keyspaces than a table may have had: a bound for damaged counts.
const MOST: u64 = 1 << 24;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// `None`: what the database does.
    keep: Option<Keep>,
    spaces: Vec<KeyspaceId>,
}

fn encode(rule: &Rule) -> Vec<u8> {
    let mut out = vec![VERSION];
    match rule.keep {
        None => out.push(0),
        Some(Keep::Forever) => out.push(1),
        Some(Keep::For(period)) => {
            out.push(2);
            write_varint(&mut out, u64::try_from(period.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    write_varint(&mut out, rule.spaces.len() as u64);
    rule.spaces.iter().for_each(|space| write_varint(&mut out, u64::from(space.0)));
    out
}

fn decode(bytes: &[u8]) -> Option<Rule> {
    let [VERSION, kind, rest @ ..] = bytes else { return None };
    let mut rest = rest;
    let keep = match kind {
        0 => None,
        1 => Some(Keep::Forever),
        2 => Some(Keep::For(Duration::from_nanos(read_varint(&mut rest)?))),
        _ => return None,
    };
    let count = read_varint(&mut rest).filter(|count| *count <= MOST)?;
    let spaces = (0..count)
        .map(|_| u32::try_from(read_varint(&mut rest)?).ok().map(KeyspaceId))
        .collect::<Option<_>>()?;
    rest.is_empty().then_some(Rule { keep, spaces })
}

fn keyspaces(table: &Table) -> impl Iterator<Item = KeyspaceId> {
    let indexes = table.indexes.iter().filter_map(|index| index.keyspace);
    [table.keyspace].into_iter().chain(indexes)
}

fn rule(txn: &mut dyn Transaction, id: TableId, at: ReadAt) -> Result<Option<Rule>> {
    let Some(bytes) = read(txn, RETENTION, &table_key(id), at)? else { return Ok(None) };
    decode(&bytes).map(Some).ok_or_else(malformed)
}

/// Sets how long a table, whose definition the caller has taken, keeps its history; `None`: as long as
/// the database.
///
/// # Errors
/// Storage.
pub(crate) fn set_retention(
    txn: &mut dyn Transaction,
    table: &Table,
    keep: Option<Keep>,
) -> Result<()> {
    let before = rule(txn, table.id, ReadAt::Newest)?;
    if before.is_none() && keep.is_none() {
        return Ok(());
    }
    let spaces = before.map(|rule| rule.spaces).unwrap_or_default();
    put(txn, table, Rule { keep, spaces })
}

/// Notes the keyspaces of a changed definition.
pub(crate) fn note_keyspaces(txn: &mut dyn Transaction, table: &Table) -> Result<()> {
    match rule(txn, table.id, ReadAt::Newest)? {
        Some(rule) if keyspaces(table).any(|space| !rule.spaces.contains(&space)) => {
            put(txn, table, rule)
        }
        _ => Ok(()),
    }
}

fn put(txn: &mut dyn Transaction, table: &Table, mut rule: Rule) -> Result<()> {
    for space in keyspaces(table) {
        if !rule.spaces.contains(&space) {
            rule.spaces.push(space);
        }
    }
    let (key, wait) = (table_key(table.id), WaitPolicy::Wait(None));
    txn.lock(RETENTION, &key, LockStrength::Update, LockIntent::Insert, wait)?;
    txn.put(RETENTION, &key, &encode(&rule))?;
    Ok(())
}

/// The tables with a period of their own, dropped ones among them.
///
/// # Errors
/// Storage; a malformed record.
pub fn table_retentions(txn: &mut dyn Transaction, at: ReadAt) -> Result<BTreeMap<TableId, Keep>> {
    let mut found = BTreeMap::new();
    for_each_rule(txn, at, &mut |id, rule| {
        if let Some(keep) = rule.keep {
            found.insert(id, keep);
        }
    })?;
    Ok(found)
}

fn for_each_rule(
    txn: &mut dyn Transaction,
    at: ReadAt,
    visit: &mut dyn FnMut(TableId, Rule),
) -> Result<()> {
    scan_all(txn, RETENTION, at, &mut |key, bytes| {
        let id = key.try_into().map(u32::from_be_bytes).map_err(|_| malformed())?;
        visit(TableId(id), decode(bytes).ok_or_else(malformed)?);
        Ok(())
    })
}

/// What the store must be told, if by itself it keeps history for `database`. The catalog is kept as
/// long as what is kept longest: without the definitions of a time, no row of it can be read.
///
/// # Errors
/// Storage; a malformed record.
pub fn history_rules(txn: &mut dyn Transaction, database: Keep) -> Result<HistoryRules> {
    let read_at = Some(txn.snapshot_ts());
    let mut rules = HistoryRules { read_at, ..HistoryRules::default() };
    let mut longest = database;
    for_each_rule(txn, ReadAt::Newest, &mut |_, rule| {
        let Some(keep) = rule.keep else { return };
        longest = longest.max(keep);
        rules.by_keyspace.extend(rule.spaces.into_iter().map(|space| (space, keep)));
    })?;
    if longest != database {
        let own = [TABLES, NAMES, RESTORE_POINTS, RETENTION, OBJECTS];
        rules.by_keyspace.extend(own.map(|space| (space, longest)));
    }
    let pinned = restore_points(txn, ReadAt::Newest)?.into_iter().filter(|point| point.is_pinned);
    rules.pins = pinned.map(|point| point.at).collect();
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let spaces = vec![KeyspaceId(1024), KeyspaceId(7_000_000)];
        for keep in [None, Some(Keep::Forever), Some(Keep::For(Duration::from_secs(86_400)))] {
            let rule = Rule { keep, spaces: spaces.clone() };
            let bytes = encode(&rule);
            assert_eq!(decode(&bytes), Some(rule));
            for len in 0..bytes.len() {
                assert_eq!(decode(&bytes[..len]), None);
            }
        }
    }
}
