//! `driftdb salvage`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use driftdb_env::Env;
use driftdb_server::{Config, Node, SalvageReport};
use driftdb_storage::{Damage, KeyspaceId};

use crate::options::NodeOptions;
use crate::progress::{Progress, ProgressOptions};

pub(crate) const EXAMPLES: &str = "\
Copies what verifies of a damaged database into a new one, and lists what is lost: one line for each place, with the
file, the byte, and the keyspace and keys that lay there where they are known. The damaged database is not changed.

A backup is the better remedy, where there is one. What to expect of the new database:
  * Rows in the lost places are missing, or are there as they were before their last changes.
  * An index and its table may disagree where one of them lost something: reindex, or drop and create the index.
  * Times before the damage answer as before, but for the lost places.

Examples:
  driftdb salvage --data /var/lib/driftdb --to /var/lib/driftdb-saved
  driftdb salvage --data /var/lib/driftdb --to /var/lib/saved --engine btree

Exit codes: 0 nothing was lost; 1 something was lost, the rest is saved; 3 nothing could be saved.";

/// Nothing could be saved.
const NOTHING: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct SalvageOptions {
    #[command(flatten)]
    node: NodeOptions,
    /// The new directory; must be empty or absent
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The engine of the new database [default: that of the damaged one]
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    #[command(flatten)]
    progress: ProgressOptions,
}

pub(crate) fn run(options: &SalvageOptions) -> ExitCode {
    match salvage(options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("driftdb: {}", crate::explain(&error));
            ExitCode::from(NOTHING)
        }
    }
}

struct Printer {
    progress: Progress,
    lost: Vec<Damage>,
}

impl SalvageReport for Printer {
    fn lost(&mut self, damage: Damage) {
        self.progress.end();
        self.lost.push(damage);
    }

    fn progress(&mut self, done_bytes: u64, total_bytes: u64) {
        self.progress.show("reading", done_bytes, total_bytes, "bytes");
    }
}

/// How many places are lost.
fn salvage(options: &SalvageOptions) -> anyhow::Result<u64> {
    let env = Env::os();
    let config = options.node.config(&env)?;
    anyhow::ensure!(
        env.disk().exists(&config.data)?,
        "\"{}\" does not exist",
        config.data.display()
    );
    let mut printer = Printer { progress: Progress::new(&env, options.progress), lost: Vec::new() };
    let engine = options.engine.as_deref();
    let saved = driftdb_server::salvage(&env, &config, engine, &options.to, &mut printer)?;
    printer.progress.end();
    let names = names_in(&env, &config, &options.to);
    for damage in &printer.lost {
        let name = damage.keys.as_ref().and_then(|keys| names.get(&keys.space));
        println!("lost: {damage}{}", name.map(|name| format!(", {name}")).unwrap_or_default());
    }
    let lost_count = printer.lost.len() as u64;
    println!(
        "saved {} versions in {} keyspaces and {} records of the log into \"{}\", as of {}; {} lost",
        saved.versions,
        saved.keyspaces,
        saved.log_records,
        options.to.display(),
        saved.at,
        match lost_count {
            0 => "nothing".to_owned(),
            1 => "1 place".to_owned(),
            count => format!("{count} places"),
        },
    );
    if saved.filled_commits > 0 {
        println!(
            "{} entries of the index of commits were made up: @SEQ of those commits is not exact",
            saved.filled_commits
        );
    }
    Ok(lost_count)
}

/// What is in which keyspace of the new database.
fn names_in(env: &Env, config: &Config, to: &Path) -> BTreeMap<KeyspaceId, String> {
    let Ok(Some(engine)) = driftdb_server::engine_of(env, to) else { return BTreeMap::new() };
    let config = Config { data: to.to_owned(), engine, ..config.clone() };
    Node::open(env, &config).map(|node| node.keyspace_names()).unwrap_or_default()
}
