//! `driftdb verify`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use driftdb_env::Env;
use driftdb_server::{Finding, Hash, Node, NodeError, from_hex};
use driftdb_storage::{Damage, KeyspaceId, StorageError, VerifyDepth, VerifyReport};

use crate::options::NodeOptions;
use crate::progress::{Progress, ProgressOptions, bytes_text};

pub(crate) const EXAMPLES: &str = "\
Checks a database that no server has open, and changes nothing but what a restart would. Prints one line for
each damage: the file, the byte, what is wrong, and the keyspace and keys that lie there where they are known;
then a summary.

Depths, each with all before it:
  structure   what leads to the data: manifests, superblocks, indexes, inner pages
  checksums   every byte of the engine's files is read and its checksum compared
  full        everything is decoded: order, bounds, counts, filters, and that the log can be replayed

Examples:
  driftdb verify --data /var/lib/driftdb
  driftdb verify --data /var/lib/driftdb --depth structure --json

A digest that was taken earlier (SELECT seq, digest FROM driftdb_digest()) and kept elsewhere shows that nobody
has rewritten history since, checksums included:
  driftdb verify --data /var/lib/driftdb --digest 4711:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

What to do when damage is found: restore a backup, or `driftdb salvage --help`.

Exit codes: 0 sound; 1 damage was found, or history is not that of a digest; 3 could not be checked (in use, not a database, I/O error).";

/// Could not be checked.
const UNCHECKED: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    #[command(flatten)]
    node: NodeOptions,
    /// How thorough
    #[arg(long, value_enum, default_value_t = Depth::Full)]
    depth: Depth,
    /// Print one JSON object for each damage and one for the summary
    #[arg(long)]
    json: bool,
    /// Compare history with a digest: commit and 64 hexadecimal digits; may be given several times
    #[arg(long, value_name = "SEQ:HEX", value_parser = digest)]
    digest: Vec<(u64, Hash)>,
    #[command(flatten)]
    progress: ProgressOptions,
}

fn digest(text: &str) -> Result<(u64, Hash), String> {
    let parts = text.split_once(':');
    let parsed = parts.and_then(|(number, hex)| Some((number.parse().ok()?, from_hex(hex)?)));
    parsed
        .filter(|(number, _)| *number > 0)
        .ok_or_else(|| "it has the form SEQ:HEX, with 64 hexadecimal digits".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Depth {
    Structure,
    Checksums,
    Full,
}

impl Depth {
    fn get(self) -> VerifyDepth {
        match self {
            Self::Structure => VerifyDepth::Structure,
            Self::Checksums => VerifyDepth::Checksums,
            Self::Full => VerifyDepth::Full,
        }
    }
}

pub(crate) fn run(options: &VerifyOptions) -> ExitCode {
    match verify(options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("driftdb: {}", crate::explain(&error));
            ExitCode::from(UNCHECKED)
        }
    }
}

/// Prints what is found.
struct Printer {
    /// What is in which keyspace.
    names: BTreeMap<KeyspaceId, String>,
    is_json: bool,
    progress: Progress,
    damage_count: u64,
    checked_bytes: u64,
}

impl Printer {
    /// What became of some commits since a digest was taken.
    fn finding(&mut self, digest: u64, finding: &Finding) {
        self.damage_count += u64::from(finding.verdict.is_damage());
        self.progress.end();
        let Finding { verdict, first, last, erased } = finding;
        if self.is_json {
            let line = serde_json::json!({
                "digest": digest, "verdict": verdict.name(), "first": first, "last": last, "erased": erased,
            });
            println!("{line}");
            return;
        }
        let commits = match last - first {
            0 => format!("commit {first}"),
            _ => format!("commits {first} to {last}"),
        };
        println!("digest {digest}: {commits}: {}", verdict.name());
    }
}

impl VerifyReport for Printer {
    fn damage(&mut self, damage: Damage) {
        self.damage_count += 1;
        self.progress.end();
        let name = damage.keys.as_ref().and_then(|keys| self.names.get(&keys.space));
        if !self.is_json {
            let name = name.map(|name| format!(", {name}")).unwrap_or_default();
            println!("{damage}{name}");
            return;
        }
        let hex = |key: &Option<Box<[u8]>>| {
            key.as_ref().map(|key| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        let keys = damage.keys.as_ref().map(|keys| {
            serde_json::json!({
                "keyspace": keys.space.0, "name": name, "first": hex(&keys.first), "last": hex(&keys.last),
            })
        });
        let line = serde_json::json!({
            "damage": damage.what, "file": damage.file, "offset_bytes": damage.offset_bytes,
            "keys": keys,
        });
        println!("{line}");
    }

    fn progress(&mut self, done_bytes: u64, total_bytes: u64) {
        self.checked_bytes = done_bytes;
        self.progress.show("checking", done_bytes, total_bytes, "bytes");
    }
}

/// How many damages there are.
fn verify(options: &VerifyOptions) -> anyhow::Result<u64> {
    let env = Env::os();
    let mut printer = Printer {
        is_json: options.json,
        progress: Progress::new(&env, options.progress),
        names: BTreeMap::new(),
        damage_count: 0,
        checked_bytes: 0,
    };
    let engine = check(&env, options, &mut printer)?;
    printer.progress.end();
    let (count, seconds) = (printer.damage_count, printer.progress.seconds());
    let dir = options.node.config(&env)?.data;
    let bytes = bytes_text(printer.checked_bytes);
    if options.json {
        let line = serde_json::json!({
            "data": dir.display().to_string(), "engine": engine, "damages": count,
            "checked_bytes": printer.checked_bytes, "seconds": seconds,
        });
        println!("{line}");
        return Ok(count);
    }
    let verdict = match count {
        0 => "is sound".to_owned(),
        1 => "has 1 damage".to_owned(),
        _ => format!("has {count} damages"),
    };
    println!(
        "\"{}\" (engine {engine}) {verdict}: {bytes} checked in {seconds:.1} s",
        dir.display()
    );
    Ok(count)
}

/// Checks, and gives the engine's name.
fn check(env: &Env, options: &VerifyOptions, printer: &mut Printer) -> anyhow::Result<String> {
    let dir = options.node.config(env)?.data;
    let engine = match driftdb_server::engine_of(env, &dir) {
        Ok(engine) => engine,
        Err(error @ NodeError::Marker { .. }) => {
            printer.damage(Damage::new(dir.display().to_string(), 0, error.to_string()));
            return Ok("unknown".to_owned());
        }
        Err(error) => return Err(error.into()),
    };
    ensure!(engine.is_some(), "\"{}\" is not a DriftDB data directory", dir.display());
    let config = options.node.config_of_existing(env)?;
    match Node::open(env, &config) {
        Ok(node) => {
            printer.names = node.keyspace_names();
            node.store().verify(options.depth.get(), printer)?;
            for (sequence, digest) in &options.digest {
                for finding in node.check_digest(*sequence, digest)? {
                    printer.finding(*sequence, &finding);
                }
            }
        }
        // So damaged that it cannot be opened.
        Err(NodeError::Storage(StorageError::Corruption(damage))) => printer.damage(damage),
        Err(error) => return Err(error.into()),
    }
    Ok(config.engine)
}
