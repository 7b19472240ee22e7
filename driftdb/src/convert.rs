//! `driftdb convert`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use driftdb_env::Env;

use crate::options::NodeOptions;
use crate::progress::{Progress, ProgressOptions, bytes_text};

pub(crate) const EXAMPLES: &str = "\
Changes the storage engine of a database that no server has open. Everything is kept: every version of every row,
so that each time that could be read before can be read after, and dropped tables.

In place, the new store is made beside the old one, checked in full, and put in force in one step; then the old one
is removed. Until then there must be room for both. Interrupted before that step, by a crash or Ctrl-C, the database
is as it was, and the next attempt begins anew. With --to, the new database goes into a directory of its own.

Examples:
  driftdb convert --data /var/lib/driftdb --engine btree
  driftdb convert --data /var/lib/driftdb --engine lsm --to /var/lib/driftdb-lsm

Exit codes: 0 done; 1 failed: the old database is in force.";

#[derive(Debug, Args)]
pub(crate) struct ConvertOptions {
    #[command(flatten)]
    node: NodeOptions,
    /// The engine to change to: lsm or btree
    #[arg(long, value_name = "ENGINE")]
    engine: String,
    /// Make the new database here, and leave the old one as it is
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    progress: ProgressOptions,
}

pub(crate) fn run(options: &ConvertOptions) -> anyhow::Result<ExitCode> {
    let env = Env::os();
    let config = options.node.config_of_existing(&env)?;
    let Some(found) = driftdb_server::engine_of(&env, &config.data)? else {
        anyhow::bail!("\"{}\" is not a DriftDB data directory", config.data.display());
    };
    if found == options.engine && options.to.is_none() {
        println!("\"{}\" has the engine {found} already", config.data.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut progress = Progress::new(&env, options.progress);
    let show = &mut |done: driftdb_server::ConvertProgress| {
        let what = format!("{} versions, {}, keyspaces", done.versions, bytes_text(done.bytes));
        progress.show(&what, done.keyspaces, done.keyspace_count, "");
    };
    let done =
        driftdb_server::convert(&env, &config, &options.engine, options.to.as_deref(), show)?;
    progress.end();
    let dir = options.to.as_ref().unwrap_or(&config.data);
    println!(
        "\"{}\" has the engine {} now (was {found}): {} keyspaces, {} versions, {} in {:.1} s",
        dir.display(),
        options.engine,
        done.keyspaces,
        done.versions,
        bytes_text(done.bytes),
        progress.seconds(),
    );
    Ok(ExitCode::SUCCESS)
}
