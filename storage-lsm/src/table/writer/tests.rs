//! Mistakes planted in the writer, and what reports them; the seams of tables.

use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{Damage, StorageError, VerifyDepth};

use super::*;
use crate::table::{Table, TableScan, check_table};
use crate::verify::Checking;

const SPACE: KeyspaceId = KeyspaceId(3);

type Row = (KeyspaceId, Vec<u8>, u64, Option<Vec<u8>>);

fn row(space: u32, key: &[u8], ts: u64, value: Option<&[u8]>) -> Row {
    (KeyspaceId(space), key.to_vec(), ts, value.map(<[u8]>::to_vec))
}

fn add(writer: &mut TableWriter, rows: &[Row]) {
    for (space, key, ts, value) in rows {
        let entry = Entry { key, ts: Timestamp(*ts), value: value.as_deref() };
        writer.add(*space, entry).unwrap();
    }
}

/// A table that `write` fills.
fn written(options: &EngineOptions, write: impl FnOnce(&mut TableWriter)) -> Arc<Table> {
    let env = sim_env(&SimDisk::new(1), 1);
    let dir = Path::new("/lsm");
    env.disk().create_dir_all(dir).unwrap();
    let context = Arc::new(TableContext::new(options.cache_bytes));
    let mut writer = TableWriter::create(&env, dir, 1, options, &context).unwrap();
    write(&mut writer);
    let meta = writer.finish(Timestamp::MIN).unwrap();
    assert_eq!(meta.size_bytes, writer.file.len().unwrap());
    Arc::new(Table::open(&env, dir, meta, &context).unwrap())
}

fn damages(table: &Arc<Table>) -> Vec<Damage> {
    let mut found = Vec::new();
    let mut report = |damage| found.push(damage);
    let mut checking = Checking::new(VerifyDepth::Full, &mut report, table.meta().size_bytes);
    check_table(table, &mut checking).unwrap();
    found
}

fn scanned(table: &Arc<Table>) -> Result<Vec<Row>> {
    let mut scan = TableScan::new(Arc::clone(table))?;
    let mut rows = Vec::new();
    while let Some((space, entry)) = scan.head() {
        rows.push(row(space.0, entry.key, entry.ts.0, entry.value));
        scan.advance()?;
    }
    Ok(rows)
}

/// Writes, scans, checks, and reads every version.
fn check(options: &EngineOptions, rows: &[Row]) {
    let table = written(options, |writer| add(writer, rows));
    assert!(scanned(&table).unwrap() == rows, "a scan gives other rows");
    assert_eq!(damages(&table), []);
    for (space, key, ts, value) in rows.iter().step_by(1 + rows.len() / 500) {
        let mut out = Vec::new();
        let found = table.get(*space, key, Timestamp(*ts), &mut out).unwrap();
        let expected = match value {
            Some(_) => crate::memtable::Found::Value(Timestamp(*ts)),
            None => crate::memtable::Found::Tombstone(Timestamp(*ts)),
        };
        assert_eq!(found, Some(expected), "{key:?} at {ts}");
        assert_eq!(out, value.clone().unwrap_or_default());
    }
}

#[test]
fn seams_come_back() {
    let tiny = EngineOptions::tiny();
    check(&tiny, &[row(1, b"", 0, None)]);
    check(&tiny, &[row(1, b"", 5, Some(b"")), row(1, b"", 4, None), row(2, b"", 1, Some(b"x"))]);
    // One huge entry, in either section, that compresses beyond what a reader accepts.
    let huge = vec![0; 1 << 20];
    check(&tiny, &[row(1, b"a", 9, Some(&huge)), row(1, b"b", 9, Some(b"x"))]);
    check(&tiny, &[row(1, b"a", 9, Some(b"x")), row(1, b"a", 8, Some(&huge))]);
    // Histories over many blocks, and keyspaces that change in the middle of them.
    let long = |space: u32| (0..2000).rev().map(move |ts| row(space, b"hot", ts, Some(&[7; 20])));
    let rows: Vec<_> = long(1).chain([row(1, b"i", 3, None)]).chain(long(2)).collect();
    check(&tiny, &rows);
    // The same with a dictionary that waits for its sample in the middle of it.
    let sampled = EngineOptions {
        compression: Compression::Zstd,
        dictionary_sample_bytes: 8 << 10,
        ..EngineOptions::tiny()
    };
    check(&sampled, &rows);
    check(&sampled, &[row(1, b"a", 9, Some(&huge)), row(1, b"a", 8, Some(&huge))]);
    // All in one block.
    let options = EngineOptions { block_size_bytes: 16 << 20, ..tiny };
    let rows: Vec<_> = (0..=65_536).rev().map(|ts| row(1, b"hot", ts, Some(b"v"))).collect();
    check(&options, &rows);
    let rows: Vec<_> = (0..65_536u32).map(|n| row(1, &n.to_be_bytes(), 7, Some(b"v"))).collect();
    check(&options, &rows);
}

