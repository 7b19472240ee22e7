//! Sequences: what the catalog says of one.
//!
//! Where a sequence stands is no part of its definition: taking a value is no transaction's, and not undone
//! with one. The definition names a *state*, a number under which that is kept (`driftdb_tables::Sequences`). What
//! has to be undone with its transaction (RESTART, a new sequence) is a definition with a new state and
//! where that begins.

use driftdb_types::{DataType, SqlState};

use crate::{ColumnId, ObjectId, Result, SqlError, TableId};

/// What a sequence does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceDefinition {
    /// `smallint`, `integer` or `bigint`.
    pub ty: DataType,
    /// INCREMENT BY; not zero.
    pub increment: i64,
    /// MINVALUE
    pub min: i64,
    /// MAXVALUE
    pub max: i64,
    /// START WITH
    pub start: i64,
    /// CACHE
    pub cache: i64,
    /// CYCLE
    pub cycle: bool,
    /// Under which number it is kept where it stands.
    pub state: u32,
    /// Where it stands as long as nothing is kept: the value, and whether that was given.
    pub initial: (i64, bool),
    /// It belongs to an identity column.
    pub is_identity: bool,
}

/// The options of CREATE SEQUENCE and ALTER SEQUENCE, as far as they are given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SequenceOptions {
    /// AS
    pub ty: Option<DataType>,
    /// INCREMENT BY
    pub increment: Option<i64>,
    /// MINVALUE; `Some(None)`: NO MINVALUE.
    pub min: Option<Option<i64>>,
    /// MAXVALUE; `Some(None)`: NO MAXVALUE.
    pub max: Option<Option<i64>>,
    /// START WITH
    pub start: Option<i64>,
    /// RESTART; `Some(None)`: at the start.
    pub restart: Option<Option<i64>>,
    /// CACHE
    pub cache: Option<i64>,
    /// CYCLE, NO CYCLE
    pub cycle: Option<bool>,
}

/// A sequence that comes with a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSpec {
    /// Its name, in the table's schema.
    pub name: String,
    /// Its options, the column's type among them.
    pub options: SequenceOptions,
    /// `serial`: the sequence is the column's default. Else an identity column: whether GENERATED ALWAYS.
    pub identity: Option<bool>,
}

