//! PostgreSQL's clock: microseconds since 2000-01-01.

use driftdb_env::Env;

/// From 1970-01-01 to 2000-01-01 in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Wall-clock time as a timestamptz.
pub(crate) fn wall_micros(env: &Env) -> i64 {
    i64::try_from(env.wall().as_micros()).unwrap_or(i64::MAX).saturating_sub(EPOCH_MICROS)
}