/// Rows of a few words, with a history, so many that there are several filters.
fn wordy(count: u32) -> Vec<Row> {
    let words = ["deliver in person", "take back return", "collect on delivery", "none"];
    let value = |n: u32| format!("order {n}, instructions: {}, by air", words[n as usize % 4]);
    let versions = |n: u32| {
        let key = n.to_be_bytes();
        let times = (1..2 + u64::from(n % 3)).rev();
        times.map(move |ts| row(1 + n / 20_000, &key, ts, Some(value(n).as_bytes())))
    };
    (0..count).flat_map(versions).collect()
}

#[test]
fn a_dictionary_comes_before_all_blocks_and_all_come_back() {
    let rows = wordy(50_000);
    // Decided among the first blocks, after the first filter, and never.
    for sample_kib in [16, 4 << 10, 64 << 10] {
        let options = EngineOptions {
            block_size_bytes: 1 << 10,
            compression: Compression::Zstd,
            dictionary_sample_bytes: sample_kib << 10,
            cache_bytes: 64 << 20,
            ..EngineOptions::tiny()
        };
        check(&options, &rows);
        let table = written(&options, |writer| {
            add(writer, &rows);
            // What waits counts, so that a compaction ends its output in time.
            assert!(writer.held.is_none() || writer.size_bytes() > 4 << 20);
        });
        let sections = table.sections().unwrap();
        let place = sections.dictionary.as_ref().map(|(place, _)| place.offset);
        assert_eq!(place, (sample_kib < 64 << 10).then_some(36), "{sample_kib}");
        assert_eq!(sections.version, if place.is_some() { 3 } else { 2 });
        let pinned = table.context.pinned_bytes();
        assert_eq!(pinned > 0, place.is_some(), "a dictionary counts as long as it is in memory");
        let context = Arc::clone(&table.context);
        drop(table);
        assert_eq!(context.pinned_bytes(), 0);
    }
}

/// Plants a mistake while writing; verify must find it, and a scan too where `is_scan_safe` is false.
fn plant(expected: &str, is_scan_safe: bool, mistake: impl FnOnce(&mut TableWriter)) {
    let table = written(&EngineOptions::tiny(), |writer| {
        add(writer, &[row(3, b"a", 9, Some(b"1")), row(3, b"a", 5, None), row(3, b"b", 7, None)]);
        mistake(writer);
    });
    let found = damages(&table);
    assert!(found.iter().any(|damage| damage.what.contains(expected)), "{expected}: {found:?}");
    let is_refused = matches!(scanned(&table), Err(StorageError::Corruption(_)));
    assert_eq!(is_refused, !is_scan_safe, "{expected}");
}

#[test]
fn planted_mistakes_of_the_writer_are_found() {
    let entry = |key, ts| Entry { key, ts: Timestamp(ts), value: None };
    plant("does not know of", false, |writer| writer.history.add(SPACE, entry(b"b", 2)));
    plant("missing or newer", false, |writer| writer.newest.block.mark_older());
    plant("missing or newer", true, |writer| {
        writer.newest.block.mark_older();
        writer.history.add(SPACE, entry(b"b", 8));
    });
    plant("two versions of a key", true, |writer| writer.newest.add(SPACE, entry(b"b", 2)));
    plant("another least time", true, |writer| writer.newest.min_ts = Timestamp(6));
    plant("other time bounds", true, |writer| writer.newest.max_ts = Timestamp(10));
    plant("other time bounds", true, |writer| writer.history.min_ts = Timestamp(4));
    plant("other entries than the index says", false, |writer| {
        writer.newest.last_ts = Timestamp(8);
    });
    plant("filter denies", true, |writer| writer.hashes[0] ^= u64::MAX);
    plant("belong to nothing", true, |writer| writer.pending.push(0));
    plant("instead of", true, |writer| writer.footer.tombstone_count += 1);
    plant("refers to no dictionary", false, |writer| {
        writer.footer.dictionary = Some(FramePlace { offset: 36, len: u32::MAX });
        writer.pending[..36].copy_from_slice(&format::preamble(FileType::Table, 3, 1));
    });
    plant("needs a dictionary", false, |writer| {
        assert!(writer.compressor.learn(&[7; 256]));
        writer.newest.codec = Codec::ZstdDictionary;
        let entry = Entry { key: b"c", ts: Timestamp(1), value: Some(&[7; 256]) };
        writer.add(SPACE, entry).unwrap();
    });
}
