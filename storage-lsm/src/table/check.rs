//! Reads a whole table and reports every damage.

use driftdb_storage::{Damage, Result, StorageError, VerifyDepth};

use super::block::{DataBlock, precedes};
use super::filter::{self, Filter};
use super::index::{BlockRef, Index};
use super::{Fill, Table};
use crate::format::FrameKind;
use crate::verify::Checking;

/// What was counted, to be compared with the footer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    entries: u64,
    keys: u64,
    tombstones: u64,
}

/// Checks preamble, footer and index; deeper, checksum and structure of every block; in full, order,
/// bounds, counts, and that no filter denies a key it covers.
///
/// # Errors
/// I/O errors other than damage.
pub(crate) fn check_table(table: &Table, checking: &mut Checking<'_>) -> Result<()> {
    // A fresh copy: the one in memory says nothing about the disk.
    let Some(index) = checking.whole(table.read_index())? else { return Ok(()) };
    if checking.depth == VerifyDepth::Structure {
        return Ok(());
    }
    let mut totals = Totals::default();
    let mut is_whole = true;
    let mut last: Option<(DataBlock, usize)> = None;
    for position in 0..index.len() {
        let place = index.block(position);
        checking.advance(u64::from(place.len));
        let read = with_keys(table.block(&place, Fill::Bypass), &index, position);
        let Some(block) = checking.whole(read)? else {
            is_whole = false;
            continue;
        };
        if checking.depth == VerifyDepth::Full {
            count(&block, &mut last, &mut totals, &mut |what| {
                checking.damage(at_block(table, &index, position, what));
            });
            for what in wrong_bounds(&block, &place) {
                checking.damage(at_block(table, &index, position, what));
            }
            check_filter(table, &index, &place, &block, checking)?;
        }
    }
    if checking.depth == VerifyDepth::Checksums {
        return check_filters(table, &index, checking);
    }
    let meta = table.meta();
    let expected = Totals {
        entries: meta.entry_count,
        keys: meta.key_count,
        tombstones: meta.tombstone_count,
    };
    if is_whole && totals != expected {
        let what = format!("the table holds {totals:?} instead of {expected:?}");
        checking.damage(Damage::new(&table.name, 0, what));
    }
    Ok(())
}

/// Damage to a block, with the keys that the index says lie there.
fn at_block(table: &Table, index: &Index, position: usize, what: &str) -> Damage {
    let offset = index.block(position).offset;
    index.name_keys(position, Damage::new(&table.name, offset, what))
}

fn with_keys<T>(result: Result<T>, index: &Index, position: usize) -> Result<T> {
    result.map_err(|error| match error {
        StorageError::Corruption(damage) => {
            StorageError::Corruption(index.name_keys(position, damage))
        }
        other => other,
    })
}

/// Counts the entries of a block, and says where they are out of order.
fn count(
    block: &DataBlock,
    last: &mut Option<(DataBlock, usize)>,
    totals: &mut Totals,
    wrong: &mut dyn FnMut(&str),
) {
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
        *last = Some((block.clone(), slot));
    }
}

fn wrong_bounds(block: &DataBlock, place: &BlockRef<'_>) -> impl Iterator<Item = &'static str> {
    let last = block.entry(block.len() - 1);
    let is_other_end = last.key != place.last_key || last.ts != place.last_ts;
    let times = || (0..block.len()).map(|slot| block.entry(slot).ts);
    let bounds = (times().min(), times().max());
    let is_other_time = bounds != (Some(place.min_ts), Some(place.max_ts));
    let end = is_other_end.then_some("the index has another last entry for the block");
    end.into_iter().chain(is_other_time.then_some("the index has other time bounds for the block"))
}

fn check_filter(
    table: &Table,
    index: &Index,
    place: &BlockRef<'_>,
    block: &DataBlock,
    checking: &mut Checking<'_>,
) -> Result<()> {
    let Some((offset, len)) = index.filter(place.filter) else { return Ok(()) };
    let frame = table.frame(FrameKind::Filter, offset, len, Fill::Bypass, Filter::check);
    let Some(frame) = checking.whole(frame)? else { return Ok(()) };
    let filter = Filter::new(&frame);
    let hash_of = |slot| filter::hash(block.space(), block.entry(slot).key);
    if !(0..block.len()).all(|slot| filter.may_contain(hash_of(slot))) {
        let what = "the filter denies a key that is there";
        checking.damage(Damage::new(&table.name, offset, what));
    }
    Ok(())
}

fn check_filters(table: &Table, index: &Index, checking: &mut Checking<'_>) -> Result<()> {
    for number in 0..index.filter_count() {
        let Some((offset, len)) = index.filter(number as u32) else { continue };
        let frame = table.frame(FrameKind::Filter, offset, len, Fill::Bypass, Filter::check);
        checking.whole(frame)?;
    }
    Ok(())
}
