//! The driftdb binary: one command line over server, sim and bench.

mod backup;
mod convert;
mod options;
mod progress;
mod salvage;
mod serve;
mod settings;
mod sql;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use options::NodeOptions;

const EXAMPLES: &str = "\
Examples:
  driftdb serve                                            data in ./driftdb-data, port 5433
  psql postgresql://driftdb@127.0.0.1:5433/driftdb         any PostgreSQL client connects to it
  driftdb sql -c \"SELECT 1\"                                the same data, without a server
  driftdb serve --data /tmp/b --set storage.engine=btree   another storage engine
  driftdb verify --data /tmp/b                             check every byte of a stopped database
  driftdb backup --data /tmp/b --to /tmp/copy              copy it; also convert and salvage
  driftdb sim --seeds 100                                  power cuts and failing disks, simulated

Read the past in SQL:
  SELECT * FROM t FOR SYSTEM_TIME AS OF now() - interval '1 hour';

Settings come from --config FILE (TOML), then DRIFTDB_… variables, then --set KEY=VALUE; `driftdb config`
lists them all.

Exit codes: 0 done; 1 failed (for verify and salvage: damage was found); 2 wrong usage; 3 (verify) could not check,
(salvage) could save nothing.";

/// A PostgreSQL-compatible database that keeps its history.
#[derive(Debug, Parser)]
#[command(name = "driftdb", version, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C, then drain and exit 0
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeOptions),
    /// Run SQL: without a server on a data directory, or on a server; or a shell
    #[command(after_help = sql::EXAMPLES)]
    Sql(sql::SqlOptions),
    /// Check every byte of a data directory that no server has open
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyOptions),
    /// Copy a data directory that no server has open
    #[command(after_help = backup::EXAMPLES)]
    Backup(backup::BackupOptions),
    /// Change the storage engine of a data directory, keeping all history
    #[command(after_help = convert::EXAMPLES)]
    Convert(convert::ConvertOptions),
    /// Save what verifies of a damaged data directory into a new one
    #[command(after_help = salvage::EXAMPLES)]
    Salvage(salvage::SalvageOptions),
    /// List every setting: value, default, unit, meaning
    Config(NodeOptions),
    /// Run the database in a deterministic simulation, with faults (`driftdb sim --help`)
    #[command(disable_help_flag = true)]
    Sim {
        /// What the simulator takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Measure, beside PostgreSQL (`driftdb bench --help`)
    #[command(disable_help_flag = true)]
    Bench {
        /// What the benchmarks take
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Serve(options) => serve::run(&options),
        Command::Sql(options) => sql::run(&options),
        Command::Verify(options) => return verify::run(&options),
        Command::Backup(options) => backup::run(&options),
        Command::Convert(options) => convert::run(&options),
        Command::Salvage(options) => return salvage::run(&options),
        Command::Config(options) => settings::run(&options),
        Command::Sim { args } => return exit_code(driftdb_sim::cli::run(&args)),
        Command::Bench { args } => return exit_code(driftdb_bench::cli::run(&args)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("driftdb: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what is behind it; a cause that the message already tells is not told twice.
fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::CommandLine::command().debug_assert();
    }
}
