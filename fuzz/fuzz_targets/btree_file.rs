//! A page file changed under sound checksums: everything an engine does with it ends in an answer or
//! an error.
//!
//! A changed page keeps the checksum that its parent knows, by four bytes of padding chosen for it.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use driftdb_fuzz::{DIR, Edit, exercise, forge, new_disk};
use driftdb_sim_disk::SimDisk;
use driftdb_storage::EngineOptions;
use driftdb_storage_btree::BtreeEngine;
use libfuzzer_sys::fuzz_target;

const SUPERBLOCK_BYTES: usize = 512;
const SUPERBLOCK_DISTANCE: usize = 4096;
const PAGES_AT: usize = 4 * SUPERBLOCK_DISTANCE;
const PAGE_BYTES: usize = 512;
const PAGE_HEADER_BYTES: usize = 40;
/// The generation of a page, which nothing that reads a page looks at.
const GENERATION_AT: usize = 16;

#[derive(Debug, Arbitrary)]
enum FileEdit {
    Page {
        page: u16,
        edit: Edit,
    },
    /// The next page of a chain, with the checksum that is there.
    Chain {
        page: u16,
        next: u16,
    },
    Superblock {
        slot: bool,
        edit: Edit,
    },
}

#[derive(Debug, Arbitrary)]
struct Case {
    deeds: u8,
    edits: Vec<FileEdit>,
    cut: u16,
}

fn base() -> &'static SimDisk {
    static BASE: OnceLock<SimDisk> = OnceLock::new();
    BASE.get_or_init(|| new_disk::<BtreeEngine>(&EngineOptions::tiny()))
}

/// Changes a page, and keeps its checksum.
fn change_page(page: &mut [u8], change: impl Fn(&mut [u8])) {
    let crc: [u8; 4] = page[..4].try_into().expect("four bytes");
    change(&mut page[4..]);
    let len = u32::from_le_bytes(page[36..40].try_into().expect("four bytes")) as usize;
    let is_padded = PAGE_HEADER_BYTES.saturating_add(len) <= PAGE_BYTES - 4;
    let at = if is_padded { PAGE_BYTES - 4 } else { GENERATION_AT };
    forge(&mut page[4..], at - 4, u32::from_le_bytes(crc));
    page[..4].copy_from_slice(&crc);
}

fn apply(edit: &FileEdit, file: &mut [u8]) {
    let (superblocks, pages) = file.split_at_mut(PAGES_AT);
    let page_count = pages.len() / PAGE_BYTES;
    let range_of = |page: u16| {
        let at = usize::from(page) % page_count * PAGE_BYTES;
        at..at + PAGE_BYTES
    };
    match edit {
        FileEdit::Page { page, edit } => {
            change_page(&mut pages[range_of(*page)], |bytes| edit.apply(bytes));
        }
        FileEdit::Chain { page, next } => {
            let next_range = range_of(*next);
            let number = (next_range.start / PAGE_BYTES) as u64 + 1;
            let crc: [u8; 4] = pages[next_range][..4].try_into().expect("four bytes");
            change_page(&mut pages[range_of(*page)], |bytes| {
                bytes[20..28].copy_from_slice(&number.to_le_bytes());
                bytes[28..32].copy_from_slice(&crc);
            });
        }
        FileEdit::Superblock { slot, edit } => {
            // Both copies: one alone is mended from the other.
            for copy in 0..2 {
                let at = (usize::from(*slot) * 2 + copy) * SUPERBLOCK_DISTANCE;
                let superblock = &mut superblocks[at..at + SUPERBLOCK_BYTES];
                edit.apply(superblock);
                superblock[12..16].fill(0);
                let crc = crc32c::crc32c(superblock);
                superblock[12..16].copy_from_slice(&crc.to_le_bytes());
            }
        }
    }
}

fuzz_target!(|case: Case| {
    let disk = base().fork(1);
    let path = Path::new(DIR).join("pages.db");
    let mut file = disk.read_file(&path).expect("a page file");
    case.edits.iter().for_each(|edit| apply(edit, &mut file));
    file.truncate(file.len() - usize::from(case.cut).min(file.len()));
    assert!(disk.write_file(&path, &file));
    exercise::<BtreeEngine>(&disk, &EngineOptions::tiny(), case.deeds);
});
