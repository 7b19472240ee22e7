//! Erasing: gone from every time and every file, through crashes; and not written back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_concurrency::{Counter, Store, TxnError};
use driftdb_env::{Env, FileKind, OpenHow};
use driftdb_memory::MemoryEngine;
use driftdb_mvcc::{MvccStore, SsiControl};
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk, sim_env};
use driftdb_storage::{Engine, Erasure, FileEngine, Timestamp};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;

use super::support::{
    ReadCommitted, RepeatableRead, Serializable, TABLE, Txn, begin, delete, get, options, put,
};

const MARKER: &str = "~erase-me-77d0~";

type Opened<E> = Arc<MvccStore<E, SsiControl>>;

struct World<E: Engine> {
    disk: SimDisk,
    env: Env,
    store: Option<Opened<E>>,
}

impl<E: Engine> World<E> {
    fn new(disk: SimDisk) -> Self {
        let env = sim_env(&disk, 1);
        let mut world = Self { disk, env, store: None };
        world.open().unwrap();
        world
    }

    fn open(&mut self) -> driftdb_storage::Result<()> {
        self.store = None;
        self.store = Some(MvccStore::open(&self.env, Path::new("/db"), &options())?);
        Ok(())
    }

    fn store(&self) -> &MvccStore<E, SsiControl> {
        self.store.as_ref().unwrap()
    }

    fn set(&self, key: &str, value: Option<&str>) -> Timestamp {
        let mut txn = begin(self.store(), ReadCommitted);
        match value {
            Some(value) => put(&mut txn, key, value).unwrap(),
            None => delete(&mut txn, key).unwrap(),
        }
        txn.commit().unwrap().commit.unwrap().ts
    }

    fn at(&self, ts: Timestamp, key: &str) -> Option<String> {
        let options = driftdb_concurrency::BeginOptions { as_of: Some(ts), ..Default::default() };
        get(&mut self.store().begin(options).unwrap(), key)
    }

    /// The files of the store that hold the marker.
    fn marked(&self) -> Vec<PathBuf> {
        let holds = |path: &PathBuf| {
            let file = self.env.disk().open(path, OpenHow::Read, FileKind::Meta).unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(0, &mut bytes).unwrap();
            bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
        };
        self.disk.files().into_iter().filter(|path| path.starts_with("/db")).filter(holds).collect()
    }

    /// A store with rows of two people, over many flushes and segments of the log.
    fn filled(disk: SimDisk) -> (Self, Vec<Timestamp>) {
        let world = Self::new(disk);
        let mut txn = begin(world.store(), ReadCommitted);
        txn.create_keyspace(TABLE).unwrap();
        txn.commit().unwrap();
        let mut times = Vec::new();
        for round in 0..14 {
            let value = |who: &str| who.repeat(1 + round % 5 * 20);
            times.push(world.set("other", Some(&value("stays"))));
            times.push(world.set("who", Some(&value(MARKER))));
            times.push(world.set(MARKER, (round % 3 != 0).then_some("row")));
            world.store().unique_ids(Counter::RowId, 1).unwrap();
            if round % 4 == 3 {
                world.store().maintain().unwrap();
                world.store().checkpoint().unwrap();
            }
        }
        assert!(!world.marked().is_empty());
        (world, times)
    }

    /// Erases what has the marker, the present rows too.
    fn erase(&self) -> Result<(), TxnError> {
        let mut txn = begin(self.store(), ReadCommitted);
        let mut erasure = Erasure::default();
        for key in ["who", MARKER] {
            delete(&mut txn, key)?;
            erasure.add_key(TABLE, key.as_bytes());
        }
        txn.erase(erasure)?;
        txn.commit().map(drop)
    }

    fn others(&self, times: &[Timestamp]) -> Vec<Option<String>> {
        times.iter().map(|ts| self.at(*ts, "other")).collect()
    }

    fn check_erased(&self, times: &[Timestamp], others: &[Option<String>], context: &str) {
        assert_eq!(self.marked(), Vec::<PathBuf>::new(), "{context}");
        assert_eq!(self.others(times), others, "{context}");
        for ts in times {
            assert_eq!(self.at(*ts, "who"), None, "{context}, as of {ts}");
            assert_eq!(self.at(*ts, MARKER), None, "{context}, as of {ts}");
        }
    }
}

fn nothing_is_left<E: Engine>() {
    let (mut world, times) = World::<E>::filled(SimDisk::new(1));
    let others = world.others(&times);
    let sequence = world.store().sequence_at(world.store().newest()).unwrap();
    world.erase().unwrap();
    world.check_erased(&times, &others, "erased");
    let now = world.store().sequence_at(world.store().newest()).unwrap();
    assert_eq!(now, sequence + 1, "an erasure is one commit");
    let again = world.set("who", Some("someone else"));
    world.set("other", Some("later"));
    world.disk.crash();
    world.store = None;
    world.disk.clear_faults();
    world.open().unwrap();
    world.check_erased(&times, &others, "after a crash");
    assert_eq!(world.at(again, "who").as_deref(), Some("someone else"));
    world.store().close().unwrap();
}