/// The least and the greatest value of a type.
fn bounds(ty: DataType) -> (i64, i64) {
    match ty {
        DataType::Int2 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int4 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}

impl SequenceDefinition {
    /// The definition that options give.
    ///
    /// # Errors
    /// 22023 for values that do not go together.
    pub fn new(options: &SequenceOptions, state: u32) -> Result<Self> {
        let blank = Self {
            ty: DataType::Int8,
            increment: 1,
            min: 1,
            max: i64::MAX,
            start: 1,
            cache: 1,
            cycle: false,
            state,
            initial: (1, false),
            is_identity: false,
        };
        let mut made = blank.with(options, true, (1, false))?;
        made.initial = (made.start, false);
        Ok(made)
    }

    /// The definition after ALTER SEQUENCE of one that stands at `at`. RESTART gives no new state: the caller
    /// does.
    ///
    /// # Errors
    /// As [`SequenceDefinition::new`].
    pub fn altered(&self, options: &SequenceOptions, at: (i64, bool)) -> Result<Self> {
        self.clone().with(options, false, at)
    }

    fn with(mut self, options: &SequenceOptions, is_new: bool, at: (i64, bool)) -> Result<Self> {
        let (mut reset_max, mut reset_min) = (false, false);
        if let Some(ty) = options.ty {
            if !matches!(ty, DataType::Int2 | DataType::Int4 | DataType::Int8) {
                let what = if self.is_identity { "identity column type" } else { "sequence type" };
                let message = format!("{what} must be smallint, integer, or bigint");
                return Err(invalid(message));
            }
            if !is_new {
                // A bound that was the old type's becomes the new one's.
                let old = bounds(self.ty);
                (reset_min, reset_max) = (self.min == old.0, self.max == old.1);
            }
            self.ty = ty;
        }
        if let Some(increment) = options.increment {
            if increment == 0 {
                return Err(invalid("INCREMENT must not be zero".into()));
            }
            self.increment = increment;
        }
        self.cycle = options.cycle.unwrap_or(self.cycle);
        let (least, greatest) = bounds(self.ty);
        let ascends = self.increment > 0;
        match options.max {
            Some(Some(max)) => self.max = max,
            None if !is_new && !reset_max => {}
            _ => self.max = if ascends || reset_max { greatest } else { -1 },
        }
        if !(least..=greatest).contains(&self.max) {
            let (max, ty) = (self.max, self.ty);
            return Err(invalid(format!(
                "MAXVALUE ({max}) is out of range for sequence data type {ty}"
            )));
        }
        match options.min {
            Some(Some(min)) => self.min = min,
            None if !is_new && !reset_min => {}
            _ => self.min = if ascends && !reset_min { 1 } else { least },
        }
        if !(least..=greatest).contains(&self.min) {
            let (min, ty) = (self.min, self.ty);
            return Err(invalid(format!(
                "MINVALUE ({min}) is out of range for sequence data type {ty}"
            )));
        }
        let (min, max) = (self.min, self.max);
        if min >= max {
            return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
        }
        match options.start {
            Some(start) => self.start = start,
            None if is_new => self.start = if ascends { min } else { max },
            None => {}
        }
        self.check_within("START", self.start)?;
        match options.restart {
            Some(value) => self.check_within("RESTART", value.unwrap_or(self.start))?,
            None if !is_new => self.check_within("RESTART", at.0)?,
            None => {}
        }
        if let Some(cache) = options.cache {
            if cache <= 0 {
                return Err(invalid(format!("CACHE ({cache}) must be greater than zero")));
            }
            self.cache = cache;
        }
        Ok(self)
    }

    fn check_within(&self, what: &str, value: i64) -> Result<()> {
        let (min, max) = (self.min, self.max);
        if value < min {
            let message = format!("{what} value ({value}) cannot be less than MINVALUE ({min})");
            return Err(invalid(message));
        }
        if value > max {
            let message = format!("{what} value ({value}) cannot be greater than MAXVALUE ({max})");
            return Err(invalid(message));
        }
        Ok(())
    }

    /// The value after one; `None`: it was the last.
    pub fn after(&self, value: i64) -> Option<i64> {
        let next = value.checked_add(self.increment)?;
        (self.min..=self.max).contains(&next).then_some(next)
    }

    /// The value after the last, if it cycles.
    pub fn turn(&self) -> i64 {
        if self.increment > 0 { self.min } else { self.max }
    }
}

/// CREATE, ALTER and DROP SEQUENCE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceStatement {
    /// CREATE SEQUENCE
    Create {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// IF NOT EXISTS
        if_not_exists: bool,
        /// What it is to do.
        options: SequenceOptions,
        /// OWNED BY
        owner: Option<(TableId, ColumnId)>,
    },
    /// ALTER SEQUENCE
    Alter {
        /// Which.
        id: ObjectId,
        /// What changes.
        options: SequenceOptions,
        /// OWNED BY; `Some(None)`: NONE.
        owner: Option<Option<(TableId, ColumnId)>>,
    },
    /// ALTER SEQUENCE … RENAME TO
    Rename {
        /// Which.
        id: ObjectId,
        /// Its schema.
        schema: String,
        /// Its new name.
        name: String,
        /// By ALTER TABLE.
        by_table: bool,
    },
    /// ALTER SEQUENCE IF EXISTS of one that does not.
    Skipped {
        /// The notice.
        notice: String,
    },
    /// DROP SEQUENCE
    Drop {
        /// Which.
        ids: Vec<ObjectId>,
        /// CASCADE: what depends on them goes, too.
        cascade: bool,
        /// What IF EXISTS did not find: texts of notices.
        notices: Vec<String>,
    },
}

impl SequenceStatement {
    /// The command tag.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE SEQUENCE",
            Self::Rename { by_table: true, .. } => "ALTER TABLE",
            Self::Alter { .. } | Self::Rename { .. } | Self::Skipped { .. } => "ALTER SEQUENCE",
            Self::Drop { .. } => "DROP SEQUENCE",
        }
    }
}
