//! A disk that fills up: commits that need room are refused, the rest goes on, and it passes by itself.

use std::path::Path;
use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, LockIntent, LockStrength, ReadAt, Result, Transaction, TxnError, WaitPolicy,
};
use driftdb_env::{Env, FileKind, IoOp};
use driftdb_server::{Config, Node};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk, sim_env};
use driftdb_storage::{Damage, ErrorKind, KeyspaceId, VerifyDepth};

const SPACE: KeyspaceId = KeyspaceId(2000);
const BALLAST_BYTES: u64 = 256 << 10;

fn open(env: &Env, engine: &str) -> std::sync::Arc<Node> {
    let config = Config {
        data: "/data".into(),
        engine: engine.to_owned(),
        write_buffer_bytes: 32 << 10,
        block_size_bytes: 512,
        wal_segment_bytes: 64 << 10,
        wal_spare_segments: 0,
        maintain_log_bytes: 8 << 10,
        checkpoint_log_bytes: 128 << 10,
        ballast_bytes: BALLAST_BYTES,
        ..Config::default()
    };
    Node::open(env, &config).unwrap()
}

fn begin(node: &Node) -> Box<dyn Transaction> {
    let mut txn = node.store().begin(BeginOptions::default()).unwrap();
    txn.begin_statement().unwrap();
    txn
}

fn write(node: &Node, key: u32, value: Option<&[u8]>) -> Result<()> {
    let mut txn = begin(node);
    let bytes = key.to_be_bytes();
    txn.lock(SPACE, &bytes, LockStrength::Update, LockIntent::Insert, WaitPolicy::Wait(None))?;
    match value {
        Some(value) => txn.put(SPACE, &bytes, value)?,
        None => txn.delete(SPACE, &bytes)?,
    }
    txn.commit().map(drop)
}

fn read(node: &Node, key: u32) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    let found = begin(node).get(SPACE, &key.to_be_bytes(), ReadAt::Statement, &mut value).unwrap();
    found.then_some(value)
}

fn is_full(error: &TxnError) -> bool {
    error.kind() == ErrorKind::Unavailable && error.to_string().contains("could not")
}

/// Waits for something that the background task does.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within ten seconds");
}

#[test]
fn a_full_disk_refuses_writes_and_passes_by_itself() {
    for engine in ["lsm", "btree"] {
        let disk = SimDisk::new(5);
        let env = sim_env(&disk, 5);
        let node = open(&env, engine);
        let mut first = begin(&node);
        first.create_keyspace(SPACE).unwrap();
        first.commit().unwrap();
        let ballast = Path::new("/data/ballast");
        let has_ballast =
            || disk.read_file(ballast).is_some_and(|bytes| bytes.len() as u64 == BALLAST_BYTES);
        eventually("the ballast is made", has_ballast);

        disk.set_capacity(Some(disk.used_bytes() + (512 << 10)));
        // Nothing that would compress: else a merge makes room while the test looks.
        let value = |key: u32| -> Vec<u8> {
            let mut rng = env.rng(&format!("value-{key}"));
            (0..700).map(|_| rng.next_u64() as u8).collect()
        };
        let mut acknowledged = Vec::new();
        let mut refused = None;
        for key in 0..20_000 {
            match write(&node, key, Some(&value(key))) {
                Ok(()) => acknowledged.push(key),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let refused = refused.unwrap_or_else(|| panic!("{engine}: the disk never filled up"));
        assert!(is_full(&refused), "{engine}: {refused}");
        assert!(acknowledged.len() > 300, "{engine}: {} rows", acknowledged.len());
        eventually("the ballast is given up", || !has_ballast());

        // Reads and deletions go on; nothing acknowledged is missing; still no writes.
        for &key in &acknowledged {
            assert_eq!(read(&node, key), Some(value(key)), "{engine}: row {key}");
        }
        write(&node, 0, None).unwrap_or_else(|error| panic!("{engine}: a deletion: {error}"));
        assert!(is_full(&write(&node, 1, Some(b"x")).unwrap_err()), "{engine}");

        // Room comes back: so does everything else, the ballast first.
        disk.set_capacity(None);
        eventually("writes go on", || write(&node, 99_999, Some(b"after")).is_ok());
        assert!(has_ballast(), "{engine}: the ballast comes before writes");
        node.close().unwrap();
        let mut damages = Vec::new();
        let report = &mut |damage: Damage| damages.push(damage.to_string());
        node.store().verify(VerifyDepth::Full, report).unwrap();
        assert_eq!(damages, [""; 0], "{engine}");
        drop(node);

        // A database whose disk is full to the last byte opens, and reads.
        disk.crash_with(CrashMode::Process);
        disk.set_capacity(Some(disk.used_bytes()));
        let node = open(&env, engine);
        for &key in &acknowledged[1..] {
            assert_eq!(read(&node, key), Some(value(key)), "{engine}: row {key}, reopened");
        }
        assert_eq!(read(&node, 0), None);
        assert_eq!(read(&node, 99_999).as_deref(), Some(&b"after"[..]));
    }
}

/// A flush that finds no room finds none the next moment either: trying it at once, again and again, would wear the
/// disk out.
#[test]
fn a_disk_that_stays_full_is_looked_at_now_and_then() {
    for (engine, kind) in [("lsm", FileKind::Table), ("btree", FileKind::Pages)] {
        let disk = SimDisk::new(6);
        let node = open(&sim_env(&disk, 6), engine);
        let mut first = begin(&node);
        first.create_keyspace(SPACE).unwrap();
        first.commit().unwrap();
        let full = Effect::Error(std::io::ErrorKind::StorageFull);
        disk.inject(Fault::from(1).on(&[IoOp::Write]).kind(kind).effect(full));
        let refused = (0..5000).find_map(|key| write(&node, key, Some(&[7; 700])).err());
        let refused = refused.unwrap_or_else(|| panic!("{engine}: the disk never filled up"));
        assert!(is_full(&refused), "{engine}: {refused}");

        let before = disk.counters().ops;
        std::thread::sleep(Duration::from_millis(1500));
        let tried = disk.counters().ops - before;
        assert!((1..300).contains(&tried), "{engine}: {tried} operations");
        assert_eq!(read(&node, 0).as_deref(), Some(&[7; 700][..]));

        disk.clear_faults();
        eventually("writes go on", || write(&node, 99_999, Some(b"after")).is_ok());
        node.close().unwrap();
    }
}
