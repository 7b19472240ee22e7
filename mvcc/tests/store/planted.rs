//! The planted bugs are really there: each breaks what another test asserts of the clean store.

use std::cell::Cell;

use driftdb_concurrency::{ReadAt, Store};
use driftdb_env::{FileKind, IoOp, planted};
use driftdb_mvcc::{OccControl, SsiControl};
use driftdb_sim_disk::Fault;
use driftdb_storage::{Damage, Retention, RetentionPolicy, Timestamp, VerifyDepth};

use crate::history::reader_below_the_floor;
use crate::support::*;

/// Plants a bug on this thread until dropped.
pub(crate) struct Planted;

impl Planted {
    pub(crate) fn new(bug: &'static str) -> Self {
        planted::activate(Some(bug));
        PLANTED.set(true);
        Self
    }

    /// Whether one is planted on this thread.
    pub(crate) fn is_active() -> bool {
        PLANTED.get()
    }
}

thread_local! {
    static PLANTED: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Planted {
    fn drop(&mut self) {
        planted::activate(None);
        PLANTED.set(false);
    }
}

#[test]
fn without_the_first_updater_check_updates_are_lost() {
    let db = Fixture::<SsiControl>::holding(&[("a", "1")]);
    let _bug = Planted::new("mvcc.no-first-updater-check");
    let mut txn = db.begin(RepeatableRead);
    db.set(&[("a", "2")]);
    update(&mut txn, "a", "1+1").unwrap();
    txn.commit().unwrap();
    assert_eq!(db.read("a").as_deref(), Some("1+1"));
}

#[test]
fn without_validation_of_claims_updates_are_lost() {
    for bug in [None, Some("mvcc.occ-claims-not-validated")] {
        let db = Fixture::<OccControl>::holding(&[("a", "1")]);
        let planted = bug.map(Planted::new);
        let [mut first, mut second] = [(); 2].map(|()| db.begin(ReadCommitted));
        update(&mut first, "a", "1+1").unwrap();
        update(&mut second, "a", "1+2").unwrap();
        first.commit().unwrap();
        assert_eq!(second.commit().is_ok(), bug.is_some());
        drop(planted);
    }
}

#[test]
fn published_before_durable_is_seen_and_lost() {
    let db = Fixture::<SsiControl>::holding(&[("a", "1")]);
    let _bug = Planted::new("mvcc.publish-before-durable");
    db.disk.inject(Fault::at(1).on(&[IoOp::Sync]).kind(FileKind::Log));
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "2").unwrap();
    txn.commit().unwrap_err();
    assert_eq!(db.read("a").as_deref(), Some("2"));
}

#[test]
fn replay_with_fresh_timestamps_rewrites_history() {
    let db = Fixture::<SsiControl>::new();
    let first = db.set(&[("a", "1")]);
    db.set(&[("a", "2")]);
    db.env.sleep(std::time::Duration::from_secs(1));
    let _bug = Planted::new("mvcc.replay-not-idempotent");
    let db = db.crash();
    get_at(&mut db.begin_as_of(first).unwrap(), "a", ReadAt::Statement).unwrap_err();
    let mut damage_count = 0;
    db.store.verify(VerifyDepth::Full, &mut |_: Damage| damage_count += 1).unwrap();
    assert!(damage_count > 0);
}

#[test]
fn retention_that_passes_low_readers_takes_their_time() {
    let _bug = Planted::new("mvcc.retention-passes-low-readers");
    let (db, old, past) = reader_below_the_floor::<SsiControl>();
    assert!(db.begin_as_of(old).is_err());
    drop(past);
}

#[test]
fn vacuum_that_passes_readers_takes_their_time() {
    for bug in [None, Some("mvcc.vacuum-passes-readers")] {
        let planted = bug.map(Planted::new);
        let db = Fixture::<SsiControl>::holding(&[("a", "1")]);
        let old = db.store.newest();
        let mut reader = db.begin(RepeatableRead);
        assert_eq!(get(&mut reader, "a").as_deref(), Some("1"));
        db.set(&[("a", "2")]);
        let default = Retention::since(Timestamp::MAX);
        db.store.set_retention(RetentionPolicy { default, ..RetentionPolicy::default() });
        db.store.checkpoint().unwrap();
        // Another that comes in at the time of the first.
        assert_eq!(db.begin_as_of(old).is_err(), bug.is_some());
        drop(planted);
    }
}
