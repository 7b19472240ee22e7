//! Digests of history: they hold while everything else goes on, and notice who rewrites what was.

use std::path::Path;
use std::sync::Arc;

use driftdb_env::Env;
use driftdb_server::{Config, Node, Session, SessionOptions, convert};
use driftdb_storage::{
    Cursor, EngineOptions, Entry, FileEngine, KeyRange, KeyspaceId, Loader, ScanSpec, Snapshot,
    Visible,
};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;
use tempfile::TempDir;

use crate::harness::{Fixture, everywhere};
use crate::traveller::Traveller;

/// The newest digest, as arguments: `17, 'ab…'`.
fn taken(t: &mut Traveller) -> String {
    t.rows("SELECT format('%s, %L', seq, digest) FROM driftdb_digest()").remove(0)
}

/// What became of it, one stretch a line.
fn verdicts(t: &mut Traveller, digest: &str) -> Vec<String> {
    t.rows(&format!("SELECT * FROM driftdb_verify_digest({digest})"))
}

/// That nothing is wrong with it.
fn check(t: &mut Traveller, digest: &str) {
    let damaged = verdicts(t, digest).into_iter().find(|line| {
        !["verified", "erased", "forgotten"].iter().any(|right| line.starts_with(right))
    });
    assert_eq!(damaged, None, "{digest}");
}

const HISTORY: &[&str] = &[
    "CREATE TABLE d (id int PRIMARY KEY, v text)",
    "INSERT INTO d SELECT n, 'value ' || n FROM generate_series(1, 50) n",
    "CREATE INDEX d_v ON d (v)",
    "UPDATE d SET v = 'changed ' || id WHERE id % 3 = 0",
    "DELETE FROM d WHERE id > 45",
    "BEGIN; INSERT INTO d VALUES (100, 'came'); DELETE FROM d WHERE id = 100; UPDATE d SET v = 'x' WHERE id = 1; COMMIT",
    "CREATE TABLE e (a int, b text)",
    "INSERT INTO e VALUES (1, 'one'), (1, 'one'), (2, NULL)",
    "TRUNCATE d",
    "INSERT INTO d VALUES (1, 'again')",
    "ALTER TABLE d ADD COLUMN w int DEFAULT 7",
    "UPDATE d SET w = 8",
    "DROP TABLE e",
    "ALTER TABLE d DROP CONSTRAINT d_pkey",
];

#[test]
fn digests_hold_while_history_goes_on() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        let mut digests = vec![taken(&mut t)];
        for sql in HISTORY {
            t.run(sql);
            digests.push(taken(&mut t));
            digests.iter().for_each(|digest| check(&mut t, digest));
        }
        assert_eq!(digests.last(), Some(&taken(&mut t)), "taking one changes nothing");
        // One that was not asked for then is the same now.
        for digest in &digests {
            let (seq, _) = digest.split_once(',').unwrap();
            let sql = format!("SELECT format('%s, %L', seq, digest) FROM driftdb_digest({seq})");
            assert_eq!(t.rows(&sql), [digest.as_str()]);
        }
        let wrong = digests[3].replace('\'', "").split_once(", ").unwrap().1.to_owned();
        let all = verdicts(&mut t, &format!("5, '{wrong}'"));
        assert!(all[0].starts_with("unproved 1 5"), "{all:?}");
    });
}

#[test]
fn what_is_erased_is_called_so_and_nothing_else_is_touched() {
    for engine in ["lsm", "btree"] {
        let fixture = Fixture::with(engine, "ssi", |_| {});
        let mut t = Traveller::new(&fixture);
        HISTORY[..6].iter().for_each(|sql| t.run(sql));
        let before = taken(&mut t);
        t.run("ERASE FROM d WHERE v = 'value 3' OR id = 47");
        t.run("INSERT INTO d VALUES (47, 'another')");
        let found = verdicts(&mut t, &before);
        let expected = [
            "verified 1 2 ",
            "erased 3 3 the hashes of 2 changes are left",
            "verified 4 4 ",
            "erased 5 6 the hashes of 2 changes are left",
            "verified 7 7 ",
        ];
        assert_eq!(found, expected, "{engine}");
        check(&mut t, &before);
        let after = taken(&mut t);
        t.run("ERASE FROM d");
        check(&mut t, &before);
        check(&mut t, &after);
        let last = taken(&mut t);
        check(&mut t, &last);
    }
}

