//! The skip list: ordered versions in an arena, one writer, readers without latch.
//!
//! ```text
//!   node:  prefix │ keyspace, key length, height │ links │ timestamp │ value: position, length │
//!          more links │ key …
//!   links: back, level 0 │ level 1, level 2 │ …      three nodes of four need only the first word
//! ```
//!
//! A node is filled first and then published by one `Release` store per level, from level 0 up; a
//! reader follows links with `Acquire` loads and therefore sees whole nodes only. Nothing is ever
//! unlinked. Heights come from a generator with a fixed seed, so that equal inputs make equal lists.
//!
//! The writer remembers the nodes before its last insertion. If the next one belongs near behind it
//! (sorted batches, appended keys), it searches outwards from there instead of from the top.
//!
//! A second write to the same key at the same timestamp gives the node another value. Readers never
//! ask for the time of a batch that is not whole, so none holds the value that was there before.
//!
//! Invariants
//! * Every level is a sublist, in order, of the one below.
//! * Of a published node only links and the reference to its value change.
//! * The back link of a node leads to the node before it, or to one further back while an insertion
//!   between them is under way.
//!
//! Cost: about twenty comparisons among 300,000 entries; most touch one cache line of the node.
//! Checked: `RUSTFLAGS="--cfg loom" cargo test -p driftdb-storage-lsm --release --lib loom` explores
//! the orderings; `cargo +nightly miri test -p driftdb-storage-lsm --lib memtable` the memory.
//! Sources: [Pugh90] for the list; Pebble's arenaskl and RocksDB's InlineSkipList for nodes in an
//! arena. Both have several writers; with one, links need no compare-and-swap.

#![expect(unsafe_code, reason = "lends keys and values out of the arena")]

use std::cmp::Ordering as Order;

use driftdb_storage::{KeyspaceId, Timestamp};

use super::arena::{Arena, Front, WORD_BYTES, words_for};
use super::order::{Probe, compare_tails};
use super::sync::{AtomicU64, Ordering};

/// A fourth of the nodes of a level reach the next one: enough levels for millions of entries.
const MAX_HEIGHT: usize = if cfg!(loom) { 2 } else { 12 };

/// The words of a node before its links.
const FIXED_WORDS: usize = 4;
const PREFIX: usize = 0;
const SHAPE: usize = 1;
/// The first word of links stands beside what is compared: mostly in the same cache line.
const LINKS: usize = 2;
const TIME: usize = 3;
const VALUE: usize = 4;

/// The head, before every node: it has links and nothing else. As a link its position means "none".
const HEAD: usize = 0;
const NONE: usize = 0;

const HEIGHT_BITS: u32 = 4;
/// Lengths of keys have 28 bits.
pub(super) const MAX_KEY_BYTES: usize = (1 << (32 - HEIGHT_BITS)) - 1;

/// Levels that the writer climbs from its last insertion before it rather starts from the top.
const MAX_CLIMB: usize = 5;

/// The words of links of a node.
const fn link_words(height: usize) -> usize {
    (1 + height).div_ceil(2)
}

/// What an entry may cost beside the bytes of its key and value: fixed words, the highest tower, and
/// the rest of the last word of each.
pub(super) const MAX_OVERHEAD_BYTES: usize =
    (FIXED_WORDS + link_words(MAX_HEIGHT) + 2) * WORD_BYTES;

/// What an empty list occupies.
pub(super) const EMPTY_BYTES: usize = (FIXED_WORDS + link_words(MAX_HEIGHT)) * WORD_BYTES;

#[derive(Debug)]
pub(super) struct List {
    arena: Arena,
}

/// The right to insert, and where the last insertion was.
#[derive(Debug)]
pub(super) struct Writer {
    front: Front,
    /// On each level the last node not after the last insertion.
    finger: [usize; MAX_HEIGHT],
    heights: u64,
}

/// A version in the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version<'a> {
    pub(super) space: KeyspaceId,
    pub(super) key: &'a [u8],
    pub(super) ts: Timestamp,
    pub(super) value: Option<&'a [u8]>,
}

impl Writer {
    pub(super) fn used_bytes(&self) -> usize {
        self.front.used_words() * WORD_BYTES
    }

    /// The height of the next node, by a xorshift generator [Marsaglia03].
    fn next_height(&mut self) -> usize {
        let mut bits = self.heights;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        self.heights = bits;
        // The upper half: the lower bits of xorshift are its weakest.
        let zeroes = (bits >> 32).trailing_zeros() as usize;
        (1 + zeroes / 2).min(MAX_HEIGHT)
    }
}

