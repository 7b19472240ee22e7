//! The anomalies of [Berenson95] and [Adya99], as interleavings: none may commit at a level that
//! forbids it.

use driftdb_concurrency::{
    IsolationLevel, LockIntent, LockStrength, ReadAt, Transaction, WaitPolicy,
};
use driftdb_storage::KeyRange;

use super::driver::Step::{Add, Commit, Insert, Read, Rollback, Scan, Write};
use super::driver::{Fixture, LEVELS, Open, Results, SPACE, Step, get, put, scan_range, script};

const ROWS: [(&str, &str); 2] = [("x", "10"), ("y", "20")];

/// Runs the interleaving at each level that is granted as asked and is at least `from`.
fn at_levels(
    open: &Open,
    from: IsolationLevel,
    steps: &[(usize, Step)],
    check: impl Fn(&Fixture, &Results, &str),
) {
    for level in LEVELS.into_iter().filter(|level| *level >= from) {
        let fixture = Fixture::new(open, &ROWS);
        let granted = fixture.store.granted(level);
        assert!(granted >= level, "{level} is granted as {granted}, which is weaker");
        let results = script(&fixture, level, steps);
        check(&fixture, &results, &format!("{level} on {}", fixture.store.control_name()));
    }
}

/// G0: writes of two transactions to two rows do not interleave.
pub fn dirty_writes(open: &Open) {
    let steps = [
        (0, Write("x", "11")),
        (1, Write("x", "12")),
        (0, Write("y", "21")),
        (0, Commit),
        (1, Write("y", "22")),
        (1, Commit),
    ];
    at_levels(open, IsolationLevel::ReadCommitted, &steps, |fixture, results, level| {
        let rows = (fixture.value("x"), fixture.value("y"));
        let pair = |x: &str, y: &str| (Some(x.to_owned()), Some(y.to_owned()));
        let expected = match (results.committed(0), results.committed(1)) {
            (_, true) => pair("12", "22"),
            (true, false) => pair("11", "21"),
            (false, false) => pair("10", "20"),
        };
        assert_eq!(rows, expected, "{level}: {results:?}");
    });
}

/// G1a is permitted at READ UNCOMMITTED, and really seen where that level is granted: by key, by scan in
/// both directions, deletes too; own writes hide those of others; the rolled-back are gone.
pub fn dirty_reads(open: &Open) {
    let fixture = Fixture::new(open, &ROWS);
    let level = IsolationLevel::ReadUncommitted;
    if fixture.store.granted(level) != level {
        return;
    }
    let mut writer = fixture.begin(IsolationLevel::ReadCommitted);
    put(&mut *writer, "x", "101").expect("nobody else writes");
    put(&mut *writer, "z", "30").expect("nobody else writes");
    writer
        .lock(SPACE, b"y", LockStrength::Update, LockIntent::Existing, WaitPolicy::NoWait)
        .and_then(|_| writer.delete(SPACE, b"y"))
        .expect("nobody else writes");
    let mut reader = fixture.begin(level);
    put(&mut *reader, "own", "1").expect("nobody else writes");
    let seen = |reader: &mut dyn Transaction, reverse| {
        reader.begin_statement().expect("a healthy store");
        let rows = scan_range(reader, KeyRange::ALL, ReadAt::Statement, reverse, 1);
        rows.expect("a healthy store reads")
    };
    let row = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut dirty = vec![row("own", "1"), row("x", "101"), row("z", "30")];
    assert_eq!(seen(&mut *reader, false), dirty);
    dirty.reverse();
    assert_eq!(seen(&mut *reader, true), dirty);
    let value = get(&mut *reader, "x", ReadAt::Statement).expect("a healthy store reads");
    assert_eq!(value.as_deref(), Some("101"));
    let value = get(&mut *reader, "x", ReadAt::Newest).expect("a healthy store reads");
    assert_eq!(value.as_deref(), Some("10"), "checks go by what was committed");
    writer.rollback();
    let clean = [row("own", "1"), row("x", "10"), row("y", "20")];
    assert_eq!(seen(&mut *reader, false), clean);
    reader.commit().expect("nobody else writes");
    assert_eq!(fixture.rows(), clean);
}

/// G1a: what is rolled back is never read.
pub fn aborted_reads(open: &Open) {
    let steps = [
        (0, Write("x", "101")),
        (1, Read("x")),
        (0, Rollback),
        (1, Read("x")),
        (1, Scan),
        (1, Commit),
    ];
    at_levels(open, IsolationLevel::ReadCommitted, &steps, |_, results, level| {
        for step in [0, 1] {
            assert_ne!(results.read(1, step), Some("101"), "{level}: {results:?}");
        }
    });
}

