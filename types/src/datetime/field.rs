//! Fields of dates and times: `extract`, `date_part`, `date_trunc`, `date_bin`.

use super::calendar::{
    Civil, CivilTime, DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, UNIX_EPOCH_SECONDS,
    civil_from_days, iso_week_start, split_time, split_timestamp,
};
use super::keyword::unit;
use super::{TimeZone, interval_out_of_range, timestamp_out_of_range, timestamp_to_timestamptz};
use crate::{DataType, Interval, Numeric, SqlState, Timetz, ValueError};

/// What a field is taken from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    Date(i32),
    Time(i64),
    Timetz(Timetz),
    Timestamp(i64),
    /// The instant, and the seconds east of Greenwich of the session's zone at it.
    Timestamptz(i64, i32),
    Interval(Interval),
}

impl Subject {
    fn data_type(self) -> DataType {
        match self {
            Self::Date(_) => DataType::Date,
            Self::Time(_) => DataType::Time,
            Self::Timetz(_) => DataType::Timetz,
            Self::Timestamp(_) => DataType::Timestamp,
            Self::Timestamptz(..) => DataType::Timestamptz,
            Self::Interval(_) => DataType::Interval,
        }
    }

    fn infinity(self) -> Option<bool> {
        let v = match self {
            Self::Date(v) if v == i32::MIN || v == i32::MAX => i64::from(v),
            Self::Timestamp(v) | Self::Timestamptz(v, _) if v == i64::MIN || v == i64::MAX => v,
            _ => return None,
        };
        Some(v < 0)
    }

    /// The calendar time, for all but intervals and times.
    fn civil(self) -> Option<CivilTime> {
        match self {
            Self::Date(v) => Some(split_time(civil_from_days(i64::from(v)), 0)),
            Self::Timestamp(v) => Some(split_timestamp(v)),
            Self::Timestamptz(v, offset) => {
                Some(split_timestamp(v.saturating_add(i64::from(offset) * SECOND_MICROS)))
            }
            Self::Time(_) | Self::Timetz(_) | Self::Interval(_) => None,
        }
    }
}

/// A field's value: an integer over a power of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decimal(i128, u16);

fn whole(v: i64) -> Decimal {
    Decimal(i128::from(v), 0)
}

/// `extract(field from subject)`; nothing where the field of an infinity is not defined.
///
/// # Errors
/// 22023 for a field nobody knows, 0A000 for one the type does not have.
pub(crate) fn extract(field: &str, subject: Subject) -> Result<Option<Numeric>, ValueError> {
    match lookup(field, subject)? {
        Found::Decimal(Decimal(digits, scale)) => Ok(Some(Numeric::new(digits, scale))),
        Found::Infinite(true) => Ok(Some(Numeric::NegInfinity)),
        Found::Infinite(false) => Ok(Some(Numeric::Infinity)),
        Found::Nothing => Ok(None),
    }
}

/// `date_part(field, subject)`
///
/// # Errors
/// As [`extract`].
pub(crate) fn extract_float(field: &str, subject: Subject) -> Result<Option<f64>, ValueError> {
    match lookup(field, subject)? {
        // In floating point the sum of the day and its part is rounded once more.
        Found::Decimal(_) if field.eq_ignore_ascii_case("julian") => {
            Ok(subject.civil().map(|civil| {
                let seconds = civil.time() as f64 / SECOND_MICROS as f64;
                (civil.date.days() + 2_451_545) as f64 + seconds / 86_400.0
            }))
        }
        Found::Decimal(Decimal(digits, scale)) => {
            Ok(Some(digits as f64 / 10f64.powi(i32::from(scale))))
        }
        Found::Infinite(true) => Ok(Some(f64::NEG_INFINITY)),
        Found::Infinite(false) => Ok(Some(f64::INFINITY)),
        Found::Nothing => Ok(None),
    }
}

enum Found {
    Decimal(Decimal),
    Infinite(bool),
    Nothing,
}

