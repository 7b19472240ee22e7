//! Bytes that give a wished-for CRC-32C.
//!
//! References between pages carry the checksum of what they refer to. A page that was edited keeps
//! its old checksum if four of its bytes are chosen for that, and so all references to it still hold:
//! circles included, which no order of sealing could make. The checksum is linear over GF(2) in those
//! 32 bits, so they are the solution of 32 equations.

/// Sets `bytes[at..at + 4]` such that the checksum of `bytes` is `wanted`.
///
/// # Panics
/// If `bytes` is too short.
pub fn forge(bytes: &mut [u8], at: usize, wanted: u32) {
    bytes[at..at + 4].fill(0);
    let without = crc32c::crc32c(bytes);
    // Rows: what a bit adds to the checksum, and which bits were combined for it.
    let mut basis: [Option<(u32, u32)>; 32] = [None; 32];
    for bit in 0..32 {
        bytes[at + bit / 8] = 1 << (bit % 8);
        let row = reduce(&basis, (crc32c::crc32c(bytes) ^ without, 1 << bit));
        bytes[at + bit / 8] = 0;
        assert!(row.0 != 0, "four neighbouring bytes reach every checksum");
        basis[row.0.ilog2() as usize] = Some(row);
    }
    let (left, chosen) = reduce(&basis, (wanted ^ without, 0));
    assert!(left == 0, "the rows span all checksums");
    bytes[at..at + 4].copy_from_slice(&chosen.to_le_bytes());
}

/// Clears the leading bits for which the basis has a row.
fn reduce(basis: &[Option<(u32, u32)>; 32], mut row: (u32, u32)) -> (u32, u32) {
    for bit in (0..32).rev() {
        if row.0 >> bit & 1 == 1
            && let Some(other) = basis[bit]
        {
            row = (row.0 ^ other.0, row.1 ^ other.1);
        }
    }
    row
}
