//! `driftdb backup`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use driftdb_env::Env;

use crate::options::NodeOptions;
use crate::progress::bytes_text;

pub(crate) const EXAMPLES: &str = "\
Copies a database that no server has open into a new directory, which is a whole database of its own: `driftdb
serve --data COPY` opens it. Files of the lsm engine that never change are hard links where source and copy are
on one file system, and take no space; on another one, --base names an earlier copy there whose files are linked
to instead of being copied again.

Examples:
  driftdb backup --data /var/lib/driftdb --to /var/backups/driftdb-1
  driftdb backup --data /var/lib/driftdb --to /mnt/b/2 --base /mnt/b/1

Exit codes: 0 done, and durable; 1 failed: what was made of the copy is removed.";

#[derive(Debug, Args)]
pub(crate) struct BackupOptions {
    #[command(flatten)]
    node: NodeOptions,
    /// The new directory; must be empty or absent
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// An earlier backup of the same database, whose files may be linked to
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
}

pub(crate) fn run(options: &BackupOptions) -> anyhow::Result<ExitCode> {
    let env = Env::os();
    let config = options.node.config_of_existing(&env)?;
    anyhow::ensure!(
        driftdb_server::engine_of(&env, &config.data)?.is_some(),
        "\"{}\" is not a DriftDB data directory",
        config.data.display()
    );
    let start = env.now();
    let report = driftdb_server::backup(&env, &config, &options.to, options.base.as_deref())?;
    println!(
        "copied \"{}\" (engine {}) to \"{}\": {} copied, {} linked, in {:.1} s",
        config.data.display(),
        config.engine,
        options.to.display(),
        bytes_text(report.copied_bytes),
        bytes_text(report.linked_bytes),
        (env.now() - start).as_secs_f64(),
    );
    Ok(ExitCode::SUCCESS)
}
