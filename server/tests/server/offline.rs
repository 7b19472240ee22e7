//! Copies, conversion and salvage on a disk that stops, fills up and fails.

use std::path::Path;
use std::sync::Arc;

use driftdb_concurrency::{
    BeginOptions, LockIntent, LockStrength, ReadAt, Transaction, WaitPolicy,
};
use driftdb_env::Env;
use driftdb_server::{Config, Node, NodeError, SalvageReport, backup, convert, engine_of, salvage};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk, sim_env};
use driftdb_storage::{Damage, KeyspaceId, Timestamp};

const SPACE: KeyspaceId = KeyspaceId(2000);

/// So small that a few dozen rows reach every kind of file.
fn config(engine: &str) -> Config {
    Config {
        data: "/data".into(),
        engine: engine.to_owned(),
        write_buffer_bytes: 4 << 10,
        block_size_bytes: 512,
        wal_segment_bytes: 64 << 10,
        wal_spare_segments: 0,
        ..Config::default()
    }
}

fn txn(node: &Node) -> Box<dyn Transaction> {
    let mut txn = node.store().begin(BeginOptions::default()).unwrap();
    txn.begin_statement().unwrap();
    txn
}

fn put(txn: &mut dyn Transaction, key: u32, value: &[u8]) {
    let key = key.to_be_bytes();
    let (strength, intent) = (LockStrength::Update, LockIntent::Insert);
    txn.lock(SPACE, &key, strength, intent, WaitPolicy::Wait(None)).unwrap();
    txn.put(SPACE, &key, value).unwrap();
}

/// What a database answers: rows now, and at the times given.
type Answers = Vec<Vec<Option<Vec<u8>>>>;

fn answers(node: &Node, times: &[Timestamp]) -> Answers {
    let at = times.iter().map(|ts| ReadAt::AsOf(*ts)).chain([ReadAt::Statement]);
    let mut txn = txn(node);
    let mut read = |at| {
        let row = |key: u32| {
            let mut value = Vec::new();
            let found = txn.get(SPACE, &key.to_be_bytes(), at, &mut value).unwrap();
            found.then_some(value)
        };
        (0..60).map(row).collect()
    };
    at.map(&mut read).collect()
}

/// A database with three versions of most rows, closed but for the last commit.
fn database(engine: &str) -> (SimDisk, Vec<Timestamp>, Answers) {
    let disk = SimDisk::new(7);
    let env = sim_env(&disk, 7);
    let open = || Node::open(&env, &config(engine)).unwrap();
    let node = open();
    let mut first = txn(&node);
    first.create_keyspace(SPACE).unwrap();
    first.commit().unwrap();
    let mut times = Vec::new();
    for round in 0..3_u8 {
        let mut txn = txn(&node);
        for key in (0..60).filter(|key| key % 3 >= u32::from(round)) {
            put(&mut *txn, key, &[round; 100]);
        }
        times.push(txn.commit().unwrap().commit.unwrap().ts);
    }
    node.close().unwrap();
    drop(node);
    let node = open();
    let mut last = txn(&node);
    put(&mut *last, 1, b"in the log");
    last.commit().unwrap();
    let expected = answers(&node, &times);
    drop(node);
    disk.crash_with(CrashMode::Process);
    (disk, times, expected)
}

/// Opens what is there, whatever its engine, and compares.
fn check(env: &Env, data: &Path, times: &[Timestamp], expected: &Answers, context: &str) {
    let engine = engine_of(env, data).unwrap().unwrap_or_else(|| panic!("{context}: no marker"));
    let node = Node::open(env, &Config { data: data.to_owned(), ..config(&engine) });
    let node = node.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(answers(&node, times) == *expected, "{context}: other answers");
    let mut damages = Vec::new();
    let depth = driftdb_storage::VerifyDepth::Full;
    node.store().verify(depth, &mut |damage: Damage| damages.push(damage.to_string())).unwrap();
    assert_eq!(damages, [""; 0], "{context}");
}

