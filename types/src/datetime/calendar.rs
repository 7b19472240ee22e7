//! The Gregorian calendar, and the ranges of the types.

/// Microseconds of a second.
pub(crate) const SECOND_MICROS: i64 = 1_000_000;
/// Microseconds of a minute.
pub(crate) const MINUTE_MICROS: i64 = 60 * SECOND_MICROS;
/// Microseconds of an hour.
pub(crate) const HOUR_MICROS: i64 = 3600 * SECOND_MICROS;
/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 24 * HOUR_MICROS;
/// The Julian day of 2000-01-01.
pub(crate) const EPOCH_JULIAN: i32 = 2_451_545;
/// The first timestamp: 4714-11-24 BC.
const MIN_TIMESTAMP: i64 = -211_813_488_000_000_000;
/// The first timestamp that is too late: 294277-01-01.
const END_TIMESTAMP: i64 = 9_223_371_331_200_000_000;
/// The first date that is too late: 5874898-01-01.
const END_DATE: i32 = 2_147_483_494 - EPOCH_JULIAN;
/// 1970-01-01 as seconds before 2000-01-01.
pub(crate) const UNIX_EPOCH_SECONDS: i64 = 946_684_800;

/// A date in the calendar; the year before 1 is 0, which is printed as 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i32,
    pub(crate) month: i32,
    pub(crate) day: i32,
}

/// A timestamp in the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CivilTime {
    pub(crate) date: Civil,
    pub(crate) hour: i32,
    pub(crate) minute: i32,
    pub(crate) second: i32,
    pub(crate) micros: i32,
}

pub(crate) fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(crate) fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 2000-01-01 of a calendar date (after Hinnant's `days_from_civil`).
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 730_425
}

/// The calendar date of a count of days since 2000-01-01.
pub(crate) fn civil_from_days(days: i64) -> Civil {
    let z = days + 730_425;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year: year as i32, month: month as i32, day: day as i32 }
}

/// The date type's value for a calendar date, if it is in range.
pub(crate) fn date_from_civil(civil: Civil) -> Option<i32> {
    let days = days_from_civil(i64::from(civil.year), i64::from(civil.month), i64::from(civil.day));
    i32::try_from(days).ok().filter(|days| valid_date(*days))
}

/// Whether the calendar has a day.
pub(crate) fn is_day(year: i32, month: i64, day: i64) -> bool {
    (1..=12).contains(&month) && (1..=i64::from(days_in_month(year, month as i32))).contains(&day)
}

/// The date type's value for three numbers, if there is such a day in its range.
pub(crate) fn checked_date(year: i32, month: i64, day: i64) -> Option<i32> {
    if !is_day(year, month, day) {
        return None;
    }
    date_from_civil(Civil { year, month: month as i32, day: day as i32 })
}

/// Whether a finite date is in the range of the type.
pub(crate) fn valid_date(days: i32) -> bool {
    (-EPOCH_JULIAN..END_DATE).contains(&days)
}

/// Whether a finite timestamp is in the range of the type.
pub(crate) fn valid_timestamp(v: i64) -> bool {
    (MIN_TIMESTAMP..END_TIMESTAMP).contains(&v)
}

/// A finite timestamp in the calendar.
pub(crate) fn split_timestamp(v: i64) -> CivilTime {
    let date = civil_from_days(v.div_euclid(DAY_MICROS));
    split_time(date, v.rem_euclid(DAY_MICROS))
}

/// A time of day beside a date.
pub(crate) fn split_time(date: Civil, time: i64) -> CivilTime {
    CivilTime {
        date,
        hour: (time / HOUR_MICROS) as i32,
        minute: (time / MINUTE_MICROS % 60) as i32,
        second: (time / SECOND_MICROS % 60) as i32,
        micros: (time % SECOND_MICROS) as i32,
    }
}

impl Civil {
    /// Days since 2000-01-01.
    pub(crate) fn days(self) -> i64 {
        days_from_civil(i64::from(self.year), i64::from(self.month), i64::from(self.day))
    }

    /// 0 for Sunday.
    pub(crate) fn day_of_week(self) -> i32 {
        (self.days() + 6).rem_euclid(7) as i32
    }

    /// 1 for January the first.
    pub(crate) fn day_of_year(self) -> i32 {
        (self.days() - days_from_civil(i64::from(self.year), 1, 1)) as i32 + 1
    }

    /// The ISO year and week: weeks begin on Monday, and the first has the year's first Thursday.
    pub(crate) fn iso_week(self) -> (i32, i32) {
        let days = self.days();
        let thursday = days - i64::from((self.day_of_week() + 6) % 7) + 3;
        let year = civil_from_days(thursday).year;
        let first = days_from_civil(i64::from(year), 1, 1);
        (year, ((thursday - first) / 7) as i32 + 1)
    }
}

/// The Monday of an ISO week, in days since 2000-01-01.
pub(crate) fn iso_week_start(year: i32, week: i32) -> i64 {
    let fourth = days_from_civil(i64::from(year), 1, 4);
    let weekday = i64::from((civil_from_days(fourth).day_of_week() + 6) % 7);
    fourth - weekday + i64::from(week - 1) * 7
}

impl CivilTime {
    /// Microseconds since 2000-01-01, if they fit.
    pub(crate) fn timestamp(self) -> Option<i64> {
        let v = i128::from(self.date.days()) * i128::from(DAY_MICROS) + i128::from(self.time());
        i64::try_from(v).ok().filter(|v| valid_timestamp(*v))
    }

    /// Microseconds since midnight.
    pub(crate) fn time(self) -> i64 {
        i64::from(self.hour) * HOUR_MICROS
            + i64::from(self.minute) * MINUTE_MICROS
            + i64::from(self.second) * SECOND_MICROS
            + i64::from(self.micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_its_own_inverse() {
        for days in (-2_451_545..2_000_000).step_by(97).chain(-800..800) {
            assert_eq!(civil_from_days(days).days(), days);
        }
        assert_eq!(civil_from_days(0), Civil { year: 2000, month: 1, day: 1 });
        assert_eq!(Civil { year: 2000, month: 1, day: 1 }.day_of_week(), 6);
        assert_eq!(Civil { year: 2021, month: 1, day: 3 }.iso_week(), (2020, 53));
        assert_eq!(iso_week_start(2021, 1), days_from_civil(2021, 1, 4));
    }
}