fn unknown(field: &str, ty: DataType) -> ValueError {
    let message = format!("unit \"{field}\" not recognized for type {ty}");
    ValueError::new(SqlState::InvalidParameterValue, message)
}

fn unsupported(field: &str, ty: DataType) -> ValueError {
    let message = format!("unit \"{field}\" not supported for type {ty}");
    ValueError::new(SqlState::FeatureNotSupported, message)
}

/// The field's one spelling: a unit, or a field that is no unit.
fn canonical(field: &str) -> Option<&'static str> {
    Some(match field {
        "dow" => "dow",
        "doy" => "doy",
        "isodow" => "isodow",
        "isoyear" => "isoyear",
        "epoch" => "epoch",
        "julian" => "julian",
        "timezone" => "timezone",
        "timezone_hour" => "timezone_hour",
        "timezone_minute" => "timezone_minute",
        other => return unit(other),
    })
}

fn lookup(field: &str, subject: Subject) -> Result<Found, ValueError> {
    let ty = subject.data_type();
    let name = field.to_ascii_lowercase();
    let Some(unit) = canonical(&name) else { return Err(unknown(&name, ty)) };
    if let Some(negative) = subject.infinity() {
        return Ok(match unit {
            "year" | "decade" | "century" | "millennium" | "julian" | "isoyear" | "epoch" => {
                Found::Infinite(negative)
            }
            _ if matches!(subject, Subject::Date(_))
                && (is_clock(unit) || unit.starts_with("timezone")) =>
            {
                return Err(unsupported(&name, ty));
            }
            _ => Found::Nothing,
        });
    }
    let found = match subject {
        Subject::Interval(v) => interval_field(unit, v),
        Subject::Time(v) => time_field(unit, v),
        Subject::Timetz(v) => timetz_field(unit, v),
        Subject::Date(_) if is_clock(unit) => None,
        _ => subject.civil().and_then(|civil| civil_field(unit, &civil, subject)),
    };
    found.map(Found::Decimal).ok_or_else(|| unsupported(&name, ty))
}

fn is_clock(unit: &str) -> bool {
    matches!(unit, "microsecond" | "millisecond" | "second" | "minute" | "hour")
}

fn clock_field(unit: &str, hour: i64, minute: i64, micros: i64) -> Option<Decimal> {
    Some(match unit {
        "microsecond" => whole(micros),
        "millisecond" => Decimal(i128::from(micros), 3),
        "second" => Decimal(i128::from(micros), 6),
        "minute" => whole(minute),
        "hour" => whole(hour),
        _ => return None,
    })
}

fn time_field(unit: &str, v: i64) -> Option<Decimal> {
    if unit == "epoch" {
        return Some(Decimal(i128::from(v), 6));
    }
    clock_field(unit, v / HOUR_MICROS, v / MINUTE_MICROS % 60, v % MINUTE_MICROS)
}

fn timetz_field(unit: &str, v: Timetz) -> Option<Decimal> {
    let east = -i64::from(v.west);
    Some(match unit {
        "epoch" => Decimal(i128::from(v.utc_micros()), 6),
        "timezone" => whole(east),
        "timezone_hour" => whole(east / 3600),
        "timezone_minute" => whole(east / 60 % 60),
        _ => return time_field(unit, v.micros),
    })
}

fn interval_field(unit: &str, v: Interval) -> Option<Decimal> {
    let years = i64::from(v.months / 12);
    Some(match unit {
        "day" => whole(i64::from(v.days)),
        "month" => whole(i64::from(v.months % 12)),
        "quarter" => whole(i64::from(v.months % 12 / 3 + 1)),
        "year" => whole(years),
        "decade" => whole(years / 10),
        "century" => whole(years / 100),
        "millennium" => whole(years / 1000),
        "epoch" => {
            // A year is 365.25 days, a month beyond it 30.
            let quarter_days =
                i128::from(years) * 1461 + i128::from(v.months % 12) * 120 + i128::from(v.days) * 4;
            Decimal(quarter_days * i128::from(DAY_MICROS / 4) + i128::from(v.micros), 6)
        }
        _ => {
            return clock_field(
                unit,
                v.micros / HOUR_MICROS,
                v.micros / MINUTE_MICROS % 60,
                v.micros % MINUTE_MICROS,
            );
        }
    })
}

