//! Reading history: stretches of time, times that come from other rows, and what a version knows of
//! itself.
//!
//! A version of a row lives from the commit that made it to, but not including, the commit that
//! changed or removed it. Users speak of microseconds and commits of nanoseconds: a [`Moment`] is
//! the span of commit time that a user's time means. *As of* a moment is as of its last nanosecond,
//! so a version is visible as of microsecond *t* exactly if `start <= t < end` holds for its start
//! and end cut to microseconds.
//!
//! Sources: [Kulkarni12] for the forms of a period, [MSTemporal] and [MariaDBVersioning] for what
//! two systems make of them; docs/design/0013-periods.md.

use driftdb_storage::Timestamp;
use driftdb_types::DataType;

use crate::{ColId, Expr};

/// Microseconds from 1970-01-01, the epoch of commits, to 2000-01-01, that of `timestamptz`.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A time as a user names it: commits from `first` to `last` happened at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Its first nanosecond.
    pub first: Timestamp,
    /// Its last nanosecond.
    pub last: Timestamp,
}

impl Moment {
    /// Before everything: `-infinity`.
    pub const BEGINNING: Self = Self { first: Timestamp::MIN, last: Timestamp::MIN };
    /// After everything: `infinity`.
    pub const END: Self = Self { first: Timestamp::MAX, last: Timestamp::MAX };

    /// The moment of a `timestamptz`. Before 1970 there are no commits.
    pub fn of_timestamptz(micros: i64) -> Self {
        match micros {
            i64::MAX => return Self::END,
            i64::MIN => return Self::BEGINNING,
            _ => {}
        }
        match u64::try_from(micros.saturating_add(EPOCH_MICROS)) {
            Ok(micros) => {
                let first = micros.saturating_mul(1000);
                Self { first: Timestamp(first), last: Timestamp(first.saturating_add(999)) }
            }
            Err(_) => Self::BEGINNING,
        }
    }

    /// The moment of one commit.
    pub fn of_commit(ts: Timestamp) -> Self {
        Self { first: ts, last: ts }
    }
}

/// The `timestamptz` of a commit: cut to the microsecond; `infinity` for [`Timestamp::MAX`].
pub fn timestamptz_of(ts: Timestamp) -> i64 {
    if ts == Timestamp::MAX {
        return i64::MAX;
    }
    i64::try_from(ts.0 / 1000).unwrap_or(i64::MAX).saturating_sub(EPOCH_MICROS)
}

/// The forms of `FOR SYSTEM_TIME` that show versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodForm {
    /// `BETWEEN a AND b`: alive at some time of the closed stretch.
    Between,
    /// `FROM a TO b`: alive at some time from *a* up to, not including, *b*.
    FromTo,
    /// `CONTAINED IN (a, b)`: begun and ended within the closed stretch.
    ContainedIn,
    /// `ALL`: every version that is kept.
    All,
}

/// A stretch of time whose versions are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Which form.
    pub form: PeriodForm,
    /// *a*
    pub from: Moment,
    /// *b*
    pub to: Moment,
}

impl Period {
    /// Every version.
    pub const ALL: Self = Self { form: PeriodForm::All, from: Moment::BEGINNING, to: Moment::END };

    /// The versions that are visible at one time.
    pub fn at(ts: Timestamp) -> Self {
        // The beginning of time stands for whatever is kept; a time that is named does not.
        let moment = Moment::of_commit(ts.max(Timestamp(1)));
        Self { form: PeriodForm::Between, from: moment, to: moment }
    }

    /// Versions that were still alive then; `None`: at the oldest time that is kept.
    pub fn alive_from(&self) -> Option<Timestamp> {
        let from = match self.form {
            // A version that began at *a* ends after its first nanosecond.
            PeriodForm::ContainedIn => self.from.first,
            _ => self.from.last,
        };
        (from != Timestamp::MIN).then_some(from)
    }

    /// Versions that began then or earlier; [`Timestamp::MAX`]: all there are.
    pub fn began_by(&self) -> Timestamp {
        match self.form {
            PeriodForm::FromTo if self.to != Moment::END => {
                Timestamp(self.to.first.0.saturating_sub(1))
            }
            _ => self.to.last,
        }
    }

    /// Versions that began then or later.
    pub fn began_since(&self) -> Timestamp {
        match self.form {
            PeriodForm::ContainedIn => self.from.first,
            _ => Timestamp::MIN,
        }
    }

    /// Versions that ended then or earlier; [`Timestamp::MAX`]: also those that have not ended.
    pub fn ended_by(&self) -> Timestamp {
        match self.form {
            PeriodForm::ContainedIn => self.to.last,
            _ => Timestamp::MAX,
        }
    }

