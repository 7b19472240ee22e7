//! SQLSTATE and the errors that values raise.

use std::collections::BTreeSet;
use std::sync::PoisonError;

/// The condition of an error or notice (PostgreSQL, appendix A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are PostgreSQL's condition names")]
pub enum SqlState {
    SuccessfulCompletion,
    Warning,
    ConnectionException,
    ConnectionFailure,
    TransactionResolutionUnknown,
    ProtocolViolation,
    FeatureNotSupported,
    CardinalityViolation,
    DataException,
    StringDataRightTruncation,
    StringDataLengthMismatch,
    NumericValueOutOfRange,
    InvalidDatetimeFormat,
    DatetimeFieldOverflow,
    DivisionByZero,
    IntervalFieldOverflow,
    InvalidPrecedingOrFollowingSize,
    InvalidArgumentForNtile,
    InvalidArgumentForNthValue,
    InvalidTablesampleArgument,
    InvalidTablesampleRepeat,
    InvalidArgumentForLogarithm,
    InvalidArgumentForPowerFunction,
    InvalidArgumentForWidthBucketFunction,
    InvalidRowCountInLimitClause,
    InvalidRowCountInResultOffsetClause,
    InvalidParameterValue,
    NullValueNotAllowed,
    ArraySubscriptError,
    SequenceGeneratorLimitExceeded,
    InvalidEscapeSequence,
    InvalidUseOfEscapeCharacter,
    SqlJsonMemberNotFound,
    SqlJsonArrayNotFound,
    SqlJsonObjectNotFound,
    SqlJsonNumberNotFound,
    InvalidSqlJsonSubscript,
    NonNumericSqlJsonItem,
    SingletonSqlJsonItemRequired,
    InvalidArgumentForSqlJsonDatetimeFunction,
    InvalidRegularExpression,
    SubstringError,
    CharacterNotInRepertoire,
    UntranslatableCharacter,
    InvalidTimeZoneDisplacementValue,
    NonstandardUseOfEscapeCharacter,
    BadCopyFileFormat,
    InvalidTextRepresentation,
    InvalidBinaryRepresentation,
    NotNullViolation,
    ForeignKeyViolation,
    UniqueViolation,
    CheckViolation,
    IntegrityConstraintViolation,
    InvalidCursorName,
    InvalidCursorState,
    WithCheckOptionViolation,
    InvalidCursorDefinition,
    ActiveSqlTransaction,
    NoActiveSqlTransaction,
    InFailedSqlTransaction,
    IdleInTransactionSessionTimeout,
    ReadOnlySqlTransaction,
    InvalidSavepointSpecification,
    InvalidSqlStatementName,
    SerializationFailure,
    DeadlockDetected,
    StatementCompletionUnknown,
    SyntaxError,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedTable,
    UndefinedParameter,
    UndefinedObject,
    DuplicateColumn,
    DuplicateCursor,
    DuplicateDatabase,
    DuplicateTable,
    DuplicateSchema,
    DuplicateAlias,
    DuplicateObject,
    DuplicateFunction,
    InvalidFunctionDefinition,
    TriggeredDataChangeViolation,
    TriggerProtocolViolated,
    DuplicatePreparedStatement,
    AmbiguousColumn,
    AmbiguousFunction,
    AmbiguousParameter,
    AmbiguousAlias,
    GroupingError,
    WindowingError,
    DatatypeMismatch,
    WrongObjectType,
    GeneratedAlways,
    CannotCoerce,
    IndeterminateDatatype,
    InvalidName,
    InvalidColumnReference,
    InvalidColumnDefinition,
    InvalidTableDefinition,
    InvalidForeignKey,
    InvalidObjectDefinition,
    InvalidSchemaName,
    InvalidRecursion,
    InsufficientPrivilege,
    ReservedName,
    DependentObjectsStillExist,
    DiskFull,
    OutOfMemory,
    TooManyConnections,
    ConfigurationLimitExceeded,
    ProgramLimitExceeded,
    StatementTooComplex,
    TooManyColumns,
    TooManyArguments,
    ObjectNotInPrerequisiteState,
    ObjectInUse,
    CantChangeRuntimeParam,
    LockNotAvailable,
    QueryCanceled,
    AdminShutdown,
    CrashShutdown,
    CannotConnectNow,
    IdleSessionTimeout,
    SnapshotTooOld,
    IoError,
    InternalError,
    DataCorrupted,
    InvalidAuthorizationSpecification,
    InvalidCatalogName,
    /// Any other: PL/pgSQL raises what it is told to.
    Other([u8; 5]),
}

