//! What every file and every block of this engine looks like from outside.
//!
//! A file begins with a *preamble* that says whose it is. Everything after it lies in *frames*:
//! kind, length, checksum, payload. The checksum covers the file's number and the frame's offset
//! too, so that a block written to the wrong place, or left over from another file, fails its own
//! check. All integers are little-endian. Byte by byte: `docs/formats/lsm.md`.

use driftdb_env::{File, planted};
use driftdb_storage::{Result, StorageError};

use crate::table::Codec;

const MAGIC: [u8; 8] = *b"DriftDB\0";
const ENGINE: [u8; 8] = *b"lsm\0\0\0\0\0";

/// Bytes of a preamble.
pub(crate) const PREAMBLE_BYTES: usize = 36;
/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEADER_BYTES: usize = 12;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FileType {
    Table = 1,
    Manifest = 2,
}

impl FileType {
    /// The latest version that this program reads; it reads all before it, too.
    pub(crate) fn latest_version(self) -> u32 {
        match self {
            Self::Table => 3,
            Self::Manifest => 2,
        }
    }
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Data = 1,
    Filter = 2,
    Index = 3,
    Footer = 4,
    Manifest = 5,
    Dictionary = 6,
}

/// The first bytes of a file.
pub(crate) fn preamble(file_type: FileType, version: u32, file_id: u64) -> [u8; PREAMBLE_BYTES] {
    let mut out = [0; PREAMBLE_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..16].copy_from_slice(&ENGINE);
    out[16..20].copy_from_slice(&version.to_le_bytes());
    out[20] = file_type as u8;
    out[24..32].copy_from_slice(&file_id.to_le_bytes());
    let crc = crc32c::crc32c(&out[..32]);
    out[32..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Checks that `bytes` begin a file of that type and number. Returns the version of its format.
pub(crate) fn check_preamble(
    bytes: &[u8],
    file_type: FileType,
    file_id: u64,
    file: &str,
) -> Result<u32> {
    let damage = |what: &str| Err(StorageError::corruption(file, 0, what));
    let Some(bytes) = bytes.get(..PREAMBLE_BYTES) else {
        return damage("the file is shorter than its preamble");
    };
    if bytes[..8] != MAGIC {
        return damage("this is not a DriftDB file");
    }
    if crc32c::crc32c(&bytes[..32]) != u32_at(bytes, 32) {
        return damage("the preamble fails its checksum");
    }
    if bytes[8..16] != ENGINE {
        return Err(StorageError::WrongDirectory {
            dir: file.to_owned(),
            found: format!("a file of engine \"{}\"", bytes[8..16].escape_ascii()),
            expected: "engine \"lsm\"".to_owned(),
        });
    }
    let found = u32_at(bytes, 16);
    let supported = file_type.latest_version();
    if !(1..=supported).contains(&found) {
        return Err(StorageError::FormatVersion { file: file.to_owned(), found, supported });
    }
    if bytes[20] != file_type as u8 {
        return damage("the file is of another type");
    }
    if u64_at(bytes, 24) != file_id {
        return damage("the file has another number than its name");
    }
    Ok(found)
}

/// Appends a frame that will lie at `offset` of file `file_id`.
///
/// # Panics
/// If the payload is 4 GiB or more; callers bound their payloads far below.
pub(crate) fn write_frame(
    out: &mut Vec<u8>,
    kind: FrameKind,
    file_id: u64,
    offset: u64,
    payload: &[u8],
) {
    write_coded_frame(out, kind, Codec::Raw, file_id, offset, payload);
}

/// The same, for a payload in its stored form.
///
/// # Panics
/// As [`write_frame`].
pub(crate) fn write_coded_frame(
    out: &mut Vec<u8>,
    kind: FrameKind,
    codec: Codec,
    file_id: u64,
    offset: u64,
    payload: &[u8],
) {
    let len = u32::try_from(payload.len()).expect("a frame is below 4 GiB");
    let mut head = [0; 8];
    head[0] = kind as u8;
    head[1] = codec as u8;
    head[4..].copy_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(&frame_checksum(file_id, offset, &head, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

fn frame_checksum(file_id: u64, offset: u64, head: &[u8], payload: &[u8]) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&file_id.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    let crc = crc32c::crc32c(&place);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, head), payload)
}

/// Checks a whole frame, header included, whose payload is not compressed; says what is wrong.
pub(crate) fn check_frame(
    frame: &[u8],
    kind: FrameKind,
    file_id: u64,
    offset: u64,
) -> std::result::Result<(), &'static str> {
    match check_coded_frame(frame, kind, file_id, offset)? {
        Codec::Raw => Ok(()),
        _ => Err("the block is compressed"),
    }
}

/// Checks a whole frame, header included. Returns how its payload is stored.
pub(crate) fn check_coded_frame(
    frame: &[u8],
    kind: FrameKind,
    file_id: u64,
    offset: u64,
) -> std::result::Result<Codec, &'static str> {
    let Some((head, payload)) = frame.split_at_checked(FRAME_HEADER_BYTES) else {
        return Err("the block is shorter than its header");
    };
    if u32_at(head, 4) as usize != payload.len() {
        return Err("the block has another length than its reference says");
    }
    let is_whole = frame_checksum(file_id, offset, &head[..8], payload) == u32_at(head, 8);
    if !is_whole && !planted!("lsm.frame-checksum-not-checked") {
        return Err("the block fails its checksum");
    }
    if head[0] != kind as u8 || head[2..4] != [0; 2] {
        return Err("the block is of another kind");
    }
    Codec::from_byte(head[1]).ok_or("the block is compressed in an unknown way")
}

/// Reads exactly `len` bytes at `offset`. The caller has checked both against the file's length,
/// so the allocation is bounded by what is there.
pub(crate) fn read_exact(file: &dyn File, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = file.read_at(offset, &mut bytes)?;
    if read < len {
        return Err(StorageError::corruption(name, offset, "the file ends inside a block"));
    }
    Ok(bytes)
}

/// The integer at `at`; the caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The integer at `at`; the caller has checked the length.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_elsewhere_or_changed_fails() {
        let mut frame = Vec::new();
        write_frame(&mut frame, FrameKind::Data, 7, 36, b"payload");
        assert_eq!(check_frame(&frame, FrameKind::Data, 7, 36), Ok(()));
        assert!(check_frame(&frame, FrameKind::Data, 8, 36).is_err());
        assert!(check_frame(&frame, FrameKind::Data, 7, 37).is_err());
        assert!(check_frame(&frame, FrameKind::Index, 7, 36).is_err());
        for at in 0..frame.len() {
            for bit in 0..8 {
                frame[at] ^= 1 << bit;
                assert!(check_frame(&frame, FrameKind::Data, 7, 36).is_err(), "byte {at}");
                frame[at] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut bytes = preamble(FileType::Table, 2, 3);
        check_preamble(&bytes, FileType::Table, 3, "f").unwrap();
        check_preamble(&bytes, FileType::Table, 4, "f").unwrap_err();
        bytes[16] = 9;
        let crc = crc32c::crc32c(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        let error = check_preamble(&bytes, FileType::Table, 3, "f").unwrap_err();
        assert!(matches!(error, StorageError::FormatVersion { found: 9, .. }), "{error}");
    }
}
