//! `driftdb serve`

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use driftdb_env::{Env, LogWriter, ReadPath};
use driftdb_server::adapter::Server;
use driftdb_server::{Config, DATABASE, Node};

use crate::options::NodeOptions;

pub(crate) const EXAMPLES: &str = "\
Examples:
  driftdb serve
  driftdb serve --data /var/lib/driftdb --listen 127.0.0.1:6000
  driftdb serve --set storage.engine=btree --set concurrency.control=locking
  driftdb serve --set retention.keep=7d

Prints one line with the URL to connect to when it is ready. SIGTERM and Ctrl-C let running statements
finish and exit 0. Exit code 1: it could not start.";

/// Options of `driftdb serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    node: NodeOptions,
    /// Where to listen; loopback only [default: 127.0.0.1:5433]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

pub(crate) fn run(options: &ServeOptions) -> anyhow::Result<ExitCode> {
    let env = Env::os();
    let mut config = options.node.config(&env)?;
    if let Some(listen) = &options.listen {
        config.set("listen", listen)?;
    }
    warn_of_missing_ring(&config);
    let node = Node::open(&config.env(), &config)?;
    let server = Server::start(&node)?;
    let address = server.address();
    let mut out = std::io::stdout();
    let told = writeln!(
        out,
        "driftdb is ready: postgresql://{DATABASE}@{address}/{DATABASE} (engine {}, control {}, data {})",
        config.engine,
        config.control,
        config.data.display(),
    );
    // Whoever started it may have closed its end; the server runs all the same.
    told.and_then(|()| out.flush()).ok();
    server.wait_for_signal()?;
    server.stop();
    node.close().context("could not write the last checkpoint")?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever asked for `io_uring` should know when it is not what they get.
fn warn_of_missing_ring(config: &Config) {
    let reads = config.read_path == ReadPath::IoUring;
    let asks = reads || config.wal_writer == LogWriter::IoUring;
    if asks && !driftdb_env::has_io_uring() {
        eprintln!(
            "driftdb: warning: this kernel gives no io_uring (see sysctl kernel.io_uring_disabled); tables are read by \
             pread and the log is written plainly instead"
        );
    }
}
