//! psql and pg_dump, the real ones: what they show of a database, now and as it was.
//!
//! `tests/psql/*.txt` hold psql's input after `>` and what it prints. To write down what they print, run
//! with `DRIFTDB_GOLDEN=rewrite` and read the diff. What PostgreSQL 15 prints for the same input differs
//! in the owner's name only.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::Fixture;

/// A client program at a database; text that can be compared on every machine.
fn client(fixture: &Fixture, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C.UTF-8")
        .env("PGTZ", "UTC")
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", fixture.port().to_string())
        .env("PGUSER", "driftdb")
        .env("PGDATABASE", "driftdb");
    command
}

fn text(output: Output) -> String {
    let mut text = String::from_utf8(output.stdout).unwrap();
    // Errors come last, wherever they happened.
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    // psql pads the last column.
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// What psql prints for some input.
fn psql(fixture: &Fixture, input: &str) -> String {
    let mut psql = client(fixture, "psql");
    psql.args(["-X", "-q", "--pset=pager=off", "-f", "-"]).stdin(Stdio::piped());
    let mut psql = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut psql.stdin.take().unwrap(), input.as_bytes()).unwrap();
    text(psql.wait_with_output().unwrap())
}

/// A file's input and the whole of it as psql prints that now, in one session.
fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/psql").join(name);
    let golden = std::fs::read_to_string(&path).unwrap();
    let mut script = String::new();
    for line in golden.lines().filter(|line| line.starts_with(['>', '#'])) {
        let echoed = line.replace('\\', "\\\\").replace('\'', "''");
        script.push_str(&format!("\\echo '{echoed}'\n"));
        if let Some(input) = line.strip_prefix("> ") {
            script.push_str(&format!("{input}\n"));
        }
    }
    let actual = psql(&Fixture::new(), &script);
    if std::env::var_os("DRIFTDB_GOLDEN").is_some_and(|value| value == "rewrite") {
        std::fs::write(&path, &actual).unwrap();
    } else {
        assert_eq!(actual, golden, "{}", path.display());
    }
}

#[test]
fn psql_describes_tables_now_and_as_they_were() {
    check("describe.txt");
}

#[test]
fn psql_lists_everything_there_is() {
    check("lists.txt");
}

const DEFINITIONS: &str = "
    CREATE TABLE parents (id int PRIMARY KEY, code varchar(8) NOT NULL UNIQUE,
        born date DEFAULT '2000-01-01', CHECK (code <> '' AND id > -1));
    CREATE TABLE \"Odd Name\" (\"a b\" numeric(10,2) DEFAULT 1.50, tags text[], at timestamptz(3) DEFAULT now(),
        p int REFERENCES parents ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
        UNIQUE (p, tags) DEFERRABLE);
    CREATE INDEX odd ON \"Odd Name\" (\"a b\" DESC, p);
    ALTER TABLE parents ADD CONSTRAINT self FOREIGN KEY (id) REFERENCES parents MATCH FULL;";

/// A schema as pg_dump writes it; its key for psql, a new one each time, left out.
fn dump(fixture: &Fixture) -> String {
    let dumped = client(fixture, "pg_dump").arg("--schema-only").output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let text = String::from_utf8(dumped.stdout).unwrap();
    let is_kept =
        |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
    text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_pg_dump_writes_psql_restores() {
    let (from, to) = (Fixture::new(), Fixture::new());
    assert_eq!(psql(&from, DEFINITIONS), "");
    let dumped = dump(&from);
    assert!(dumped.contains("CREATE TABLE public.\"Odd Name\""), "{dumped}");
    let restored = psql(&to, &format!("\\set ON_ERROR_STOP on\n{dumped}"));
    assert_eq!(restored.replace([' ', '-', '\n'], ""), "set_config(1row)");
    assert_eq!(dump(&to), dumped);
    let describe = "\\d parents\n\\d \"Odd Name\"\n\\d odd";
    assert_eq!(psql(&to, describe), psql(&from, describe));
}

#[test]
fn pg_dump_sees_the_past() {
    let fixture = Fixture::new();
    psql(&fixture, DEFINITIONS);
    let before = dump(&fixture);
    psql(
        &fixture,
        "CREATE RESTORE POINT p; DROP TABLE parents CASCADE; CREATE TABLE later (a int)",
    );
    assert!(dump(&fixture).contains("later"));
    let mut command = client(&fixture, "pg_dump");
    command.arg("--schema-only").env("PGOPTIONS", "-c driftdb.as_of=RESTORE\\ POINT\\ p");
    let dumped = command.output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let dumped = String::from_utf8(dumped.stdout).unwrap();
    let names = |text: &str| {
        let named = text.lines().filter(|line| line.starts_with("-- Name:"));
        named.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&dumped), names(&before));
}
