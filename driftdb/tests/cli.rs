//! The command line as a user meets it: answers, mistakes, exit codes.
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]
#![expect(clippy::disallowed_methods, reason = "the test drives real processes on real files")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn driftdb() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftdb"));
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTDB_")) {
        command.env_remove(name);
    }
    command
}

fn sql(data: &Path, text: &str) -> Output {
    driftdb().args(["sql", "--data"]).arg(data).args(["-c", text]).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails, with this exit code, saying this.
fn fails(output: &Output, code: i32, says: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert!(stderr(output).contains(says), "{}", stderr(output));
}

struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut process = driftdb()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let url = ready.split_whitespace().find(|word| word.starts_with("postgresql://"));
        let url = url.expect("the ready line names the URL").to_owned();
        Self { process, url }
    }

    fn sql(&self, text: &str) -> Output {
        driftdb().args(["sql", "--url", &self.url, "-c", text]).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn sql_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output =
        sql(&data, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "CREATE TABLE\nINSERT 0 1\n");
    let output = sql(&data, "TABLE t");
    assert_eq!(stdout(&output), " id | v\n----+---\n  1 | a\n(1 row)\n");
    let output = sql(&data, "SELECT\n  nope FROM t");
    fails(
        &output,
        1,
        "ERROR:  42703: column \"nope\" does not exist\nLINE 2:   nope FROM t\n          ^",
    );
}

#[test]
fn scripts_come_from_files_and_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("schema.sql");
    std::fs::write(
        &file,
        "CREATE TABLE t (v text);\nCOPY t FROM STDIN;\none\ntwo; 'x\n\\.\nSELECT count(*) FROM t\n",
    )
    .unwrap();
    let output =
        driftdb().args(["sql", "--data"]).arg(&data).arg("-f").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).ends_with(" count\n-------\n     2\n(1 row)\n"), "{}", stdout(&output));

    let mut child = driftdb()
        .args(["sql", "--data"])
        .arg(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 1/0;\nDROP TABLE t;").unwrap();
    let output = child.wait_with_output().unwrap();
    fails(&output, 1, "division by zero");
    assert_eq!(stdout(&output), "", "nothing runs after the first error");
}

/// `tests/shell/session.sql` has every command that a script can have; `session.txt` is what is printed. To
/// write it down, run with `DRIFTDB_GOLDEN=rewrite` and read the diff.
#[test]
fn the_shell_s_commands() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shell");
    let script = std::fs::read(golden.join("session.sql")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("included.sql"), "SELECT 'from a file';\n").unwrap();
    let run = |script: &[u8]| {
        let mut child = driftdb()
            .args(["sql", "--data", "data"])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run(&script);
    assert!(output.status.success(), "{}", stderr(&output));
    let written = std::fs::read_to_string(dir.path().join("out.txt")).unwrap();
    assert!(written.contains("to a file"), "{written}");
    let path = golden.join("session.txt");
    if std::env::var("DRIFTDB_GOLDEN").is_ok_and(|value| value == "rewrite") {
        std::fs::write(&path, stdout(&output)).unwrap();
    }
    assert_eq!(stdout(&output), std::fs::read_to_string(&path).unwrap());
    for (wrong, says) in [
        ("\\nothing", "invalid command \\nothing"),
        ("\\pset format xml", "there is no format"),
        ("\\d nowhere", "Did not find any relation named \"nowhere\""),
        ("\\i nowhere.sql", "nowhere.sql"),
        ("\\copy parents", "usage: \\copy"),
        ("\\copy parents from 'nowhere'", "nowhere"),
        ("SELECT 1 \\watch x", "usage: \\watch"),
    ] {
        fails(&run(format!("{wrong}\nSELECT 'never'").as_bytes()), 1, says);
    }
    let one = |arguments: &[&str]| {
        let mut command = driftdb();
        command.args(["sql", "--data", "data"]).args(arguments).current_dir(dir.path());
        stdout(&command.output().unwrap())
    };
    assert_eq!(one(&["--csv", "-c", "TABLE parents"]), "id,name\n1,\"a,\"\"b\"\"\"\n20,c\n");
    assert_eq!(one(&["--json", "-c", "SELECT 1 AS a"]), "[{\"a\": 1}]\n");
    assert!(one(&["-c", "\\dv"]).contains("grown"));
    // Where nobody sits nothing is said of settings.
    assert_eq!(one(&["-c", "\\x", "-c", "\\timing off"]), "");
}