#[test]
fn what_is_no_digest_is_refused() {
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE d (id int)");
    let code = t.code("SELECT * FROM driftdb_digest(0)");
    assert_eq!(code, "22023");
    assert_eq!(t.code("SELECT * FROM driftdb_digest(1000)"), "22023");
    assert_eq!(t.code("SELECT * FROM driftdb_verify_digest(1, 'ab')"), "22023");
    assert_eq!(t.code("SELECT * FROM driftdb_digest('x', 1)"), "42883");
    assert_eq!(t.rows("SELECT * FROM driftdb_digest(NULL)"), [""; 0]);
    // Commits that are not there any more.
    let digest = taken(&mut t);
    let (_, hash) = digest.split_once(", ").unwrap();
    let found = verdicts(&mut t, &format!("1000, {hash}"));
    assert!(found.last().unwrap().starts_with("missing 3 1000"), "{found:?}");
}

/// A directory whose database is opened and closed.
struct Files {
    dir: TempDir,
    config: Config,
}

impl Files {
    fn new(engine: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let config = Config { data, engine: engine.into(), ..Config::default() };
        Self { dir, config }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Traveller) -> R) -> R {
        let node: Arc<Node> = Node::open(&Env::os(), &self.config).unwrap();
        let session = Session::new(&node, &SessionOptions::default()).unwrap();
        let mut t = Traveller { session };
        let result = work(&mut t);
        drop(t);
        node.close().unwrap();
        result
    }

    /// Writes every version anew, with checksums that fit, but changes some values on the way; how many.
    fn rewrite<E: FileEngine>(&self, is_it: impl Fn(KeyspaceId, &[u8]) -> bool) -> u64 {
        let (env, options) = (Env::os(), EngineOptions::default());
        let old = self.config.data.join("engine");
        let new = self.dir.path().join("new");
        let engine = E::open(&env, &old, &options).unwrap();
        let snapshot = engine.snapshot();
        let mut loader = E::loader(&env, &new, &options).unwrap();
        let mut count = 0;
        for keyspace in &snapshot.keyspaces() {
            loader.keyspace(keyspace).unwrap();
            let spec = ScanSpec { range: KeyRange::ALL, visible: Visible::All, reverse: false };
            let mut cursor = snapshot.cursor(keyspace.id, &spec).unwrap();
            while cursor.next().unwrap() {
                let entry = cursor.entry();
                let mut value = entry.value.map(<[u8]>::to_vec);
                if let Some(bytes) = &mut value
                    && is_it(keyspace.id, bytes)
                {
                    *bytes.last_mut().unwrap() ^= 0x40;
                    count += 1;
                }
                loader.add(Entry { value: value.as_deref(), ..entry }).unwrap();
            }
        }
        loader.finish(engine.durable()).unwrap();
        drop((snapshot, engine));
        swap(&new, &old);
        count
    }
}

