//! Damage at rest: the right data or a clear error; never wrong data, a panic, or a hang.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use driftdb_env::{FileKind, Rng};
use driftdb_storage::{Commit, Damage, Engine, ErrorKind, StorageError, VerifyDepth};

use super::compare::{Tolerance, compare};
use super::harness::{Harness, Upkeep};
use super::model::Model;
use super::workload::{Mix, Workload};

/// More disk operations than any inspection of these few files needs: beyond it, it hangs.
pub(crate) const MOST_OPERATIONS: u64 = 200_000;

/// How damage was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noticed {
    /// The engine did not open, or opened at an earlier commit than the log begins with.
    AtOpen,
    /// A read was an error.
    Reading,
    /// Only `verify` found it.
    Verifying,
    /// Not at all: everything read was right.
    Nowhere,
}

/// A closed engine with all its data in files.
fn base<E: Engine>(seed: u64) -> (Harness<E>, Commit) {
    let mut harness = Harness::<E>::new(seed);
    harness.upkeep = Upkeep::Checkpoint(14);
    let mut workload = Workload::new(seed, Mix { large: 8, ..Mix::default() });
    workload.run(&mut harness, 70).expect("a healthy engine works");
    let durable = harness.checkpoint().expect("a healthy engine checkpoints");
    workload.run(&mut harness, 3).expect("a healthy engine works");
    harness.close();
    (harness, durable)
}

/// Every file that holds something, with its length. Locks and scratch hold nothing.
pub(crate) fn files<E: Engine>(harness: &Harness<E>) -> Vec<(std::path::PathBuf, u64)> {
    let disk = &harness.disk;
    let with_len = disk.files().into_iter().map(|path| {
        let len = disk.read_file(&path).map_or(0, |bytes| bytes.len() as u64);
        (path, len)
    });
    let kept =
        with_len.filter(|(path, len)| *len > 0 && disk.kind_of(path) != Some(FileKind::Temp));
    kept.collect()
}

/// Opens a damaged fork, reads everything, verifies, maintains, reads again.
pub(crate) fn inspect<E: Engine>(
    mut harness: Harness<E>,
    durable: Commit,
    context: &str,
) -> Noticed {
    harness.disk.halt_after(MOST_OPERATIONS);
    let outcome = catch_unwind(AssertUnwindSafe(|| look_at(&mut harness, durable)));
    match outcome {
        Ok(Ok(noticed)) => {
            assert!(!harness.disk.is_halted(), "{context}: does I/O without end");
            noticed
        }
        Ok(Err(wrong)) => panic!("{context}: {wrong}"),
        Err(_) => panic!("{context}: panics (see above)"),
    }
}

fn look_at<E: Engine>(harness: &mut Harness<E>, durable: Commit) -> Result<Noticed, String> {
    let clear = |error: &StorageError| {
        matches!(
            error,
            StorageError::Corruption(_)
                | StorageError::FormatVersion { .. }
                | StorageError::WrongDirectory { .. }
                | StorageError::Poisoned { .. }
        )
    };
    match harness.open() {
        Err(error) if clear(&error) || error.kind() == ErrorKind::Unavailable => {
            return Ok(Noticed::AtOpen);
        }
        Err(error) => return Err(format!("open blames something else: {error}")),
        Ok(()) => {}
    }
    let opened_at = harness.engine().durable();
    if opened_at < durable {
        // The log before `durable` may be gone: recovery refuses, since there would be a hole.
        return Ok(Noticed::AtOpen);
    }
    if !harness.log.iter().any(|(at, _)| *at == opened_at) {
        return Err(format!("durable {opened_at:?} is no commit of the log"));
    }
    match harness.replay_after(opened_at) {
        Err(error) if clear(&error) => return Ok(Noticed::Reading),
        Err(error) => return Err(format!("replay blames something else: {error}")),
        Ok(()) => {}
    }
    let errors = read_all(harness)?;
    let mut damages = 0u32;
    match harness.engine().verify(VerifyDepth::Full, &mut |_: Damage| damages += 1) {
        Err(error) if !clear(&error) => return Err(format!("verify gives up: {error}")),
        Err(_) => damages += 1,
        Ok(()) => {}
    }
    if errors > 0 && damages == 0 {
        return Err(format!("{errors} reads fail, and verify finds nothing"));
    }
    // Work on damaged files must not launder the damage into sound ones.
    for result in [harness.maintain(), harness.checkpoint().map(|_| ()), harness.maintain()] {
        match result {
            Err(error) if !clear(&error) => return Err(format!("maintenance: {error}")),
            _ => {}
        }
    }
    let later = read_all(harness)?;
    if errors > 0 && later == 0 && damages > 0 {
        // Damage in what was since dropped or rewritten may be gone with it; wrong data would have
        // been seen by the comparison.
        return Ok(Noticed::Reading);
    }
    Ok(match (errors + later, damages) {
        (0, 0) => Noticed::Nowhere,
        (0, _) => Noticed::Verifying,
        _ => Noticed::Reading,
    })
}

