//! Damage at rest: an error or the truth, never other records, and never less than was promised.

use std::path::{Path, PathBuf};

use driftdb_storage::{ErrorKind, Lsn};

use super::harness::{DIR, Records, Scratch, commit, records};

/// A log of several segments, each record its own group.
fn filled() -> (Scratch, Records) {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let mut expected = Vec::new();
    for index in 0..60_u8 {
        let payload = vec![index; 100 + usize::from(index)];
        expected.push((commit(&wal, &payload), payload));
    }
    drop(wal);
    assert!(scratch.files(".wal").len() >= 3);
    (scratch, expected)
}

/// One small segment, for tests that visit each byte: all but the last two records are promised.
fn small() -> (Scratch, Records) {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let mut expected = Vec::new();
    for index in 0..8_u8 {
        let payload = vec![index; 10 * usize::from(index)];
        expected.push((commit(&wal, &payload), payload));
    }
    (scratch, expected)
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_record_ends_before_it_and_goes_on() {
    let (scratch, mut expected) = small();
    let (end, _) = expected.pop().unwrap();
    let start = expected.last().unwrap().0;
    let file = &scratch.files(".wal")[0];
    for cut in start.0..end.0 {
        let torn = scratch.fork();
        // In the first segment positions are file offsets.
        torn.disk.overwrite(file, cut, &vec![0; (end.0 - cut) as usize]);
        assert_eq!(torn.verify(), []);
        let wal = torn.open();
        assert_eq!(wal.tail(), start, "cut at {cut}");
        assert_eq!(records(&wal, Lsn(0)), expected);
        let mut more = expected.clone();
        more.push((commit(&wal, b"more"), b"more".to_vec()));
        drop(wal);
        assert_eq!(records(&torn.open(), Lsn(0)), more);
    }
}

#[test]
fn a_deleted_last_segment_is_missed_also_when_nothing_was_prepared_behind_it() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    // Until the third segment has begun and is not half full: none is prepared behind it.
    let is_begun = |file: &PathBuf| {
        scratch.disk.read_file(file).is_some_and(|bytes| bytes.starts_with(b"DriftWAL"))
    };
    while scratch.files(".wal").len() < 3 || !scratch.files(".wal").iter().all(is_begun) {
        commit(&wal, &[7; 100]);
    }
    drop(wal);
    let last = scratch.files(".wal").pop().unwrap();
    let missing = scratch.fork();
    assert!(missing.disk.remove_file(&last));
    let found = missing.verify();
    assert!(found.iter().any(|damage| damage.what.contains("is missing")), "{found:?}");
    let error = missing.try_open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    assert!(error.to_string().contains("was begun, and is missing"), "{error}");
    // All of them: not a new log, but a lost one.
    let none = scratch.fork();
    for file in none.files(".wal") {
        assert!(none.disk.remove_file(&file));
    }
    assert_eq!(none.try_open().unwrap_err().kind(), ErrorKind::Corruption);
    // A damaged slot costs nothing: the other one stands, or the file says nothing.
    for offset in [0, 4096] {
        let damaged = scratch.fork();
        assert!(damaged.disk.corrupt(Path::new("/wal/begun"), offset + 13, 1));
        damaged.open();
        assert_eq!(damaged.verify(), []);
    }
    drop(scratch.open());
}

