//! The bytes of one file: sparse, so that zero-filled log segments and long holes cost nothing.

use std::collections::BTreeMap;

/// A device writes whole sectors: the unit in which a crash tears a write.
pub(crate) const SECTOR: u64 = 512;

const CHUNK: u64 = 4096;

/// File content. Chunks that were never written with anything but zeroes are absent.
///
/// Invariant: bytes of a present chunk at or beyond `len` are zero, so growing needs no work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    len: u64,
    chunks: BTreeMap<u64, Box<[u8]>>,
}

/// What a pending write holds; a run of zeroes is stored as its length.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    Zeroes(u64),
    Data(Box<[u8]>),
}

impl Bytes {
    pub(crate) fn copy_of(data: &[u8]) -> Self {
        if is_zero(data) { Self::Zeroes(data.len() as u64) } else { Self::Data(data.into()) }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Zeroes(len) => *len,
            Self::Data(data) => data.len() as u64,
        }
    }

    /// The part `from..to`, written at `offset + from` of `image`.
    pub(crate) fn write_part(&self, image: &mut Image, offset: u64, from: u64, to: u64) {
        match self {
            Self::Zeroes(_) => image.write_zeroes(offset + from, to - from),
            Self::Data(data) => image.write(offset + from, &data[from as usize..to as usize]),
        }
    }
}

fn is_zero(data: &[u8]) -> bool {
    // Sixteen bytes at a time: plain enough, and the compiler makes it wide.
    let (words, rest) = data.as_chunks::<16>();
    words.iter().all(|word| u128::from_le_bytes(*word) == 0) && rest.iter().all(|&byte| byte == 0)
}

impl Image {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buf` from `offset`; returns how many bytes there were.
    pub(crate) fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let count = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let within = (at % CHUNK) as usize;
            let step = (CHUNK as usize - within).min(count - done);
            let out = &mut buf[done..done + step];
            match self.chunks.get(&(at / CHUNK)) {
                Some(chunk) => out.copy_from_slice(&chunk[within..within + step]),
                None => out.fill(0),
            }
            done += step;
        }
        count
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes);
        bytes
    }

    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let within = (at % CHUNK) as usize;
            let step = (CHUNK as usize - within).min(data.len() - done);
            let part = &data[done..done + step];
            let number = at / CHUNK;
            if self.chunks.contains_key(&number) || !is_zero(part) {
                let chunk = self
                    .chunks
                    .entry(number)
                    .or_insert_with(|| vec![0; CHUNK as usize].into_boxed_slice());
                chunk[within..within + step].copy_from_slice(part);
            }
            done += step;
        }
        self.len = self.len.max(offset + data.len() as u64);
    }

    pub(crate) fn write_zeroes(&mut self, offset: u64, count: u64) {
        let end = offset + count;
        self.len = self.len.max(end);
        self.clear(offset, end);
    }

    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.clear(len, self.len);
        }
        self.len = len;
    }

    /// Makes `from..to` zero.
    fn clear(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let mut whole = Vec::new();
        for (&number, chunk) in self.chunks.range_mut(from / CHUNK..=(to - 1) / CHUNK) {
            let start = from.max(number * CHUNK) - number * CHUNK;
            let end = to.min((number + 1) * CHUNK) - number * CHUNK;
            if start == 0 && end == CHUNK {
                whole.push(number);
            } else {
                chunk[start as usize..end as usize].fill(0);
            }
        }
        for number in whole {
            self.chunks.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use driftdb_env::Rng;

    use super::*;

    #[test]
    fn agrees_with_a_plain_vector() {
        let mut rng = Rng::seeded(3);
        let mut image = Image::default();
        let mut plain: Vec<u8> = Vec::new();
        for _ in 0..2000 {
            let offset = rng.below(20_000);
            let count = rng.below(9000);
            let end = (offset + count) as usize;
            match rng.below(4) {
                0 => {
                    image.set_len(offset);
                    plain.resize(offset as usize, 0);
                }
                choice => {
                    if count > 0 && plain.len() < end {
                        plain.resize(end, 0);
                    }
                    let byte = if choice == 1 { 0 } else { rng.below(256) as u8 };
                    if count > 0 {
                        plain[offset as usize..end].fill(byte);
                        let bytes = Bytes::copy_of(&vec![byte; count as usize]);
                        bytes.write_part(&mut image, offset, 0, count);
                    }
                }
            }
            assert_eq!(image.len(), plain.len() as u64);
        }
        assert_eq!(image.to_vec(), plain);
    }
}