impl SqlState {
    /// The five characters.
    #[expect(clippy::too_many_lines, reason = "one table, one line a condition")]
    pub fn code(self) -> &'static str {
        match self {
            Self::SuccessfulCompletion => "00000",
            Self::Warning => "01000",
            Self::ConnectionException => "08000",
            Self::ConnectionFailure => "08006",
            Self::TransactionResolutionUnknown => "08007",
            Self::ProtocolViolation => "08P01",
            Self::FeatureNotSupported => "0A000",
            Self::CardinalityViolation => "21000",
            Self::DataException => "22000",
            Self::StringDataRightTruncation => "22001",
            Self::StringDataLengthMismatch => "22026",
            Self::NumericValueOutOfRange => "22003",
            Self::InvalidDatetimeFormat => "22007",
            Self::DatetimeFieldOverflow => "22008",
            Self::DivisionByZero => "22012",
            Self::IntervalFieldOverflow => "22015",
            Self::InvalidPrecedingOrFollowingSize => "22013",
            Self::InvalidArgumentForNtile => "22014",
            Self::InvalidArgumentForNthValue => "22016",
            Self::InvalidTablesampleArgument => "2202H",
            Self::InvalidTablesampleRepeat => "2202G",
            Self::InvalidArgumentForLogarithm => "2201E",
            Self::InvalidArgumentForPowerFunction => "2201F",
            Self::InvalidArgumentForWidthBucketFunction => "2201G",
            Self::InvalidRowCountInLimitClause => "2201W",
            Self::InvalidRowCountInResultOffsetClause => "2201X",
            Self::InvalidParameterValue => "22023",
            Self::NullValueNotAllowed => "22004",
            Self::ArraySubscriptError => "2202E",
            Self::SequenceGeneratorLimitExceeded => "2200H",
            Self::GeneratedAlways => "428C9",
            Self::InvalidEscapeSequence => "22025",
            Self::InvalidUseOfEscapeCharacter => "2200C",
            Self::SqlJsonMemberNotFound => "2203A",
            Self::SqlJsonArrayNotFound => "22039",
            Self::SqlJsonObjectNotFound => "2203C",
            Self::SqlJsonNumberNotFound => "2203B",
            Self::InvalidSqlJsonSubscript => "22033",
            Self::NonNumericSqlJsonItem => "22036",
            Self::SingletonSqlJsonItemRequired => "22038",
            Self::InvalidArgumentForSqlJsonDatetimeFunction => "22031",
            Self::InvalidRegularExpression => "2201B",
            Self::SubstringError => "22011",
            Self::CharacterNotInRepertoire => "22021",
            Self::UntranslatableCharacter => "22P05",
            Self::InvalidTimeZoneDisplacementValue => "22009",
            Self::NonstandardUseOfEscapeCharacter => "22P06",
            Self::BadCopyFileFormat => "22P04",
            Self::InvalidTextRepresentation => "22P02",
            Self::InvalidBinaryRepresentation => "22P03",
            Self::NotNullViolation => "23502",
            Self::ForeignKeyViolation => "23503",
            Self::UniqueViolation => "23505",
            Self::CheckViolation => "23514",
            Self::IntegrityConstraintViolation => "23000",
            Self::InvalidCursorName => "34000",
            Self::InvalidCursorState => "24000",
            Self::WithCheckOptionViolation => "44000",
            Self::InvalidCursorDefinition => "42P11",
            Self::ActiveSqlTransaction => "25001",
            Self::NoActiveSqlTransaction => "25P01",
            Self::InFailedSqlTransaction => "25P02",
            Self::IdleInTransactionSessionTimeout => "25P03",
            Self::ReadOnlySqlTransaction => "25006",
            Self::InvalidSavepointSpecification => "3B001",
            Self::InvalidSqlStatementName => "26000",
            Self::SerializationFailure => "40001",
            Self::DeadlockDetected => "40P01",
            Self::StatementCompletionUnknown => "40003",
            Self::SyntaxError => "42601",
            Self::UndefinedColumn => "42703",
            Self::UndefinedFunction => "42883",
            Self::UndefinedTable => "42P01",
            Self::UndefinedParameter => "42P02",
            Self::UndefinedObject => "42704",
            Self::DuplicateColumn => "42701",
            Self::DuplicateDatabase => "42P04",
            Self::DuplicateCursor => "42P03",
            Self::DuplicateTable => "42P07",
            Self::DuplicateSchema => "42P06",
            Self::DuplicateAlias => "42712",
            Self::DuplicateObject => "42710",
            Self::DuplicateFunction => "42723",
            Self::InvalidFunctionDefinition => "42P13",
            Self::TriggeredDataChangeViolation => "27000",
            Self::TriggerProtocolViolated => "39P01",
            Self::DuplicatePreparedStatement => "42P05",
            Self::AmbiguousColumn => "42702",
            Self::AmbiguousFunction => "42725",
            Self::AmbiguousParameter => "42P08",
            Self::AmbiguousAlias => "42P09",
            Self::GroupingError => "42803",
            Self::WindowingError => "42P20",
            Self::DatatypeMismatch => "42804",
            Self::WrongObjectType => "42809",
            Self::CannotCoerce => "42846",
            Self::IndeterminateDatatype => "42P18",
            Self::InvalidName => "42602",
            Self::InvalidColumnReference => "42P10",
            Self::InvalidColumnDefinition => "42611",
            Self::InvalidTableDefinition => "42P16",
            Self::InvalidObjectDefinition => "42P17",
            Self::InvalidForeignKey => "42830",
            Self::InvalidSchemaName => "3F000",
            Self::InvalidRecursion => "42P19",
            Self::InsufficientPrivilege => "42501",
            Self::ReservedName => "42939",
            Self::DependentObjectsStillExist => "2BP01",
            Self::DiskFull => "53100",
            Self::OutOfMemory => "53200",
            Self::TooManyConnections => "53300",
            Self::ConfigurationLimitExceeded => "53400",
            Self::ProgramLimitExceeded => "54000",
            Self::StatementTooComplex => "54001",
            Self::TooManyColumns => "54011",
            Self::TooManyArguments => "54023",
            Self::ObjectNotInPrerequisiteState => "55000",
            Self::ObjectInUse => "55006",
            Self::CantChangeRuntimeParam => "55P02",
            Self::LockNotAvailable => "55P03",
            Self::QueryCanceled => "57014",
            Self::AdminShutdown => "57P01",
            Self::CrashShutdown => "57P02",
            Self::CannotConnectNow => "57P03",
            Self::IdleSessionTimeout => "57P05",
            Self::SnapshotTooOld => "72000",
            Self::IoError => "58030",
            Self::InternalError => "XX000",
            Self::DataCorrupted => "XX001",
            Self::InvalidAuthorizationSpecification => "28000",
            Self::InvalidCatalogName => "3D000",
            Self::Other(code) => interned(code),
        }
    }
}