/// Counts periods of years the way people do: there is no year, century or millennium 0.
fn period(year: i32, size: i32) -> i64 {
    let year = i64::from(year);
    let size = i64::from(size);
    if year > 0 { (year + size - 1) / size } else { -((size - 1 - (year - 1)) / size) }
}

fn civil_field(unit: &str, civil: &CivilTime, subject: Subject) -> Option<Decimal> {
    let date = civil.date;
    let display_year = if date.year > 0 { date.year } else { date.year - 1 };
    Some(match unit {
        "day" => whole(i64::from(date.day)),
        "month" => whole(i64::from(date.month)),
        "quarter" => whole(i64::from((date.month - 1) / 3 + 1)),
        "week" => whole(i64::from(date.iso_week().1)),
        "year" => whole(i64::from(display_year)),
        "decade" => whole(i64::from(date.year.div_euclid(10))),
        "century" => whole(period(date.year, 100)),
        "millennium" => whole(period(date.year, 1000)),
        "isoyear" => {
            let year = date.iso_week().0;
            whole(i64::from(if year > 0 { year } else { year - 1 }))
        }
        "dow" => whole(i64::from(date.day_of_week())),
        "isodow" => whole(i64::from((date.day_of_week() + 6) % 7 + 1)),
        "doy" => whole(i64::from(date.day_of_year())),
        "julian" => {
            let day = date.days() + 2_451_545;
            if matches!(subject, Subject::Date(_)) {
                return Some(whole(day));
            }
            // The part of the day, to the scale that numeric division gives.
            let part = Numeric::from(civil.time()).div(&Numeric::from(DAY_MICROS)).ok()?;
            let sum = Numeric::from(day).add(&part).ok()?;
            let Numeric::Small { digits, scale } = sum else { return None };
            Decimal(digits, scale)
        }
        "epoch" => match subject {
            Subject::Date(v) => whole(i64::from(v) * 86_400 + UNIX_EPOCH_SECONDS),
            Subject::Timestamp(v) | Subject::Timestamptz(v, _) => Decimal(
                i128::from(v) + i128::from(UNIX_EPOCH_SECONDS) * i128::from(SECOND_MICROS),
                6,
            ),
            _ => return None,
        },
        "timezone" | "timezone_hour" | "timezone_minute" => {
            let Subject::Timestamptz(_, offset) = subject else { return None };
            let offset = i64::from(offset);
            whole(match unit {
                "timezone" => offset,
                "timezone_hour" => offset / 3600,
                _ => offset / 60 % 60,
            })
        }
        _ => {
            return clock_field(
                unit,
                i64::from(civil.hour),
                i64::from(civil.minute),
                i64::from(civil.second) * SECOND_MICROS + i64::from(civil.micros),
            );
        }
    })
}

/// Cuts a calendar time to a unit; nothing for a unit that cannot be cut to.
fn truncate(unit: &str, mut civil: CivilTime) -> Option<CivilTime> {
    let year = civil.date.year;
    let first = |year: i32| Civil { year, month: 1, day: 1 };
    match unit {
        "microsecond" => return Some(civil),
        "millisecond" => {
            civil.micros = civil.micros / 1000 * 1000;
            return Some(civil);
        }
        _ => civil.micros = 0,
    }
    match unit {
        "second" => return Some(civil),
        "minute" => {
            civil.second = 0;
            return Some(civil);
        }
        _ => civil.second = 0,
    }
    civil.minute = 0;
    if unit == "hour" {
        return Some(civil);
    }
    civil.hour = 0;
    civil.date = match unit {
        "day" => civil.date,
        "week" => {
            let (year, week) = civil.date.iso_week();
            civil_from_days(iso_week_start(year, week))
        }
        "month" => Civil { day: 1, ..civil.date },
        "quarter" => Civil { month: (civil.date.month - 1) / 3 * 3 + 1, day: 1, ..civil.date },
        "year" => first(year),
        "decade" => first(year.div_euclid(10) * 10),
        // Periods begin with the year 1.
        "century" => first((year - 1).div_euclid(100) * 100 + 1),
        "millennium" => first((year - 1).div_euclid(1000) * 1000 + 1),
        _ => return None,
    };
    Some(civil)
}

