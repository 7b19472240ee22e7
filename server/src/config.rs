//! Configuration: every setting once, with its default, its unit and its meaning.
//!
//! [`table`] is the whole of it: `driftdb config` prints it, and a setting that is not in it does not
//! exist. Values come from a TOML file, then from `DRIFTDB_…` variables, then from `--set KEY=VALUE`;
//! the later wins. Keys in TOML may be written dotted or as tables.

mod source;
mod table;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use driftdb_env::{Env, IoOptions, LogWriter, ReadPath};
use driftdb_storage::{Compaction, Compression, FilterKind};

pub use source::{flatten_toml, variable_name};
pub use table::{Setting, settings};

/// A configuration that cannot be: which setting, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// `auth.unknown_roles`
    pub unknown_roles: String,
    /// `storage.engine`
    pub engine: String,
    /// `storage.write_buffer_bytes`
    pub write_buffer_bytes: usize,
    /// `storage.cache_bytes`
    pub cache_bytes: usize,
    /// `storage.block_size_bytes`
    pub block_size_bytes: usize,
    /// `storage.filter_bits_per_key`
    pub filter_bits_per_key: usize,
    /// `storage.filter`
    pub filter: FilterKind,
    /// `storage.compression`
    pub compression: Compression,
    /// `storage.dictionary_sample_bytes`
    pub dictionary_sample_bytes: usize,
    /// `storage.compaction`
    pub compaction: Compaction,
    /// `storage.step_bytes`
    pub step_bytes: usize,
    /// `storage.read_path`
    pub read_path: ReadPath,
    /// `storage.ballast_bytes`
    pub ballast_bytes: u64,
    /// `storage.checkpoint_log_bytes`
    pub checkpoint_log_bytes: u64,
    /// `storage.maintain_log_bytes`
    pub maintain_log_bytes: u64,
    /// `transaction.memory_bytes`
    pub transaction_memory_bytes: usize,
    /// `concurrency.control`
    pub control: String,
    /// `planner.kind`
    pub planner: String,
    /// `wal.segment_bytes`
    pub wal_segment_bytes: u64,
    /// `wal.buffer_bytes`
    pub wal_buffer_bytes: usize,
    /// `wal.writer`
    pub wal_writer: LogWriter,
    /// `wal.spare_segments`
    pub wal_spare_segments: usize,
    /// `retention.keep`; `None`: for ever
    pub retention: Option<Duration>,
    /// `server.max_connections`
    pub max_connections: usize,
    /// `session.statement_memory_bytes`
    pub statement_memory_bytes: usize,
    /// `session.plan_cache_entries`
    pub plan_cache_entries: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./driftdb-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 5433)),
            unknown_roles: "admit".into(),
            engine: "lsm".into(),
            write_buffer_bytes: 64 << 20,
            cache_bytes: 256 << 20,
            block_size_bytes: 8 << 10,
            filter_bits_per_key: 10,
            filter: FilterKind::Bloom,
            compression: Compression::Lz4,
            dictionary_sample_bytes: 4 << 20,
            compaction: Compaction::Tiered,
            step_bytes: 4 << 20,
            read_path: ReadPath::Pread,
            ballast_bytes: 64 << 20,
            checkpoint_log_bytes: 256 << 20,
            maintain_log_bytes: 1 << 20,
            transaction_memory_bytes: 64 << 20,
            control: "ssi".into(),
            planner: "heuristic".into(),
            wal_segment_bytes: 16 << 20,
            wal_buffer_bytes: 4 << 20,
            wal_writer: LogWriter::Plain,
            wal_spare_segments: 4,
            retention: None,
            max_connections: 500,
            statement_memory_bytes: 1 << 30,
            plan_cache_entries: 256,
        }
    }
}

impl Config {
    /// The operating system, its disk reached as the settings say.
    pub fn env(&self) -> Env {
        let (read_path, log_writer) = (self.read_path, self.wal_writer);
        Env::os_with(IoOptions { read_path, log_writer })
    }

