//! Data directories that earlier releases left, killed while they ran: they must open for ever, answer
//! the same at every time, and verify.
//!
//! `tests/formats/0001` was written by the first release with `1.sql` (then closed) and `2.sql` (then
//! killed, so that the last four commits are in the log only), with log segments of 64 KiB and a write
//! buffer of 16 KiB. `0002` was written in the same way just before tables had periods and commits named
//! their keyspaces.
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::path::Path;
use std::process::{Command, Stdio};

use driftdb_conformance::golden;
use tempfile::TempDir;

fn driftdb(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftdb"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTDB_")) {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), format!("{out}{err}"))
}

/// Accounts and their sum, at each commit since the first insert.
const ACCOUNTS: [(u64, &str); 6] = [
    (4, "200 201000.00"),
    (5, "200 201100.00"),
    (6, "200 201140.00"),
    (7, "190 181583.00"),
    (12, "190 181583.00"),
    (16, "191 181590.00"),
];

/// A copy of a kept directory, to be opened.
fn copied(release: &str, engine: &str) -> TempDir {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(release);
    let scratch = tempfile::tempdir().unwrap();
    golden::copy(&kept.join(engine), scratch.path());
    scratch
}

fn check(engine: &str) {
    let scratch = copied("0001", engine);
    let data = scratch.path().to_str().unwrap();
    let engine = format!("storage.engine={engine}");
    let answer = |sql: &str| {
        let (is_done, text) = driftdb(&["sql", "--data", data, "--set", &engine, "-c", sql]);
        assert!(is_done, "{sql}\n{text}");
        text
    };
    let expect = |sql: &str, expected: &str| {
        let text = answer(sql);
        assert!(text.contains(expected), "{sql}\nshould give {expected}, but gives\n{text}");
    };
    for (sequence, expected) in ACCOUNTS {
        let sql = format!(
            "SELECT count(*) || ' ' || sum(balance) FROM account FOR SYSTEM_TIME AS OF @SEQ:{sequence}"
        );
        expect(&sql, expected);
    }
    expect("SELECT owner || '/' || note FROM account WHERE id = 1000", "from the log/last");
    expect("SELECT 'rows: ' || count(*) FROM account WHERE owner = 'owner 3'", "rows: 27");
    expect(
        "SELECT 'length: ' || length(body) FROM document FOR SYSTEM_TIME AS OF @SEQ:13 WHERE id = 1",
        "length: 30000",
    );
    expect("SELECT 'now: ' || body FROM document WHERE id = 1", "now: short");
    expect("SELECT 'dropped: ' || count(*) FROM gone FOR SYSTEM_TIME AS OF @SEQ:11", "dropped: 2");
    // It goes on: written to, closed, checked byte by byte.
    answer("INSERT INTO account VALUES (1001, 'later', 1)");
    answer("VACUUM");
    let (is_sound, text) = driftdb(&["verify", "--data", data, "--set", &engine]);
    assert!(is_sound, "{text}");
    expect("SELECT 'rows: ' || count(*) FROM account", "rows: 192");
}

#[test]
fn a_directory_of_the_first_release_on_lsm() {
    check("lsm");
}

#[test]
fn a_directory_of_the_first_release_on_btree() {
    check("btree");
}

fn check_second(engine: &str) {
    let scratch = copied("0002", engine);
    let data = scratch.path().to_str().unwrap();
    let engine = format!("storage.engine={engine}");
    let run = |sql: &str| driftdb(&["sql", "--data", data, "--set", &engine, "-c", sql]);
    let expect = |sql: &str, expected: &str| {
        let (is_done, text) = run(sql);
        assert!(is_done && text.contains(expected), "{sql}\nshould give {expected}:\n{text}");
    };
    let children = "SELECT count(*) || ' ' || sum(n) FROM child";
    expect(&format!("{children} FOR SYSTEM_TIME AS OF @SEQ:6"), "150 11325");
    expect(&format!("{children} FOR SYSTEM_TIME AS OF RESTORE POINT start"), "150 11325");
    expect(&format!("{children} FOR SYSTEM_TIME AS OF @SEQ:9"), "147 60157");
    expect("SELECT v FROM parent WHERE id = 100", "from the log");
    let comment = "SELECT comment FROM driftdb_transactions WHERE seq = 5";
    expect(comment, "what the second release wrote");
    // A commit that does not say what it wrote to is undone all the same.
    expect("UNDROP TABLE child", "UNDROP TABLE");
    let (is_done, text) = run("INSERT INTO child VALUES (999, 999, 1)");
    assert!(!is_done && text.contains("child_up_fkey"), "{text}");
    expect("UNDO TRANSACTION 9", "UNDO TRANSACTION 4");
    expect(children, "150 ");
    expect("ALTER TABLE parent ADD COLUMN a date NOT NULL DEFAULT '2026-01-01'", "ALTER TABLE");
    expect("ALTER TABLE parent ADD COLUMN b date NOT NULL DEFAULT 'infinity'", "ALTER TABLE");
    expect("ALTER TABLE parent ADD PERIOD FOR held (a, b)", "ALTER TABLE");
    expect("SELECT 'held: ' || count(*) FROM parent FOR held AS OF '2026-02-01'", "held: 51");
    run("VACUUM");
    let (is_sound, text) = driftdb(&["verify", "--data", data, "--set", &engine]);
    assert!(is_sound, "{text}");
}

#[test]
fn a_directory_from_before_periods_on_lsm() {
    check_second("lsm");
}

#[test]
fn a_directory_from_before_periods_on_btree() {
    check_second("btree");
}