/// `date_trunc(unit, timestamp)`, in a zone for instants.
///
/// # Errors
/// 22023 and 0A000 as [`extract`].
pub(crate) fn date_trunc(field: &str, v: i64, zone: Option<&TimeZone>) -> Result<i64, ValueError> {
    let ty = if zone.is_some() { DataType::Timestamptz } else { DataType::Timestamp };
    if v == i64::MIN || v == i64::MAX {
        return Ok(v);
    }
    let name = field.to_ascii_lowercase();
    let Some(unit) = unit(&name) else { return Err(unknown(&name, ty)) };
    let offset = zone.map_or(0, |zone| zone.offset_at(v));
    let civil = split_timestamp(v.saturating_add(i64::from(offset) * SECOND_MICROS));
    let cut = truncate(unit, civil).ok_or_else(|| unsupported(&name, ty))?;
    let local = cut.timestamp().ok_or_else(timestamp_out_of_range)?;
    match zone {
        None => Ok(local),
        // Days and more may have moved across a change of the offset.
        Some(zone) if !is_clock(unit) => timestamp_to_timestamptz(local, zone),
        Some(_) => Ok(local - i64::from(offset) * SECOND_MICROS),
    }
}

/// `date_trunc(unit, interval)`
///
/// # Errors
/// As [`date_trunc`].
pub(crate) fn date_trunc_interval(field: &str, v: Interval) -> Result<Interval, ValueError> {
    let name = field.to_ascii_lowercase();
    let Some(unit) = unit(&name) else { return Err(unknown(&name, DataType::Interval)) };
    let months = |size: i32| Interval { months: v.months / size * size, days: 0, micros: 0 };
    let clock = |size: i64| Interval { micros: v.micros / size * size, ..v };
    Ok(match unit {
        "millennium" => months(12_000),
        "century" => months(1200),
        "decade" => months(120),
        "year" => months(12),
        "quarter" => months(3),
        "month" => months(1),
        "day" => Interval { micros: 0, ..v },
        "hour" => clock(HOUR_MICROS),
        "minute" => clock(MINUTE_MICROS),
        "second" => clock(SECOND_MICROS),
        "millisecond" => clock(1000),
        "microsecond" => v,
        "week" => {
            return Err(unsupported(&name, DataType::Interval)
                .with_detail("Months usually have fractional weeks."));
        }
        _ => return Err(unsupported(&name, DataType::Interval)),
    })
}

/// `date_bin(stride, timestamp, origin)`
///
/// # Errors
/// 0A000 for strides with months, 22008 for strides that are not positive.
pub(crate) fn date_bin(stride: Interval, v: i64, origin: i64) -> Result<i64, ValueError> {
    if v == i64::MIN || v == i64::MAX {
        return Ok(v);
    }
    if origin == i64::MIN || origin == i64::MAX {
        return Err(timestamp_out_of_range().with_message("origin out of range"));
    }
    if stride.months != 0 {
        return Err(ValueError::new(
            SqlState::FeatureNotSupported,
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let size = i64::from(stride.days)
        .checked_mul(DAY_MICROS)
        .and_then(|days| days.checked_add(stride.micros))
        .ok_or_else(interval_out_of_range)?;
    if size <= 0 {
        return Err(timestamp_out_of_range().with_message("stride must be greater than zero"));
    }
    let difference = v.checked_sub(origin).ok_or_else(interval_out_of_range)?;
    let binned = difference.div_euclid(size).checked_mul(size).ok_or_else(interval_out_of_range)?;
    origin
        .checked_add(binned)
        .filter(|at| super::calendar::valid_timestamp(*at))
        .ok_or_else(timestamp_out_of_range)
}
