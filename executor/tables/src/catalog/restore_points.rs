//! Named restore points: times under a name, some of them pinned.
//!
//! Keyspace 18, from name to time. A pinned one keeps the history of its moment readable in every
//! table, past any retention, until it is dropped.

use driftdb_concurrency::{LockIntent, LockStrength, ReadAt, Transaction, WaitPolicy};
use driftdb_query::{Result, SqlError};
use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_types::SqlState;

use super::{malformed, read, scan_all};

pub(crate) const RESTORE_POINTS: KeyspaceId = KeyspaceId(18);

const VERSION: u8 = 1;

/// A time under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    /// Its name.
    pub name: String,
    /// The moment: everything committed at or before it.
    pub at: Timestamp,
    /// Whether the moment stays readable whatever the retention.
    pub is_pinned: bool,
}

fn encode(point: &RestorePoint) -> [u8; 10] {
    let mut bytes = [VERSION; 10];
    bytes[1..9].copy_from_slice(&point.at.0.to_le_bytes());
    bytes[9] = u8::from(point.is_pinned);
    bytes
}

fn decode(name: &[u8], bytes: &[u8]) -> Option<RestorePoint> {
    let [VERSION, at @ .., pinned @ (0 | 1)] = bytes else { return None };
    let at = Timestamp(u64::from_le_bytes(at.try_into().ok()?));
    let name = String::from_utf8(name.to_vec()).ok()?;
    Some(RestorePoint { name, at, is_pinned: *pinned == 1 })
}

/// The restore point with a name.
///
/// # Errors
/// Storage; a malformed record.
pub fn restore_point(
    txn: &mut dyn Transaction,
    name: &str,
    at: ReadAt,
) -> Result<Option<RestorePoint>> {
    let Some(bytes) = read(txn, RESTORE_POINTS, name.as_bytes(), at)? else { return Ok(None) };
    decode(name.as_bytes(), &bytes).map(Some).ok_or_else(malformed)
}

/// All of them, by name.
///
/// # Errors
/// Storage; a malformed record.
pub fn restore_points(txn: &mut dyn Transaction, at: ReadAt) -> Result<Vec<RestorePoint>> {
    let mut points = Vec::new();
    scan_all(txn, RESTORE_POINTS, at, &mut |key, bytes| {
        points.push(decode(key, bytes).ok_or_else(malformed)?);
        Ok(())
    })?;
    Ok(points)
}

/// Makes a restore point.
///
/// # Errors
/// 42710 for a name that is taken; storage.
pub fn create_restore_point(txn: &mut dyn Transaction, point: &RestorePoint) -> Result<()> {
    if claim(txn, &point.name)?.is_some() {
        let message = format!("restore point \"{}\" already exists", point.name);
        return Err(SqlError::new(SqlState::DuplicateObject, message));
    }
    txn.put(RESTORE_POINTS, point.name.as_bytes(), &encode(point))?;
    Ok(())
}

/// Drops a restore point; false if there is none of the name.
///
/// # Errors
/// Storage.
pub fn drop_restore_point(txn: &mut dyn Transaction, name: &str) -> Result<bool> {
    if claim(txn, name)?.is_none() {
        return Ok(false);
    }
    txn.delete(RESTORE_POINTS, name.as_bytes())?;
    Ok(true)
}

/// Claims a name and says what stands there now.
fn claim(txn: &mut dyn Transaction, name: &str) -> Result<Option<RestorePoint>> {
    let wait = WaitPolicy::Wait(None);
    txn.lock(RESTORE_POINTS, name.as_bytes(), LockStrength::Update, LockIntent::Insert, wait)?;
    restore_point(txn, name, ReadAt::Newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        for is_pinned in [false, true] {
            let point = RestorePoint { name: "before".into(), at: Timestamp(u64::MAX), is_pinned };
            assert_eq!(decode(b"before", &encode(&point)), Some(point));
        }
        assert_eq!(decode(b"x", &[2, 0, 0, 0, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(decode(b"x", &[1, 0, 1]), None);
    }
}