fn a_crash_anywhere<E: Engine>() {
    let (base, times) = World::<E>::filled(SimDisk::new(2));
    let others = base.others(&times);
    let before: Vec<_> = times.iter().map(|ts| base.at(*ts, "who")).collect();
    drop(base.store);
    for n in 1..10_000 {
        let mode = CrashMode::ALL[n as usize % CrashMode::ALL.len()];
        let context = format!("{}: crash at operation {n}, {mode:?}", E::NAME);
        let mut world = World::<E>::new(base.disk.fork(n));
        let fault = world.disk.inject(Fault::at(n).effect(Effect::Halt));
        let erased = world.erase();
        if world.disk.fired_by(fault) == 0 {
            erased.unwrap();
            world.disk.clear_faults();
            world.check_erased(&times, &others, &context);
            assert!(n > 10);
            return;
        }
        world.disk.crash_with(mode);
        world.store = None;
        world.disk.clear_faults();
        if n.is_multiple_of(3) {
            // Again, while recovering.
            world.disk.halt_after(n / 2);
            drop(world.open());
            world.disk.crash_with(CrashMode::Torn);
            world.store = None;
            world.disk.clear_faults();
        }
        world.open().unwrap();
        if world.at(world.store().newest(), "who").is_none() {
            // The commit came to be, so opening has finished it.
            world.check_erased(&times, &others, &context);
        } else {
            let now: Vec<_> = times.iter().map(|ts| world.at(*ts, "who")).collect();
            assert_eq!(now, before, "{context}: nothing or all");
            assert!(erased.is_err(), "{context}: it was reported");
            world.erase().unwrap();
            world.check_erased(&times, &others, &context);
        }
    }
    panic!("an erasure comes to no end");
}

fn a_full_disk_is_waited_for<E: Engine>() {
    let (base, times) = World::<E>::filled(SimDisk::new(3));
    let others = base.others(&times);
    drop(base.store);
    let mut unfinished = 0;
    for n in 1..10_000 {
        let world = World::<E>::new(base.disk.fork(n));
        let full = Effect::Error(std::io::ErrorKind::StorageFull);
        let fault = world.disk.inject(Fault::at(n).effect(full));
        let erased = world.erase();
        if world.disk.fired_by(fault) == 0 {
            assert!(unfinished > 0);
            return;
        }
        world.disk.clear_faults();
        let context = format!("{}: no room at operation {n}", E::NAME);
        match erased {
            Ok(()) => {}
            Err(TxnError::ErasureUnfinished { .. }) => {
                unfinished += 1;
                assert_eq!(world.at(world.store().newest(), "who"), None, "{context}");
                if world.store().checkpoint().is_err() {
                    // The log or the engine stopped: opening finishes it.
                    let mut world = world;
                    world.open().unwrap();
                    world.check_erased(&times, &others, &context);
                    continue;
                }
            }
            Err(_) => {
                let mut world = world;
                world.open().unwrap();
                if world.at(world.store().newest(), "who").is_some() {
                    world.erase().unwrap();
                }
                world.check_erased(&times, &others, &context);
                continue;
            }
        }
        world.check_erased(&times, &others, &context);
    }
    panic!("an erasure comes to no end");
}

/// Who read before an erasure may go on reading, and must not write there.
fn what_was_read_before_is_not_written_back<E: Engine>() {
    for isolation in [RepeatableRead, Serializable] {
        let (world, _) = World::<E>::filled(SimDisk::new(4));
        let mut reader: Txn = begin(world.store(), isolation);
        let mut writer: Txn = begin(world.store(), isolation);
        assert!(get(&mut reader, "who").is_some());
        assert!(get(&mut writer, "who").is_some());
        world.erase().unwrap();
        assert!(get(&mut reader, "who").is_some(), "its snapshot is stable");
        let written = put(&mut writer, "new", "row").and_then(|()| writer.commit().map(drop));
        assert!(matches!(written, Err(TxnError::ConcurrentUpdate)), "{written:?}");
        drop(reader);
        let mut later: Txn = begin(world.store(), isolation);
        put(&mut later, "new", "row").unwrap();
        later.commit().unwrap();
    }
}

