//! The table of settings that SET and SHOW know.
//!
//! A setting is here only if the value it has is true: where there is no choice, only that value is
//! accepted.

use driftdb_query::{Result, SqlError};
use driftdb_types::{SqlState, TimeZone};

pub(super) use super::number::{Number, Unit};
use super::parse;
use crate::SERVER_VERSION;

/// One setting.
#[derive(Debug)]
pub(super) struct Parameter {
    /// As SHOW ALL prints it; found without regard to case.
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) description: &'static str,
    /// Whether the client is told of changes.
    pub(super) is_reported: bool,
    kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Bool,
    Int {
        least: i64,
        most: i64,
    },
    /// A number, perhaps with a unit.
    Number(Number),
    /// Milliseconds, with a unit or without.
    Duration,
    Enum(&'static [&'static str]),
    /// Only this value, which users may also write in other ways.
    Only(&'static [&'static str]),
    /// Only this encoding, which is named by its letters and digits.
    Encoding(&'static [&'static str]),
    Text,
    TimeZone,
    DateStyle,
    SearchPath,
    /// Who the session is: another way leads to it.
    Role,
    /// Cannot be changed.
    Fact,
}

macro_rules! parameter {
    ($name:literal, $default:expr, $kind:expr, $description:expr) => {
        Parameter {
            name: $name,
            default: $default,
            description: $description,
            is_reported: false,
            kind: $kind,
        }
    };
    (told $name:literal, $default:expr, $kind:expr, $description:literal) => {
        Parameter {
            name: $name,
            default: $default,
            description: $description,
            is_reported: true,
            kind: $kind,
        }
    };
}

