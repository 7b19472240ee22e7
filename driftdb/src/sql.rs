//! `driftdb sql`: statements from the command line, a file or a shell.
//!
//! Without a server the client talks to a connection in this process, over the same protocol: there is
//! one path from SQL to data, and one client.

mod client;
mod copy;
mod describe;
mod display;
mod help;
mod link;
mod meta;
mod shell;
mod split;
mod table;
mod tree;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use driftdb_env::Env;
use driftdb_server::Node;

use crate::options::{NodeOptions, read_text};
use client::Client;
use display::{Display, Format};
use link::{LocalLink, TcpLink, Url};
use shell::{Shell, Source};

pub(crate) const EXAMPLES: &str = "\
Examples:
  driftdb sql                                        a shell on ./driftdb-data, no server needed
  driftdb sql -c \"CREATE TABLE t (a int); INSERT INTO t VALUES (1)\"
  driftdb sql --data /tmp/b -f schema.sql
  driftdb sql --url postgresql://driftdb@127.0.0.1:5433/driftdb
  echo \"TABLE t\" | driftdb sql
  driftdb sql --json -c \"TABLE t\"
  driftdb sql -c \"\\d t\"

-c runs its text as one transaction; -f and standard input run statement by statement and stop at the
first error. Commands of the shell begin with a backslash and stand in scripts, too: \\? lists them.

Exit codes: 0 done; 1 a statement failed, or the database could not be reached; 2 wrong usage.";

/// Options of `driftdb sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlOptions {
    #[command(flatten)]
    node: NodeOptions,
    /// A server to connect to, instead of a data directory
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    url: Option<String>,
    /// Run this text and exit; may be given several times
    #[arg(short, long = "command", value_name = "SQL")]
    command: Vec<String>,
    /// Run this file and exit
    #[arg(short, long, value_name = "FILE", conflicts_with = "command")]
    file: Option<PathBuf>,
    /// Results as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Results as JSON: an array of objects for each
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &SqlOptions) -> anyhow::Result<ExitCode> {
    let env = Env::os();
    if let Some(url) = &options.url {
        let url = Url::parse(url)?;
        let link = TcpLink::connect(&url)?;
        return talk(Client::connect(Box::new(link), &url.user, &url.database)?, options, &env);
    }
    let config = options.node.config_of_existing(&env)?;
    let node = Node::open(&config.env(), &config)?;
    let link = LocalLink::new(&node);
    let client = Client::connect(Box::new(link), driftdb_server::DATABASE, "")?;
    let code = talk(client, options, &env)?;
    node.close().context("could not write the last checkpoint")?;
    Ok(code)
}

fn talk(client: Client, options: &SqlOptions, env: &Env) -> anyhow::Result<ExitCode> {
    let format = match (options.csv, options.json) {
        (true, _) => Format::Csv,
        (_, true) => Format::Json,
        _ => Format::Aligned,
    };
    let mut shell = Shell::new(client, env, Display { format, ..Display::default() });
    let is_ok = if !options.command.is_empty() {
        shell.run_texts(&options.command)?
    } else if let Some(path) = &options.file {
        let text = read_text(env, path)?;
        shell.run_script(Source::text(&text))?
    } else if std::io::stdin().is_terminal() {
        shell.interact()?
    } else {
        shell.run_script(Source::stdin())?
    };
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
