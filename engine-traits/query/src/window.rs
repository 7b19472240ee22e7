//! Window functions: what is computed for a row from the rows beside it.

use driftdb_types::{AggregateId, DataType, aggregate};

use crate::{ColId, Expr};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowFunction {
    /// `row_number()`
    RowNumber,
    /// `rank()`
    Rank,
    /// `dense_rank()`
    DenseRank,
    /// `percent_rank()`
    PercentRank,
    /// `cume_dist()`
    CumeDist,
    /// `ntile(buckets)`
    Ntile,
    /// `lag(value [, offset [, default]])`
    Lag,
    /// `lead(value [, offset [, default]])`
    Lead,
    /// `first_value(value)`
    FirstValue,
    /// `last_value(value)`
    LastValue,
    /// `nth_value(value, n)`
    NthValue,
    /// An aggregate over the frame.
    Aggregate(AggregateId),
}

impl WindowFunction {
    /// Those that are no aggregates.
    pub const ALL: [Self; 11] = [
        Self::RowNumber,
        Self::Rank,
        Self::DenseRank,
        Self::PercentRank,
        Self::CumeDist,
        Self::Ntile,
        Self::Lag,
        Self::Lead,
        Self::FirstValue,
        Self::LastValue,
        Self::NthValue,
    ];

    /// Its SQL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::RowNumber => "row_number",
            Self::Rank => "rank",
            Self::DenseRank => "dense_rank",
            Self::PercentRank => "percent_rank",
            Self::CumeDist => "cume_dist",
            Self::Ntile => "ntile",
            Self::Lag => "lag",
            Self::Lead => "lead",
            Self::FirstValue => "first_value",
            Self::LastValue => "last_value",
            Self::NthValue => "nth_value",
            Self::Aggregate(id) => aggregate(id).name,
        }
    }

    /// The one that is no aggregate of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }
}

/// What a frame's limits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameUnits {
    /// Rows.
    Rows,
    /// Distances along the one ORDER BY column.
    Range,
    /// Groups of rows that ORDER BY does not tell apart.
    Groups,
}

/// One limit of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameBound {
    /// UNBOUNDED PRECEDING
    First,
    /// *offset* PRECEDING: free of the window's columns, `int8` unless the units are RANGE.
    Preceding(Expr),
    /// CURRENT ROW: with RANGE and GROUPS its peers, too.
    Current,
    /// *offset* FOLLOWING
    Following(Expr),
    /// UNBOUNDED FOLLOWING
    Last,
}

impl FrameBound {
    /// Its offset.
    pub fn offset(&self) -> Option<&Expr> {
        match self {
            Self::Preceding(offset) | Self::Following(offset) => Some(offset),
            Self::First | Self::Current | Self::Last => None,
        }
    }

    /// As [`FrameBound::offset`], to change it.
    pub fn offset_mut(&mut self) -> Option<&mut Expr> {
        match self {
            Self::Preceding(offset) | Self::Following(offset) => Some(offset),
            Self::First | Self::Current | Self::Last => None,
        }
    }
}

/// What is left out of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameExclusion {
    /// Nothing.
    None,
    /// The current row.
    Current,
    /// The current row and its peers.
    Group,
    /// The peers of the current row.
    Ties,
}

/// The rows of a partition that a window function sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What the limits count.
    pub units: FrameUnits,
    /// Where it begins.
    pub start: FrameBound,
    /// Where it ends.
    pub end: FrameBound,
    /// What is left out.
    pub exclusion: FrameExclusion,
}

impl Frame {
    /// From the partition's first row to the current row's last peer.
    pub const DEFAULT: Self = Self {
        units: FrameUnits::Range,
        start: FrameBound::First,
        end: FrameBound::Current,
        exclusion: FrameExclusion::None,
    };

    /// The offsets of its limits.
    pub fn offsets(&self) -> impl Iterator<Item = &Expr> {
        self.start.offset().into_iter().chain(self.end.offset())
    }

    /// As [`Frame::offsets`], to change them.
    pub fn offsets_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        self.start.offset_mut().into_iter().chain(self.end.offset_mut())
    }
}

/// One call of a window function.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowCall {
    /// The column that it yields. Logical plans only.
    pub output: ColId,
    /// Which.
    pub function: WindowFunction,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// FILTER: aggregates only.
    pub filter: Option<Expr>,
    /// The rows that it sees, if it asks.
    pub frame: Frame,
    /// Its result type.
    pub ty: DataType,
}

impl WindowCall {
    /// Every expression of it.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.args.iter().chain(&self.filter).chain(self.frame.offsets())
    }

    /// As [`WindowCall::exprs`], to change them.
    pub fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        self.args.iter_mut().chain(&mut self.filter).chain(self.frame.offsets_mut())
    }
}
