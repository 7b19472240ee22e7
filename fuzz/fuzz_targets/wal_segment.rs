//! Segments of any records, whole, torn, stale and lying, under sound checksums: a log opens and goes
//! on, or is refused; what it held when it was opened it still holds afterwards.
#![no_main]

use std::path::Path;

use arbitrary::Arbitrary;
use driftdb_env::Disk;
use driftdb_env::{FileKind, OpenHow};
use driftdb_fuzz::{Edit, is_refusal};
use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{Damage, Lsn, Result};
use driftdb_wal::{Wal, WalOptions};
use libfuzzer_sys::fuzz_target;

const DIR: &str = "/wal";
const HEADER_BYTES: usize = 64;
const SEGMENTS_MAX: usize = 4;
const RECORDS_MAX: usize = 20;

#[derive(Debug, Arbitrary)]
struct Case {
    log_id: u8,
    first_lsn: Lie,
    first_number: u32,
    segments: Vec<SegmentCase>,
    begun: Option<(u32, u32)>,
}

#[derive(Debug, Arbitrary)]
struct SegmentCase {
    /// Left out, though it counts.
    is_missing: bool,
    header: Option<HeaderLie>,
    records: Vec<RecordCase>,
    /// After the checksums were made.
    edits: Vec<Edit>,
    /// Zeroes after the last record.
    rest: u16,
}

#[derive(Debug, Arbitrary)]
struct HeaderLie {
    number: u32,
    first_lsn: Lie,
    version: u8,
    log_id: u8,
}

#[derive(Debug, Arbitrary)]
struct RecordCase {
    payload: Vec<u8>,
    synced: Lie,
    /// Instead of the length that it has.
    claim: Option<u32>,
    is_torn: bool,
}

/// A log position: about right, or anything.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Lie {
    None,
    Off(i8),
    Any(u64),
}

impl Lie {
    fn about(self, truth: u64) -> u64 {
        match self {
            Self::None => truth,
            Self::Off(by) => truth.wrapping_add_signed(i64::from(by)),
            Self::Any(any) => any,
        }
    }
}

fn sealed_header(log_id: u64, number: u32, first_lsn: u64, version: u32) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(b"DriftWAL");
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    bytes[16..24].copy_from_slice(&log_id.to_le_bytes());
    bytes[24..32].copy_from_slice(&first_lsn.to_le_bytes());
    bytes[32..36].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn push_record(out: &mut Vec<u8>, log_id: u64, number: u32, start: u64, record: &RecordCase) {
    let mut head = [0; 24];
    let crc = crc32c::crc32c(&record.payload);
    head[4..8].copy_from_slice(&crc.wrapping_add(u32::from(record.is_torn)).to_le_bytes());
    let len = record.claim.unwrap_or(record.payload.len() as u32);
    head[8..12].copy_from_slice(&len.to_le_bytes());
    head[12..16].copy_from_slice(&number.to_le_bytes());
    head[16..24].copy_from_slice(&record.synced.about(start).to_le_bytes());
    let crc = crc32c::crc32c(&[log_id.to_le_bytes(), start.to_le_bytes()].concat());
    let crc = crc32c::crc32c_append(crc, &head[4..]);
    head[..4].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(&record.payload);
}

