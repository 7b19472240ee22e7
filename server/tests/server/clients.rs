//! Drivers and tools of other people, each through a script of its own in `tests/clients`.
//!
//! A script gets the URL of a fresh server and fails by an exception. Where its package is not installed,
//! the test says so and passes; `.ci/run` installs them.

use std::process::Command;

use crate::harness::Fixture;

/// Where Debian puts PostgreSQL's JDBC driver.
const JDBC: &str = "/usr/share/java/postgresql.jar";

/// Runs `tests/clients/SCRIPT` by a command that gets its path and then the server's URL; `check` is a
/// command that succeeds where what the script needs is installed.
fn run(script: &str, needs: &str, check: &[&str], command: &[&str]) {
    let is_there = Command::new(check[0]).args(&check[1..]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        println!("skipped: {needs} is not installed");
        return;
    }
    let fixture = Fixture::new();
    let path = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    // Two minutes, so that one that waits for ever is a failure, too.
    let output =
        Command::new("timeout").arg("120").args(command).args([&path, &fixture.url()]).output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed:\n{told}");
}

/// Runs a script for which Python needs `modules`.
fn python(script: &str, modules: &[&str]) {
    let imports = modules.iter().map(|module| format!("import {module}\n")).collect::<String>();
    let needs = format!("python3 with {}", modules.join(", "));
    run(script, &needs, &["python3", "-c", &imports], &["python3"]);
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

#[test]
fn django() {
    python("django_orm.py", &["psycopg", "django"]);
}

#[test]
fn node_postgres() {
    let modules = ["pg", "pg-cursor", "pg-copy-streams"];
    let requires = modules.map(|module| format!("require('{module}');")).concat();
    let needs = format!("node with {}", modules.join(", "));
    run("node_pg.js", &needs, &["node", "-e", &requires], &["node"]);
}

#[test]
fn jdbc() {
    let installed = format!("java -version && test -e {JDBC}");
    let check = ["sh", "-c", &installed];
    run("Jdbc.java", "java with PostgreSQL's driver", &check, &["java", "-cp", JDBC]);
}
