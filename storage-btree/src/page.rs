//! Pages: a checksummed header around a payload, chained where one page is not enough.
//!
//! The checksum covers the page's own number, so that a misdirected page fails; whoever refers to a
//! page repeats its checksum, so that a stale one (a lost write) fails too. Layout:
//! `docs/formats/btree.md`.

use driftdb_env::planted;

use crate::codec::Layout;
use crate::node::PageRef;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 40;

/// The smallest page; smaller asks are raised to it.
pub(crate) const MIN_PAGE_SIZE: usize = 512;

/// The largest page; larger asks are cut to it.
pub(crate) const MAX_PAGE_SIZE: usize = 64 << 10;

/// What a page is for. All pages of a chain have the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    Leaf,
    Branch,
    Overflow,
    FreeList,
    Facts,
    History,
    Catalogue,
}

impl PageKind {
    fn byte(self) -> u8 {
        match self {
            Self::Leaf => 1,
            Self::Branch => 2,
            Self::Overflow => 3,
            Self::FreeList => 4,
            Self::Facts => 5,
            Self::History => 6,
            Self::Catalogue => 7,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        let tree = [Self::Leaf, Self::Branch, Self::Overflow];
        let around = [Self::FreeList, Self::Facts, Self::History, Self::Catalogue];
        tree.into_iter().chain(around).find(|kind| kind.byte() == byte)
    }
}

/// The header of a page, decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: PageKind,
    /// Of a node: its height above the leaves.
    pub(crate) level: u8,
    /// Of a node: the form of its entries.
    pub(crate) layout: Layout,
    pub(crate) page: u64,
    /// The checkpoint that wrote it.
    pub(crate) generation: u64,
    /// The next page of the chain, or none.
    pub(crate) next: PageRef,
    /// Bytes of payload in this page.
    pub(crate) len: usize,
}

/// Fills `image`, whose payload area is already in place, with the header, and gives the checksum.
pub(crate) fn seal(image: &mut [u8], header: &Header) -> u32 {
    assert!(header.len <= image.len() - HEADER);
    image[4] = header.kind.byte();
    image[5] = header.level;
    image[6] = match header.layout {
        Layout::Plain => 0,
        Layout::Packed => 1,
    };
    image[7] = 0;
    image[8..16].copy_from_slice(&header.page.to_le_bytes());
    image[16..24].copy_from_slice(&header.generation.to_le_bytes());
    image[24..32].copy_from_slice(&header.next.page.to_le_bytes());
    image[32..36].copy_from_slice(&header.next.crc.to_le_bytes());
    image[36..40].copy_from_slice(&(header.len as u32).to_le_bytes());
    let crc = crc32c::crc32c(&image[4..]);
    image[..4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Checks a page against its reference, and decodes its header.
///
/// # Errors
/// What is wrong, as a sentence fragment.
pub(crate) fn open(image: &[u8], at: PageRef) -> Result<Header, &'static str> {
    let stored = u32_at(image, 0);
    let is_whole = crc32c::crc32c(&image[4..]) == stored;
    if !is_whole && !planted!("btree.page-checksum-not-checked") {
        return Err(if image.iter().all(|&byte| byte == 0) {
            "page of zeroes where data was written"
        } else {
            "page checksum does not match"
        });
    }
    if u64_at(image, 8) != at.page {
        return Err("page of another place");
    }
    if stored != at.crc && !planted!("btree.stale-page-accepted") {
        return Err("stale page: not the version that its parent refers to");
    }
    let kind = PageKind::from_byte(image[4]).ok_or("unknown page kind")?;
    let layout = match image[6] {
        0 => Layout::Plain,
        1 => Layout::Packed,
        _ => return Err("unknown layout of a node"),
    };
    let len = u32_at(image, 36) as usize;
    if len > image.len() - HEADER {
        return Err("page payload longer than the page");
    }
    Ok(Header {
        kind,
        level: image[5],
        layout,
        page: at.page,
        generation: u64_at(image, 16),
        next: PageRef { page: u64_at(image, 24), crc: u32_at(image, 32) },
        len,
    })
}

/// The little-endian number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

/// The little-endian number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> (Vec<u8>, PageRef) {
        let mut image = vec![7; MIN_PAGE_SIZE];
        let layout = Layout::Packed;
        let next = PageRef { page: 9, crc: 1 };
        let header = Header {
            kind: PageKind::Leaf,
            level: 0,
            layout,
            page: 3,
            generation: 5,
            next,
            len: 100,
        };
        let crc = seal(&mut image, &header);
        (image, PageRef { page: 3, crc })
    }

    #[test]
    fn a_header_comes_back() {
        let (image, at) = sealed();
        let header = open(&image, at).unwrap();
        assert_eq!((header.kind, header.page, header.generation), (PageKind::Leaf, 3, 5));
        assert_eq!((header.next, header.len), (PageRef { page: 9, crc: 1 }, 100));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (image, at) = sealed();
        for bit in 0..image.len() * 8 {
            let mut damaged = image.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged, at).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn misdirected_and_stale_pages_are_noticed() {
        let (image, at) = sealed();
        assert_eq!(open(&image, PageRef { page: 4, ..at }).err(), Some("page of another place"));
        assert!(open(&image, PageRef { crc: at.crc ^ 1, ..at }).err().is_some());
    }
}
