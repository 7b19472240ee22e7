//! The table of settings.

use driftdb_env::{LogWriter, ReadPath};
use driftdb_storage::{Compaction, Compression, FilterKind};

use super::Config;
use super::value::{parse_bytes, parse_choice, parse_duration, write_bytes, write_duration};
use crate::node::{CONTROLS, ENGINES, PLANNERS};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key, as in the file and in `--set`.
    pub key: &'static str,
    /// What its values are.
    pub unit: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Sets it from text.
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
    /// Its value as text.
    pub(super) get: fn(&Config) -> String,
}

/// A setting that is a number of bytes.
macro_rules! bytes {
    ($key:literal, $field:ident: $ty:ty, at least $least:expr, $meaning:literal) => {
        Setting {
            key: $key,
            unit: "bytes",
            meaning: $meaning,
            set: |config, text| {
                let bytes = parse_bytes(text)?;
                if bytes < $least {
                    return Err(format!("it must be at least {}", write_bytes($least)));
                }
                config.$field = <$ty>::try_from(bytes).map_err(|_| "it is too large".to_owned())?;
                Ok(())
            },
            get: |config| write_bytes(u64::try_from(config.$field).unwrap_or(u64::MAX)),
        }
    };
}

/// A setting that is a count.
macro_rules! count {
    ($key:literal, $field:ident, from $least:literal to $most:literal, $meaning:literal) => {
        Setting {
            key: $key,
            unit: "count",
            meaning: $meaning,
            set: |config, text| {
                let number: usize = text.parse().map_err(|_| "it must be a number".to_owned())?;
                if !($least..=$most).contains(&number) {
                    return Err(format!("it must be from {} to {}", $least, $most));
                }
                config.$field = number;
                Ok(())
            },
            get: |config| config.$field.to_string(),
        }
    };
}

/// A setting that is one of some names.
macro_rules! choice {
    ($key:literal, $field:ident, $unit:literal, $names:expr, $meaning:literal) => {
        Setting {
            key: $key,
            unit: $unit,
            meaning: $meaning,
            set: |config, text| {
                config.$field = parse_choice(text, $names)?;
                Ok(())
            },
            get: |config| config.$field.clone(),
        }
    };
}

/// A setting that is one of the values of a type.
macro_rules! named {
    ($key:literal, $field:ident: $ty:ty, $unit:literal, $meaning:literal) => {
        Setting {
            key: $key,
            unit: $unit,
            meaning: $meaning,
            set: |config, text| {
                let name = parse_choice(text, <$ty>::NAMES)?;
                config.$field = <$ty>::from_name(&name).expect("one of its names");
                Ok(())
            },
            get: |config| config.$field.name().to_owned(),
        }
    };
}

