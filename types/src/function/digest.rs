//! SHA-2: `sha224`, `sha256`, `sha384`, `sha512` [FIPS180-4].

use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::Bytea;
use crate::Value;

/// The round constants of SHA-512; those of SHA-256 are their upper halves.
const ROUNDS: [u64; 80] = [
    0x428a2f98d728ae22,
    0x7137449123ef65cd,
    0xb5c0fbcfec4d3b2f,
    0xe9b5dba58189dbbc,
    0x3956c25bf348b538,
    0x59f111f1b605d019,
    0x923f82a4af194f9b,
    0xab1c5ed5da6d8118,
    0xd807aa98a3030242,
    0x12835b0145706fbe,
    0x243185be4ee4b28c,
    0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f,
    0x80deb1fe3b1696b1,
    0x9bdc06a725c71235,
    0xc19bf174cf692694,
    0xe49b69c19ef14ad2,
    0xefbe4786384f25e3,
    0x0fc19dc68b8cd5b5,
    0x240ca1cc77ac9c65,
    0x2de92c6f592b0275,
    0x4a7484aa6ea6e483,
    0x5cb0a9dcbd41fbd4,
    0x76f988da831153b5,
    0x983e5152ee66dfab,
    0xa831c66d2db43210,
    0xb00327c898fb213f,
    0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2,
    0xd5a79147930aa725,
    0x06ca6351e003826f,
    0x142929670a0e6e70,
    0x27b70a8546d22ffc,
    0x2e1b21385c26c926,
    0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df,
    0x650a73548baf63de,
    0x766a0abb3c77b2a8,
    0x81c2c92e47edaee6,
    0x92722c851482353b,
    0xa2bfe8a14cf10364,
    0xa81a664bbc423001,
    0xc24b8b70d0f89791,
    0xc76c51a30654be30,
    0xd192e819d6ef5218,
    0xd69906245565a910,
    0xf40e35855771202a,
    0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8,
    0x1e376c085141ab53,
    0x2748774cdf8eeb99,
    0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63,
    0x4ed8aa4ae3418acb,
    0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc,
    0x78a5636f43172f60,
    0x84c87814a1f0ab72,
    0x8cc702081a6439ec,
    0x90befffa23631e28,
    0xa4506cebde82bde9,
    0xbef9a3f7b2c67915,
    0xc67178f2e372532b,
    0xca273eceea26619c,
    0xd186b8c721c0c207,
    0xeada7dd6cde0eb1e,
    0xf57d4f7fee6ed178,
    0x06f067aa72176fba,
    0x0a637dc5a2c898a6,
    0x113f9804bef90dae,
    0x1b710b35131c471b,
    0x28db77f523047d84,
    0x32caab7b40c72493,
    0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6,
    0x597f299cfc657e2a,
    0x5fcb6fab3ad6faec,
    0x6c44198c4a475817,
];

const START_224: [u32; 8] = [
    0xc1059ed8, 0x367cd507, 0x3070dd17, 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4,
];
const START_256: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];
const START_384: [u64; 8] = [
    0xcbbb9d5dc1059ed8,
    0x629a292a367cd507,
    0x9159015a3070dd17,
    0x152fecd8f70e5939,
    0x67332667ffc00b31,
    0x8eb44a8768581511,
    0xdb0c2e0d64f98fa7,
    0x47b5481dbefa4fa4,
];
const START_512: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