impl List {
    /// A list with room for so many bytes.
    pub(super) fn new(capacity_bytes: usize) -> (Self, Writer) {
        let (arena, mut front) = Arena::new(words_for(capacity_bytes.max(EMPTY_BYTES)));
        let head = arena.take(&mut front, words_for(EMPTY_BYTES));
        assert!(head == HEAD, "the head comes first");
        (
            Self { arena },
            Writer { front, finger: [HEAD; MAX_HEIGHT], heights: 0x9e37_79b9_7f4a_7c15 },
        )
    }

    /// Adds a version, and gives its node; one of the same key and timestamp gets the new value.
    ///
    /// # Panics
    /// The list has no room left, or the key is longer than [`MAX_KEY_BYTES`].
    pub(super) fn insert(
        &self,
        writer: &mut Writer,
        probe: Probe<'_>,
        value: Option<&[u8]>,
    ) -> usize {
        self.locate(writer, probe);
        let after = self.next_at(writer.finger[0], 0);
        if after != NONE && self.compare(after, probe).is_eq() {
            let reference = self.store_value(writer, value);
            self.arena.word(after + VALUE).store(reference, Ordering::Release);
            return after;
        }
        let node = self.fill(writer, probe, value);
        self.link(writer, node, self.height(node), after);
        node
    }

    /// Makes the node of a version. Nobody meets it before it is linked.
    ///
    /// # Panics
    /// The list has no room left, or the key is longer than [`MAX_KEY_BYTES`].
    pub(super) fn fill(
        &self,
        writer: &mut Writer,
        probe: Probe<'_>,
        value: Option<&[u8]>,
    ) -> usize {
        assert!(probe.key.len() <= MAX_KEY_BYTES, "a key this long bypasses the list");
        let height = writer.next_height();
        let words = FIXED_WORDS + link_words(height) + words_for(probe.key.len());
        let node = self.arena.take(&mut writer.front, words);
        self.arena.fill(node + FIXED_WORDS + link_words(height), probe.key);
        let reference = self.store_value(writer, value);
        let lengths = ((probe.key.len() as u64) << HEIGHT_BITS) | height as u64;
        let set = |part: usize, bits| self.arena.word(node + part).store(bits, Ordering::Relaxed);
        set(PREFIX, probe.prefix);
        set(SHAPE, (probe.space << 32) | lengths);
        set(TIME, probe.ts.0);
        set(VALUE, reference);
        node
    }

    /// How many levels a node is on.
    #[inline]
    pub(super) fn height(&self, node: usize) -> usize {
        height_in(self.load(node, SHAPE))
    }

    /// Links a filled node of that height behind all others. The last insertion was there too.
    pub(super) fn append(&self, writer: &mut Writer, node: usize, height: usize) {
        self.link(writer, node, height, NONE);
    }

    /// Puts a filled node behind the finger, and the finger on it.
    fn link(&self, writer: &mut Writer, node: usize, height: usize, after: usize) {
        self.set_link(node, 0, writer.finger[0]);
        for level in 0..height {
            self.set_link(node, level + 1, self.next_at(writer.finger[level], level));
        }
        // From below: whoever meets the node on a level finds it on those below.
        for level in 0..height {
            self.set_link(writer.finger[level], level + 1, node);
            writer.finger[level] = node;
        }
        if after != NONE {
            self.set_link(after, 0, node);
        }
    }

    /// Stores a value; returns the reference to it. Position zero, the head's, is a tombstone.
    fn store_value(&self, writer: &mut Writer, value: Option<&[u8]>) -> u64 {
        let Some(value) = value else { return 0 };
        let at = self.arena.take(&mut writer.front, words_for(value.len()));
        self.arena.fill(at, value);
        ((at as u64) << 32) | value.len() as u64
    }

    /// Moves the finger to the last nodes before `probe`.
    fn locate(&self, writer: &mut Writer, probe: Probe<'_>) {
        let finger = &mut writer.finger;
        let mut level = MAX_HEIGHT;
        if finger[0] != HEAD && self.compare(finger[0], probe).is_lt() {
            let is_below = |level: usize| {
                let next = self.next_at(finger[level], level);
                next != NONE && self.compare(next, probe).is_lt()
            };
            // The level from which one descent suffices: above it the finger is right already.
            if let Some(right) = (0..MAX_CLIMB.min(MAX_HEIGHT)).find(|&level| !is_below(level)) {
                level = right;
            }
        }
        let mut at = if level == MAX_HEIGHT { HEAD } else { finger[level] };
        let mut known = NONE;
        for level in (0..level).rev() {
            (at, known) = self.search_level(at, known, level, probe);
            finger[level] = at;
        }
    }