fn read_all<E: Engine>(harness: &Harness<E>) -> Result<u64, String> {
    let model = Model::of(&harness.log);
    compare(&harness.engine().snapshot(), &model, &harness.policy, Tolerance::Faulty)
}

/// Offsets worth damaging in a file of `len` bytes: the head and the tail, where formats keep their
/// lengths and checksums, and a sample of the rest.
fn offsets(len: u64, edge: u64, samples: u64, rng: &mut Rng) -> Vec<u64> {
    let head = 0..edge.min(len);
    let tail = len.saturating_sub(edge).max(head.end)..len;
    let mut offsets: Vec<u64> = head.chain(tail).collect();
    if len > 2 * edge {
        offsets.extend((0..samples).map(|_| edge + rng.below(len - 2 * edge)));
    }
    offsets
}

/// One flipped bit in any file: the right data or a clear error.
pub fn flipped_bits_are_found_or_harmless<E: Engine>() {
    let (base, durable) = base::<E>(100);
    let mut rng = Rng::stream(100, "flips");
    let mut noticed = 0;
    let mut total = 0;
    let files = files(&base);
    let share = (320 / files.len() as u64).max(24);
    for (path, len) in &files {
        for offset in offsets(*len, share / 4, share / 2, &mut rng) {
            let mask = 1 << rng.below(8);
            let context = format!("{} byte {offset} mask {mask:#04x}", path.display());
            let fork = base.fork(offset);
            assert!(fork.disk.corrupt(path, offset, mask), "{context}: outside the file");
            total += 1;
            noticed += u32::from(inspect(fork, durable, &context) != Noticed::Nowhere);
        }
    }
    assert!(noticed * 4 > total, "only {noticed} of {total} flipped bits were noticed at all");
}

/// Swapped, zeroed, stale, cut, grown, exchanged and missing files: the right data or a clear error.
pub fn misplaced_and_missing_bytes_are_found<E: Engine>() {
    let (base, durable) = base::<E>(101);
    let mut rng = Rng::stream(101, "misplaced");
    let files = files(&base);
    for (path, len) in &files {
        let name = path.display();
        for _ in 0..12 {
            misplace(&base, durable, path, *len, &mut rng);
        }
        for cut in [0, 1, len / 2, len - 1, len.saturating_sub(512)] {
            let fork = base.fork(cut);
            fork.disk.truncate(path, cut);
            inspect(fork, durable, &format!("{name} cut to {cut} of {len} bytes"));
        }
        let fork = base.fork(1);
        let mut bytes = fork.disk.read_file(path).unwrap_or_default();
        bytes.extend([0xa5; 700]);
        fork.disk.write_file(path, &bytes);
        inspect(fork, durable, &format!("{name} grown by 700 bytes"));
        let fork = base.fork(2);
        fork.disk.remove_file(path);
        inspect(fork, durable, &format!("{name} removed"));
    }
    for pair in files.windows(2) {
        let fork = base.fork(3);
        let other = fork.disk.read_file(&pair[1].0).unwrap_or_default();
        fork.disk.write_file(&pair[0].0, &other);
        let context = format!("{} holds {}", pair[0].0.display(), pair[1].0.display());
        inspect(fork, durable, &context);
    }
}

/// A block from another place, or zeroes, over a random stretch of a file.
fn misplace<E: Engine>(base: &Harness<E>, durable: Commit, path: &Path, len: u64, rng: &mut Rng) {
    let size = [16, 64, 512, 4096][rng.index(4)].min(len);
    let place = |rng: &mut Rng| rng.below(len / size) * size;
    let (a, b, fate) = (place(rng), place(rng), rng.below(3));
    let fork = base.fork(a);
    let what = match fate {
        0 => {
            fork.disk.swap(path, a, b, size as usize);
            format!("{size} bytes at {a} and {b} swapped")
        }
        1 => {
            fork.disk.overwrite(path, a, &vec![0; size as usize]);
            format!("{size} bytes at {a} zeroed")
        }
        _ => {
            let bytes = fork.disk.read_file(path).unwrap_or_default();
            fork.disk.overwrite(path, a, &bytes[b as usize..(b + size) as usize]);
            format!("{size} bytes at {a} replaced by those at {b}")
        }
    };
    inspect(fork, durable, &format!("{}: {what}", path.display()));
}

/// `verify` reports nothing on sound files, and in each file finds damage that is planted.
pub fn verify_finds_what_readers_would<E: Engine>() {
    let (mut base, durable) = base::<E>(102);
    base.reopen().expect("a closed engine reopens");
    base.check_whole("before any damage");
    base.close();
    let mut rng = Rng::stream(102, "verify");
    let files = files(&base);
    assert!(!files.is_empty(), "an engine with files has files after a checkpoint");
    for (path, len) in &files {
        let flips = (0..24).map(|_| rng.below(*len)).collect::<Vec<_>>();
        let found = flips.iter().any(|&offset| {
            let fork = base.fork(offset);
            fork.disk.corrupt(path, offset, 0x10);
            let context = format!("{} byte {offset}", path.display());
            inspect(fork, durable, &context) != Noticed::Nowhere
        });
        assert!(found, "{}: none of 24 flipped bits was noticed", path.display());
    }
}
