//! Backup, convert, verify and salvage, as an operator uses them.
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]
#![expect(clippy::disallowed_methods, reason = "the test drives real processes on real files")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use driftdb_conformance::golden;

const ENGINES: [&str; 2] = ["lsm", "btree"];

fn driftdb(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftdb"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTDB_")) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

/// Runs a command that must exit with this code; gives what it printed.
fn expect(code: i32, arguments: &[&str]) -> String {
    let output = driftdb(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", text(&output));
    text(&output)
}

/// A database with history, a dropped table and a large value, on disk and in the log.
struct Database {
    _scratch: tempfile::TempDir,
    root: PathBuf,
    engine: &'static str,
}

impl Database {
    fn new(engine: &'static str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().to_owned();
        let database = Self { _scratch: scratch, root, engine };
        database.sql(
            "CREATE TABLE t (id int PRIMARY KEY, v text);
             INSERT INTO t SELECT g, 'value ' || g FROM generate_series(1, 2000) g;
             CREATE TABLE gone (k int);
             INSERT INTO gone VALUES (1), (2);
             DROP TABLE gone;
             UPDATE t SET v = 'second' WHERE id % 10 = 0;
             INSERT INTO t VALUES (5000, repeat('large ', 20000))",
        );
        database
    }

    fn path(&self, name: &str) -> String {
        self.root.join(name).to_str().unwrap().to_owned()
    }

    fn data(&self) -> String {
        self.path("data")
    }

    fn sql(&self, sql: &str) -> String {
        self.sql_in("data", sql)
    }

    fn sql_in(&self, name: &str, sql: &str) -> String {
        let engine = format!("storage.engine={}", self.engine);
        let small = "storage.write_buffer_bytes=64KiB";
        let data = self.path(name);
        let arguments = ["sql", "--data", &data, "--set", &engine, "--set", small, "-c", sql];
        let arguments = if Path::new(&data).exists() {
            // Whatever engine it has now.
            vec!["sql", "--data", &data, "--set", small, "-c", sql]
        } else {
            arguments.to_vec()
        };
        expect(0, &arguments)
    }

    /// What can be read of it, at several times.
    fn answers(&self, name: &str) -> Vec<String> {
        let queries = [
            "SELECT count(*), sum(id), sum(length(v)) FROM t".to_owned(),
            "SELECT count(*) FROM t WHERE v = 'second'".to_owned(),
        ];
        let past = (2..12).flat_map(|sequence| {
            let of = |table: &str| {
                format!("SELECT 'at', count(*) FROM {table} FOR SYSTEM_TIME AS OF @SEQ:{sequence}")
            };
            [of("t"), of("gone")]
        });
        queries.into_iter().chain(past).map(|sql| self.answer(name, &sql)).collect()
    }

    /// The answer or the error.
    fn answer(&self, name: &str, sql: &str) -> String {
        text(&driftdb(&["sql", "--data", &self.path(name), "-c", sql]))
    }

    /// The files of a directory, without those that hold nothing.
    fn files(&self, name: &str) -> Vec<PathBuf> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else if fs::metadata(&path).unwrap().len() > 0 {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.root.join(name), &mut found);
        found.sort();
        found
    }
}

#[test]
fn a_backup_is_a_database_and_shares_what_never_changes() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let (data, first, second) = (database.data(), database.path("b1"), database.path("b2"));
        let answers = database.answers("data");
        let said = expect(0, &["backup", "--data", &data, "--to", &first]);
        assert!(said.contains("copied"), "{said}");
        assert_eq!(database.answers("b1"), answers, "{engine}");
        expect(0, &["verify", "--data", &first]);
        // Later changes stay out of it; the next one has them.
        database.sql("DELETE FROM t WHERE id > 100");
        assert_eq!(database.answers("b1"), answers, "{engine}");
        expect(0, &["backup", "--data", &data, "--to", &second, "--base", &first]);
        assert_eq!(database.answers("b2"), database.answers("data"), "{engine}");
        if engine == "lsm" {
            let tables = database
                .files("b1")
                .into_iter()
                .filter(|path| path.extension().is_some_and(|extension| extension == "table"));
            for table in tables {
                assert!(fs::metadata(&table).unwrap().nlink() > 1, "{}", table.display());
            }
        }
        // Not over something else, and nothing of it is touched.
        let said = expect(1, &["backup", "--data", &data, "--to", &first]);
        assert!(said.contains("not empty"), "{said}");
        assert_eq!(database.answers("b1"), answers, "{engine}");
    }
}

