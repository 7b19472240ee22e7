//! The isolation specs: what is seen is what the golden files say, and nothing that a level forbids.
//!
//! `DRIFTDB_GOLDEN=write cargo test -p driftdb-sim --test specs golden` accepts what is seen now, and makes
//! the table in `docs/isolation.md` from it. Judgements are never accepted: they fail all the same.
#![expect(clippy::disallowed_methods, reason = "specs and golden files are real files")]
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::path::{Path, PathBuf};

use driftdb_sim::spec::{Places, Report, Spec, report, silent, table};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("specs")
}

fn accepts() -> bool {
    std::env::var("DRIFTDB_GOLDEN").is_ok_and(|mode| mode == "write")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of the files of a folder, without their extension.
fn names(dir: &Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let wanted = entries.filter(|path| path.extension().is_some_and(|it| it == extension));
    let mut names: Vec<String> =
        wanted.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Fails with the first line that differs, unless the golden file is to be written.
fn compare(path: &Path, now: &str) {
    if accepts() {
        std::fs::write(path, now).unwrap();
        return;
    }
    let before = read(path);
    if before == now {
        return;
    }
    let line = before.lines().zip(now.lines()).take_while(|(before, now)| before == now).count();
    let at = |text: &str| {
        text.lines().skip(line.saturating_sub(6)).take(14).collect::<Vec<_>>().join("\n")
    };
    panic!(
        "{} differs from line {}:\n--- expected\n{}\n--- seen\n{}",
        path.display(),
        line + 1,
        at(&before),
        at(now)
    );
}

fn play(name: &str) -> Report {
    let spec = Spec::parse(name, &read(&dir().join(format!("{name}.spec")))).unwrap();
    let report = report(&spec, &Places::default()).unwrap();
    // Accepted or not: no user may bring about an internal error.
    assert!(!report.text.contains("ERROR XX"), "{name}:\n{}", report.text);
    report
}

fn golden(name: &str) -> PathBuf {
    dir().join(format!("expected/{name}.out"))
}

fn check(name: &str) {
    if accepts() {
        // `golden_files_make_the_table` writes them all.
        return;
    }
    let report = play(name);
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    compare(&golden(name), &report.text);
}

const TABLE_BEGINS: &str = "<!-- made by sim/tests/specs.rs -->\n";
const TABLE_ENDS: &str = "<!-- end -->\n";

#[test]
fn golden_files_make_the_table() {
    let names = names(&dir(), "spec");
    let mut failures = Vec::new();
    if accepts() {
        for name in &names {
            let report = play(name);
            failures.extend(report.failures);
            compare(&golden(name), &report.text);
        }
    }
    let goldens: Vec<String> = names.iter().map(|name| read(&golden(name))).collect();
    let goldens = || goldens.iter().map(String::as_str);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/isolation.md");
    let before = read(&page);
    let (head, rest) = before.split_once(TABLE_BEGINS).expect("the page has a table");
    let (_, tail) = rest.split_once(TABLE_ENDS).expect("the table ends");
    compare(&page, &format!("{head}{TABLE_BEGINS}{}{TABLE_ENDS}{tail}", table(goldens())));
    failures.extend(silent(goldens()));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

macro_rules! specs {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { check($name); })*

        #[test]
        fn no_spec_is_forgotten() {
            assert_eq!(names(&dir(), "spec"), [$($name),*]);
            assert_eq!(names(&dir().join("expected"), "out"), [$($name),*]);
        }
    };
}

specs! {
    begin_anew: "begin-anew",
    ddl: "ddl",
    deadlock: "deadlock",
    deadlock_three: "deadlock-three",
    dirty_read: "dirty-read",
    foreign_key: "foreign-key",
    foreign_key_actions: "foreign-key-actions",
    fuzzy_read: "fuzzy-read",
    g_single: "g-single",
    g_single_predicate: "g-single-predicate",
    g_single_write: "g-single-write",
    g0: "g0",
    g1a: "g1a",
    g1b: "g1b",
    g1c: "g1c",
    g2: "g2",
    g2_item: "g2-item",
    g2_two_edges: "g2-two-edges",
    lock_table: "lock-table",
    lock_timeout: "lock-timeout",
    nowait: "nowait",
    otv: "otv",
    p4: "p4",
    past: "past",
    phantom: "phantom",
    phantom_index: "phantom-index",
    pmp: "pmp",
    pmp_write: "pmp-write",
    queue: "queue",
    read_only_anomaly: "read-only-anomaly",
    recheck: "recheck",
    recheck_computed: "recheck-computed",
    row_locks: "row-locks",
    row_locks_wait: "row-locks-wait",
    savepoint_lock: "savepoint-lock",
    session_past: "session-past",
    truncate_beside: "truncate-beside",
    unique: "unique",
    unique_check: "unique-check",
    unique_partial: "unique-partial",
    upsert: "upsert",
    write_skew_range: "write-skew-range",
    write_skew_three: "write-skew-three",
}