/// A store of which an erasure is committed and not finished.
fn unfinished<E: Engine>() -> (World<E>, Vec<Timestamp>) {
    let (world, times) = World::<E>::filled(SimDisk::new(5));
    let full = Effect::Error(std::io::ErrorKind::StorageFull);
    // The commit goes through; the engine finds no room.
    for n in 1..1000 {
        let mut attempt = World::<E>::new(world.disk.fork(n));
        attempt.disk.inject(Fault::at(n).effect(full));
        let erased = attempt.erase();
        attempt.disk.clear_faults();
        if matches!(erased, Err(TxnError::ErasureUnfinished { .. })) {
            attempt.store = None;
            return (attempt, times);
        }
    }
    panic!("every erasure is finished");
}

struct Lost(Vec<String>);

impl driftdb_mvcc::SalvageReport for Lost {
    fn lost(&mut self, damage: driftdb_storage::Damage) {
        self.0.push(damage.to_string());
    }

    fn progress(&mut self, _done_bytes: u64, _total_bytes: u64) {}
}

/// What is saved of a store that has not finished an erasure finishes it when it is opened.
fn a_salvage_goes_on_erasing<E: FileEngine>() {
    let (world, times) = unfinished::<E>();
    assert!(!world.marked().is_empty());
    let (from, to) = (Path::new("/db"), Path::new("/to"));
    let salvaged = |disk: &SimDisk| {
        let env = sim_env(disk, 1);
        let mut lost = Lost(Vec::new());
        driftdb_mvcc::salvage::<E, E>(&env, from, to, &options(), &mut lost).unwrap();
        lost.0
    };
    assert_eq!(salvaged(&world.disk), [""; 0]);
    // The damaged store is not touched; the new one is looked at in its place.
    let disk = world.disk.fork(1);
    let files = disk.files();
    for old in files.iter().filter(|path| path.starts_with("/db")) {
        sim_env(&disk, 1).disk().remove(old).unwrap();
    }
    let env = sim_env(&disk, 1);
    let store: Opened<E> = MvccStore::open(&env, to, &options()).unwrap();
    for ts in &times {
        let past = driftdb_concurrency::BeginOptions { as_of: Some(*ts), ..Default::default() };
        assert_eq!(get(&mut store.begin(past).unwrap(), "who"), None, "as of {ts}");
    }
    for path in disk.files().iter().filter(|path| path.starts_with("/to")) {
        let file = env.disk().open(path, OpenHow::Read, FileKind::Meta).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        let is_there = bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
        assert!(!is_there, "{}", path.display());
    }
    // One that cannot be read is told.
    let damaged = world.disk.fork(2);
    let note = Path::new("/db/erasing");
    let file = sim_env(&damaged, 1).disk().open(note, OpenHow::ReadWrite, FileKind::Meta).unwrap();
    file.write_at(30, &[0xa5; 4]).unwrap();
    let elsewhere = sim_env(&damaged, 1);
    let mut lost = Lost(Vec::new());
    let to = Path::new("/else");
    driftdb_mvcc::salvage::<E, E>(&elsewhere, from, to, &options(), &mut lost).unwrap();
    assert!(lost.0.iter().any(|lost| lost.contains("an erasure was under way")), "{:?}", lost.0);
}

/// A conversion of a store that has not finished an erasure is refused.
fn a_conversion_waits<E: Engine>() {
    let (mut world, _) = unfinished::<E>();
    let to = Path::new("/copy");
    let from = Path::new("/db");
    let refused =
        driftdb_mvcc::convert::<E, BtreeEngine>(&world.env, from, to, &options(), &mut |_| {});
    assert!(refused.unwrap_err().to_string().contains("an erasure that is not finished"));
    world.open().unwrap();
    world.store = None;
    driftdb_mvcc::convert::<E, BtreeEngine>(&world.env, from, to, &options(), &mut |_| {}).unwrap();
}

macro_rules! for_each_engine {
    ($($name:ident),* $(,)?) => {
        mod lsm {
            $(#[test] fn $name() { super::$name::<super::LsmEngine>(); })*
        }
        mod btree {
            $(#[test] fn $name() { super::$name::<super::BtreeEngine>(); })*
        }
    };
}

for_each_engine!(
    a_conversion_waits,
    a_salvage_goes_on_erasing,
    a_crash_anywhere,
    a_full_disk_is_waited_for,
    nothing_is_left,
    what_was_read_before_is_not_written_back,
);

#[test]
fn a_store_that_is_nothing_but_its_log_cannot() {
    let world = World::<MemoryEngine>::new(SimDisk::new(1));
    assert!(!world.store().can_erase());
}

/// The checks of this file see what they are for.
#[test]
fn mistakes_are_found() {
    let is_found = |bug, case: fn()| {
        let _bug = super::planted::Planted::new(bug);
        std::panic::catch_unwind(case).is_err()
    };
    assert!(is_found("mvcc.erased-log-stays", nothing_is_left::<LsmEngine>));
    let written_back = what_was_read_before_is_not_written_back::<LsmEngine>;
    assert!(is_found("mvcc.erased-rows-come-back", written_back));
}
