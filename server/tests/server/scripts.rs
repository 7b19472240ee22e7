//! The scripts in `tests/sql`: on every engine under every control, over the wire.
//!
//! Those whose names begin with `pg_` must also hold on PostgreSQL: set `DRIFTDB_TEST_POSTGRES` to the
//! URL of an empty database of one to see it.

use std::path::{Path, PathBuf};

use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::harness::{Fixture, connect, everywhere};

/// A connection for scripts.
struct Wire {
    // Before the runtime that its task runs on.
    client: Client,
    runtime: Runtime,
}

impl Wire {
    fn connect(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(connect(url));
        Self { client, runtime }
    }
}

/// An error that says what it is.
#[derive(Debug)]
struct ScriptError(tokio_postgres::Error);

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_db_error() {
            Some(error) => write!(f, "{} ({})", error.message(), error.code().code()),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for ScriptError {}

impl DB for Wire {
    type Error = ScriptError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Self::Error> {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).map_err(ScriptError)?;
        let mut types = None;
        let (mut rows, mut changed) = (Vec::new(), 0);
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    types = Some(vec![DefaultColumnType::Any; columns.len()]);
                }
                SimpleQueryMessage::Row(row) => {
                    let shown = |cell: Option<&str>| match cell {
                        None => "NULL".to_owned(),
                        Some("") => "(empty)".to_owned(),
                        Some(text) => text.to_owned(),
                    };
                    rows.push((0..row.len()).map(|column| shown(row.get(column))).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => changed = count,
                _ => {}
            }
        }
        Ok(match types {
            Some(types) => DBOutput::Rows { types, rows },
            None => DBOutput::StatementComplete(changed),
        })
    }

    fn error_sql_state(error: &Self::Error) -> Option<String> {
        error.0.code().map(|code| code.code().to_owned())
    }
}

fn scripts(prefix: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix))
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

/// `labels` are the control and the engine, or `postgresql`: scripts may ask `skipif` of them.
fn run(path: &Path, url: &str, labels: &[&str]) {
    let url = url.to_owned();
    let mut runner = Runner::new(move || {
        let wire = Wire::connect(&url);
        async move { Ok(wire) }
    });
    labels.iter().for_each(|label| runner.add_label(label));
    if let Err(error) = runner.run_file(path) {
        panic!("{}", error.display(false));
    }
}

#[test]
fn scripts_hold_everywhere() {
    // A server of its own for each script would be cleaner and takes longer; scripts name their tables
    // differently instead.
    everywhere(|fixture| {
        let are_waited_for = fixture.node.store().claims_wait();
        for path in scripts("") {
            // Who gets a lock that another holds: only where rows are waited for.
            if path.ends_with("pg_locks.slt") && !are_waited_for {
                continue;
            }
            println!("{}", path.display());
            let store = fixture.node.store();
            run(&path, &fixture.url(), &[store.control_name(), store.engine_name()]);
        }
    });
}

/// Transactions that do not fit into `transaction.memory_bytes` are as others: every one of the scripts' that
/// writes more than a row or two goes to disk and is committed in parts.
#[test]
fn scripts_hold_where_nothing_fits_into_memory() {
    for (engine, control) in [("lsm", "ssi"), ("btree", "locking")] {
        let fixture = Fixture::with(engine, control, |config| config.transaction_memory_bytes = 64);
        for path in scripts("") {
            println!("{}", path.display());
            run(&path, &fixture.url(), &[control, engine]);
        }
        let mut spills = 0;
        fixture.node.store().stats(&mut |name, count| {
            if name == "spills" {
                spills = count;
            }
        });
        assert!(spills > 500, "{spills} spills");
    }
}

#[test]
fn scripts_hold_on_postgresql() {
    let Ok(url) = std::env::var("DRIFTDB_TEST_POSTGRES") else {
        println!("skipped: DRIFTDB_TEST_POSTGRES names no PostgreSQL");
        return;
    };
    for path in scripts("pg_") {
        println!("{}", path.display());
        run(&path, &url, &["postgresql"]);
    }
}
