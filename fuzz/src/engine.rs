//! Everything that a process may do with a directory that it found.

use std::path::Path;
use std::sync::Arc;

use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{
    Commit, Cursor, Damage, EngineOptions, Entry, FileEngine, KeyRange, Keyspace, KeyspaceId,
    LogBarrier, Lsn, Maintained, Result, Retention, RetentionPolicy, SalvageSink, ScanSpec,
    Snapshot, StorageError, Timestamp, VerifyDepth, Visible, WriteBatch,
};

/// Where the files are.
pub const DIR: &str = "/db";

/// More steps than any directory of this size needs.
const STEPS_MAX: usize = 500;

/// More versions than files of this size hold.
const VERSIONS_MAX: usize = 1 << 20;

/// A log that has everything.
struct NoLog;

impl LogBarrier for NoLog {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        Ok(())
    }
}

/// Takes what a salvage finds, and forgets it.
struct Forget;

impl SalvageSink for Forget {
    fn begin(&mut self, _at: Commit) -> Result<()> {
        Ok(())
    }

    fn keyspace(&mut self, _space: &Keyspace) -> Result<()> {
        Ok(())
    }

    fn version(&mut self, _space: KeyspaceId, _entry: Entry<'_>) -> Result<()> {
        Ok(())
    }

    fn lost(&mut self, _damage: Damage) {}

    fn progress(&mut self, _done_bytes: u64, _total_bytes: u64) {}
}

/// Whether an error is what bytes of an enemy may cause.
pub fn is_refusal(error: &StorageError) -> bool {
    // The virtual disk has no faults here, so there is no I/O error to pass on either.
    !matches!(error, StorageError::Internal(_) | StorageError::Io(_))
}

/// `None` if the bytes were refused.
///
/// # Panics
/// If the error claims anything but that.
fn bear<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(is_refusal(&error), "{error:?}");
            None
        }
    }
}

/// A disk with a small engine of that kind on it: two keyspaces, history, tombstones, values of all
/// sizes, several files or pages of each kind.
pub fn new_disk<E: FileEngine>(options: &EngineOptions) -> SimDisk {
    let disk = SimDisk::new(1);
    let engine = E::open(&sim_env(&disk, 1), Path::new(DIR), options).expect("an empty disk");
    let mut ts = 0;
    let mut commit = |engine: &E, fill: &dyn Fn(&mut WriteBatch)| {
        ts += 10;
        let mut batch = WriteBatch::new();
        fill(&mut batch);
        let at = Commit { lsn: Lsn(ts), ts: Timestamp(ts) };
        engine.apply(&batch, at).expect("a good batch");
    };
    let keep = RetentionPolicy { default: Retention::FOREVER, ..RetentionPolicy::default() };
    engine.set_retention(Arc::new(keep));
    let (one, two) = (KeyspaceId(1), KeyspaceId(7));
    commit(&engine, &|batch| {
        batch.create_keyspace(one);
        batch.create_keyspace(two);
    });
    for n in 0..45u8 {
        commit(&engine, &|batch| {
            let key = [b"key-", &[n % 20][..]].concat();
            match n % 9 {
                3 => batch.delete(one, &key),
                5 => batch.put(two, &[n], &[n; 20]),
                7 => batch.put(one, &key, &vec![n; 30 * usize::from(n)]),
                _ => batch.put(one, &key, b"value value value"),
            }
        });
        if n % 15 == 14 {
            engine.checkpoint(&NoLog).expect("a sound disk");
        }
    }
    commit(&engine, &|batch| {
        batch.put(one, &[b'k'; 700], b"under a long key");
        batch.drop_keyspace(two);
    });
    engine.checkpoint(&NoLog).expect("a sound disk");
    drop(engine);
    disk
}

