//! `time with time zone`: a time of day and how far its zone is from UTC.
//!
//! Values are ordered by the instant of a day that they are, then by the zone.

use std::cmp::Ordering;

use super::calendar::DAY_MICROS;
use super::input::{Meaning, Problem, Zone, local_now, read};
use super::output::{write_offset, write_time};
use crate::{EvalContext, ValueError};

/// A time of day with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetz {
    /// Microseconds since midnight there.
    pub micros: i64,
    /// Seconds that the zone is west of UTC.
    pub west: i32,
}

impl Timetz {
    /// The microseconds since midnight in UTC, which may be outside of the day.
    pub fn utc_micros(self) -> i64 {
        self.micros + i64::from(self.west) * 1_000_000
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        self.utc_micros().cmp(&other.utc_micros()).then_with(|| self.west.cmp(&other.west))
    }

    /// The same instant of a day in another zone.
    #[must_use]
    pub(crate) fn in_zone(self, west: i32) -> Self {
        let micros = self.utc_micros() - i64::from(west) * 1_000_000;
        Self { micros: micros.rem_euclid(DAY_MICROS), west }
    }

    /// A time of day in the session's zone, as its rules are now.
    pub(crate) fn local(micros: i64, ctx: &EvalContext) -> Self {
        Self { micros, west: -ctx.time_zone.offset_at(ctx.transaction_ts) }
    }

    /// The time of day of an instant in the session's zone; nothing for the infinities.
    pub(crate) fn of_instant(utc: i64, ctx: &EvalContext) -> Option<Self> {
        if utc == i64::MIN || utc == i64::MAX {
            return None;
        }
        let offset = ctx.time_zone.offset_at(utc);
        let local = utc.saturating_add(i64::from(offset) * 1_000_000);
        Some(Self { micros: local.rem_euclid(DAY_MICROS), west: -offset })
    }
}

/// Reads a time of day; without a zone the session's holds.
///
/// # Errors
/// 22007, 22008, 22009.
pub(crate) fn parse_timetz(text: &str, ctx: &EvalContext) -> Result<Timetz, ValueError> {
    const NAME: &str = "time with time zone";
    let fail = |problem: Problem| problem.error(NAME, text);
    let trimmed = text.trim();
    let is_digit = |c: char| c.is_ascii_digit();
    let stripped = trimmed.strip_prefix(['T', 't']).filter(|rest| rest.starts_with(is_digit));
    let trimmed = stripped.unwrap_or(trimmed);
    let spelt = super::input::with_colons(trimmed);
    match read(spelt.as_deref().unwrap_or(trimmed), ctx).map_err(fail)? {
        Meaning::Now => Ok(Timetz::local(local_now(ctx).rem_euclid(DAY_MICROS), ctx)),
        Meaning::Civil { date, time: Some(micros), zone } => {
            let days =
                date.map_or_else(|| local_now(ctx).div_euclid(DAY_MICROS), |date| date.days());
            let local = days.saturating_mul(DAY_MICROS).saturating_add(micros);
            let offset = match zone {
                Some(Zone::Offset(seconds)) => seconds,
                // A zone whose rules change needs a date.
                Some(Zone::Named(zone)) if date.is_none() && !zone.is_fixed_at(local) => {
                    return Err(fail(Problem::Format));
                }
                Some(Zone::Named(zone)) => zone.offset_of_local(local),
                None => ctx.time_zone.offset_of_local(local),
            };
            Ok(Timetz { micros, west: -offset })
        }
        _ => Err(fail(Problem::Format)),
    }
}

/// Appends a time of day with its zone.
pub(crate) fn write_timetz(v: Timetz, out: &mut Vec<u8>) {
    write_time(v.micros, out);
    write_offset(-v.west, out);
}