/// One of the two widths: the word, its bytes, how many rounds, and the rotations.
macro_rules! sha2 {
    ($name:ident, $word:ty, $bytes:literal, $rounds:literal, $constant:expr,
     [$a1:literal $a2:literal $a3:literal] [$e1:literal $e2:literal $e3:literal]
     [$s1:literal $s2:literal $s3:literal] [$t1:literal $t2:literal $t3:literal]) => {
        fn $name(start: [$word; 8], bytes: &[u8]) -> Vec<u8> {
            const BLOCK: usize = $bytes * 16;
            let mut padded = bytes.to_vec();
            padded.push(0x80);
            while padded.len() % BLOCK != BLOCK - $bytes * 2 {
                padded.push(0);
            }
            padded.resize(padded.len() + $bytes * 2 - 8, 0);
            padded.extend((bytes.len() as u64 * 8).to_be_bytes());
            let mut state = start;
            for block in padded.chunks_exact(BLOCK) {
                let mut words = [0; $rounds];
                for (word, chunk) in words.iter_mut().zip(block.chunks_exact($bytes)) {
                    *word = chunk.iter().fold(0, |v: $word, byte| v << 8 | <$word>::from(*byte));
                }
                for i in 16..$rounds {
                    let (x, y): ($word, $word) = (words[i - 15], words[i - 2]);
                    let s = x.rotate_right($s1) ^ x.rotate_right($s2) ^ (x >> $s3);
                    let t = y.rotate_right($t1) ^ y.rotate_right($t2) ^ (y >> $t3);
                    words[i] =
                        words[i - 16].wrapping_add(s).wrapping_add(words[i - 7]).wrapping_add(t);
                }
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
                for i in 0..$rounds {
                    let t = e.rotate_right($e1) ^ e.rotate_right($e2) ^ e.rotate_right($e3);
                    let first = h
                        .wrapping_add(t)
                        .wrapping_add((e & f) ^ (!e & g))
                        .wrapping_add($constant(i))
                        .wrapping_add(words[i]);
                    let s = a.rotate_right($a1) ^ a.rotate_right($a2) ^ a.rotate_right($a3);
                    let second = s.wrapping_add((a & b) ^ (a & c) ^ (b & c));
                    (h, g, f, e) = (g, f, e, d.wrapping_add(first));
                    (d, c, b, a) = (c, b, a, first.wrapping_add(second));
                }
                for (total, part) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                    *total = total.wrapping_add(part);
                }
            }
            state.iter().flat_map(|word| word.to_be_bytes()).collect()
        }
    };
}

sha2!(narrow, u32, 4, 64, |i: usize| (ROUNDS[i] >> 32) as u32,
    [2 13 22] [6 11 25] [7 18 3] [17 19 10]);
sha2!(wide, u64, 8, 80, |i: usize| ROUNDS[i],
    [28 34 39] [14 18 41] [1 8 7] [19 61 6]);

fn cut(mut digest: Vec<u8>, length: usize) -> Value {
    digest.truncate(length);
    Value::Bytea(digest.into())
}

pub(super) fn add(t: &mut Builder) {
    let mut digest = |name: &'static str, kernel| {
        t.add(name, &[Bytea], Bytea, Kernel::Values(kernel));
    };
    digest("sha224", |args, _| Ok(cut(narrow(START_224, arg::bytes(args, 0)?), 28)));
    digest("sha256", |args, _| Ok(cut(narrow(START_256, arg::bytes(args, 0)?), 32)));
    digest("sha384", |args, _| Ok(cut(wide(START_384, arg::bytes(args, 0)?), 48)));
    digest("sha512", |args, _| Ok(cut(wide(START_512, arg::bytes(args, 0)?), 64)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_s_examples() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(narrow(START_256, b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(hex(narrow(START_224, b"abc")).starts_with("23097d223405d8228642a477bda255b3"));
        assert!(
            hex(wide(START_384, b"abc")).starts_with("cb00753f45a35e8bb5a03d699ac65007272c32ab")
        );
        assert!(hex(wide(START_512, b"abc")).starts_with("ddaf35a193617abacc417349ae204131"));
        // The length does not fit into the last block.
        assert!(hex(narrow(START_256, &[b'a'; 60])).starts_with("11ee391211c6256460b6"));
        assert!(hex(wide(START_512, &[b'a'; 120])).starts_with("f241de612b01aa2fa3cf"));
    }
}
