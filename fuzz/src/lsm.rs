//! The frames of the log-structured engine's files, by `docs/formats/lsm.md`.

use std::ops::Range;

/// Bytes before the first frame.
pub const PREAMBLE_BYTES: usize = 36;
/// Bytes of a frame before its payload.
pub const FRAME_HEADER_BYTES: usize = 12;

/// Where the frames of a whole file lie.
pub fn frames(file: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = PREAMBLE_BYTES;
    while let Some(len) = file.get(at + 4..at + 8) {
        let len = u32::from_le_bytes(len.try_into().expect("four bytes")) as usize;
        let end = at + FRAME_HEADER_BYTES + len;
        if end > file.len() {
            break;
        }
        found.push(at..end);
        at = end;
    }
    found
}

/// Makes the checksum of a frame at `offset` of file `file_id` hold.
pub fn seal_frame(frame: &mut [u8], file_id: u64, offset: u64) {
    let crc = crc32c::crc32c(&[file_id.to_le_bytes(), offset.to_le_bytes()].concat());
    let crc = crc32c::crc32c_append(crc, &frame[..8]);
    let crc = crc32c::crc32c_append(crc, &frame[FRAME_HEADER_BYTES..]);
    frame[8..12].copy_from_slice(&crc.to_le_bytes());
}

/// Makes the checksum of a preamble hold.
pub fn seal_preamble(file: &mut [u8]) {
    let crc = crc32c::crc32c(&file[..32]);
    file[32..36].copy_from_slice(&crc.to_le_bytes());
}
