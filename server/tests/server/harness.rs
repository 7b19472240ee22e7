//! A server for one test, and clients for it.

use std::future::Future;
use std::sync::Arc;

use driftdb_env::Env;
use driftdb_server::adapter::Server;
use driftdb_server::{CONTROLS, Config, ENGINES, Node};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// A running server with a directory of its own.
pub(crate) struct Fixture {
    pub(crate) node: Arc<Node>,
    server: Option<Server>,
    port: u16,
    _dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with("memory", "ssi", |_| {})
    }

    pub(crate) fn with(engine: &str, control: &str, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config {
            data: dir.path().join("data"),
            listen: "127.0.0.1:0".parse().unwrap(),
            engine: engine.into(),
            control: control.into(),
            // So small that a script reaches every part of an engine.
            write_buffer_bytes: 64 << 10,
            wal_segment_bytes: 256 << 10,
            ..Config::default()
        };
        change(&mut config);
        let node = Node::open(&Env::os(), &config).unwrap();
        let server = Server::start(&node).unwrap();
        let port = server.address().port();
        Self { node, server: Some(server), port, _dir: dir }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://driftdb@127.0.0.1:{}/driftdb", self.port)
    }

    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url()).await
    }

    /// Stops the server; returns once every connection has ended.
    pub(crate) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop();
        assert_eq!(self.node.panic_count(), 0, "a statement panicked");
        self.node.close().unwrap();
    }
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Runs a test's future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// Runs a test on every engine under every control.
pub(crate) fn everywhere(mut test: impl FnMut(&Fixture)) {
    for engine in ENGINES {
        for control in CONTROLS {
            println!("engine {engine}, control {control}");
            test(&Fixture::with(engine, control, |_| {}));
        }
    }
}

/// Runs a test on every engine under every control whose row locks make others wait.
pub(crate) fn wherever_rows_are_waited_for(mut test: impl FnMut(&Fixture)) {
    everywhere(|fixture| {
        if fixture.node.store().claims_wait() {
            test(fixture);
        }
    });
}

/// The SQLSTATE of a result that must be an error.
pub(crate) fn code<T>(result: Result<T, tokio_postgres::Error>) -> String {
    let Err(error) = result else { panic!("an error was expected") };
    match error.as_db_error() {
        Some(error) => error.code().code().to_owned(),
        None => panic!("an error of the database was expected: {error}"),
    }
}
