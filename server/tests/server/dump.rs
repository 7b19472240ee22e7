//! pg_dump and pg_restore, the real ones: a dump, restored, dumps as the same text.
//!
//! `tests/dump/round_trip.py` does it, and says what of it was skipped.

use std::process::Command;

use crate::harness::Fixture;

#[test]
fn round_trips() {
    let is_there = Command::new("python3").arg("--version").output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 is not installed");
        return;
    }
    let servers = [0; 4].map(|_| Fixture::new());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dump/round_trip.py");
    let mut command = Command::new("timeout");
    command.args(["120", "python3", "-B", script]).args(servers.each_ref().map(Fixture::url));
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    println!("{told}");
    assert!(output.status.success(), "{told}");
}