#[test]
fn what_follows_a_torn_record_never_comes_back() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let first = commit(&wal, b"first");
    // One group of two; the first of them is torn, the second is whole.
    let torn = wal.append(&[b"torn"]).unwrap();
    let whole = wal.append(&[b"whole"]).unwrap();
    wal.wait_durable(whole).unwrap();
    drop(wal);
    scratch.disk.corrupt(&scratch.files(".wal")[0], torn.0 - 1, 1);
    let wal = scratch.open();
    assert_eq!(wal.tail(), first);
    // Of the same size, so that it ends where the whole one starts.
    assert_eq!(commit(&wal, b"TORN"), torn);
    drop(wal);
    let expected = [(first, b"first".to_vec()), (torn, b"TORN".to_vec())];
    assert_eq!(records(&scratch.open(), Lsn(0)), expected);
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_cut() {
    let (scratch, expected) = small();
    let file = &scratch.files(".wal")[0];
    let promised = expected[expected.len() - 2].0;
    let end = expected.last().unwrap().0;
    for offset in 0..end.0 {
        for bit in 0..8 {
            let bad = scratch.fork();
            bad.disk.corrupt(file, offset, 1 << bit);
            match bad.try_open() {
                // The last group: nothing later vouches for it.
                Ok(wal) => {
                    assert!(offset >= promised.0, "byte {offset} bit {bit}");
                    assert_eq!(records(&wal, Lsn(0)), expected[..expected.len() - 1]);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corruption, "byte {offset}: {error}");
                    assert_eq!(bad.verify().len(), 1);
                }
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_an_earlier_segment_is_refused_with_its_place() {
    let (scratch, _) = filled();
    for file in &scratch.files(".wal")[..2] {
        for offset in (0..600).step_by(7) {
            let bad = scratch.fork();
            bad.disk.corrupt(file, offset, 0x10);
            let damage = bad.verify();
            assert_eq!(damage.len(), 1, "{damage:?}");
            assert_eq!(damage[0].file, file.display().to_string());
            assert!(damage[0].offset_bytes <= offset);
            assert_eq!(bad.try_open().unwrap_err().kind(), ErrorKind::Corruption);
        }
    }
}

#[test]
fn a_damaged_header_does_not_hide_what_was_promised() {
    let (scratch, _) = filled();
    let begun = |file: &PathBuf| scratch.disk.read_file(file).unwrap().starts_with(b"DriftWAL");
    let last = scratch.files(".wal").into_iter().rfind(begun).unwrap();
    for offset in 0..64 {
        let bad = scratch.fork();
        bad.disk.corrupt(&last, offset, 0x10);
        assert_eq!(bad.try_open().unwrap_err().kind(), ErrorKind::Corruption, "byte {offset}");
    }
}

#[test]
fn a_segment_torn_as_it_began_leaves_nothing_to_the_next_try() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let before = commit(&wal, &[0; 3500]);
    // The group begins the second segment; its header is lost, its second record is not.
    let torn = wal.append(&[&[1; 1000]]).unwrap();
    let whole = wal.append(&[b"whole"]).unwrap();
    wal.wait_durable(whole).unwrap();
    drop(wal);
    let second = &scratch.files(".wal")[1];
    assert!(scratch.disk.overwrite(second, 0, &[0; 512]));
    // As it is, the group was acknowledged: that the segment has begun is on record.
    assert_eq!(scratch.try_open().unwrap_err().kind(), ErrorKind::Corruption);
    // A crash would have come before that.
    assert!(scratch.disk.overwrite(Path::new("/wal/begun"), 0, &[0; 512]));
    let wal = scratch.open();
    assert_eq!(wal.tail(), before);
    assert_eq!(commit(&wal, &[2; 1000]), torn);
    drop(wal);
    let found = records(&scratch.open(), before);
    assert_eq!(found, [(torn, vec![2; 1000])]);
}

#[test]
fn a_missing_or_foreign_segment_is_refused() {
    let (scratch, _) = filled();
    let files = scratch.files(".wal");
    let check = |what: &str, hurt: &dyn Fn(&Scratch)| {
        let bad = scratch.fork();
        hurt(&bad);
        assert!(!bad.verify().is_empty(), "{what}");
        assert_eq!(bad.try_open().unwrap_err().kind(), ErrorKind::Corruption, "{what}");
    };
    check("missing before a prepared one", &|bad| {
        let last = bad.files(".wal").pop().unwrap();
        let number = u32::from_str_radix(last.file_stem().unwrap().to_str().unwrap(), 16).unwrap();
        let next = last.with_file_name(format!("{:08x}.wal", number + 1));
        let prepared = last.with_file_name(format!("{:08x}.wal", number + 2));
        assert!(bad.disk.write_file(&next, &[0; 4096]));
        assert!(bad.disk.write_file(&prepared, &[0; 4096]));
        assert_eq!(bad.verify(), []);
        assert!(bad.disk.remove_file(&next));
    });
    check("a copy of one before in place of the last", &|bad| {
        let begun = |file: &&PathBuf| bad.disk.read_file(file).unwrap().starts_with(b"DriftWAL");
        let last = files.iter().rfind(begun).unwrap();
        let other = bad.disk.read_file(&files[0]).unwrap();
        assert!(bad.disk.write_file(last, &other));
    });
    check("missing in the middle", &|bad| assert!(bad.disk.remove_file(&files[1])));
    check("the third in place of the second", &|bad| {
        let other = bad.disk.read_file(&files[2]).unwrap();
        assert!(bad.disk.write_file(&files[1], &other));
    });
    check("a later one after the last", &|bad| {
        let other = bad.disk.read_file(&files[2]).unwrap();
        assert!(bad.disk.write_file(&files[0].with_file_name("00000002.wal"), &other));
        for file in &files[2..] {
            assert!(bad.disk.remove_file(file));
        }
    });
    check("cut short", &|bad| assert!(bad.disk.truncate(&files[1], 1000)));
    check("empty", &|bad| assert!(bad.disk.truncate(&files[0], 0)));
    check("of another log", &|bad| {
        let other = Scratch { env: driftdb_sim_disk::sim_env(&bad.disk, 2), ..bad.fork() };
        let disk = driftdb_sim_disk::SimDisk::new(1);
        let other = Scratch { env: driftdb_sim_disk::sim_env(&disk, 2), disk, ..other };
        let wal = other.open();
        for index in 0..60_u8 {
            commit(&wal, &vec![index; 100 + usize::from(index)]);
        }
        let foreign = other.disk.read_file(&files[1]).unwrap();
        assert!(bad.disk.write_file(&files[1], &foreign));
    });
}

#[test]
fn a_misdirected_record_is_refused() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let ends: Vec<Lsn> = (0..6_u8).map(|index| commit(&wal, &[index; 40])).collect();
    drop(wal);
    let file = &scratch.files(".wal")[0];
    let len = (ends[1].0 - ends[0].0) as usize;
    assert!(scratch.disk.swap(file, ends[0].0, ends[2].0, len));
    assert_eq!(scratch.verify()[0].offset_bytes, ends[0].0);
    assert_eq!(scratch.try_open().unwrap_err().kind(), ErrorKind::Corruption);
}

#[test]
fn a_newer_format_is_named() {
    let (scratch, _) = small();
    let file = &scratch.files(".wal")[0];
    let mut bytes = scratch.disk.read_file(file).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..64]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    assert!(scratch.disk.write_file(file, &bytes));
    let error = scratch.try_open().unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{DIR}/00000001.wal: format version 2 is not supported (this program reads 1)")
    );
}

#[test]
fn files_of_others_are_left_alone() {
    let (scratch, expected) = small();
    for name in ["notes.txt", "1.wal", "0000000g.wal"] {
        let path = scratch.files(".wal")[0].with_file_name(name);
        assert!(scratch.disk.write_file(&path, b"mine"));
        assert_eq!(records(&scratch.open(), Lsn(0)), expected);
        assert_eq!(scratch.disk.read_file(&path).unwrap(), b"mine");
    }
}