fn swap(new: &Path, old: &Path) {
    std::fs::remove_dir_all(old).unwrap();
    std::fs::rename(new, old).unwrap();
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// The hashes that are kept of commits.
const HASHES: KeyspaceId = KeyspaceId(4);

fn history_that_is_rewritten_is_named<E: FileEngine>(engine: &str) {
    let files = Files::new(engine);
    let digest = files.with(|t| {
        HISTORY[..4].iter().for_each(|sql| t.run(sql));
        taken(t)
    });
    let rows = |t: &mut Traveller| t.rows("SELECT v FROM d WHERE id = 3");
    assert_eq!(files.rewrite::<E>(|_, _| false), 0);
    files.with(|t| assert_eq!(verdicts(t, &digest), ["verified 1 5 "], "{engine}"));
    // A version that is not the newest: commit 3 is the first INSERT.
    let second = |space: KeyspaceId, value: &[u8]| space.0 >= 1024 && value.ends_with(b"value 33");
    assert_eq!(files.rewrite::<E>(second), 1);
    files.with(|t| {
        let found = verdicts(t, &digest);
        assert_eq!(found, ["verified 1 2 ", "altered 3 3 ", "verified 4 5 "], "{engine}");
        assert_eq!(rows(t), ["changed 3"]);
        // Digests that are taken from now on do not make it good.
        assert_eq!(taken(t), digest);
    });
    // And back.
    let changed = |space: KeyspaceId, value: &[u8]| space.0 >= 1024 && value.ends_with(b"value 3s");
    assert_eq!(files.rewrite::<E>(changed), 1);
    files.with(|t| assert_eq!(verdicts(t, &digest), ["verified 1 5 "], "{engine}"));
}

#[test]
fn history_that_is_rewritten_is_named_by_the_lsm_engine() {
    history_that_is_rewritten_is_named::<LsmEngine>("lsm");
}

#[test]
fn history_that_is_rewritten_is_named_by_the_btree_engine() {
    history_that_is_rewritten_is_named::<BtreeEngine>("btree");
}

#[test]
fn who_rewrites_the_kept_hashes_too_proves_nothing() {
    let files = Files::new("lsm");
    let digest = files.with(|t| {
        HISTORY.iter().for_each(|sql| t.run(sql));
        taken(t)
    });
    // Only what is kept: history still leads to the digest.
    assert!(files.rewrite::<LsmEngine>(|space, _| space == HASHES) > 3);
    files.with(|t| assert_eq!(verdicts(t, &digest), ["verified 1 15 "]));
    // Both.
    assert!(files.rewrite::<LsmEngine>(|_, value| has(value, b"value 7")) > 0);
    files.with(|t| {
        let found = verdicts(t, &digest);
        assert!(found.iter().all(|line| !line.starts_with("verified")), "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("altered")), "{found:?}");
    });
}

#[test]
fn a_commit_that_says_it_was_another_is_named() {
    let files = Files::new("btree");
    let digest = files.with(|t| {
        t.run("CREATE TABLE d (id int)");
        t.run("SET driftdb.comment = 'by the auditor'");
        t.run("INSERT INTO d VALUES (1)");
        taken(t)
    });
    let commits = KeyspaceId(1);
    let is_it = |space, value: &[u8]| space == commits && value.ends_with(b"auditor");
    assert_eq!(files.rewrite::<BtreeEngine>(is_it), 1);
    files.with(|t| {
        assert_eq!(verdicts(t, &digest), ["verified 1 2 ", "altered 3 3 "]);
    });
}

#[test]
fn digests_go_with_the_database_into_another_engine() {
    let mut files = Files::new("lsm");
    let digest = files.with(|t| {
        HISTORY.iter().for_each(|sql| t.run(sql));
        taken(t)
    });
    let to = files.dir.path().join("converted");
    convert(&Env::os(), &files.config, "btree", Some(&to), &mut |_| {}).unwrap();
    files.config = Config { data: to, engine: "btree".into(), ..files.config.clone() };
    files.with(|t| {
        assert_eq!(verdicts(t, &digest), ["verified 1 15 "]);
        assert_eq!(taken(t), digest);
    });
}

#[test]
fn what_retention_has_let_go_is_forgotten_and_the_rest_is_checked() {
    for engine in ["lsm", "btree"] {
        let fixture = Fixture::with(engine, "ssi", |_| {});
        let mut t = Traveller::new(&fixture);
        t.run("CREATE TABLE d (id int PRIMARY KEY, v text)");
        t.run("INSERT INTO d VALUES (1, 'first')");
        let digest = taken(&mut t);
        t.run("UPDATE d SET v = 'second'");
        t.run("ALTER TABLE d SET (retention = '0 seconds')");
        t.run("UPDATE d SET v = 'third'");
        t.run("CHECKPOINT");
        let found = verdicts(&mut t, &digest);
        assert_eq!(found, ["verified 1 2 ", "forgotten 3 3 "], "{engine}");
        // Those that were forgotten before a digest covered them are so for ever.
        let later = taken(&mut t);
        check(&mut t, &later);
        t.run("INSERT INTO d VALUES (2, 'fourth')");
        check(&mut t, &later);
        check(&mut t, &digest);
    }
}
