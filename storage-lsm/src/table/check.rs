//! Reads a whole table and reports every damage.
//!
//! Each section is walked block by block: bounds, the index, the filters; reading a block has compared
//! its order with the index. Then, key by key,
//! whether the bits of the newest section and the entries of the history section agree.

use std::sync::Arc;

use driftdb_storage::{Damage, Result, StorageError, Timestamp, VerifyDepth};

use super::block::DataBlock;
use super::cursor::SectionCursor;
use super::filter::{self, Filter};
use super::{Fill, Section, Sections, Table};
use crate::format::PREAMBLE_BYTES;
use crate::run::Place;
use crate::verify::Checking;

/// What was counted, to be compared with the footer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    entries: u64,
    keys: u64,
    tombstones: u64,
}

/// One section's check.
struct Walk<'a> {
    table: &'a Table,
    sections: &'a Arc<Sections>,
    section: Section,
    totals: Totals,
    /// All blocks could be read.
    is_whole: bool,
    /// The last key so far, and its block.
    last: Option<(DataBlock, Vec<u8>)>,
}

/// Checks preamble, footer, dictionary and indexes, and that no byte belongs to nothing; deeper, checksum and structure
/// of every block and filter; in full, order, bounds, counts, that no filter denies a key it covers, and
/// that the sections agree.
///
/// # Errors
/// I/O errors other than damage.
pub(crate) fn check_table(table: &Arc<Table>, checking: &mut Checking<'_>) -> Result<()> {
    // A fresh copy: the one in memory says nothing about the disk.
    let Some(sections) = checking.whole(table.read_sections())? else { return Ok(()) };
    let sections = Arc::new(sections);
    check_coverage(table, &sections, checking);
    if checking.depth == VerifyDepth::Structure {
        return Ok(());
    }
    let newest = Walk::new(table, &sections, Section::Newest).run(checking)?;
    if sections.is_mixed() {
        check_totals(table, newest, checking);
        return Ok(());
    }
    let history = Walk::new(table, &sections, Section::History).run(checking)?;
    if checking.depth < VerifyDepth::Full {
        return Ok(());
    }
    let runs = check_runs(table, &sections, &mut |damage| checking.damage(damage))?;
    let (Some(newest), Some(history), Some(runs)) = (newest, history, runs) else { return Ok(()) };
    if runs != history.keys {
        let what = "the history section has keys that the newest section does not know of";
        checking.damage(Damage::new(&table.name, 0, what));
    }
    let totals = Totals {
        entries: newest.entries + history.entries,
        keys: newest.keys,
        tombstones: newest.tombstones + history.tombstones,
    };
    check_totals(table, Some(totals), checking);
    Ok(())
}

/// The first and the last key of a table, as they are on disk now.
///
/// # Errors
/// I/O; damage to what leads to the first block, or to it.
pub(crate) fn ends(table: &Table) -> Result<(Place, Place)> {
    let sections = table.read_sections()?;
    let index = &sections.newest;
    let no_blocks = || StorageError::corruption(&table.name, 0, "the table has no blocks");
    let end = index.len().checked_sub(1).ok_or_else(no_blocks)?;
    let block = table.block(&sections, Section::Newest, 0, Fill::Bypass)?;
    let mut first = Vec::new();
    block.copy_key(0, &mut first);
    let last = Place::new(index.block(end).space, index.last_key(end));
    Ok((Place::new(block.space(), &first), last))
}

fn check_totals(table: &Table, totals: Option<Totals>, checking: &mut Checking<'_>) {
    if checking.depth < VerifyDepth::Full {
        return;
    }
    let meta = table.meta();
    let expected = Totals {
        entries: meta.entry_count,
        keys: meta.key_count,
        tombstones: meta.tombstone_count,
    };
    if let Some(totals) = totals.filter(|totals| *totals != expected) {
        let what = format!("the table holds {totals:?} instead of {expected:?}");
        checking.damage(Damage::new(&table.name, 0, what));
    }
}

/// The dictionary and the frames that the indexes name lie side by side, from the preamble to the first index.
fn check_coverage(table: &Table, sections: &Sections, checking: &mut Checking<'_>) {
    let dictionary = sections.dictionary.iter().map(|(place, _)| (place.offset, place.len));
    let mut places: Vec<(u64, u32)> = dictionary.collect();
    let has_history = !sections.is_mixed();
    for index in std::iter::once(&sections.newest).chain(has_history.then_some(&sections.history)) {
        let blocks = (0..index.len()).map(|position| index.block(position));
        places.extend(blocks.map(|block| (block.offset, block.len)));
        places.extend(index.filters().iter().map(|filter| (filter.offset, filter.len)));
    }
    places.sort_unstable();
    let mut end = PREAMBLE_BYTES as u64;
    for (offset, len) in places.into_iter().chain([(sections.data_end, 0)]) {
        if offset != end {
            let what = "blocks overlap, or bytes between them belong to nothing";
            return checking.damage(Damage::new(&table.name, end.min(offset), what));
        }
        end = offset + u64::from(len);
    }
}

impl<'a> Walk<'a> {
    fn new(table: &'a Table, sections: &'a Arc<Sections>, section: Section) -> Self {
        let totals = Totals::default();
        Self { table, sections, section, totals, is_whole: true, last: None }
    }

