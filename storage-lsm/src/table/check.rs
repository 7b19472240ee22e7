//! Reads a whole table and reports every damage.

use driftdb_storage::{Damage, Result, StorageError};

use super::block::{DataBlock, precedes};
use super::filter::{self, Filter};
use super::index::{BlockRef, Index};
use super::{Fill, Table};
use crate::format::FrameKind;

/// What was counted, to be compared with the footer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    entries: u64,
    keys: u64,
    tombstones: u64,
}

/// Checks checksums, structure, order, bounds, counts, and that no filter denies a key it covers.
///
/// # Errors
/// I/O errors other than damage.
pub(crate) fn check_table(table: &Table, found: &mut dyn FnMut(Damage)) -> Result<()> {
    // A fresh copy: the one in memory says nothing about the disk.
    let Some(index) = report(table.read_index(), found)? else { return Ok(()) };
    let mut totals = Totals::default();
    let mut is_whole = true;
    let mut last: Option<(DataBlock, usize)> = None;
    for position in 0..index.len() {
        let place = index.block(position);
        let Some(block) = report(table.block(&place, Fill::Bypass), found)? else {
            is_whole = false;
            continue;
        };
        let mut wrong = |what: &str| {
            found(Damage::new(&table.name, place.offset, what));
        };
        for slot in 0..block.len() {
            let entry = block.entry(slot);
            let previous = last.as_ref().map(|(block, slot)| (block.space(), block.entry(*slot)));
            let is_first_of_key = match previous {
                Some((space, before)) if space == block.space() => {
                    if !precedes(before.key, before.ts, entry.key, entry.ts) {
                        wrong("entries are not in order");
                    }
                    before.key != entry.key
                }
                _ => true,
            };
            totals.entries += 1;
            totals.keys += u64::from(is_first_of_key);
            totals.tombstones += u64::from(entry.value.is_none());
            last = Some((block.clone(), slot));
        }
        check_bounds(&block, &place, &mut wrong);
        check_filter(table, &index, &place, &block, found)?;
    }
    let meta = table.meta();
    let expected = Totals {
        entries: meta.entry_count,
        keys: meta.key_count,
        tombstones: meta.tombstone_count,
    };
    if is_whole && totals != expected {
        let what = format!("the table holds {totals:?} instead of {expected:?}");
        found(Damage::new(&table.name, 0, what));
    }
    Ok(())
}

fn check_bounds(block: &DataBlock, place: &BlockRef<'_>, wrong: &mut dyn FnMut(&str)) {
    let last = block.entry(block.len() - 1);
    if last.key != place.last_key || last.ts != place.last_ts {
        wrong("the index has another last entry for the block");
    }
    let times = || (0..block.len()).map(|slot| block.entry(slot).ts);
    let bounds = (times().min(), times().max());
    if bounds != (Some(place.min_ts), Some(place.max_ts)) {
        wrong("the index has other time bounds for the block");
    }
}

fn check_filter(
    table: &Table,
    index: &Index,
    place: &BlockRef<'_>,
    block: &DataBlock,
    found: &mut dyn FnMut(Damage),
) -> Result<()> {
    let Some((offset, len)) = index.filter(place.filter) else { return Ok(()) };
    let frame = table.frame(FrameKind::Filter, offset, len, Fill::Bypass, Filter::check);
    let Some(frame) = report(frame, found)? else { return Ok(()) };
    let filter = Filter::new(&frame);
    let hash_of = |slot| filter::hash(block.space(), block.entry(slot).key);
    if !(0..block.len()).all(|slot| filter.may_contain(hash_of(slot))) {
        found(Damage::new(&table.name, offset, "the filter denies a key that is there"));
    }
    Ok(())
}

/// Reports damage and goes on; passes other errors.
fn report<T>(result: Result<T>, found: &mut dyn FnMut(Damage)) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StorageError::Corruption(damage)) => {
            found(damage);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}