    /// Sets one setting from text.
    ///
    /// # Errors
    /// No such setting (with the one that was probably meant), or not a value of it.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let Some(setting) = settings().iter().find(|setting| setting.key == key) else {
            let names = settings().iter().map(|setting| setting.key);
            let hint = suggestion(key, names);
            return Err(ConfigError(format!("there is no setting \"{key}\"{hint}")));
        };
        (setting.set)(self, value)
            .map_err(|why| ConfigError(format!("{key} cannot be \"{value}\": {why}")))
    }

    /// The value of a setting, as text that [`Config::set`] takes.
    pub fn get(&self, key: &str) -> Option<String> {
        settings().iter().find(|setting| setting.key == key).map(|setting| (setting.get)(self))
    }

    /// Applies a TOML text.
    ///
    /// # Errors
    /// Not TOML, or as for [`Config::set`].
    pub fn apply_toml(&mut self, text: &str) -> Result<(), ConfigError> {
        for (key, value) in flatten_toml(text)? {
            self.set(&key, &value)?;
        }
        Ok(())
    }

    /// Applies those of the process's variables that are called `DRIFTDB_…`. `DRIFTDB_TEST_…` is for
    /// tests, and left alone.
    ///
    /// # Errors
    /// As for [`Config::set`].
    pub fn apply_variables(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            if !name.starts_with("DRIFTDB_") || name.starts_with("DRIFTDB_TEST_") {
                continue;
            }
            let Some(setting) = settings().iter().find(|s| variable_name(s.key) == name) else {
                let names: Vec<String> = settings().iter().map(|s| variable_name(s.key)).collect();
                let hint = suggestion(&name, names.iter().map(String::as_str));
                return Err(ConfigError(format!(
                    "the environment variable {name} names no setting{hint}"
                )));
            };
            self.set(setting.key, &value)?;
        }
        Ok(())
    }

    /// Applies one `KEY=VALUE`.
    ///
    /// # Errors
    /// No equals sign, or as for [`Config::set`].
    pub fn apply_assignment(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(ConfigError(format!(
                "\"{assignment}\" is not of the form KEY=VALUE, such as storage.engine=btree"
            )));
        };
        self.set(key.trim(), value.trim())
    }
}

/// `; did you mean "…"?` if some name is near.
pub(crate) fn suggestion<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    let nearest = names.map(|name| (distance(wrong, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 2 + wrong.len() / 4 => {
            format!("; did you mean \"{name}\"?")
        }
        _ => "; see driftdb config".to_owned(),
    }
}

/// Levenshtein's edit distance over bytes: names are short and ASCII.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sources_win() {
        let mut config = Config::default();
        config.apply_toml("listen = \"127.0.0.1:9\"\n[storage]\nengine = \"btree\"").unwrap();
        assert_eq!(config.engine, "btree");
        let variables = [("DRIFTDB_STORAGE_ENGINE".to_owned(), "memory".to_owned())];
        config.apply_variables(variables).unwrap();
        assert_eq!(config.engine, "memory");
        config.apply_assignment("storage.engine = lsm").unwrap();
        assert_eq!((config.engine.as_str(), config.listen.port()), ("lsm", 9));
    }

    #[test]
    fn mistakes_are_named_with_what_was_meant() {
        let mut config = Config::default();
        let error = |result: Result<(), ConfigError>| result.unwrap_err().0;
        assert_eq!(
            error(config.apply_assignment("storage.engin=lsm")),
            "there is no setting \"storage.engin\"; did you mean \"storage.engine\"?"
        );
        assert_eq!(
            error(config.apply_assignment("storage.engine=lsn")),
            "storage.engine cannot be \"lsn\": it must be one of lsm, btree, memory; did you mean \
             \"lsm\"?"
        );
        assert!(error(config.apply_assignment("nonsense")).contains("KEY=VALUE"));
        assert!(error(config.apply_toml("a = ")).contains("TOML"));
        let variables = [("DRIFTDB_STORAGE_ENGIN".to_owned(), String::new())];
        assert!(error(config.apply_variables(variables)).contains("DRIFTDB_STORAGE_ENGINE"));
        assert!(error(config.set("storage.cache_bytes", "lots")).contains("64MiB"));
    }

    #[test]
    fn every_default_reads_back() {
        let mut config = Config::default();
        for setting in settings() {
            let text = (setting.get)(&config);
            config.set(setting.key, &text).unwrap();
        }
        assert_eq!(config, Config::default());
    }
}
