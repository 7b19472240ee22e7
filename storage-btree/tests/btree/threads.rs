//! Readers, a writer and checkpoints at the same time, on real threads and real files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use driftdb_env::Env;
use driftdb_storage::{
    Commit, Cursor, Engine, EngineOptions, KeyRange, Lsn, ScanSpec, Snapshot, Timestamp, Visible,
    WriteBatch,
};
use driftdb_storage_btree::BtreeEngine;

use crate::model::{Ready, SPACE};

const ACCOUNTS: u32 = 50;
const COMMITS: u64 = 1500;

fn total(snapshot: &impl Snapshot, ts: Timestamp, reverse: bool) -> u64 {
    let spec = ScanSpec { range: KeyRange::ALL, visible: Visible::AsOf(ts), reverse };
    let mut cursor = snapshot.cursor(SPACE, &spec).expect("a scan begins");
    let mut total = 0;
    while cursor.next().expect("a scan goes on") {
        let value = cursor.entry().value.expect("no tombstones as of a time");
        total += u64::from_le_bytes(*value.first_chunk().expect("eight bytes"));
    }
    total
}

fn transfer(batch: &mut WriteBatch, n: u64, balances: &mut [u64]) {
    let (from, to) = ((n * 7 % 50) as usize, (n * 13 % 50 + 1) as usize % 50);
    if from == to || balances[from] == 0 {
        return;
    }
    balances[from] -= 1;
    balances[to] += 1;
    for account in [from, to] {
        // Long enough to take the tree apart now and then.
        let mut value = vec![0; if n.is_multiple_of(11) { 700 } else { 60 }];
        value[..8].copy_from_slice(&balances[account].to_le_bytes());
        batch.put(SPACE, &(account as u32).to_be_bytes(), &value);
    }
}

#[test]
fn totals_hold_in_every_snapshot() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let env = Env::os();
    let options = EngineOptions::tiny();
    let engine = Arc::new(BtreeEngine::open(&env, dir.path(), &options).expect("opens"));
    let mut batch = WriteBatch::new();
    batch.create_keyspace(SPACE);
    (0..ACCOUNTS).for_each(|n| batch.put(SPACE, &n.to_be_bytes(), &100u64.to_le_bytes()));
    engine.apply(&batch, Commit { lsn: Lsn(1), ts: Timestamp(1) }).expect("applies");

    let done = Arc::new(AtomicBool::new(false));
    // A task that panics does not get to count itself.
    let content = Arc::new(AtomicU32::new(0));
    let mut tasks = Vec::new();
    for reverse in [false, true] {
        let (engine, done, content) =
            (Arc::clone(&engine), Arc::clone(&done), Arc::clone(&content));
        tasks.push(env.spawn("reader", move || {
            while !done.load(Ordering::Relaxed) {
                let snapshot = engine.snapshot();
                let now = snapshot.at().ts;
                for ts in [now, Timestamp(now.0 / 2 + 1)] {
                    let found = total(&snapshot, ts, reverse);
                    assert_eq!(found, 100 * u64::from(ACCOUNTS), "as of {ts}");
                }
            }
            content.fetch_add(1, Ordering::Relaxed);
        }));
    }
    {
        let (engine, done, content) =
            (Arc::clone(&engine), Arc::clone(&done), Arc::clone(&content));
        tasks.push(env.spawn("maintainer", move || {
            while !done.load(Ordering::Relaxed) {
                engine.maintain(&Ready).expect("maintenance succeeds");
                engine
                    .verify(
                        driftdb_storage::VerifyDepth::Full,
                        &mut |damage: driftdb_storage::Damage| panic!("verify finds {damage}"),
                    )
                    .expect("verifies");
            }
            content.fetch_add(1, Ordering::Relaxed);
        }));
    }
    let mut balances = vec![100; ACCOUNTS as usize];
    for n in 2..COMMITS {
        let mut batch = WriteBatch::new();
        transfer(&mut batch, n, &mut balances);
        engine.apply(&batch, Commit { lsn: Lsn(n), ts: Timestamp(n) }).expect("applies");
    }
    done.store(true, Ordering::Relaxed);
    tasks.into_iter().for_each(driftdb_env::Task::join);
    assert_eq!(content.load(Ordering::Relaxed), 3);
    engine.checkpoint(&Ready).expect("a checkpoint succeeds");
    drop(engine);
    let engine = BtreeEngine::open(&env, dir.path(), &options).expect("opens again");
    assert_eq!(total(&engine.snapshot(), Timestamp::MAX, false), 100 * u64::from(ACCOUNTS));
}