/// G1b: what is overwritten before the commit is never read.
pub fn intermediate_reads(open: &Open) {
    let steps = [
        (0, Write("x", "101")),
        (1, Read("x")),
        (0, Write("x", "11")),
        (0, Commit),
        (1, Read("x")),
        (1, Commit),
    ];
    at_levels(open, IsolationLevel::ReadCommitted, &steps, |_, results, level| {
        for step in [0, 1] {
            assert_ne!(results.read(1, step), Some("101"), "{level}: {results:?}");
        }
    });
}

/// G1c: two transactions do not both read what the other wrote.
pub fn circular_information_flow(open: &Open) {
    let steps = [
        (0, Write("x", "11")),
        (1, Write("y", "22")),
        (0, Read("y")),
        (1, Read("x")),
        (0, Commit),
        (1, Commit),
    ];
    at_levels(open, IsolationLevel::ReadCommitted, &steps, |_, results, level| {
        let circular = results.read(0, 1) == Some("22") && results.read(1, 1) == Some("11");
        assert!(!circular, "{level}: {results:?}");
    });
}

/// P2: a row read twice is the same.
pub fn fuzzy_reads(open: &Open) {
    let steps = [(0, Read("x")), (1, Write("x", "12")), (1, Commit), (0, Read("x")), (0, Commit)];
    at_levels(open, IsolationLevel::RepeatableRead, &steps, |_, results, level| {
        if results.committed(0) {
            assert_eq!(results.read(0, 0), results.read(0, 1), "{level}: {results:?}");
        }
    });
}

/// G-single: two rows are read as of one time.
pub fn read_skew(open: &Open) {
    let steps = [
        (0, Read("x")),
        (1, Write("x", "12")),
        (1, Write("y", "18")),
        (1, Commit),
        (0, Read("y")),
        (0, Commit),
    ];
    at_levels(open, IsolationLevel::RepeatableRead, &steps, |_, results, level| {
        if results.committed(0) {
            let skewed = results.read(0, 0) == Some("10") && results.read(0, 1) == Some("18");
            assert!(!skewed, "{level}: {results:?}");
        }
    });
}

/// P3: a range scanned twice is the same.
pub fn phantoms(open: &Open) {
    let steps = [(0, Scan), (1, Insert("x2", "15")), (1, Commit), (0, Scan), (0, Commit)];
    at_levels(open, IsolationLevel::RepeatableRead, &steps, |_, results, level| {
        if results.committed(0) {
            assert_eq!(results.rows(0, 0), results.rows(0, 1), "{level}: {results:?}");
        }
    });
}

/// P4: of two increments that both commit, both count.
pub fn lost_updates(open: &Open) {
    let steps = [(0, Add("x", 1)), (1, Add("x", 1)), (0, Commit), (1, Commit)];
    at_levels(open, IsolationLevel::ReadCommitted, &steps, |fixture, results, level| {
        let count = [0, 1].into_iter().filter(|&txn| results.committed(txn)).count();
        let expected = (10 + count).to_string();
        assert_eq!(fixture.value("x").as_ref(), Some(&expected), "{level}: {results:?}");
        assert!(count > 0, "{level}: nobody got through: {results:?}");
    });
    // The same with the read in an earlier statement: forbidden above READ COMMITTED.
    let steps = [
        (0, Read("x")),
        (1, Read("x")),
        (0, Write("x", "11")),
        (1, Write("x", "11")),
        (0, Commit),
        (1, Commit),
    ];
    at_levels(open, IsolationLevel::RepeatableRead, &steps, |_, results, level| {
        let both = results.committed(0) && results.committed(1);
        assert!(!both, "{level}: {results:?}");
    });
}

/// G2-item: two transactions do not each write what the other read.
pub fn write_skew(open: &Open) {
    let steps = [
        (0, Read("x")),
        (0, Read("y")),
        (1, Read("x")),
        (1, Read("y")),
        (0, Write("x", "11")),
        (1, Write("y", "21")),
        (0, Commit),
        (1, Commit),
    ];
    at_levels(open, IsolationLevel::Serializable, &steps, |_, results, level| {
        let both = results.committed(0) && results.committed(1);
        assert!(!both, "{level}: {results:?}");
    });
}

/// G2: two transactions do not each insert into what the other scanned.
pub fn write_skew_on_ranges(open: &Open) {
    let steps = [
        (0, Scan),
        (1, Scan),
        (0, Insert("x3", "30")),
        (1, Insert("y4", "42")),
        (0, Commit),
        (1, Commit),
    ];
    at_levels(open, IsolationLevel::Serializable, &steps, |_, results, level| {
        let both = results.committed(0) && results.committed(1);
        assert!(!both, "{level}: {results:?}");
    });
}
