//! The dictionary of a table: what its blocks have in common, stored once.
//!
//! Each block is compressed by itself, so that a read costs one block, and so each would tell anew how
//! the letters of its rows are distributed and which strings recur. A dictionary tells that beforehand:
//! zstd's trainer makes it of blocks of the table ([`train`]), the table keeps it in front of its blocks,
//! and a reader prepares it once for all of its reads. What it saves and costs: docs/performance.md; when one is
//! made: docs/design/0016-dictionaries.md.
//!
//! Invariants
//! * The same blocks give the same dictionary: training has no randomness, threads or clock.
//! * A dictionary is kept only where it makes the sample a twentieth smaller, itself counted.
//!
//! Memory: of training, about ten MiB for its tables beside the sample; of a prepared dictionary, its length and
//! about 27 KiB.

use zstd::zstd_safe::DDict;

use super::compress::{Codec, Compressor};

/// zstd makes none below.
const MIN_BYTES: usize = 256;
/// More pays for ever less: 16 KiB save a third more than 4 KiB on rows of TPC-H.
const MAX_BYTES: usize = 16 << 10;
/// How much of the sample it may be: on data that shrinks to a fifth, it is then 2 % of that.
const SAMPLE_SHARE: usize = 256;
/// Training costs by the length of what it looks at.
const TRAINING_BYTES: usize = 1 << 20;
/// The longest that a reader prepares.
const MAX_STORED_BYTES: usize = 64 << 10;

/// A dictionary, ready for any number of readers.
pub(crate) struct Dictionary {
    prepared: DDict<'static>,
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dictionary").field("size_bytes", &self.size_bytes()).finish()
    }
}

impl Dictionary {
    /// Takes a stored dictionary.
    pub(crate) fn parse(stored: &[u8]) -> Result<Self, &'static str> {
        if stored.len() > MAX_STORED_BYTES {
            return Err("the dictionary is longer than it can be");
        }
        let prepared = DDict::try_create(stored).ok_or("the dictionary is malformed")?;
        Ok(Self { prepared })
    }

    pub(crate) fn prepared(&self) -> &DDict<'static> {
        &self.prepared
    }

    /// Memory, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.prepared.sizeof()
    }
}

/// A dictionary for a table that begins with such blocks, which the compressor knows from then on; `None`
/// if there is none that pays.
pub(crate) fn train(blocks: &[&[u8]], compressor: &mut Compressor) -> Option<Vec<u8>> {
    let sample_bytes: usize = blocks.iter().map(|block| block.len()).sum();
    let max_bytes = (sample_bytes / SAMPLE_SHARE).clamp(MIN_BYTES, MAX_BYTES);
    let (training, lens) = gather(blocks, sample_bytes);
    // It fails for fewer than seven blocks, and if it finds nothing that recurs.
    let dictionary = zstd::dict::from_continuous(&training, &lens, max_bytes).ok()?;
    if !compressor.learn(&dictionary) {
        return None;
    }
    let mut stored_bytes =
        |codec| blocks.iter().map(|block| compressor.compress(codec, block).1.len()).sum::<usize>();
    let (without, with) = (stored_bytes(Codec::Zstd), stored_bytes(Codec::ZstdDictionary));
    let pays = with + dictionary.len() <= without - without / 20;
    pays.then_some(dictionary)
}