    /// The last node of a level that is before `probe`, and the one after it. `at` is before it;
    /// `known`, if any, is not.
    #[inline]
    fn search_level(
        &self,
        mut at: usize,
        known: usize,
        level: usize,
        probe: Probe<'_>,
    ) -> (usize, usize) {
        loop {
            let next = self.next_at(at, level);
            // The node that ended the search of the level above is not compared again.
            if next == NONE || next == known || self.compare(next, probe).is_ge() {
                return (at, next);
            }
            at = next;
        }
    }

    /// The last node before `probe` (the head if there is none), and the first that is not.
    fn search(&self, probe: Probe<'_>) -> (usize, usize) {
        (0..MAX_HEIGHT)
            .rev()
            .fold((HEAD, NONE), |(at, known), level| self.search_level(at, known, level, probe))
    }

    /// The first version at or after `probe`.
    pub(super) fn first_at(&self, probe: Probe<'_>) -> Option<usize> {
        some(self.search(probe).1)
    }

    /// The last version before `probe`.
    pub(super) fn last_before(&self, probe: Probe<'_>) -> Option<usize> {
        some(self.search(probe).0)
    }

    pub(super) fn first(&self) -> Option<usize> {
        some(self.next_at(HEAD, 0))
    }

    pub(super) fn next(&self, node: usize) -> Option<usize> {
        some(self.next_at(node, 0))
    }

    pub(super) fn previous(&self, node: usize) -> Option<usize> {
        some(self.link_at(node, 0))
    }

    /// Whether a node is a version of the key that `probe` names.
    #[inline]
    pub(super) fn is_of_key(&self, node: usize, probe: Probe<'_>) -> bool {
        let shape = self.load(node, SHAPE);
        (shape >> 32, self.load(node, PREFIX)) == (probe.space, probe.prefix)
            && self.key(node, shape) == probe.key
    }

    /// When the version of a node was made.
    #[inline]
    pub(super) fn time(&self, node: usize) -> Timestamp {
        Timestamp(self.load(node, TIME))
    }

    /// Where a version stands against `probe`.
    #[inline]
    pub(super) fn compare(&self, node: usize, probe: Probe<'_>) -> Order {
        let shape = self.load(node, SHAPE);
        let by_prefix = (shape >> 32, self.load(node, PREFIX)).cmp(&(probe.space, probe.prefix));
        by_prefix.then_with(|| {
            compare_tails(self.key(node, shape), probe.key)
                .then_with(|| probe.ts.0.cmp(&self.load(node, TIME)))
        })
    }

    /// The order of two nodes of equal keyspace and prefix.
    pub(super) fn compare_nodes(&self, left: usize, right: usize) -> Order {
        let key = |node| self.key(node, self.load(node, SHAPE));
        compare_tails(key(left), key(right)).then_with(|| self.time(right).cmp(&self.time(left)))
    }

    /// The version of a node that this list gave.
    #[inline]
    pub(super) fn version(&self, node: usize) -> Version<'_> {
        let shape = self.load(node, SHAPE);
        let space = KeyspaceId((shape >> 32) as u32);
        let ts = Timestamp(self.load(node, TIME));
        Version { space, key: self.key(node, shape), ts, value: self.value(node) }
    }

    #[inline]
    fn key(&self, node: usize, shape: u64) -> &[u8] {
        let len = (shape as u32 >> HEIGHT_BITS) as usize;
        // SAFETY: `fill` filled these bytes of the node before `link` published it by a Release
        // store, and only words before them are stored to afterwards; the caller came by the
        // position of the node through `link_at`, whose load acquires, or is the writer itself.
        unsafe { self.arena.bytes(node + FIXED_WORDS + link_words(height_in(shape)), len) }
    }

    #[inline]
    fn value(&self, node: usize) -> Option<&[u8]> {
        let reference = self.arena.word(node + VALUE).load(Ordering::Acquire);
        let (at, len) = ((reference >> 32) as usize, (reference & u64::from(u32::MAX)) as usize);
        // SAFETY: `store_value` filled these bytes, in words that nothing else is given, before the
        // reference was stored: with Release, or before `link` published the node.
        (at != 0).then(|| unsafe { self.arena.bytes(at, len) })
    }

    /// A word of a published node that never changes.
    #[inline]
    fn load(&self, node: usize, part: usize) -> u64 {
        // Relaxed: whoever knows the node has acquired it.
        self.arena.word(node + part).load(Ordering::Relaxed)
    }

    #[inline]
    fn next_at(&self, node: usize, level: usize) -> usize {
        self.link_at(node, level + 1)
    }

    /// The word in which a link lies.
    #[inline]
    fn link_word(&self, node: usize, index: usize) -> &AtomicU64 {
        let word = index / 2;
        self.arena.word(node + if word == 0 { LINKS } else { VALUE + word })
    }

    #[inline]
    fn link_at(&self, node: usize, index: usize) -> usize {
        let both = self.link_word(node, index).load(Ordering::Acquire);
        (both >> (32 * (index % 2))) as u32 as usize
    }

    fn set_link(&self, node: usize, index: usize, to: usize) {
        let word = self.link_word(node, index);
        let shift = 32 * (index % 2);
        // Two steps suffice, since only the one writer stores.
        let other = word.load(Ordering::Relaxed) & !(u64::from(u32::MAX) << shift);
        word.store(other | ((to as u64) << shift), Ordering::Release);
    }
}