/// Every setting, by name.
#[rustfmt::skip]
pub(super) fn parameters() -> &'static [Parameter] {
    const LEVELS: &[&str] =
        &["serializable", "repeatable read", "read committed", "read uncommitted"];
    // Another way to the same rows is all that these ask for.
    const PREFERENCE: &str = "Sets what a planner prefers; this one has its own mind.";
    const TABLE: &[Parameter] = &[
        parameter!(told "application_name", "", Kind::Text,
            "Sets the application name to be reported in statistics and logs."),
        parameter!("bytea_output", "hex", Kind::Enum(&["escape", "hex"]),
            "Sets the output format for bytea."),
        parameter!("check_function_bodies", "on", Kind::Bool,
            "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE."),
        parameter!(told "client_encoding", "UTF8", Kind::Encoding(&["utf8", "unicode"]),
            "Sets the client's character set encoding."),
        parameter!("client_min_messages", "notice",
            Kind::Enum(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]),
            "Sets the message levels that are sent to the client."),
        parameter!(told "DateStyle", "ISO, MDY", Kind::DateStyle,
            "Sets the display format for date and time values."),
        parameter!("deadlock_timeout", "1s", Kind::Duration,
            "Sets the longest time before a deadlock is looked for; it is found at once."),
        parameter!("default_table_access_method", "heap", Kind::Only(&["heap"]),
            "Sets the default table access method for new tables."),
        parameter!("default_tablespace", "", Kind::Only(&["", "pg_default"]),
            "Sets the default tablespace to create tables and indexes in."),
        parameter!("default_transaction_deferrable", "off", Kind::Bool,
            "Sets the default deferrable status of new transactions."),
        parameter!("default_transaction_isolation", "read committed", Kind::Enum(LEVELS),
            "Sets the transaction isolation level of each new transaction."),
        parameter!(told "default_transaction_read_only", "off", Kind::Bool,
            "Sets the default read-only status of new transactions."),
        parameter!("driftdb.as_of", "", Kind::Text,
            "Sets the time that new transactions read at; empty for the present."),
        parameter!("driftdb.comment", "", Kind::Text,
            "Sets what the commits of this session are for; driftdb_transactions shows it."),
        parameter!("enable_async_append", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_bitmapscan", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_gathermerge", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_hashagg", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_hashjoin", "on", Kind::Bool, "Off: every join is a loop."),
        parameter!("enable_incremental_sort", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_indexonlyscan", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_indexscan", "on", Kind::Bool, "Off: tables are read whole."),
        parameter!("enable_material", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_memoize", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_mergejoin", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_nestloop", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_parallel_append", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_parallel_hash", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_partition_pruning", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_partitionwise_aggregate", "off", Kind::Bool, PREFERENCE),
        parameter!("enable_partitionwise_join", "off", Kind::Bool, PREFERENCE),
        parameter!("enable_seqscan", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_sort", "on", Kind::Bool, PREFERENCE),
        parameter!("enable_tidscan", "on", Kind::Bool, PREFERENCE),
        parameter!("extra_float_digits", "1", Kind::Int { least: -15, most: 3 },
            "Sets the number of digits displayed for floating-point values."),
        parameter!("idle_in_transaction_session_timeout", "0", Kind::Duration,
            "Sets the maximum allowed idle time between queries, when in a transaction."),
        parameter!("idle_session_timeout", "0", Kind::Duration,
            "Sets the maximum allowed idle time between queries, when not in a transaction."),
        parameter!(told "in_hot_standby", "off", Kind::Fact,
            "Shows whether hot standby is currently active."),
        parameter!(told "integer_datetimes", "on", Kind::Fact,
            "Shows whether datetimes are integer based."),
        parameter!(told "IntervalStyle", "postgres",
            Kind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
            "Sets the display format for interval values."),
        parameter!(told "is_superuser", "on", Kind::Fact,
            "Shows whether the current user is a superuser."),
        parameter!("jit", "off", Kind::Only(&["off", "false", "no", "0"]), "Allow JIT compilation."),
        parameter!("lock_timeout", "0", Kind::Duration,
            "Sets the maximum allowed duration of any wait for a lock."),
        parameter!("max_identifier_length", "63", Kind::Fact,
            "Shows the maximum identifier length."),
        parameter!("max_index_keys", "32", Kind::Fact,
            "Shows the maximum number of index keys."),
        parameter!("role", "none", Kind::Role, "Sets the current role."),
        parameter!("row_security", "on", Kind::Bool, "Enable row security."),
        parameter!("search_path", "\"$user\", public", Kind::SearchPath,
            "Sets the schema search order for names that are not schema-qualified."),
        parameter!("server_encoding", "UTF8", Kind::Fact,
            "Shows the server (database) character set encoding."),
        parameter!(told "server_version", SERVER_VERSION, Kind::Fact, "Shows the server version."),
        parameter!("server_version_num", "150000", Kind::Fact,
            "Shows the server version as an integer."),
        parameter!(told "session_authorization", "driftdb", Kind::Role,
            "Shows the session user name."),
        parameter!(told "standard_conforming_strings", "on", Kind::Bool,
            "Causes '...' strings to treat backslashes literally."),
        parameter!("statement_timeout", "0", Kind::Duration,
            "Sets the maximum allowed duration of any statement."),
        parameter!("synchronize_seqscans", "off", Kind::Only(&["off", "false", "no", "0"]),
            "Enable synchronized sequential scans."),
        parameter!("synchronous_commit", "on", Kind::Only(&["on", "true", "yes", "1", "local"]),
            "Sets the current transaction's synchronization level."),
        parameter!(told "TimeZone", "UTC", Kind::TimeZone,
            "Sets the time zone for displaying and interpreting time stamps."),
        parameter!("xmloption", "content", Kind::Only(&["content"]),
            "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments."),
    ];
    TABLE
}

impl Parameter {
    /// One of which clients are not told.
    pub(super) const fn new(
        name: &'static str,
        default: &'static str,
        kind: Kind,
        description: &'static str,
    ) -> Self {
        Self { name, default, description, is_reported: false, kind }
    }