fn other(engine: &str) -> &'static str {
    if engine == "lsm" { "btree" } else { "lsm" }
}

/// How many operations some work does on a disk.
fn operations(disk: &SimDisk, work: impl FnOnce(&Env)) -> u64 {
    let disk = disk.fork(1);
    let before = disk.counters().ops;
    work(&sim_env(&disk, 1));
    disk.counters().ops - before
}

#[test]
fn a_conversion_stopped_anywhere_leaves_one_of_the_two() {
    for engine in ["lsm", "btree"] {
        let (disk, times, expected) = database(engine);
        let target = other(engine);
        let run = |env: &Env| convert(env, &config(engine), target, None, &mut |_| {}).map(drop);
        let count = operations(&disk, |env| run(env).unwrap());
        let mut outcomes = [0, 0];
        for stop in (0..count).step_by(3) {
            let disk = disk.fork(stop);
            let env = sim_env(&disk, stop);
            disk.halt_after(stop);
            run(&env).unwrap_err();
            disk.crash();
            disk.clear_faults();
            let context = format!("{engine}, stopped after {stop} of {count}");
            check(&env, Path::new("/data"), &times, &expected, &context);
            let is_done = engine_of(&env, Path::new("/data")).unwrap().unwrap() == target;
            outcomes[usize::from(is_done)] += 1;
            // The next attempt is not in the way of what the first left.
            if !is_done {
                disk.crash_with(CrashMode::Process);
                run(&env).unwrap_or_else(|error| panic!("{context}: again: {error}"));
                check(&env, Path::new("/data"), &times, &expected, &context);
            }
        }
        assert!(outcomes[0] > 0 && outcomes[1] > 0, "{engine}: {outcomes:?}");
    }
}

#[test]
fn a_failing_or_full_disk_leaves_the_old_database_and_no_half_copy() {
    for engine in ["lsm", "btree"] {
        let (disk, times, expected) = database(engine);
        let to = Path::new("/copy");
        let work = |env: &Env| backup(env, &config(engine), to, None).map(|_| ());
        let count = operations(&disk, |env| work(env).unwrap());
        for fail in (1..=count).step_by(2) {
            let disk = disk.fork(fail);
            let env = sim_env(&disk, fail);
            disk.inject(Fault::at(fail).effect(Effect::Error(std::io::ErrorKind::Other)));
            let result = work(&env);
            disk.clear_faults();
            let context = format!("{engine}, operation {fail} of {count} fails");
            match result {
                Ok(()) => check(&env, to, &times, &expected, &context),
                // Where nothing could be removed, what is there has no marker.
                Err(_) if env.disk().exists(to).unwrap() => {
                    assert_eq!(engine_of(&env, to).unwrap(), None, "{context}");
                }
                Err(_) => {}
            }
            disk.crash_with(CrashMode::LoseAll);
            check(&env, Path::new("/data"), &times, &expected, &context);
        }
        let full = disk.fork(0);
        let env = sim_env(&full, 0);
        full.set_capacity(Some(full.used_bytes() + 2000));
        let error = backup(&env, &config(engine), to, None).unwrap_err();
        assert!(matches!(error, NodeError::Storage(_) | NodeError::Io(_)), "{error}");
        full.set_capacity(None);
        assert!(!env.disk().exists(to).unwrap(), "{engine}: the part that was made is removed");
        check(&env, Path::new("/data"), &times, &expected, engine);
    }
}

