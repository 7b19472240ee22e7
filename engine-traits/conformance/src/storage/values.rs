//! Keys, versions and values: the order of keys, which version a time reads, how large a value is.

use driftdb_storage::{Engine, Snapshot, Timestamp, Visible};

use super::compare::scan;
use super::harness::{SPACE, in_every_state};

/// Keys that a wrong comparison would misplace: the empty key, prefixes of others, zero bytes, the
/// ends of the byte range, and what a version suffix could be mistaken for.
pub fn awkward_keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = vec![vec![], vec![0], vec![0, 0], vec![0, 255], vec![255]];
    keys.extend([vec![255, 255], vec![255, 0], vec![254, 255], vec![1], vec![127], vec![128]]);
    keys.extend([b"a".to_vec(), b"a\0".to_vec(), b"a\0\0".to_vec(), b"a\0\xff".to_vec()]);
    keys.extend([b"aa".to_vec(), b"ab".to_vec(), b"a\xff".to_vec(), b"b".to_vec()]);
    keys.push([b"a".as_slice(), &[255; 8]].concat());
    keys.push([b"a".as_slice(), &[0; 8]].concat());
    keys.extend((1..10).map(|len| vec![0; len * 7]));
    keys.extend((1..10).map(|len| vec![255; len * 7]));
    keys.extend((0..60u8).map(|n| vec![b'k', n.wrapping_mul(37)]));
    keys.extend((0..20u8).map(|n| [b"shared/prefix/of/some/length/".as_slice(), &[n]].concat()));
    keys
}

/// Keys come in bytewise order, whatever order they were written in.
pub fn keys_are_ordered_bytewise<E: Engine>() {
    in_every_state::<E>(
        1,
        |harness| {
            harness.create(SPACE);
            let mut keys = awkward_keys();
            for index in (1..keys.len()).rev() {
                keys.swap(index, harness.rng.index(index + 1));
            }
            for pair in keys.chunks(2) {
                let changes: Vec<_> = pair.iter().map(|key| (&key[..], Some(&key[..]))).collect();
                harness.write(SPACE, &changes);
            }
        },
        |harness, state| {
            let mut expected = awkward_keys();
            expected.sort();
            expected.dedup();
            let snapshot = harness.engine().snapshot();
            let shown = scan(&snapshot, SPACE, Visible::AsOf(Timestamp::MAX), false)
                .expect("a healthy engine scans");
            let shown: Vec<_> = shown.into_iter().map(|(key, _, _)| key).collect();
            assert_eq!(shown, expected, "{state}");
            harness.check(state);
        },
    );
}

/// A read at *t* finds the newest version at or below *t*, among few and among many versions;
/// tombstones hide what is older.
pub fn the_newest_version_at_a_time_is_read<E: Engine>() {
    in_every_state::<E>(
        2,
        |harness| {
            harness.create(SPACE);
            for round in 0..120u32 {
                let hot = format!("value {round} of a key with many versions");
                let tombstone = round % 5 == 3;
                let value = (!tombstone).then_some(hot.as_bytes());
                let other = format!("key {:02}", round % 17);
                harness.write(SPACE, &[(b"hot", value), (other.as_bytes(), value)]);
            }
            harness.write(SPACE, &[(b"gone", None)]);
        },
        |harness, state| {
            let snapshot = harness.engine().snapshot();
            let mut out = Vec::new();
            for (round, (at, _)) in harness.log.iter().skip(1).take(120).enumerate() {
                for ts in [at.ts, Timestamp(at.ts.0 + 9)] {
                    out.clear();
                    let found = snapshot.get(SPACE, b"hot", ts, &mut out);
                    let expected = (round % 5 != 3).then_some(at.ts);
                    assert_eq!(found.expect("a healthy engine reads"), expected, "{state}: {ts:?}");
                    let value = format!("value {round} of a key with many versions");
                    assert_eq!(out, if round % 5 == 3 { b"" } else { value.as_bytes() }, "{state}");
                }
            }
            harness.check(state);
        },
    );
}

/// Values of every size around the edges of blocks, pages and length fields come back whole.
pub fn large_values_come_back<E: Engine>() {
    let sizes = [0, 1, 127, 128, 500, 511, 512, 513, 4095, 4096, 4097, 16_384, 65_535, 65_536];
    let sizes = || sizes.into_iter().chain([65_537, 300_000, 1 << 20]);
    in_every_state::<E>(
        3,
        |harness| {
            harness.create(SPACE);
            for size in sizes() {
                let mut value = vec![0; size];
                harness.rng.fill(&mut value);
                let key = format!("size {size:07}");
                harness.write(SPACE, &[(key.as_bytes(), Some(&value))]);
                value.truncate(70_000);
                harness.write(SPACE, &[(b"replaced", Some(&value)), (b"small", Some(b"s"))]);
            }
            harness.write(SPACE, &[(b"replaced", None), (&[b'k'; 200], Some(b"a long key"))]);
        },
        |harness, state| harness.check(state),
    );
}