fn begun_slot(number: u32, log_id: u64) -> [u8; 32] {
    let mut slot = [0; 32];
    slot[..8].copy_from_slice(b"DriftWLB");
    slot[12..16].copy_from_slice(&number.to_le_bytes());
    slot[16..24].copy_from_slice(&log_id.to_le_bytes());
    let crc = crc32c::crc32c(&slot);
    slot[8..12].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn write(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let path = Path::new(DIR).join(name);
    let file = disk.open(&path, OpenHow::CreateNew, FileKind::Log).expect("a new file");
    file.write_at(0, bytes).expect("a sound disk");
    file.sync_data().expect("a sound disk");
}

fn lay_out(case: &Case, disk: &SimDisk) {
    disk.create_dir_all(Path::new(DIR)).expect("a sound disk");
    let log_id = u64::from(case.log_id);
    let mut lsn = case.first_lsn.about(HEADER_BYTES as u64);
    for (index, segment) in case.segments.iter().take(SEGMENTS_MAX).enumerate() {
        // Beyond the last number there is no next segment, which is an error of its own.
        let number = case.first_number % (u32::MAX - 100) + index as u32;
        let mut bytes = match &segment.header {
            None => sealed_header(log_id, number, lsn, 1),
            Some(lie) => sealed_header(
                log_id ^ u64::from(lie.log_id),
                lie.number,
                lie.first_lsn.about(lsn),
                u32::from(lie.version % 3),
            ),
        }
        .to_vec();
        for record in segment.records.iter().take(RECORDS_MAX) {
            push_record(&mut bytes, log_id, number, lsn, record);
            lsn = lsn.wrapping_add(24 + record.payload.len() as u64);
        }
        segment.edits.iter().for_each(|edit| edit.apply(&mut bytes));
        bytes.resize(bytes.len() + usize::from(segment.rest % 5000), 0);
        if !segment.is_missing {
            write(disk, &format!("{number:08x}.wal"), &bytes);
        }
    }
    if let Some((number, other)) = case.begun {
        let mut bytes = vec![0; 4096 + 32];
        bytes[..32].copy_from_slice(&begun_slot(number, log_id));
        bytes[4096..].copy_from_slice(&begun_slot(other, log_id));
        write(disk, "begun", &bytes);
    }
    disk.sync_dir(Path::new(DIR)).expect("a sound disk");
}

/// Whether a record vouches for a place that is none. Opening runs into it, and verify does not look.
fn promises_falsely(case: &Case) -> bool {
    let mut records = case.segments.iter().flat_map(|segment| &segment.records);
    records.any(|record| !matches!(record.synced, Lie::None))
}

fn bear<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(is_refusal(&error), "{error:?}");
            None
        }
    }
}

type Records = Vec<(Lsn, Vec<u8>)>;

fn records(wal: &Wal) -> Option<Records> {
    let mut found = Vec::new();
    let oldest = wal.reader(Lsn(0)).and_then(|mut reader| match reader.step()? {
        driftdb_wal::WalStep::Gone { oldest } => Ok(oldest),
        _ => Ok(Lsn(0)),
    });
    let after = bear(oldest)?;
    bear(wal.replay(after, &mut |end, payload| {
        found.push((end, payload.to_vec()));
        Ok(())
    }))?;
    Some(found)
}

fuzz_target!(|case: Case| {
    let disk = SimDisk::new(1);
    lay_out(&case, &disk);
    let env = sim_env(&disk, 1);
    let (dir, options) = (Path::new(DIR), WalOptions::tiny());
    let mut damages = 0;
    let verified = bear(Wal::verify(&env, dir, &options, &mut |_: Damage| damages += 1));
    let mut salvaged = Records::new();
    let visit = &mut |end, payload: &[u8]| {
        salvaged.push((end, payload.to_vec()));
        Ok(())
    };
    bear(Wal::salvage(&env, dir, visit, &mut |_| ()));
    let lazy = disk.fork(1);
    bear(Wal::open_to_replay(&sim_env(&lazy, 1), dir, &options)).map(|wal| records(&wal));
    let wal = match Wal::open(&env, dir, &options) {
        Ok(wal) => wal,
        Err(error) => {
            assert!(is_refusal(&error), "{error:?}");
            let is_found = damages > 0 || verified.is_none();
            assert!(is_found || promises_falsely(&case), "verify does not find {error:?}");
            return;
        }
    };
    let Some(mut before) = records(&wal) else { return };
    for record in &before {
        assert!(salvaged.contains(record), "salvage missed {record:?}");
    }
    for payload in [&b"new"[..], &[7; 3000], &[8; 3000]] {
        let Some(end) = bear(wal.append(&[payload])) else { return };
        if bear(wal.wait_durable(end)).is_none() {
            return;
        }
        before.push((end, payload.to_vec()));
    }
    drop(wal);
    let again = Wal::open(&env, dir, &options).expect("a log that was mended");
    assert!(records(&again) == Some(before), "the log changed when it was opened again");
});