/// Salvages, opens, verifies, reads and goes on writing: what the bits of `deeds` say, as far as the
/// files let it. Not always all of it, because that takes the most time.
///
/// # Panics
/// If anything but damage comes of damaged files, or files that verify contradict themselves.
pub fn exercise<E: FileEngine>(disk: &SimDisk, options: &EngineOptions, deeds: u8) {
    let env = sim_env(disk, 1);
    let dir = Path::new(DIR);
    if deeds & 1 != 0 {
        bear(E::salvage(&env, dir, options, &mut Forget));
    }
    let Some(engine) = bear(E::open(&env, dir, options)) else { return };
    let keep = RetentionPolicy { default: Retention::FOREVER, ..RetentionPolicy::default() };
    engine.set_retention(Arc::new(keep));
    let mut damages = 0;
    let is_sound = deeds & 2 != 0
        && bear(engine.verify(VerifyDepth::Full, &mut |_: Damage| damages += 1)).is_some()
        && damages == 0;
    let before = if deeds & 4 != 0 { read_all(&engine.snapshot(), is_sound) } else { None };
    if deeds & 8 == 0 || write(&engine).is_none() {
        return;
    }
    drop(engine);
    let Some(engine) = bear(E::open(&env, dir, options)) else { return };
    let after = read_all(&engine.snapshot(), is_sound);
    if let (Some(before), Some(after), true) = (before, after, is_sound) {
        assert!(after >= before, "{before} versions before, {after} after");
    }
}

/// Reads every version forwards, backwards and by key. How many there are; `None` if one cannot be
/// read.
///
/// # Panics
/// If files that verify give versions that are not in order, or others backwards than forwards.
fn read_all<S: Snapshot>(snapshot: &S, is_sound: bool) -> Option<usize> {
    let mut total = Some(0);
    for space in snapshot.keyspaces() {
        let forwards = scan(snapshot, space.id, Visible::All, false);
        let backwards = scan(snapshot, space.id, Visible::All, true);
        let now = scan(snapshot, space.id, Visible::AsOf(snapshot.at().ts), false);
        for (key, ts) in forwards.iter().flatten().take(100) {
            let mut out = Vec::new();
            bear(snapshot.get(space.id, key, *ts, &mut out));
            bear(snapshot.newest(space.id, key));
        }
        total = match (total, forwards, backwards, now) {
            (Some(total), Some(forwards), Some(backwards), Some(_)) => {
                if is_sound {
                    assert!(forwards.len() == backwards.len(), "two scans of one snapshot");
                    assert!(is_ordered(&forwards, false) && is_ordered(&backwards, true));
                }
                Some(total + forwards.len())
            }
            _ => None,
        };
    }
    total
}

type Versions = Vec<(Vec<u8>, Timestamp)>;

fn is_ordered(versions: &Versions, reverse: bool) -> bool {
    versions.windows(2).all(|pair| {
        let by_key = pair[0].0.cmp(&pair[1].0);
        let by_key = if reverse { by_key.reverse() } else { by_key };
        by_key.then(pair[1].1.cmp(&pair[0].1)).is_lt()
    })
}

/// The versions of a keyspace; `None` if one cannot be read.
fn scan<S: Snapshot>(
    snapshot: &S,
    space: KeyspaceId,
    visible: Visible,
    reverse: bool,
) -> Option<Versions> {
    let spec = ScanSpec { range: KeyRange::ALL, visible, reverse };
    let mut cursor = bear(snapshot.cursor(space, &spec))?;
    let mut found = Versions::new();
    while bear(cursor.next())? {
        let entry = cursor.entry();
        found.push((entry.key.to_vec(), entry.ts));
        assert!(found.len() < VERSIONS_MAX, "a scan does not come to an end");
    }
    Some(found)
}

/// Writes over what is there, and lets the engine merge or check-point it.
fn write<E: FileEngine>(engine: &E) -> Option<()> {
    let now = engine.applied();
    let at =
        Commit { lsn: Lsn(now.lsn.0.checked_add(1)?), ts: Timestamp(now.ts.0.checked_add(1)?) };
    let mut batch = WriteBatch::new();
    let spaces = engine.snapshot().keyspaces();
    for space in spaces.iter().filter(|space| space.dropped.is_none()).take(2) {
        for n in (0..20u8).step_by(3) {
            batch.put(space.id, &[b"key-", &[n][..]].concat(), b"new");
        }
    }
    bear(engine.apply(&batch, at))?;
    bear(engine.checkpoint(&NoLog))?;
    for _ in 0..STEPS_MAX {
        if bear(engine.maintain(&NoLog))? == Maintained::Idle {
            return Some(());
        }
    }
    panic!("maintenance does not come to an end");
}
