//! Data directories that earlier releases left, killed while they ran: they must open for ever, answer
//! the same at every time, and verify.
//!
//! `tests/formats/0001` was written by the first release with `1.sql` (then closed) and `2.sql` (then
//! killed, so that the last four commits are in the log only), with log segments of 64 KiB and a write
//! buffer of 16 KiB.
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::path::Path;
use std::process::{Command, Stdio};

use driftdb_conformance::golden;

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

fn check(engine: &str) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/0001").join(engine);
    let scratch = tempfile::tempdir().unwrap();
    golden::copy(&kept, scratch.path());
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