/// What training looks at: blocks from all over the sample.
fn gather(blocks: &[&[u8]], sample_bytes: usize) -> (Vec<u8>, Vec<usize>) {
    let (mut training, mut lens) = (Vec::new(), Vec::new());
    for block in blocks.iter().step_by(sample_bytes.div_ceil(TRAINING_BYTES).max(1)) {
        // One block may be of any length.
        let room = TRAINING_BYTES - training.len();
        if block.len() <= room {
            training.extend_from_slice(block);
            lens.push(block.len());
        }
    }
    (training, lens)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::compress::Decompressor;

    /// Rows with the same few words, each block another selection of them.
    fn rows(seed: u64, block_count: usize, block_bytes: usize) -> Vec<Vec<u8>> {
        let words = ["DELIVER IN PERSON", "TAKE BACK RETURN", "COLLECT COD", "REG AIR", "TRUCK"];
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as usize
        };
        let block = |_| {
            let mut block = Vec::new();
            while block.len() < block_bytes {
                block.extend_from_slice(words[next() % words.len()].as_bytes());
                block.extend_from_slice(&(next() as u32).to_le_bytes());
            }
            block
        };
        (0..block_count).map(block).collect()
    }

    fn lend(blocks: &[Vec<u8>]) -> Vec<&[u8]> {
        blocks.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn what_recurs_from_block_to_block_is_learnt() {
        let blocks = rows(1, 200, 512);
        let mut compressor = Compressor::default();
        let dictionary = train(&lend(&blocks), &mut compressor).expect("it pays");
        assert!(dictionary.len() <= MAX_BYTES, "{}", dictionary.len());
        let again = train(&lend(&blocks), &mut Compressor::default());
        assert!(again.as_ref() == Some(&dictionary), "training has no randomness");
        let (prepared, decompressor) =
            (Dictionary::parse(&dictionary).unwrap(), Decompressor::default());
        assert!(prepared.size_bytes() > dictionary.len());
        for block in &blocks {
            let plain = compressor.compress(Codec::Zstd, block).1.len();
            let (codec, stored) = compressor.compress(Codec::ZstdDictionary, block);
            assert_eq!(codec, Codec::ZstdDictionary);
            assert!(stored.len() < plain, "{} instead of {plain}", stored.len());
            let back = decompressor.decompress(codec, Some(&prepared), stored).unwrap();
            assert!(back == *block);
            decompressor.decompress(codec, None, stored).unwrap_err();
        }
    }

    #[test]
    fn what_does_not_pay_is_not_kept() {
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        let noise: Vec<Vec<u8>> =
            (0..100).map(|_| std::iter::repeat_with(&mut noise).take(512).collect()).collect();
        let alike = vec![vec![7; 512]; 100];
        let few = rows(1, 6, 512);
        for blocks in [noise, alike, few, Vec::new(), vec![Vec::new(); 9], vec![vec![7; 2 << 20]]] {
            assert!(train(&lend(&blocks), &mut Compressor::default()).is_none());
        }
    }

    #[test]
    fn malformed_ones_are_refused() {
        let dictionary = train(&lend(&rows(1, 200, 512)), &mut Compressor::default()).unwrap();
        Dictionary::parse(&vec![0; MAX_STORED_BYTES + 1]).unwrap_err();
        let mut cut = dictionary;
        cut.truncate(20);
        Dictionary::parse(&cut).unwrap_err();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        /// Whatever the blocks, those that follow come back, also where they are of another kind.
        #[test]
        fn blocks_come_back(
            seed in any::<u64>(),
            count in 7usize..60,
            len in 1usize..1500,
            other in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let mut blocks = rows(seed, count, len);
            let mut compressor = Compressor::default();
            let Some(dictionary) = train(&lend(&blocks), &mut compressor) else { return Ok(()) };
            let dictionary = Dictionary::parse(&dictionary).unwrap();
            let decompressor = Decompressor::default();
            blocks.extend([other, Vec::new()]);
            for block in blocks {
                let (codec, stored) = compressor.compress(Codec::ZstdDictionary, &block);
                if codec == Codec::Raw {
                    prop_assert!(stored == block);
                } else {
                    let back = decompressor.decompress(codec, Some(&dictionary), stored);
                    prop_assert!(back.unwrap() == block);
                }
            }
        }

        #[test]
        fn any_bytes_are_a_block_or_an_error(
            dictionary in prop::collection::vec(any::<u8>(), 0..200),
            len in 0u32..2000,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            // With zstd's mark, and as plain content.
            for dictionary in [[&[0x37, 0xa4, 0x30, 0xec], &dictionary[..]].concat(), dictionary] {
                let Ok(dictionary) = Dictionary::parse(&dictionary) else { continue };
                let stored = [&len.to_le_bytes()[..], &bytes].concat();
                let codec = Codec::ZstdDictionary;
                let raw = Decompressor::default().decompress(codec, Some(&dictionary), &stored);
                if let Ok(raw) = raw {
                    prop_assert_eq!(raw.len(), len as usize);
                }
            }
        }
    }
}
