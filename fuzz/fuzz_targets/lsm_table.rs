//! Tables whose frames were changed under sound checksums: everything an engine does with them ends
//! in an answer or an error.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use driftdb_fuzz::{DIR, Edit, FRAME_HEADER_BYTES, exercise, frames, new_disk, seal_frame};
use driftdb_sim_disk::SimDisk;
use driftdb_storage::{Compression, EngineOptions, FilterKind};
use driftdb_storage_lsm::LsmEngine;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Case {
    deeds: u8,
    base: u8,
    edits: Vec<TableEdit>,
    /// Bytes taken off the last table touched.
    cut: u8,
}

#[derive(Debug, Arbitrary)]
struct TableEdit {
    table: u8,
    /// Counted from the end, where footer and indexes are.
    frame: u8,
    /// Also the header of the frame: its kind, codec and length.
    with_header: bool,
    edit: Edit,
}

struct Base {
    disk: SimDisk,
    options: EngineOptions,
    tables: Vec<PathBuf>,
}

fn bases() -> &'static [Base] {
    static BASES: OnceLock<Vec<Base>> = OnceLock::new();
    BASES.get_or_init(|| {
        let kinds = [
            (Compression::None, FilterKind::Bloom),
            (Compression::Lz4, FilterKind::Fuse),
            (Compression::Zstd, FilterKind::Fuse),
        ];
        let base = |(compression, filter)| {
            let options = EngineOptions { compression, filter, ..EngineOptions::tiny() };
            let disk = new_disk::<LsmEngine>(&options);
            let mut tables = disk.files();
            tables.retain(|path| path.extension().is_some_and(|extension| extension == "table"));
            assert!(!tables.is_empty(), "no table in {DIR}");
            Base { disk, options, tables }
        };
        kinds.map(base).into_iter().chain([with_dictionary()]).collect()
    })
}

/// The files of version 3, which has dictionaries.
fn with_dictionary() -> Base {
    let options = EngineOptions { compression: Compression::Zstd, ..EngineOptions::tiny() };
    let disk = new_disk::<LsmEngine>(&options);
    disk.files().iter().for_each(|path| assert!(disk.remove_file(path)));
    let files: [(&str, &[u8]); 3] = [
        ("MANIFEST", include_bytes!("../../storage-lsm/tests/formats/v3/MANIFEST")),
        ("000001.table", include_bytes!("../../storage-lsm/tests/formats/v3/000001.table")),
        ("000002.table", include_bytes!("../../storage-lsm/tests/formats/v3/000002.table")),
    ];
    let write = |(name, bytes): &(&str, &[u8])| {
        let path = PathBuf::from(DIR).join(name);
        assert!(disk.write_file(&path, bytes));
        path
    };
    let tables = files.iter().map(write).skip(1).collect();
    Base { disk, options, tables }
}

fuzz_target!(|case: Case| {
    let bases = bases();
    let base = &bases[usize::from(case.base) % bases.len()];
    let disk = base.disk.fork(1);
    let mut last = &base.tables[0];
    for TableEdit { table, frame, with_header, edit } in &case.edits {
        last = &base.tables[usize::from(*table) % base.tables.len()];
        let mut file = disk.read_file(last).expect("a table of the base");
        let mut places = frames(&file);
        places.reverse();
        let Some(place) = places.get(usize::from(*frame) % places.len().max(1)) else { continue };
        let bytes = &mut file[place.clone()];
        edit.apply(if *with_header { bytes } else { &mut bytes[FRAME_HEADER_BYTES..] });
        let name = last.file_stem().and_then(|stem| stem.to_str()).expect("a table's name");
        seal_frame(bytes, name.parse().expect("a number"), place.start as u64);
        assert!(disk.write_file(last, &file));
    }
    if case.cut > 0 {
        let len = disk.read_file(last).expect("a table of the base").len() as u64;
        disk.truncate(last, len.saturating_sub(u64::from(case.cut)));
    }
    exercise::<LsmEngine>(&disk, &base.options, case.deeds);
});