#[test]
fn a_conversion_keeps_every_time_both_ways() {
    for (engine, other) in [("lsm", "btree"), ("btree", "lsm")] {
        let database = Database::new(engine);
        let data = database.data();
        let answers = database.answers("data");
        let apart = database.path("apart");
        expect(0, &["convert", "--data", &data, "--engine", other, "--to", &apart]);
        assert_eq!(database.answers("apart"), answers, "{engine} to {other}");
        let said = expect(
            1,
            &[
                "sql",
                "--data",
                &data,
                "--set",
                &format!("storage.engine={other}"),
                "-c",
                "SELECT 1",
            ],
        );
        assert!(said.contains(&format!("--engine {other}")), "{said}");
        for engine in [other, engine] {
            let said = expect(0, &["convert", "--data", &data, "--engine", engine, "--progress"]);
            assert!(said.contains(&format!("has the engine {engine} now")), "{said}");
            assert!(said.contains("versions"), "it says how far it is: {said}");
            assert_eq!(database.answers("data"), answers, "in place to {engine}");
            expect(0, &["verify", "--data", &data]);
        }
        // The old stores are gone, and the database goes on.
        assert!(database.files("data").iter().all(|path| !path.ends_with("store-2")));
        database.sql("INSERT INTO t VALUES (9999, 'after')");
        assert!(database.sql("SELECT v FROM t WHERE id = 9999").contains("after"));
        let said = expect(1, &["convert", "--data", &data, "--engine", "memory"]);
        assert!(said.contains("keeps no files"), "{said}");
        assert!(database.sql("SELECT v FROM t WHERE id = 9999").contains("after"));
    }
}

/// Damages one byte of a file.
fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x5a;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_named_and_the_rest_is_saved() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let rows = "SELECT 'rows', count(*) FROM t";
        let files = database.files("data");
        let kinds = files.iter().filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(".table") || ["MANIFEST", "pages.db", "DRIFTDB"].contains(&name)
        });
        for (number, file) in kinds.enumerate() {
            let bytes = fs::read(file).unwrap();
            let name = file.strip_prefix(database.root.join("data")).unwrap();
            // A byte that holds something, well inside.
            let Some(offset) = (bytes.len() / 2..bytes.len()).find(|at| bytes[*at] != 0) else {
                continue;
            };
            let (damaged, saved) = (format!("d{number}"), format!("s{number}"));
            golden::copy(&database.root.join("data"), &database.root.join(&damaged));
            flip(&database.root.join(&damaged).join(name), offset);
            let said = expect(1, &["verify", "--data", &database.path(&damaged)]);
            let file_name = name.file_name().unwrap().to_str().unwrap();
            assert!(
                said.contains(file_name) || file_name == "DRIFTDB",
                "{engine}: {file_name} is not named in\n{said}"
            );
            let (from, to) = (database.path(&damaged), database.path(&saved));
            let output = driftdb(&["salvage", "--data", &from, "--to", &to]);
            let said = text(&output);
            // A filter costs nothing when it is damaged.
            if output.status.success() {
                assert!(said.contains("nothing lost"), "{said}");
                assert_eq!(database.answer(&saved, rows), database.answer("data", rows), "{said}");
                continue;
            }
            assert!(said.contains("lost: "), "{said}");
            let has_rows = bytes.len() > 30_000;
            assert!(!has_rows || said.contains("public.t"), "{engine}: which table?\n{said}");
            expect(0, &["verify", "--data", &to]);
            let answer = database.answer(&saved, rows);
            assert!(answer.contains("rows"), "{engine}, {file_name}: {answer}\n{said}");
        }
    }
}

