//! Compression of single blocks.
//!
//! A block is stored compressed only if that saves an eighth: what saves less is not worth
//! decompressing. The compressed form begins with the length of the raw one (u32). That length decides
//! an allocation, so it is bounded by what is there: see [`max_raw_bytes`]; the writer leaves blocks
//! that compress even better than that as they are. With a [`Dictionary`] a block is compressed as if what
//! the table's blocks have in common came before it.

use driftdb_env::sync::Mutex;
use driftdb_storage::Compression;
use zstd::zstd_safe::DCtx;

use super::dictionary::Dictionary;

/// Higher levels gain a few per cent on blocks of 8 KiB and cost twice as much.
const ZSTD_LEVEL: i32 = 3;
/// Decompressors kept for the next reader.
const MAX_IDLE: usize = 16;

/// How a payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Codec {
    Raw = 0,
    Lz4 = 1,
    Zstd = 2,
    /// With the table's dictionary.
    ZstdDictionary = 3,
}

impl Codec {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Raw),
            1 => Some(Self::Lz4),
            2 => Some(Self::Zstd),
            3 => Some(Self::ZstdDictionary),
            _ => None,
        }
    }
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::Raw,
            Compression::Lz4 => Self::Lz4,
            Compression::Zstd => Self::Zstd,
        }
    }
}

/// The longest raw form that a stored payload of that length may have.
fn max_raw_bytes(stored_len: usize) -> usize {
    stored_len.saturating_mul(256).saturating_add(64 << 10)
}

/// Compresses one block after the other.
#[derive(Default)]
pub(crate) struct Compressor {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    /// One that knows a dictionary.
    learned: Option<zstd::bulk::Compressor<'static>>,
    out: Vec<u8>,
}

impl Compressor {
    /// What [`Codec::ZstdDictionary`] compresses with from now on. False if zstd does not take it.
    pub(crate) fn learn(&mut self, dictionary: &[u8]) -> bool {
        let learned = zstd::bulk::Compressor::with_dictionary(ZSTD_LEVEL, dictionary);
        // A table has one dictionary at most: its number in every block would say nothing.
        self.learned = learned.and_then(|mut to| to.include_dictid(false).map(|()| to)).ok();
        self.learned.is_some()
    }

    /// The form to store, and its codec.
    pub(crate) fn compress<'a>(&'a mut self, codec: Codec, raw: &'a [u8]) -> (Codec, &'a [u8]) {
        let worth = raw.len() - raw.len() / 8;
        let stored_len = match self.try_compress(codec, raw) {
            Some(len) if len <= worth && raw.len() <= max_raw_bytes(len) => len,
            _ => return (Codec::Raw, raw),
        };
        (codec, &self.out[..stored_len])
    }

    /// Puts the compressed form into `out`; returns its length.
    fn try_compress(&mut self, codec: Codec, raw: &[u8]) -> Option<usize> {
        let raw_len = u32::try_from(raw.len()).ok()?;
        let bound = match codec {
            Codec::Raw => return None,
            Codec::Lz4 => lz4_flex::block::get_maximum_output_size(raw.len()),
            Codec::Zstd | Codec::ZstdDictionary => zstd::zstd_safe::compress_bound(raw.len()),
        };
        if self.out.len() < 4 + bound {
            self.out.resize(4 + bound, 0);
        }
        self.out[..4].copy_from_slice(&raw_len.to_le_bytes());
        let out = &mut self.out[4..];
        let len = match codec {
            Codec::Raw => return None,
            Codec::Lz4 => lz4_flex::block::compress_into(raw, out).ok()?,
            Codec::Zstd => {
                if self.zstd.is_none() {
                    self.zstd = Some(zstd::bulk::Compressor::new(ZSTD_LEVEL).ok()?);
                }
                self.zstd.as_mut()?.compress_to_buffer(raw, out).ok()?
            }
            Codec::ZstdDictionary => self.learned.as_mut()?.compress_to_buffer(raw, out).ok()?,
        };
        Some(4 + len)
    }
}

