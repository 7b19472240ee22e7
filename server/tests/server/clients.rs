//! Drivers and tools of other people, each through a script of its own in `tests/clients`.
//!
//! A script gets the URL of a fresh server and fails by an exception. Where its package is not installed,
//! the test says so and passes; `.ci/run` installs them.

use std::process::Command;

use crate::harness::Fixture;

/// Runs `tests/clients/SCRIPT`, for which Python needs `modules`.
fn python(script: &str, modules: &[&str]) {
    let imports = modules.iter().map(|module| format!("import {module}\n")).collect::<String>();
    let has_modules = Command::new("python3").args(["-c", &imports]).output();
    if !has_modules.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 with {} is not installed", modules.join(", "));
        return;
    }
    let fixture = Fixture::new();
    let path = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    // Two minutes, so that one that waits for ever is a failure, too.
    let output = Command::new("timeout").args(["120", "python3", &path, &fixture.url()]).output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed:\n{told}");
}

#[test]
fn psycopg_3() {
    python("psycopg3.py", &["psycopg"]);
}

#[test]
fn asyncpg() {
    python("asyncpg_client.py", &["asyncpg"]);
}

#[test]
fn sqlalchemy() {
    python("sqlalchemy_orm.py", &["psycopg", "sqlalchemy"]);
}