/// Every setting, in the order in which `driftdb config` prints them.
#[expect(clippy::too_many_lines, reason = "a table: a few lines for each setting")]
pub fn settings() -> &'static [Setting] {
    const TABLE: &[Setting] = &[
        Setting {
            key: "data",
            unit: "path",
            meaning: "The data directory; made when it is not there.",
            set: |config, text| {
                config.data = text.into();
                Ok(())
            },
            get: |config| config.data.display().to_string(),
        },
        Setting {
            key: "listen",
            unit: "address:port",
            meaning: "Where to accept connections; loopback only until TLS and passwords come.",
            set: |config, text| {
                let text = text.replace("localhost", "127.0.0.1");
                config.listen = text
                    .parse()
                    .map_err(|_| "it must be address:port, such as 127.0.0.1:5433".to_owned())?;
                Ok(())
            },
            get: |config| config.listen.to_string(),
        },
        choice!(
            "auth.unknown_roles",
            unknown_roles,
            "admit | refuse",
            &["admit", "refuse"],
            "Who connects under a name that is no role's: may do everything, or is refused."
        ),
        choice!(
            "storage.engine",
            engine,
            "lsm | btree | memory",
            ENGINES,
            "The storage engine; a data directory keeps the one it was made with."
        ),
        bytes!("storage.write_buffer_bytes", write_buffer_bytes: usize, at least 4 << 10,
            "Memory for data that is not yet on disk; more starts a flush or a checkpoint."),
        bytes!("storage.cache_bytes", cache_bytes: usize, at least 1 << 10,
            "Memory for cached blocks or pages."),
        bytes!("storage.block_size_bytes", block_size_bytes: usize, at least 512,
            "The size that blocks of tables aim at."),
        count!("storage.filter_bits_per_key", filter_bits_per_key, from 0 to 64,
            "Bits per key of membership filters; 0 turns them off."),
        named!("storage.filter", filter: FilterKind, "bloom | fuse",
            "The kind of membership filters: blocked Bloom, or binary fuse (smaller, dearer to build)."),
        named!("storage.compression", compression: Compression, "none | lz4 | zstd",
            "How blocks of tables, and pages of history, are compressed."),
        Setting {
            key: "storage.dictionary_sample_bytes",
            unit: "bytes",
            meaning: "Under zstd, how much of a new table is kept in memory to learn a dictionary from; 0: none is made.",
            set: |config, text| {
                let bytes = parse_bytes(text)?;
                let bytes = usize::try_from(bytes).map_err(|_| "it is too large".to_owned())?;
                config.dictionary_sample_bytes = bytes;
                Ok(())
            },
            get: |config| write_bytes(config.dictionary_sample_bytes as u64),
        },
        named!("storage.compaction", compaction: Compaction, "leveled | tiered",
            "How sorted runs are merged: few runs to read, or little rewriting."),
        bytes!("storage.step_bytes", step_bytes: usize, at least 4 << 10,
            "How much one step of maintenance writes: between two of them others get their turn."),
        named!("storage.read_path", read_path: ReadPath, "pread | mmap | io_uring",
            "How immutable tables are read."),
        Setting {
            key: "storage.ballast_bytes",
            unit: "bytes",
            meaning: "Space kept aside, so that maintenance can make room when the disk is full; 0: none.",
            set: |config, text| {
                config.ballast_bytes = parse_bytes(text)?;
                Ok(())
            },
            get: |config| write_bytes(config.ballast_bytes),
        },
        bytes!("storage.checkpoint_log_bytes", checkpoint_log_bytes: u64, at least 4 << 10,
            "How much log may be left to replay before a checkpoint is made."),
        bytes!("storage.maintain_log_bytes", maintain_log_bytes: u64, at least 1 << 10,
            "How much log is written between two looks of the background task."),
        bytes!("transaction.memory_bytes", transaction_memory_bytes: usize, at least 1,
            "How much memory the writes of one transaction may take before they go to disk."),
        choice!(
            "concurrency.control",
            control,
            "ssi | locking",
            CONTROLS,
            "The concurrency control: MVCC snapshots, or strict two-phase locking."
        ),
        choice!("planner.kind", planner, "heuristic", PLANNERS, "The query planner."),
        bytes!("wal.segment_bytes", wal_segment_bytes: u64, at least 64 << 10,
            "The size of one file of the log."),
        bytes!("wal.buffer_bytes", wal_buffer_bytes: usize, at least 4 << 10,
            "How much log may gather in memory before writers must wait for a flush."),
        named!("wal.writer", wal_writer: LogWriter, "plain | dsync | io_uring",
            "How the log is written and synced: two calls, one, or one through io_uring."),
        count!("wal.spare_segments", wal_spare_segments, from 0 to 1024,
            "How many files of the log are kept to be used again."),
        Setting {
            key: "retention.keep",
            unit: "duration | forever",
            meaning: "How far back every time stays readable with AS OF.",
            set: |config, text| {
                config.retention = parse_duration(text)?;
                Ok(())
            },
            get: |config| write_duration(config.retention),
        },
        count!("server.max_connections", max_connections, from 1 to 100_000,
            "Connections beyond this many are refused (53300)."),
        bytes!("session.statement_memory_bytes", statement_memory_bytes: usize, at least 1 << 20,
            "The most memory that sorts and hash tables of one statement may take (53200)."),
        count!("session.plan_cache_entries", plan_cache_entries, from 0 to 100_000,
            "How many plans of repeated texts a session keeps."),
    ];
    TABLE
}
