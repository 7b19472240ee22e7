//! `kill -9` in the middle of pgbench's TPC-B: after the restart every acknowledged transaction is
//! there, and accounts, tellers, branches and history agree.
//!
//! `DRIFTDB_KILLS=20 cargo test -p driftdb --test kill -- --nocapture` runs more rounds. Skipped, with
//! a message, where pgbench is not installed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the test drives real processes in real time")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Concurrent clients: at most so many commits were on their way when the server died.
const CLIENTS: u64 = 4;

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(data: &Path, engine: &str) -> Self {
        let port =
            std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut process = Command::new(env!("CARGO_BIN_EXE_driftdb"))
            // The server refuses variables that name no setting.
            .env_remove("DRIFTDB_KILLS")
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--set", &format!("storage.engine={engine}")])
            // Small enough that flushes and checkpoints happen within a round.
            .args(["--set", "storage.write_buffer_bytes=262144"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains(&port.to_string()), "the ready line names the port: {ready:?}");
        Self { process, port }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "driftdb"])
            .env("PGDATABASE", "driftdb")
            .stdin(Stdio::null());
        command
    }

    fn ask(&self, sql: &str) -> Vec<i64> {
        let output =
            self.client("psql").args(["-X", "-At", "-F", ",", "-c", sql]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        text.split(',').map(|word| word.parse().unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn run(engine: &str) {
    if Command::new("pgbench").arg("--version").output().is_err() {
        eprintln!(
            "skipped: pgbench is not installed (Debian: postgresql-client-common, postgresql-15)"
        );
        return;
    }
    let rounds = std::env::var("DRIFTDB_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data, engine);
    let loaded = server.client("pgbench").args(["-i", "-q", "-s", "1"]).output().unwrap();
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    let mut acknowledged = 0;
    let mut possible = 0;
    for round in 1..=rounds {
        let mut pgbench = server.client("pgbench");
        pgbench.args(["-n", "-c", &CLIENTS.to_string(), "-j", "2", "-T", "60", "-M", "prepared"]);
        let load = pgbench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Not a round number, so that kills fall on different moments of the checkpoint cycle.
        std::thread::sleep(Duration::from_millis(900 + 370 * (round % 5)));
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        let output = load.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let done = text
            .lines()
            .find_map(|line| line.strip_prefix("number of transactions actually processed: "))
            .and_then(|rest| rest.split('/').next()?.trim().parse::<i64>().ok())
            .unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        acknowledged += done;
        possible += done + CLIENTS as i64;
        server = Server::start(&data, engine);
        let found = server.ask(
            "SELECT (SELECT count(*) FROM pgbench_history), \
                    (SELECT coalesce(sum(delta), 0) FROM pgbench_history), \
                    (SELECT sum(abalance) FROM pgbench_accounts), \
                    (SELECT sum(tbalance) FROM pgbench_tellers), \
                    (SELECT sum(bbalance) FROM pgbench_branches)",
        );
        println!("{engine} round {round}: {done} acknowledged, {} in history in all", found[0]);
        assert!(found[0] >= acknowledged, "lost: {acknowledged} acknowledged, {} found", found[0]);
        assert!(found[0] <= possible, "{} found, {possible} possible", found[0]);
        assert_eq!(found[1..], [found[1]; 4], "history, accounts, tellers, branches");
    }
}

#[test]
fn no_acknowledged_transaction_is_lost_on_lsm() {
    run("lsm");
}

#[test]
fn no_acknowledged_transaction_is_lost_on_btree() {
    run("btree");
}
