//! What evaluation depends on besides its arguments: clocks, the session's settings, randomness.

use std::fmt;
use std::sync::Arc;

use crate::actions::{NoActions, SessionActions};
use crate::datetime::TimeZone;

/// How dates and timestamps are printed (the first half of `DateStyle`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateFormat {
    /// `1997-12-17 07:37:16-08`
    #[default]
    Iso,
    /// `12/17/1997 07:37:16.00 PST`
    Sql,
    /// `Wed Dec 17 07:37:16 1997 PST`
    Postgres,
    /// `17.12.1997 07:37:16.00 PST`
    German,
}

/// How `1/2/3` is read (the second half of `DateStyle`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateOrder {
    /// Month, day, year.
    #[default]
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

/// How intervals are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IntervalStyle {
    /// `1 year 2 mons 3 days 04:05:06`
    #[default]
    Postgres,
    /// `@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs`
    PostgresVerbose,
    /// `+1-2 +3 +4:05:06`
    SqlStandard,
    /// `P1Y2M3DT4H5M6S`
    Iso8601,
}

/// How `bytea` is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ByteaOutput {
    /// `\x0123`
    #[default]
    Hex,
    /// `\001#`
    Escape,
}

/// Everything an expression can see that is not an argument. Cheap to borrow; a statement has one.
///
/// The default stands at 2000-01-01 UTC with a clock that does not move and a random sequence that is
/// always the same: it is for constant folding and tests. The server fills in every field.
#[derive(Clone)]
pub struct EvalContext {
    /// When the transaction began: microseconds since 2000-01-01 UTC.
    pub transaction_ts: i64,
    /// When the statement arrived, likewise.
    pub statement_ts: i64,
    /// The current time, likewise; for `clock_timestamp()`.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// The session's `TimeZone`.
    pub time_zone: TimeZone,
    /// The first half of `DateStyle`.
    pub date_format: DateFormat,
    /// The second half of `DateStyle`.
    pub date_order: DateOrder,
    /// `IntervalStyle`
    pub interval_style: IntervalStyle,
    /// `extra_float_digits`: above zero, floats are printed so that they read back the same.
    pub extra_float_digits: i32,
    /// `bytea_output`
    pub bytea_output: ByteaOutput,
    /// `current_user`
    pub user: Arc<str>,
    /// The identifier of the role whose rights count; 10 may do everything.
    pub role: u32,
    /// That of the session's user.
    pub session_role: u32,
    /// `session_user`
    pub session_user: Arc<str>,
    /// `current_database()`
    pub database: Arc<str>,
    /// The schemas on the search path, whether they exist or not, without those that are on every path
    /// where they are not named.
    pub schemas: Arc<[Box<str>]>,
    /// `pg_backend_pid()`
    pub backend_pid: i32,
    /// `version()`
    pub version: Arc<str>,
    /// 64 random bits at each call; for `random()` and `gen_random_uuid()`.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// What functions can do to the session.
    pub actions: Arc<dyn SessionActions>,
}

impl Default for EvalContext {
    fn default() -> Self {
        let sequence = std::sync::atomic::AtomicU64::new(0);
        Self {
            transaction_ts: 0,
            statement_ts: 0,
            clock: Arc::new(|| 0),
            time_zone: TimeZone::utc(),
            date_format: DateFormat::default(),
            date_order: DateOrder::default(),
            interval_style: IntervalStyle::default(),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::default(),
            user: Arc::from("driftdb"),
            role: 10,
            session_role: 10,
            session_user: Arc::from("driftdb"),
            database: Arc::from("driftdb"),
            schemas: Arc::from(["public".into()]),
            backend_pid: 0,
            version: Arc::from(concat!(
                "PostgreSQL 15.0 (DriftDB ",
                env!("CARGO_PKG_VERSION"),
                ")"
            )),
            actions: Arc::new(NoActions),
            random: Arc::new(move || {
                // SplitMix64 over a counter.
                let step = sequence.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                let mut z = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }),
        }
    }
}

impl fmt::Debug for EvalContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvalContext")
            .field("transaction_ts", &self.transaction_ts)
            .field("statement_ts", &self.statement_ts)
            .field("time_zone", &self.time_zone)
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}