#[test]
fn a_running_store_is_copied_with_everything_acknowledged() {
    for engine in ["lsm", "btree", "memory"] {
        let disk = SimDisk::new(3);
        let env = sim_env(&disk, 3);
        let node = Node::open(&env, &config(engine)).unwrap();
        let mut first = txn(&node);
        first.create_keyspace(SPACE).unwrap();
        first.commit().unwrap();
        let writer = {
            let node = Arc::clone(&node);
            env.spawn("writer", move || {
                for n in 0..300_u32 {
                    let mut txn = txn(&node);
                    put(&mut *txn, n % 60, &n.to_be_bytes());
                    txn.commit().unwrap();
                }
            })
        };
        for n in 0..5 {
            let before = node.store().newest();
            let copy = format!("/copy{n}");
            let store = Path::new(&copy);
            let report = node.store().backup(store, None).unwrap();
            assert!(report.copied_bytes > 0);
            // A store without a marker: only the server's command makes a data directory of it.
            let moved = format!("/data{n}");
            make_data_directory(&env, store, Path::new(&moved), engine);
            let copied =
                Node::open(&env, &Config { data: moved.into(), ..config(engine) }).unwrap();
            assert!(
                copied.store().newest() >= before,
                "{engine}: an acknowledged commit is missing"
            );
            let at = [before];
            assert!(answers(&copied, &at)[0] == answers(&node, &at)[0], "{engine}: other answers");
        }
        writer.join();
    }
}

/// Puts a marker beside a copied store.
fn make_data_directory(env: &Env, store: &Path, data: &Path, engine: &str) {
    // An empty database has the marker; its store is replaced.
    drop(Node::open(env, &Config { data: data.to_owned(), ..config(engine) }).unwrap());
    for part in ["engine", "wal"] {
        driftdb_env::directory::remove_dir_all(env.disk(), &data.join(part)).unwrap();
        env.disk().create_dir_all(&data.join(part)).unwrap();
        for entry in env.disk().list(&store.join(part)).unwrap() {
            env.disk()
                .rename(&store.join(part).join(&entry.name), &data.join(part).join(&entry.name))
                .unwrap();
        }
    }
}

#[derive(Default)]
struct Lost(Vec<Damage>);

impl SalvageReport for Lost {
    fn lost(&mut self, damage: Damage) {
        self.0.push(damage);
    }

    fn progress(&mut self, done_bytes: u64, total_bytes: u64) {
        assert!(done_bytes <= total_bytes);
    }
}

/// More than what the last record of [`database`]'s log takes.
const LAST_RECORD_BYTES: usize = 64;

/// Whatever byte of whatever file is damaged, what is saved is true, and what is missing is told.
#[test]
fn salvage_tells_the_truth_and_what_it_lost() {
    for engine in ["lsm", "btree"] {
        let (disk, times, expected) = database(engine);
        for file in disk.files() {
            // Once: the ballast alone has more places than could be asked for one by one.
            let bytes = disk.read_file(&file).unwrap_or_default();
            // Nothing vouches for the last record of the log: damage of it looks like a write that a
            // crash cut short.
            let is_log = file.components().any(|part| part.as_os_str() == "wal");
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            let vouched = if is_log { end.saturating_sub(LAST_RECORD_BYTES) } else { bytes.len() };
            let holds = |at: &u64| bytes[*at as usize] != 0 && (*at as usize) < vouched;
            for offset in (0..bytes.len() as u64).step_by(97).filter(holds) {
                let disk = disk.fork(offset);
                let env = sim_env(&disk, offset);
                disk.corrupt(&file, offset, 0x10);
                let context = format!("{engine}, {} at {offset}", file.display());
                let (to, mut lost) = (Path::new("/saved"), Lost::default());
                match salvage(&env, &config(engine), None, to, &mut lost) {
                    Ok(_) => {}
                    // A header that claims a newer format.
                    Err(error) => {
                        assert!(!error.to_string().is_empty(), "{context}");
                        continue;
                    }
                }
                let saved = Node::open(&env, &Config { data: to.into(), ..config(engine) });
                let saved = saved.unwrap_or_else(|error| panic!("{context}: {error}"));
                let got = answers(&saved, &times);
                if got != expected {
                    assert!(!lost.0.is_empty(), "{context}: something is missing silently");
                }
                for (time, row) in (0..got.len()).flat_map(|t| (0..60).map(move |row| (t, row))) {
                    let value = &got[time][row];
                    let known = expected.iter().any(|of| of[row] == *value);
                    assert!(value.is_none() || known, "{context}: row {row} was never {value:?}");
                }
            }
        }
    }
}
