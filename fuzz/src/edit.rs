//! Changes to bytes, as a fuzzer can steer them.

use arbitrary::Arbitrary;

/// One change. Places wrap around, so that every edit does something.
#[derive(Debug, Clone, Arbitrary)]
pub enum Edit {
    /// One byte.
    Byte(u16, u8),
    /// A little-endian number, as most fields are.
    U32(u16, u32),
    /// A longer one.
    U64(u16, u64),
    /// Adds to a byte: lengths and counts that are off by a little.
    Add(u16, i8),
    /// Several bytes.
    Bytes(u16, [u8; 6]),
    /// Copies a stretch from elsewhere.
    Copy {
        /// Where from.
        from: u16,
        /// Where to.
        to: u16,
        /// How many bytes.
        len: u8,
    },
}

impl Edit {
    /// Changes `bytes`; what would lie beyond their end is left out.
    pub fn apply(&self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let place = |at: u16| usize::from(at) % bytes.len();
        match *self {
            Self::Byte(at, byte) => bytes[place(at)] = byte,
            Self::Add(at, by) => {
                let at = place(at);
                bytes[at] = bytes[at].wrapping_add_signed(by);
            }
            Self::U32(at, number) => put(bytes, place(at), &number.to_le_bytes()),
            Self::U64(at, number) => put(bytes, place(at), &number.to_le_bytes()),
            Self::Bytes(at, new) => put(bytes, place(at), &new),
            Self::Copy { from, to, len } => {
                let (from, to) = (place(from), place(to));
                let end = bytes.len().min(from + usize::from(len));
                let copied = bytes[from..end].to_vec();
                put(bytes, to, &copied);
            }
        }
    }
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    let len = new.len().min(bytes.len() - at);
    bytes[at..at + len].copy_from_slice(&new[..len]);
}