/// Decompresses blocks, for any number of readers.
#[derive(Default)]
pub(crate) struct Decompressor {
    /// Contexts of zstd are dear to make.
    idle: Mutex<Vec<DCtx<'static>>>,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

impl Decompressor {
    /// The raw form of a stored payload. `dictionary` is that of its table.
    pub(crate) fn decompress(
        &self,
        codec: Codec,
        dictionary: Option<&Dictionary>,
        stored: &[u8],
    ) -> Result<Vec<u8>, &'static str> {
        let (len, stored) =
            stored.split_first_chunk().ok_or("the compressed block is too short")?;
        let raw_len = u32::from_le_bytes(*len) as usize;
        if raw_len > max_raw_bytes(4 + stored.len()) {
            return Err("the compressed block claims to be longer than it can be");
        }
        let mut raw = vec![0; raw_len];
        let len = match codec {
            Codec::Raw => return Err("the block is not compressed"),
            Codec::Lz4 => lz4_flex::block::decompress_into(stored, &mut raw).ok(),
            Codec::Zstd => self.unzstd(None, stored, &mut raw),
            Codec::ZstdDictionary => {
                let what = "the block needs a dictionary, and the table has none";
                self.unzstd(Some(dictionary.ok_or(what)?), stored, &mut raw)
            }
        };
        if len == Some(raw_len) { Ok(raw) } else { Err("the compressed block is malformed") }
    }

    fn unzstd(
        &self,
        dictionary: Option<&Dictionary>,
        stored: &[u8],
        raw: &mut [u8],
    ) -> Option<usize> {
        let idle = self.idle.lock().pop();
        let mut context = match idle {
            Some(context) => context,
            None => DCtx::try_create()?,
        };
        let len = match dictionary {
            None => context.decompress(raw, stored).ok(),
            Some(dictionary) => {
                context.decompress_using_ddict(raw, stored, dictionary.prepared()).ok()
            }
        };
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(context);
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_pay_stays_raw() {
        let mut compressor = Compressor::default();
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .take(4096)
        .collect();
        for codec in [Codec::Raw, Codec::Lz4, Codec::Zstd] {
            assert_eq!(compressor.compress(codec, &noise).0, Codec::Raw);
            assert_eq!(compressor.compress(codec, b"").0, Codec::Raw);
        }
        // Zeroes shrink beyond any bound that a reader could trust.
        assert_eq!(compressor.compress(Codec::Zstd, &vec![0; 64 << 20]).0, Codec::Raw);
        assert_eq!(compressor.compress(Codec::Zstd, &[0; 8 << 10]).0, Codec::Zstd);
    }

    #[test]
    fn a_length_beyond_reason_allocates_nothing() {
        let decompressor = Decompressor::default();
        for codec in [Codec::Lz4, Codec::Zstd] {
            let stored = [&u32::MAX.to_le_bytes()[..], &[0; 100]].concat();
            assert!(decompressor.decompress(codec, None, &stored).unwrap_err().contains("longer"));
        }
    }

    proptest! {
        #[test]
        fn blocks_come_back(word in prop::collection::vec(0u8..4, 1..20), times in 1usize..200) {
            let raw = word.repeat(times);
            let (mut compressor, decompressor) = (Compressor::default(), Decompressor::default());
            for codec in [Codec::Lz4, Codec::Zstd] {
                let (used, stored) = compressor.compress(codec, &raw);
                if used == Codec::Raw {
                    prop_assert_eq!(stored, &raw[..]);
                } else {
                    prop_assert!(stored.len() <= raw.len() - raw.len() / 8);
                    prop_assert_eq!(decompressor.decompress(used, None, stored).unwrap(), raw.clone());
                }
            }
        }

        #[test]
        fn any_bytes_are_raw_or_an_error(
            len in 0u32..2000,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let stored = [&len.to_le_bytes()[..], &bytes].concat();
            let decompressor = Decompressor::default();
            for codec in [Codec::Lz4, Codec::Zstd] {
                if let Ok(raw) = decompressor.decompress(codec, None, &stored) {
                    prop_assert_eq!(raw.len(), len as usize);
                }
            }
        }
    }
}
