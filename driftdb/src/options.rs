//! The options that describe a node, and the configuration they make.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use driftdb_env::{Env, FileKind, OpenHow};
use driftdb_server::Config;

/// Which database, with which settings.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NodeOptions {
    /// The data directory; made when it is not there [default: ./driftdb-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A TOML file with settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl NodeOptions {
    /// The configuration: file, then environment, then `--set`, then the options of their own.
    pub(crate) fn config(&self, env: &Env) -> anyhow::Result<Config> {
        let mut config = Config::default();
        if let Some(path) = &self.config {
            let text = read_text(env, path)?;
            config.apply_toml(&text).with_context(|| path.display().to_string())?;
        }
        // What is not text cannot be one of ours.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        config.apply_variables(variables)?;
        for assignment in &self.set {
            config.apply_assignment(assignment)?;
        }
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        Ok(config)
    }

    /// As [`NodeOptions::config`], for a directory that may exist: unless an engine was asked for, it is
    /// the one that the directory was made with.
    pub(crate) fn config_of_existing(&self, env: &Env) -> anyhow::Result<Config> {
        let mut config = self.config(env)?;
        let is_engine_given = self.set.iter().any(|set| set.trim().starts_with("storage.engine"));
        if !is_engine_given && let Some(engine) = driftdb_server::engine_of(env, &config.data)? {
            config.engine = engine;
        }
        Ok(config)
    }
}

/// A whole file as text.
pub(crate) fn read_text(env: &Env, path: &Path) -> anyhow::Result<String> {
    const MAX_BYTES: u64 = 1 << 30;
    let file = env.disk().open(path, OpenHow::Read, FileKind::Temp)?;
    let length = file.len()?;
    anyhow::ensure!(length <= MAX_BYTES, "\"{}\" is larger than 1 GiB", path.display());
    let mut bytes = vec![0; length as usize];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    String::from_utf8(bytes).with_context(|| format!("\"{}\" is not UTF-8 text", path.display()))
}
