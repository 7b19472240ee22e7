//! `driftdb verify`

use std::process::ExitCode;

use anyhow::ensure;
use driftdb_env::Env;
use driftdb_server::Node;
use driftdb_server::NodeError;
use driftdb_storage::{Damage, StorageError, VerifyDepth};

use crate::options::NodeOptions;

pub(crate) const EXAMPLES: &str = "\
Reads every file of the database and checks checksums, order and structure, and that the log can be
replayed. The server must be stopped. Prints one line for each damage, then a summary.

Example:
  driftdb verify --data /var/lib/driftdb

Exit codes: 0 sound; 1 damage was found; 3 could not be checked (in use, not a database, I/O error).";

/// Could not be checked.
const UNCHECKED: u8 = 3;

pub(crate) fn run(options: &NodeOptions) -> ExitCode {
    match verify(options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("driftdb: {}", crate::explain(&error));
            ExitCode::from(UNCHECKED)
        }
    }
}

/// How many damages there are.
fn verify(options: &NodeOptions) -> anyhow::Result<u64> {
    let env = Env::os();
    let config = options.config_of_existing(&env)?;
    let dir = config.data.display();
    ensure!(
        driftdb_server::engine_of(&env, &config.data)?.is_some(),
        "\"{dir}\" is not a DriftDB data directory"
    );
    let mut count = 0u64;
    let mut report = |damage: &dyn std::fmt::Display| {
        count += 1;
        println!("{damage}");
    };
    match Node::open(&env, &config) {
        Ok(node) => {
            node.store().verify(VerifyDepth::Full, &mut |damage: Damage| report(&damage))?;
        }
        // So damaged that it cannot be opened.
        Err(NodeError::Storage(StorageError::Corruption(damage))) => report(&damage),
        Err(error @ NodeError::Marker { .. }) => report(&error),
        Err(error) => return Err(error.into()),
    }
    match count {
        0 => println!("\"{dir}\" (engine {}) is sound", config.engine),
        1 => println!("1 damage in \"{dir}\" (engine {})", config.engine),
        _ => println!("{count} damages in \"{dir}\" (engine {})", config.engine),
    }
    Ok(count)
}