/// So many codes of users are told apart; further ones are shown as what RAISE raises by itself.
const MOST_CODES: usize = 10_000;

/// The text of a code that no variant has. Each is kept for good: so a code is a plain text everywhere else.
#[expect(clippy::disallowed_types, reason = "types are below env; nobody waits while it is held")]
fn interned(code: [u8; 5]) -> &'static str {
    static KNOWN: std::sync::RwLock<BTreeSet<&'static str>> =
        std::sync::RwLock::new(BTreeSet::new());
    let Ok(text) = str::from_utf8(&code) else { return "XX000" };
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(text) {
        return found;
    }
    drop(known);
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    match known.get(text) {
        Some(found) => found,
        None if known.len() >= MOST_CODES => "P0001",
        None => {
            let kept: &'static str = Box::leak(text.into());
            known.insert(kept);
            kept
        }
    }
}

/// A value that cannot be read, converted or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    /// The condition.
    pub state: SqlState,
    /// The primary message, in PostgreSQL's words.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ValueError {
    /// An error with a condition and a message.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        Self { state, message: message.into(), detail: None, hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Shorthands for the errors that many places raise.
impl ValueError {
    /// `integer out of range` and its like.
    pub(crate) fn out_of_range(what: impl std::fmt::Display) -> Self {
        Self::new(SqlState::NumericValueOutOfRange, format!("{what} out of range"))
    }

    /// `division by zero`
    pub(crate) fn division_by_zero() -> Self {
        Self::new(SqlState::DivisionByZero, "division by zero")
    }

    /// `invalid input syntax for type …`
    pub(crate) fn invalid_syntax(type_name: &str, text: &str) -> Self {
        let message = format!("invalid input syntax for type {type_name}: \"{text}\"");
        Self::new(SqlState::InvalidTextRepresentation, message)
    }

    /// An invalid argument.
    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(SqlState::InvalidParameterValue, message)
    }
}

/// Variations for floating point.
impl ValueError {
    /// `value out of range: overflow`
    pub(crate) fn overflow(self) -> Self {
        self.with_message("value out of range: overflow")
    }

    /// `value out of range: underflow`
    pub(crate) fn underflow(self) -> Self {
        self.with_message("value out of range: underflow")
    }

    /// The same condition in other words.
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }
}