#[test]
fn a_sound_database_is_saved_whole() {
    for (engine, other) in [("lsm", "btree"), ("btree", "lsm")] {
        let database = Database::new(engine);
        let (data, answers) = (database.data(), database.answers("data"));
        let (same, else_) = (database.path("same"), database.path("other"));
        let said = expect(0, &["salvage", "--data", &data, "--to", &same]);
        assert!(said.contains("nothing lost"), "{said}");
        assert_eq!(database.answers("same"), answers);
        expect(0, &["salvage", "--data", &data, "--to", &else_, "--engine", other]);
        assert_eq!(database.answers("other"), answers);
        expect(0, &["verify", "--data", &else_, "--depth", "checksums", "--json"]);
    }
}

#[test]
fn a_lost_log_and_a_lost_manifest_cost_what_only_they_held() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let rows = "SELECT 'rows', count(*) FROM t WHERE v LIKE 'value%'";
        let before = database.answer("data", rows);
        fs::remove_dir_all(database.root.join("data/wal")).unwrap();
        let said =
            expect(1, &["salvage", "--data", &database.data(), "--to", &database.path("saved")]);
        assert!(said.contains("no log segment"), "{said}");
        expect(0, &["verify", "--data", &database.path("saved")]);
        // It was closed, so the engine has everything.
        assert_eq!(database.answer("saved", rows), before);
        database.sql_in("saved", "CREATE TABLE later (id int); INSERT INTO later VALUES (1)");

        let key = if engine == "lsm" { "data/engine/MANIFEST" } else { "data/engine/pages.db" };
        if engine == "lsm" {
            fs::remove_file(database.root.join(key)).unwrap();
        } else {
            // All four superblocks.
            let mut bytes = fs::read(database.root.join(key)).unwrap();
            bytes[..16384].fill(0);
            fs::write(database.root.join(key), bytes).unwrap();
        }
        let to = database.path("without");
        let said = expect(1, &["salvage", "--data", &database.data(), "--to", &to]);
        assert!(said.contains("lost: "), "{said}");
        expect(0, &["verify", "--data", &to]);
        assert_eq!(database.answer("without", rows), before, "{said}");
    }
}

#[test]
fn a_digest_is_compared_with_history() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let data = database.data();
        let said =
            database.sql("SELECT 'digest ' || seq || ':' || digest || '.' FROM driftdb_digest()");
        let digest = said.split_once("digest ").unwrap().1.split_once('.').unwrap().0.to_owned();
        database.sql("ERASE FROM t WHERE id = 7");
        let said = expect(0, &["verify", "--data", &data, "--digest", &digest]);
        assert!(said.contains(": erased\n"), "{engine}: {said}");
        assert!(said.contains("is sound"), "{engine}: {said}");
        let (seq, hex) = digest.split_once(':').unwrap();
        let other = format!("{seq}:{}", hex.replace('1', "2"));
        let said = expect(1, &["verify", "--data", &data, "--digest", &other, "--json"]);
        assert!(said.contains("\"verdict\":\"unproved\""), "{engine}: {said}");
        expect(2, &["verify", "--data", &data, "--digest", "7:abc"]);
    }
}

#[test]
fn the_figures_can_be_asked_for_in_sql() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let said = database.sql("SHOW driftdb.stats");
        for name in ["bytes_written", "bytes_read", "cache_hits", "syncs", "commits"] {
            assert!(said.contains(name), "{engine}: {name} is missing in\n{said}");
        }
    }
}
