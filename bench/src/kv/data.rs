//! Keys, values and the order in which they are asked for: a function of the seed and an index only.
//!
//! The key of an index is 24 bytes of a mixed counter, so that ascending indexes are random keys and no
//! index repeats a key. Half of a value is random, half repeats, so that it compresses about 2:1.
//! Skew is the zipfian of [Gray94] with exponent 0.99, spread over all indexes by a hash, as in YCSB
//! [Cooper10]: the hot keys are neighbours neither in key order nor in load order.

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 24;

/// A key.
pub(crate) type Key = [u8; KEY_BYTES];

/// The exponent that YCSB uses.
const THETA: f64 = 0.99;

/// The finalizer of SplitMix64: a bijection of 64 bits.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of an index.
pub(crate) fn key(seed: u64, index: u64) -> Key {
    let first = mix(seed ^ index);
    let second = mix(first);
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..16].copy_from_slice(&second.to_be_bytes());
    key[16..].copy_from_slice(&index.to_be_bytes());
    key
}

/// A key that no index has: its first 16 bytes are those of `index`, its last are past every index.
pub(crate) fn missing_key(seed: u64, index: u64) -> Key {
    let mut key = key(seed, index);
    key[16] = 0xff;
    key
}

/// Random numbers for one purpose.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// At least 0, below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Which index comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skew {
    Uniform,
    Zipfian,
    /// Zipfian by age: the newest are the hottest.
    Latest,
}

/// Draws ranks from 0, the hottest.
#[derive(Debug, Clone)]
pub(crate) struct Zipfian {
    count: u64,
    alpha: f64,
    zeta: f64,
    eta: f64,
    second: f64,
}

impl Zipfian {
    /// Over `count` ranks. Cost: `count` powers.
    pub(crate) fn new(count: u64) -> Self {
        let count = count.max(2);
        let zeta_of = |n: u64| (1..=n).map(|rank| (rank as f64).powf(-THETA)).sum::<f64>();
        let zeta = zeta_of(count);
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - THETA)) / (1.0 - zeta_of(2) / zeta);
        Self { count, alpha: 1.0 / (1.0 - THETA), zeta, eta, second: 1.0 + 0.5f64.powf(THETA) }
    }

    pub(crate) fn rank(&self, random: &mut Random) -> u64 {
        let u = random.fraction();
        let uz = u * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < self.second {
            return 1;
        }
        let rank = self.count as f64 * (self.eta * u - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count - 1)
    }

    /// The index asked for next, of `rows` that exist.
    pub(crate) fn index(&self, skew: Skew, rows: u64, random: &mut Random) -> u64 {
        match skew {
            Skew::Uniform => random.below(rows),
            Skew::Zipfian => mix(self.rank(random)) % rows,
            Skew::Latest => rows - 1 - self.rank(random) % rows,
        }
    }
}

/// Rows to be written together; used again and again.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    keys: Vec<Key>,
    values: Vec<u8>,
    value_bytes: usize,
}

impl Rows {
    pub(crate) fn new(value_bytes: usize) -> Self {
        Self { keys: Vec::new(), values: Vec::new(), value_bytes: value_bytes.max(8) }
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        (self.keys.len() * KEY_BYTES + self.values.len()) as u64
    }

    /// Adds a row whose value is a function of `version`.
    pub(crate) fn push(&mut self, key: Key, version: u64) {
        self.keys.push(key);
        let start = self.values.len();
        let random_bytes = self.value_bytes / 2;
        let mut random = Random::new(version);
        while self.values.len() < start + random_bytes {
            self.values.extend_from_slice(&random.next().to_le_bytes());
        }
        self.values.resize(start + self.value_bytes, b'=');
    }

    /// Adds a row that keeps its value but for 16 bytes: a small update of a wide row.
    pub(crate) fn push_similar(&mut self, key: Key, row: u64, version: u64) {
        self.push(key, row);
        let at = self.values.len() - self.value_bytes;
        let change = mix(version).to_le_bytes();
        let len = change.len().min(self.value_bytes);
        self.values[at..at + len].copy_from_slice(&change[..len]);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.keys.iter().map(|key| &key[..]).zip(self.values.chunks_exact(self.value_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_have_the_frequencies_of_their_law() {
        let zipfian = Zipfian::new(1000);
        let mut random = Random::new(1);
        let mut counts = vec![0u64; 1000];
        let draws = 400_000;
        for _ in 0..draws {
            counts[zipfian.rank(&mut random) as usize] += 1;
        }
        let zeta: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-THETA)).sum();
        // The first two are exact, the tail is the continuous approximation of [Gray94].
        for (rank, tolerance) in [(0usize, 0.03), (1, 0.03), (9, 0.15), (99, 0.15)] {
            let expected = draws as f64 * ((rank + 1) as f64).powf(-THETA) / zeta;
            let off = (counts[rank] as f64 - expected).abs() / expected;
            assert!(off < tolerance, "rank {rank}: {} against {expected:.0}", counts[rank]);
        }
        let half: u64 = counts[..500].iter().sum();
        let law: f64 = (1..=500).map(|rank| f64::from(rank).powf(-THETA)).sum::<f64>() / zeta;
        assert!((half as f64 / draws as f64 - law).abs() < 0.02);
    }

    #[test]
    fn keys_are_distinct_and_missing_ones_are_missing() {
        let mut keys: Vec<Key> = (0..10_000).map(|index| key(7, index)).collect();
        keys.extend((0..10_000).map(|index| missing_key(7, index)));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 20_000);
        assert_eq!(key(7, 5), key(7, 5));
    }

    #[test]
    fn values_are_a_function_of_the_version_and_small_updates_are_small() {
        let mut rows = Rows::new(150);
        rows.push(key(1, 1), 3);
        rows.push_similar(key(1, 1), 3, 9);
        let values: Vec<&[u8]> = rows.iter().map(|(_, value)| value).collect();
        assert_eq!(values[0].len(), 150);
        assert_eq!(values[0][8..], values[1][8..]);
        assert_ne!(values[0], values[1]);
    }

    #[test]
    fn latest_prefers_the_newest() {
        let zipfian = Zipfian::new(1000);
        let mut random = Random::new(1);
        let newest =
            (0..1000).filter(|_| zipfian.index(Skew::Latest, 1000, &mut random) >= 990).count();
        assert!(newest > 250, "{newest}");
    }
}