    /// The totals, unless some block could not be read.
    fn run(mut self, checking: &mut Checking<'_>) -> Result<Option<Totals>> {
        let index = self.sections.index(self.section);
        for position in 0..index.len() {
            checking.advance(u64::from(index.block(position).len));
            let block = self.table.block(self.sections, self.section, position, Fill::Bypass);
            match checking.whole(index.with_keys(position, block))? {
                Some(block) if checking.depth == VerifyDepth::Full => {
                    self.check_block(position, &block, checking)?;
                }
                Some(_) => {}
                None => self.is_whole = false,
            }
        }
        if checking.depth < VerifyDepth::Full {
            for place in index.filters() {
                checking.whole(self.table.read_filter(self.sections, place))?;
            }
        }
        Ok(self.is_whole.then_some(self.totals))
    }

    fn check_block(
        &mut self,
        position: usize,
        block: &DataBlock,
        checking: &mut Checking<'_>,
    ) -> Result<()> {
        let index = self.sections.index(self.section);
        let place = *index.block(position);
        let first = index.lower_bound(position);
        let last = index.last_key(position);
        let mut wrong = |what: &str| {
            let damage = Damage::new(&self.table.name, place.offset, what);
            checking.damage(damage.with_keys(place.space, first, Some(last)));
        };
        let mut key = Vec::new();
        block.copy_key(0, &mut key);
        let mut is_continued = false;
        if let Some((before, last_key)) = &self.last
            && before.space() == block.space()
        {
            is_continued = *last_key == key;
            if is_continued && self.section == Section::Newest && !self.sections.is_mixed() {
                wrong("the newest section has a key twice");
            }
        }
        let is_split = self.section == Section::Newest && !self.sections.is_mixed();
        if is_split && block.key_count() != block.len() {
            wrong("the newest section has two versions of a key");
        }
        self.totals.entries += block.len() as u64;
        self.totals.keys += (block.key_count() - usize::from(is_continued)) as u64;
        let tombstones = (0..block.len()).filter(|&slot| block.value(slot).is_none()).count();
        self.totals.tombstones += tombstones as u64;
        block.copy_key(block.key_count() - 1, &mut key);
        let times = || (0..block.len()).map(|slot| block.ts(slot));
        // The least of the newest section covers histories too: `check_runs` looks at it.
        let has_min = is_split || times().min() == Some(place.min_ts);
        if !has_min || times().max() != Some(place.max_ts) {
            wrong("the index has other time bounds for the block");
        }
        self.last = Some((Arc::clone(block), key));
        self.check_filter(position, block, checking)
    }

    fn check_filter(
        &self,
        position: usize,
        block: &DataBlock,
        checking: &mut Checking<'_>,
    ) -> Result<()> {
        let index = self.sections.index(self.section);
        let number = index.block(position).filter as usize;
        let Some(place) = index.filters().get(number) else { return Ok(()) };
        let filter = self.table.read_filter(self.sections, place);
        let Some(filter) = checking.whole(filter)? else { return Ok(()) };
        if !covers(&filter, block) {
            let what = "the filter denies a key that is there";
            checking.damage(Damage::new(&self.table.name, place.offset, what));
        }
        Ok(())
    }
}

fn covers(filter: &Filter, block: &DataBlock) -> bool {
    let mut key = Vec::new();
    (0..block.key_count()).all(|key_index| {
        block.copy_key(key_index, &mut key);
        filter.may_contain(filter::hash(block.space(), &key))
    })
}

/// Compares the bits of the newest section with the history section. Returns how many keys have a
/// history, unless some block could not be read (which is reported elsewhere).
fn check_runs(
    table: &Arc<Table>,
    sections: &Arc<Sections>,
    found: &mut dyn FnMut(Damage),
) -> Result<Option<u64>> {
    let mut history =
        SectionCursor::new(Arc::clone(table), Arc::clone(sections), Section::History, Fill::Bypass);
    let mut ignore = |_: Damage| {};
    let mut runs = 0;
    let mut is_whole = true;
    for position in 0..sections.newest.len() {
        let block = table.block(sections, Section::Newest, position, Fill::Bypass);
        let Some(block) = report(block, &mut ignore)? else {
            is_whole = false;
            continue;
        };
        let place = sections.newest.block(position);
        let mut min_ts = Timestamp::MAX;
        let mut key = Vec::new();
        for key_index in 0..block.key_count() {
            let slot = block.start(key_index);
            min_ts = min_ts.min(block.ts(slot));
            if !block.has_older(slot) {
                continue;
            }
            runs += 1;
            block.copy_key(key_index, &mut key);
            match report(oldest(&mut history, &block, &key), &mut ignore)? {
                None => is_whole = false,
                Some(Some((newest, oldest))) if newest < block.ts(slot) => {
                    min_ts = min_ts.min(oldest);
                }
                Some(_) => {
                    let what = "the history of a key is missing or newer than its newest version";
                    let damage = Damage::new(&table.name, place.offset, what);
                    found(damage.with_keys(place.space, Some(&key), Some(&key)));
                }
            }
        }
        if is_whole && min_ts != place.min_ts {
            let what = "the index has another least time for the block and its history";
            found(Damage::new(&table.name, place.offset, what));
        }
    }
    Ok(is_whole.then_some(runs))
}

/// The first and the last time in a key's history.
fn oldest(
    history: &mut SectionCursor,
    block: &DataBlock,
    key: &[u8],
) -> Result<Option<(Timestamp, Timestamp)>> {
    if !history.seek_version(block.space(), key, Timestamp::MAX)? {
        return Ok(None);
    }
    let newest = history.ts();
    let mut oldest = newest;
    while history.next_version()? {
        oldest = history.ts();
    }
    Ok(Some((newest, oldest)))
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