#[test]
fn a_server_answers_is_alone_and_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    assert!(server.sql("CREATE TABLE t (id int)").status.success());
    fails(&server.sql("SELECT * FROM nope"), 1, "42P01");
    fails(&sql(&data, "SELECT 1"), 1, "in use by another process");
    let verify = driftdb().args(["verify", "--data"]).arg(&data).output().unwrap();
    fails(&verify, 3, "in use by another process");

    let pid = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
    let verify = driftdb().args(["verify", "--data"]).arg(&data).output().unwrap();
    assert_eq!(verify.status.code(), Some(0), "{}", stderr(&verify));
    assert!(stdout(&verify).contains("is sound"));
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for round in 0..3 {
        let mut server = Server::start(&data);
        if round == 0 {
            assert!(server.sql("CREATE TABLE t (id int)").status.success());
        }
        assert!(server.sql(&format!("INSERT INTO t VALUES ({round})")).status.success());
        server.process.kill().unwrap();
        server.process.wait().unwrap();
    }
    let output = sql(&data, "SELECT id FROM t ORDER BY id");
    assert_eq!(stdout(&output), " id\n----\n  0\n  1\n  2\n(3 rows)\n");
}

#[test]
fn damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let rows = "CREATE TABLE t (v text); INSERT INTO t SELECT repeat('x', 1000) FROM \
                generate_series(1, 1000)";
    assert!(sql(&data, rows).status.success());
    let table = std::fs::read_dir(data.join("engine"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    let verify = driftdb().args(["verify", "--data"]).arg(&data).output().unwrap();
    assert_eq!(verify.status.code(), Some(1), "{}{}", stdout(&verify), stderr(&verify));
    let read = sql(&data, "SELECT count(*), max(v) FROM t");
    assert_eq!(read.status.code(), Some(1), "{}", stdout(&read));
}

#[test]
fn mistakes_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let serve =
        |args: &[&str]| driftdb().args(["serve", "--data"]).arg(&data).args(args).output().unwrap();
    fails(&serve(&["--set", "storage.engin=lsm"]), 1, "did you mean \"storage.engine\"?");
    fails(&serve(&["--set", "storage.engine=rocks"]), 1, "one of lsm, btree, memory");
    fails(&serve(&["--listen", "0.0.0.0:5433"]), 1, "refusing to listen");
    fails(&serve(&["--listen", "here"]), 1, "address:port");
    fails(&serve(&["--config", "/nonexistent.toml"]), 1, "nonexistent.toml");
    fails(&serve(&["--prot", "1"]), 2, "--prot");
    fails(&driftdb().arg("srve").output().unwrap(), 2, "serve");
    fails(&driftdb().args(["sql", "--url", "mysql://x"]).output().unwrap(), 1, "postgresql://");
    let verify = driftdb().args(["verify", "--data"]).arg(dir.path().join("no")).output().unwrap();
    fails(&verify, 3, "is not a DriftDB data directory");

    assert!(sql(&data, "SELECT 1").status.success());
    fails(&serve(&["--set", "storage.engine=btree"]), 1, "driftdb convert");
    let other = driftdb().args(["serve", "--data"]).arg(dir.path()).output().unwrap();
    fails(&other, 1, "is not a DriftDB data directory and not empty");
}

#[test]
fn a_directory_that_cannot_be_written() {
    // Not even root may make a directory below a file, or on a read-only file system.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    fails(&sql(&file.join("data"), "SELECT 1"), 1, "Not a directory");
    fails(&sql(Path::new("/proc/driftdb"), "SELECT 1"), 1, "could not create directory");
}

#[test]
fn settings_are_listed() {
    let output = driftdb().args(["config", "--set", "storage.engine=btree"]).output().unwrap();
    let text = stdout(&output);
    assert!(text.contains("storage.engine = btree\n"), "{text}");
    assert!(text.contains("default lsm (changed); variable DRIFTDB_STORAGE_ENGINE"), "{text}");
    let output = driftdb().arg("config").env("DRIFTDB_WAL_SEGMENT_BYTES", "1MiB").output().unwrap();
    assert!(stdout(&output).contains("wal.segment_bytes = 1MiB"));
    let help = stdout(&driftdb().arg("--help").output().unwrap());
    assert!(help.contains("Examples:"), "{help}");
}
