//! Random expressions and queries: the same answers as PostgreSQL, and the same on every engine.
//!
//! `tests/differential/run.py` asks two servers the same and compares rows, types and SQLSTATEs; it starts
//! the PostgreSQL itself. Where that or psycopg is not installed, the test says so and passes. A longer run:
//! `DRIFTDB_DIFFERENTIAL_SEEDS=100 cargo test -p driftdb-server differential`.

use std::process::Command;

use driftdb_server::ENGINES;

use crate::harness::Fixture;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/run.py");

/// Runs the comparison; five minutes for each seed, so that one that waits for ever is a failure, too.
fn compare(ours: &Fixture, theirs: Option<&Fixture>, seed: u64, counts: [&str; 3]) {
    let has_modules = Command::new("python3").args(["-c", "import psycopg"]).output();
    if !has_modules.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 with psycopg is not installed");
        return;
    }
    let [each, expressions, queries] = counts;
    let mut command = Command::new("timeout");
    command.args(["300", "python3", "-B", SCRIPT, "--ours", &ours.url(), "--seed"]);
    command.arg(seed.to_string());
    command.args(["--each", each, "--expressions", expressions, "--queries", queries]);
    if let Some(theirs) = theirs {
        command.args(["--theirs", &theirs.url()]);
    }
    let output = command.output().unwrap();
    let (told, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{told}");
    assert!(output.status.success(), "the answers differ:\n{told}\n{wrong}");
}

#[test]
fn as_postgresql_answers() {
    let seeds = std::env::var("DRIFTDB_DIFFERENTIAL_SEEDS").ok().and_then(|text| text.parse().ok());
    let fixture = Fixture::new();
    for seed in 1..=seeds.unwrap_or(1) {
        compare(&fixture, None, seed, ["1", "1000", "300"]);
    }
}

#[test]
fn alike_on_every_engine() {
    let first = Fixture::with(ENGINES[0], "ssi", |_| {});
    for engine in &ENGINES[1..] {
        let other = Fixture::with(engine, "ssi", |_| {});
        compare(&first, Some(&other), 7, ["0", "0", "200"]);
    }
}
