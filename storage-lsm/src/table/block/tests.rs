//! Blocks come back as they were built, and bytes that are no block are refused.

use std::collections::BTreeMap;

use driftdb_storage::Entry;
use proptest::prelude::*;

use super::*;

type Versions = BTreeMap<Vec<u8>, BTreeMap<u64, Option<Vec<u8>>>>;

fn built(versions: &Versions) -> Block {
    let mut builder = BlockBuilder::default();
    for (key, times) in versions {
        for (&ts, value) in times.iter().rev() {
            builder.add(KeyspaceId(5), Entry { key, ts: Timestamp(ts), value: value.as_deref() });
        }
    }
    Block::parse(builder.finish().to_vec(), 0).unwrap()
}

/// Compares every accessor with the model.
fn check(versions: &Versions) {
    let block = built(versions);
    assert_eq!(block.space(), KeyspaceId(5));
    assert_eq!(block.key_count(), versions.len());
    assert_eq!(block.len(), versions.values().map(BTreeMap::len).sum::<usize>());
    let mut slot = 0;
    let mut buffer = Vec::new();
    for (key_index, (key, times)) in versions.iter().enumerate() {
        block.copy_key(key_index, &mut buffer);
        assert_eq!(buffer, *key);
        block.copy_key(0, &mut buffer);
        block.replace_key(key_index, &mut buffer);
        assert_eq!(buffer, *key);
        assert_eq!(block.find_key(key), (key_index, true));
        let after = [&key[..], &[0]].concat();
        assert_eq!(block.cmp_key(key_index, key), Ordering::Equal);
        assert_eq!(block.cmp_key(key_index, &after), Ordering::Less);
        for other in versions.keys().take(50).chain([&Vec::new()]) {
            assert_eq!(block.cmp_key(key_index, other), key.cmp(other));
        }
        assert_eq!(block.find_key(&after), (key_index + 1, versions.contains_key(&after)));
        assert_eq!(block.start(key_index), slot);
        for (&ts, value) in times.iter().rev() {
            assert_eq!((block.ts(slot).0, block.value(slot)), (ts, value.as_deref()));
            assert_eq!(block.find_version(key_index, Timestamp(ts)), slot);
            if let Some(below) = ts.checked_sub(1) {
                let older = slot + usize::from(!times.contains_key(&below));
                assert_eq!(block.find_version(key_index, Timestamp(below)), older.max(slot + 1));
            }
            slot += 1;
        }
        assert_eq!(block.end(key_index), slot);
    }
    assert_eq!(block.find_key(b""), (0, versions.contains_key(&b""[..])));
    assert_eq!(block.find_key(&[0xff; 40]), (versions.len(), false));
}

fn one(value: Option<&[u8]>) -> BTreeMap<u64, Option<Vec<u8>>> {
    BTreeMap::from([(7, value.map(<[u8]>::to_vec))])
}

#[test]
fn edges_of_size_come_back() {
    check(&BTreeMap::from([(Vec::new(), one(Some(b"")))]));
    check(&BTreeMap::from([(Vec::new(), one(None)), (b"a".to_vec(), one(Some(&[7; 70_000])))]));
    // 65,536 entries, and one more than two bytes count.
    for count in [65_536u64, 65_537] {
        let times = (0..count).map(|ts| (ts, Some(Vec::new()))).collect();
        check(&BTreeMap::from([(b"hot".to_vec(), times), (b"hou".to_vec(), one(None))]));
    }
    let many = (0..65_536u32).map(|n| (n.to_be_bytes().to_vec(), one(Some(b"v"))));
    check(&many.collect());
    let spread = [0, 1, 255, 256, u64::MAX - 1, u64::MAX].map(|ts| (ts, Some(b"v".to_vec())));
    check(&BTreeMap::from([(b"k".to_vec(), BTreeMap::from(spread))]));
}

#[test]
fn bits_say_which_keys_have_older_versions() {
    let mut builder = BlockBuilder::default();
    for n in 0..20u8 {
        builder.add(KeyspaceId(1), Entry { key: &[n], ts: Timestamp(9), value: Some(&[n]) });
        if n % 3 == 0 {
            builder.mark_older();
        }
    }
    let block = Block::parse(builder.finish().to_vec(), 0).unwrap();
    assert!((0..20).all(|slot| block.has_older(slot) == (slot % 3 == 0)));
}

#[test]
fn equal_values_and_keys_take_no_ends() {
    let block = |len: usize| {
        let keys = (0..100u8).map(|n| (vec![b'k', n], one(Some(&vec![n; len]))));
        built(&keys.collect()).bytes.len()
    };
    assert_eq!(block(0), HEADER_BYTES + 1 + 100);
    assert_eq!(block(9), HEADER_BYTES + 1 + 1000);
}

#[test]
fn a_count_without_bytes_is_refused() {
    let mut payload = vec![0; HEADER_BYTES];
    payload[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    payload[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    Block::parse(payload.clone(), 0).unwrap_err();
    payload[8..12].copy_from_slice(&1u32.to_le_bytes());
    Block::parse(payload, 0).unwrap_err();
}

fn versions() -> impl Strategy<Value = Versions> {
    let key = prop_oneof![
        prop::collection::vec(0u8..3, 0..4),
        prop::collection::vec(0u8..3, 8..12),
        Just(b"shared-prefix".to_vec()),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(|end| [b"shared-", &end[..]].concat()),
    ];
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..9));
    let times = prop::collection::btree_map(prop_oneof![0u64..20, any::<u64>()], value, 1..6);
    prop::collection::btree_map(key, times, 1..30)
}

/// Every accessor, for every key and slot.
fn touch(block: &Block) {
    let mut key = Vec::new();
    for key_index in 0..block.key_count() {
        block.copy_key(key_index, &mut key);
        assert_eq!(block.find_key(&key), (key_index, true));
        for slot in block.start(key_index)..block.end(key_index) {
            assert_eq!(block.find_version(key_index, block.ts(slot)), slot);
            let _ = (block.value(slot), block.has_older(slot));
        }
    }
}

proptest! {
    #[test]
    fn any_entries_come_back(versions in versions()) {
        check(&versions);
    }

    #[test]
    fn any_bytes_are_a_block_or_an_error(payload in prop::collection::vec(0u8..12, 0..120)) {
        if let Ok(block) = Block::parse(payload, 0) {
            touch(&block);
        }
    }

    #[test]
    fn a_changed_block_is_a_block_or_an_error(
        versions in versions(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in 0usize..3,
    ) {
        let mut bytes = built(&versions).bytes;
        for (at, byte) in changes {
            let at = at.index(bytes.len().min(60));
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        if let Ok(block) = Block::parse(bytes, 0) {
            touch(&block);
        }
    }
}