    /// Whether it is upside down: no version lives in it.
    pub fn is_empty(&self) -> bool {
        self.alive_from().is_some_and(|from| self.began_by() < from)
    }
}

/// Which times of a table are read.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Span {
    /// One, which the scan names.
    #[default]
    Once,
    /// One, a `timestamptz` that is evaluated each time that the scan is started: it may come from
    /// another row. NULL: no rows. The table has the schema of now.
    Each(Box<Expr>),
    /// All versions of a stretch.
    Period(Period),
}

/// What can be asked of a version besides its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SystemColumn {
    /// When it began.
    Start,
    /// When it ended; `infinity` if it has not.
    End,
    /// The number of the commit that began it.
    Seq,
    /// How it began: INSERT or UPDATE. NULL where what was before is not kept any more.
    Op,
    /// The number of the commit that ended it; NULL if it has not ended.
    EndSeq,
    /// How it ended: UPDATE or DELETE; NULL if it has not ended.
    EndOp,
}

impl SystemColumn {
    /// Every one, in the order of [`SystemColumn::offset`].
    pub const ALL: [Self; 6] =
        [Self::Start, Self::End, Self::Seq, Self::Op, Self::EndSeq, Self::EndOp];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "system_time_start",
            Self::End => "system_time_end",
            Self::Seq => "system_seq",
            Self::Op => "system_op",
            Self::EndSeq => "system_end_seq",
            Self::EndOp => "system_end_op",
        }
    }

    /// The one with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// Its place in [`SystemColumn::ALL`].
    pub fn offset(self) -> u32 {
        self as u32
    }

    /// Its type.
    pub fn ty(self) -> DataType {
        match self {
            Self::Start | Self::End => DataType::Timestamptz,
            Self::Seq | Self::EndSeq => DataType::Int8,
            Self::Op | Self::EndOp => DataType::Text,
        }
    }

    /// Whether only what came later can tell.
    pub fn is_of_end(self) -> bool {
        matches!(self, Self::End | Self::EndSeq | Self::EndOp)
    }
}

/// The temporal part of a scan, before planning.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Temporal {
    /// Which times are read.
    pub span: Span,
    /// System columns, which come after the table's.
    pub system: Vec<(ColId, SystemColumn)>,
}

/// The temporal part of an access, after planning.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccessTemporal {
    /// Which times are read; [`Span::Each`] is free of columns.
    pub span: Span,
    /// System columns, which come after the table's.
    pub system: Vec<SystemColumn>,
}

impl AccessTemporal {
    /// Whether it is a plain read at one time, without system columns.
    pub fn is_plain(&self) -> bool {
        self.span == Span::Once && self.system.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(form: PeriodForm, from: i64, to: i64) -> Period {
        Period { form, from: Moment::of_timestamptz(from), to: Moment::of_timestamptz(to) }
    }

    #[test]
    fn a_microsecond_is_a_thousand_nanoseconds() {
        let moment = Moment::of_timestamptz(5 - EPOCH_MICROS);
        assert_eq!((moment.first, moment.last), (Timestamp(5000), Timestamp(5999)));
        for ts in [moment.first, moment.last] {
            assert_eq!(timestamptz_of(ts), 5 - EPOCH_MICROS);
        }
        assert_eq!(timestamptz_of(Timestamp::MAX), i64::MAX);
        assert_eq!(Moment::of_timestamptz(i64::MAX), Moment::END);
        assert_eq!(Moment::of_timestamptz(i64::MIN + 1), Moment::BEGINNING);
    }

    #[test]
    fn only_an_upside_down_period_is_empty() {
        use PeriodForm::{Between, ContainedIn, FromTo};
        let is_empty = |form, from, to| period(form, from, to).is_empty();
        assert!(!is_empty(Between, 5, 5));
        assert!(is_empty(Between, 6, 5));
        assert!(!is_empty(FromTo, 5, 6));
        assert!(is_empty(FromTo, 5, 5));
        assert!(!is_empty(ContainedIn, 5, 5));
        assert!(is_empty(ContainedIn, 6, 5));
        assert!(!Period::ALL.is_empty());
        assert!(!Period::at(Timestamp(7)).is_empty());
    }

    #[test]
    fn system_columns_are_found_by_name() {
        for (offset, column) in SystemColumn::ALL.into_iter().enumerate() {
            assert_eq!(SystemColumn::named(column.name()), Some(column));
            assert_eq!(column.offset() as usize, offset);
        }
        assert_eq!(SystemColumn::named("xmin"), None);
    }
}