/// The height in a node's shape.
#[inline]
fn height_in(shape: u64) -> usize {
    (shape & ((1 << HEIGHT_BITS) - 1)) as usize
}

fn some(node: usize) -> Option<usize> {
    (node != NONE).then_some(node)
}

/// Run under loom, which tries every order of steps and every value a load may see.
#[cfg(all(test, loom))]
mod loom_tests {
    use std::sync::Arc;

    use loom::thread;

    use super::*;

    const SPACE: KeyspaceId = KeyspaceId(1);

    fn explore(test: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.max_branches = 10_000;
        builder.check(test);
    }

    fn probe(key: &[u8], ts: u64) -> Probe<'_> {
        Probe::new(SPACE, key, Timestamp(ts))
    }

    /// Every node that a walk meets is whole.
    fn check(list: &List, node: usize) {
        let version = list.version(node);
        assert_eq!(version.space, SPACE);
        assert_eq!(version.ts.0, u64::from(version.key[0]));
        assert_eq!(version.value, Some(version.key));
    }

    /// `b` is there; `a` and `c` come while a reader searches and walks.
    fn list() -> (Arc<List>, Writer) {
        let (list, mut writer) = List::new(EMPTY_BYTES + 3 * 10 * WORD_BYTES);
        insert(&list, &mut writer, b"b");
        (Arc::new(list), writer)
    }

    fn insert(list: &List, writer: &mut Writer, key: &[u8]) {
        list.insert(writer, probe(key, u64::from(key[0])), Some(key));
    }

    #[test]
    fn loom_a_forward_walk_meets_whole_nodes() {
        explore(|| {
            let (list, mut writer) = list();
            let reader = {
                let list = Arc::clone(&list);
                thread::spawn(move || {
                    let mut place = list.first_at(probe(b"a", 200));
                    let mut keys = Vec::new();
                    while let Some(node) = place {
                        check(&list, node);
                        keys.push(list.version(node).key[0]);
                        place = list.next(node);
                    }
                    assert!(keys.is_sorted());
                    assert!(keys.contains(&b'b'));
                })
            };
            insert(&list, &mut writer, b"a");
            insert(&list, &mut writer, b"c");
            reader.join().unwrap();
        });
    }

    #[test]
    fn loom_a_backward_walk_meets_whole_nodes() {
        explore(|| {
            let (list, mut writer) = list();
            let reader = {
                let list = Arc::clone(&list);
                thread::spawn(move || {
                    let mut place = list.last_before(probe(b"d", 0));
                    let mut keys = Vec::new();
                    while let Some(node) = place {
                        check(&list, node);
                        keys.push(list.version(node).key[0]);
                        place = list.previous(node);
                    }
                    assert!(keys.is_sorted_by(|left, right| left > right));
                    assert!(keys.contains(&b'b'));
                })
            };
            insert(&list, &mut writer, b"a");
            insert(&list, &mut writer, b"c");
            reader.join().unwrap();
        });
    }

    /// A node of two levels: met on the upper one, it leads on along the lower one.
    #[test]
    fn loom_a_tall_node_is_whole_on_each_level() {
        explore(|| {
            let (list, mut writer) = list();
            let reader = {
                let list = Arc::clone(&list);
                thread::spawn(move || {
                    let (before, after) = list.search(probe(b"b", u64::from(b'b')));
                    assert!(before == HEAD || list.version(before).key == b"a");
                    assert_eq!(list.version(after).key, b"b");
                    check(&list, after);
                })
            };
            while writer.clone_heights().next_height() < MAX_HEIGHT {
                writer.next_height();
            }
            insert(&list, &mut writer, b"a");
            reader.join().unwrap();
        });
    }

    impl Writer {
        /// A writer that would draw the same heights.
        fn clone_heights(&self) -> Self {
            let (_, writer) = List::new(EMPTY_BYTES);
            Self { heights: self.heights, ..writer }
        }
    }
}