    /// pg_settings.vartype.
    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Bool => "bool",
            Kind::Number(Number { is_real: true, .. }) => "real",
            Kind::Int { .. } | Kind::Number(_) | Kind::Duration => "integer",
            Kind::Enum(_) => "enum",
            _ => "string",
        }
    }

    /// Whether it says something that cannot be otherwise.
    pub(super) fn is_fact(&self) -> bool {
        matches!(self.kind, Kind::Fact)
    }

    /// Whether it says who the session is.
    pub(super) fn is_role(&self) -> bool {
        matches!(self.kind, Kind::Role)
    }

    /// Whether SET may touch it.
    pub(super) fn check_changeable(&self) -> Result<()> {
        if matches!(self.kind, Kind::Fact) {
            let message = format!("parameter \"{}\" cannot be changed", self.name);
            return Err(SqlError::new(SqlState::CantChangeRuntimeParam, message));
        }
        Ok(())
    }

    /// The one form of a value; `current` is the one that it replaces.
    pub(super) fn canonical(&self, value: &str, current: &str) -> Result<String> {
        let invalid = || {
            let message = format!("invalid value for parameter \"{}\": \"{value}\"", self.name);
            SqlError::new(SqlState::InvalidParameterValue, message)
        };
        match &self.kind {
            Kind::Bool => match parse::parse_bool(value) {
                Some(truth) => Ok(if truth { "on" } else { "off" }.to_owned()),
                None => {
                    let message = format!("parameter \"{}\" requires a Boolean value", self.name);
                    Err(SqlError::new(SqlState::InvalidParameterValue, message))
                }
            },
            Kind::Int { least, most } => {
                let number: i64 = value.trim().parse().map_err(|_| invalid())?;
                if !(*least..=*most).contains(&number) {
                    let message = format!(
                        "{number} is outside the valid range for parameter \"{}\" ({least} .. {most})",
                        self.name
                    );
                    return Err(SqlError::new(SqlState::InvalidParameterValue, message));
                }
                Ok(number.to_string())
            }
            Kind::Duration => parse::canonical_millis(value).ok_or_else(|| {
                invalid().with_hint("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".")
            }),
            Kind::Enum(names) => {
                let found = names.iter().find(|name| name.eq_ignore_ascii_case(value.trim()));
                found.map(|name| (*name).to_owned()).ok_or_else(|| {
                    invalid().with_hint(format!("Available values: {}.", names.join(", ")))
                })
            }
            Kind::Only(names) => {
                if names.iter().any(|name| name.eq_ignore_ascii_case(value.trim())) {
                    return Ok(self.default.to_owned());
                }
                Err(invalid().with_hint(format!("This build only has \"{}\".", self.default)))
            }
            Kind::Encoding(names) => {
                // As PostgreSQL compares them: asyncpg sends 'utf-8', with its quotes.
                let letters = value.chars().filter(char::is_ascii_alphanumeric);
                let name: String = letters.map(|c| c.to_ascii_lowercase()).collect();
                if names.contains(&&*name) {
                    return Ok(self.default.to_owned());
                }
                Err(invalid().with_hint(format!("This build only has \"{}\".", self.default)))
            }
            Kind::Text => Ok(value.to_owned()),
            Kind::TimeZone => {
                let zone = TimeZone::from_setting(value).ok_or_else(invalid)?;
                Ok(zone.name().to_owned())
            }
            Kind::Number(number) => number.canonical(self.name, value),
            Kind::DateStyle => parse::canonical_date_style(value, current).ok_or_else(invalid),
            Kind::SearchPath => match parse::path(value) {
                Some(_) => Ok(value.to_owned()),
                None => Err(invalid().with_detail("List syntax is invalid.")),
            },
            Kind::Role => {
                let message = format!("cannot set parameter \"{}\" in this way", self.name);
                Err(SqlError::new(SqlState::FeatureNotSupported, message)
                    .with_hint("Use SET ROLE or SET SESSION AUTHORIZATION, outside of functions."))
            }
            Kind::Fact => Ok(value.to_owned()),
        }
    }
}
