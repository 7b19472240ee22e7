//! Functions, procedures, triggers, DO and CALL, as written.

use driftdb_query::{
    ArgumentMode, Deferral, Language, Result, SqlError, TriggerEvents, TriggerTime,
};
use driftdb_types::{SqlState, Volatility};
use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::tokens::{end, is_word, start};

/// A type as written.
#[derive(Debug)]
pub(crate) enum TypeRef {
    Name(ast::DataType, u32),
    /// `table.column%TYPE`
    Like(Vec<String>, u32),
}

#[derive(Debug)]
pub(crate) struct ArgumentBody {
    pub(crate) name: String,
    pub(crate) mode: ArgumentMode,
    pub(crate) ty: TypeRef,
    pub(crate) default: Option<String>,
}

/// What CREATE and ALTER FUNCTION set.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) language: Option<String>,
    pub(crate) volatility: Option<Volatility>,
    pub(crate) is_strict: Option<bool>,
    pub(crate) is_definer: Option<bool>,
    pub(crate) is_leakproof: Option<bool>,
    pub(crate) parallel: Option<char>,
    pub(crate) cost: Option<String>,
    pub(crate) rows: Option<String>,
    /// `None`: RESET, or all of them.
    pub(crate) settings: Vec<(Option<String>, Option<String>)>,
    pub(crate) body: Option<String>,
    pub(crate) is_sql_body: bool,
}

#[derive(Debug)]
pub(crate) struct CreateBody {
    pub(crate) is_procedure: bool,
    pub(crate) replace: bool,
    pub(crate) name: QualifiedName,
    pub(crate) arguments: Vec<ArgumentBody>,
    pub(crate) returns: Option<TypeRef>,
    pub(crate) is_set: bool,
    pub(crate) options: Options,
}

/// Which kind DROP and ALTER name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoutineWord {
    Function,
    Procedure,
    Routine,
}

/// A function by its name, and perhaps its arguments.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: QualifiedName,
    pub(crate) arguments: Option<Vec<ArgumentBody>>,
}

#[derive(Debug)]
pub(crate) enum AlterRoutine {
    Rename(String),
    SetSchema(String),
    /// OWNER TO, DEPENDS ON: nothing changes.
    Nothing,
    Options(Box<Options>),
}

#[derive(Debug)]
pub(crate) struct TriggerBody {
    pub(crate) replace: bool,
    pub(crate) name: String,
    pub(crate) time: TriggerTime,
    pub(crate) events: TriggerEvents,
    pub(crate) columns: Vec<String>,
    pub(crate) table: QualifiedName,
    pub(crate) is_row: bool,
    pub(crate) condition: Option<String>,
    pub(crate) function: QualifiedName,
    pub(crate) arguments: Vec<String>,
    pub(crate) old_table: Option<String>,
    pub(crate) new_table: Option<String>,
    pub(crate) constraint: Option<Deferral>,
}

#[derive(Debug)]
pub(crate) enum RoutineBody {
    Create(Box<CreateBody>),
    Drop { word: RoutineWord, if_exists: bool, names: Vec<Named>, cascade: bool },
    Alter { word: RoutineWord, named: Named, change: AlterRoutine },
    CreateTrigger(Box<TriggerBody>),
    DropTrigger { if_exists: bool, name: String, table: QualifiedName, cascade: bool },
    RenameTrigger { name: String, table: QualifiedName, new: String },
    EnableTrigger { table: QualifiedName, name: Option<String>, enabled: char },
    Do { language: Language, body: String },
    Call(Box<ast::Function>),
}

impl RoutineBody {
    /// Whether it changes definitions.
    pub(crate) fn is_definition(&self) -> bool {
        !matches!(self, Self::Do { .. } | Self::Call(_))
    }

    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Create(body) if body.is_procedure => "CREATE PROCEDURE",
            Self::Create(_) => "CREATE FUNCTION",
            Self::Drop { word, .. } => word.tag(true),
            Self::Alter { word, .. } => word.tag(false),
            Self::CreateTrigger(_) => "CREATE TRIGGER",
            Self::DropTrigger { .. } => "DROP TRIGGER",
            Self::RenameTrigger { .. } => "ALTER TRIGGER",
            Self::EnableTrigger { .. } => "ALTER TABLE",
            Self::Do { .. } => "DO",
            Self::Call(_) => "CALL",
        }
    }
}

impl RoutineWord {
    pub(crate) fn tag(self, is_drop: bool) -> &'static str {
        match (self, is_drop) {
            (Self::Function, true) => "DROP FUNCTION",
            (Self::Procedure, true) => "DROP PROCEDURE",
            (Self::Routine, true) => "DROP ROUTINE",
            (Self::Function, false) => "ALTER FUNCTION",
            (Self::Procedure, false) => "ALTER PROCEDURE",
            (Self::Routine, false) => "ALTER ROUTINE",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Procedure => "procedure",
            Self::Routine => "routine",
        }
    }
}

/// Parses one of these statements, if it is one.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<RoutineBody>> {
    let Some(first) = cursor.peek_word(0) else { return Ok(None) };
    let begin = cursor.at;
    match first.as_str() {
        "do" => {
            cursor.at += 1;
            return do_block(cursor).map(Some);
        }
        "call" => {
            cursor.at += 1;
            let called = cursor.expression()?;
            cursor.expect_end()?;
            let ast::Expr::Function(function) = called else {
                cursor.at = begin + 1;
                return Err(cursor.error());
            };
            return Ok(Some(RoutineBody::Call(Box::new(function))));
        }
        "create" => {
            cursor.at += 1;
            let replace = cursor.accept(&["or", "replace"]);
            let is_constraint = cursor.accept(&["constraint"]);
            if cursor.accept(&["trigger"]) {
                return create_trigger(cursor, replace, is_constraint).map(Some);
            }
            if !is_constraint
                && let Some(word @ (RoutineWord::Function | RoutineWord::Procedure)) = word(cursor)
            {
                return create(cursor, word == RoutineWord::Procedure, replace).map(Some);
            }
        }
        "drop" => {
            cursor.at += 1;
            if cursor.accept(&["trigger"]) {
                return drop_trigger(cursor).map(Some);
            }
            if let Some(word) = word(cursor) {
                return drop_routine(cursor, word).map(Some);
            }
        }
        "alter" => {
            cursor.at += 1;
            if let Some(word) = word(cursor) {
                return alter(cursor, word).map(Some);
            }
            if cursor.accept(&["trigger"]) {
                let name = cursor.name()?;
                cursor.expect(&["on"])?;
                let table = cursor.qualified_name()?;
                cursor.expect(&["rename", "to"])?;
                let new = cursor.name()?;
                cursor.expect_end()?;
                return Ok(Some(RoutineBody::RenameTrigger { name, table, new }));
            }
            if let Some(body) = enable_trigger(cursor)? {
                return Ok(Some(body));
            }
        }
        _ => {}
    }
    cursor.at = begin;
    Ok(None)
}

pub(crate) fn word(cursor: &mut Cursor<'_>) -> Option<RoutineWord> {
    if cursor.accept(&["function"]) {
        Some(RoutineWord::Function)
    } else if cursor.accept(&["procedure"]) {
        Some(RoutineWord::Procedure)
    } else if cursor.accept(&["routine"]) {
        Some(RoutineWord::Routine)
    } else {
        None
    }
}

fn language_named(name: &str) -> Result<Language> {
    match name {
        "sql" => Ok(Language::Sql),
        "plpgsql" => Ok(Language::Plpgsql),
        "c" | "internal" => Err(SqlError::unsupported(format!("a function in language {name}"))),
        _ => {
            let message = format!("language \"{name}\" does not exist");
            let error = SqlError::new(SqlState::UndefinedObject, message);
            Err(error.with_hint("Use CREATE EXTENSION to load the language into the database."))
        }
    }
}

pub(crate) fn language_of(name: Option<&str>) -> Result<Language> {
    match name {
        Some(name) => language_named(name),
        None => {
            let message = "no language specified";
            Err(SqlError::new(SqlState::InvalidFunctionDefinition, message))
        }
    }
}

/// A name, in quotes of either kind or in none.
fn word_or_string(cursor: &mut Cursor<'_>) -> Result<String> {
    cursor.name().or_else(|_| cursor.string()).map(|name| name.to_lowercase())
}

fn do_block(cursor: &mut Cursor<'_>) -> Result<RoutineBody> {
    let (mut language, mut body) = (None, None);
    while !cursor.is_at_end() {
        if cursor.accept(&["language"]) {
            language = Some(word_or_string(cursor)?);
        } else {
            body = Some(cursor.string()?);
        }
    }
    let Some(body) = body else {
        return Err(SqlError::new(SqlState::SyntaxError, "no inline code specified"));
    };
    let language = language_named(language.as_deref().unwrap_or("plpgsql"))?;
    if language == Language::Sql {
        let message = "language \"sql\" does not support inline code execution";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    Ok(RoutineBody::Do { language, body })
}

/// What may follow a type's first word as a part of it.
const TYPE_WORDS: [&str; 4] = ["precision", "varying", "with", "without"];

/// Whether a name stands before a type.
fn has_name(cursor: &Cursor<'_>) -> bool {
    let next = cursor.tokens.get(cursor.at + 1).map(|token| &token.token);
    match next {
        Some(Token::Word(word)) => {
            let word = word.value.to_lowercase();
            !TYPE_WORDS.contains(&word.as_str()) && !["default", "array"].contains(&word.as_str())
        }
        _ => false,
    }
}

fn type_ref(cursor: &mut Cursor<'_>) -> Result<TypeRef> {
    let position = cursor.position();
    let begin = cursor.at;
    if let Ok(first) = cursor.name() {
        let mut names = vec![first];
        while cursor.accept_token(&Token::Period) {
            names.push(cursor.name()?);
        }
        if cursor.accept_token(&Token::Mod) {
            cursor.expect(&["type"])?;
            return Ok(TypeRef::Like(names, position));
        }
    }
    cursor.at = begin;
    Ok(TypeRef::Name(cursor.parse(Parser::parse_data_type)?, position))
}

fn mode(cursor: &mut Cursor<'_>) -> Option<ArgumentMode> {
    let is_type = |ahead: usize| {
        let token = cursor.tokens.get(cursor.at + ahead).map(|token| &token.token);
        matches!(token, Some(Token::Word(_)))
    };
    let mode = match cursor.peek_word(0).as_deref() {
        Some("in") => ArgumentMode::In,
        Some("out") if is_type(1) => ArgumentMode::Out,
        Some("inout") if is_type(1) => ArgumentMode::InOut,
        Some("variadic") => ArgumentMode::Variadic,
        _ => return None,
    };
    cursor.at += 1;
    if mode == ArgumentMode::In && cursor.accept(&["out"]) {
        return Some(ArgumentMode::InOut);
    }
    Some(mode)
}

/// The text of an expression from here on.
fn expression_text(cursor: &mut Cursor<'_>) -> Result<String> {
    let from = cursor.position();
    cursor.expression()?;
    let last = &cursor.tokens[cursor.at - 1];
    Ok(cursor.source.slice(from, end(last)).to_owned())
}

fn argument(cursor: &mut Cursor<'_>) -> Result<ArgumentBody> {
    let before = mode(cursor);
    let name = if has_name(cursor) { cursor.name()? } else { String::new() };
    let mode = before.or_else(|| if name.is_empty() { None } else { mode(cursor) });
    let ty = type_ref(cursor)?;
    let has_default = cursor.accept(&["default"]) || cursor.accept_token(&Token::Eq);
    let default = if has_default { Some(expression_text(cursor)?) } else { None };
    Ok(ArgumentBody { name, mode: mode.unwrap_or(ArgumentMode::In), ty, default })
}

/// `(a int, OUT b text)`
fn arguments(cursor: &mut Cursor<'_>) -> Result<Vec<ArgumentBody>> {
    let mut list = Vec::new();
    cursor.expect_token(&Token::LParen)?;
    if cursor.accept_token(&Token::RParen) {
        return Ok(list);
    }
    loop {
        list.push(argument(cursor)?);
        if cursor.accept_token(&Token::RParen) {
            return Ok(list);
        }
        cursor.expect_token(&Token::Comma)?;
    }
}

fn create(cursor: &mut Cursor<'_>, is_procedure: bool, replace: bool) -> Result<RoutineBody> {
    let name = cursor.qualified_name()?;
    let mut arguments = arguments(cursor)?;
    let (mut returns, mut is_set) = (None, false);
    if !is_procedure && cursor.accept(&["returns"]) {
        if cursor.accept(&["table"]) {
            is_set = true;
            cursor.expect_token(&Token::LParen)?;
            loop {
                let name = cursor.name()?;
                let ty = type_ref(cursor)?;
                let mode = ArgumentMode::Table;
                arguments.push(ArgumentBody { name, mode, ty, default: None });
                if cursor.accept_token(&Token::RParen) {
                    break;
                }
                cursor.expect_token(&Token::Comma)?;
            }
        } else {
            is_set = cursor.accept(&["setof"]);
            returns = Some(type_ref(cursor)?);
        }
    }
    let mut options = Options::default();
    while !cursor.is_at_end() {
        option(cursor, &mut options)?;
    }
    Ok(RoutineBody::Create(Box::new(CreateBody {
        is_procedure,
        replace,
        name,
        arguments,
        returns,
        is_set,
        options,
    })))
}

fn option(cursor: &mut Cursor<'_>, options: &mut Options) -> Result<()> {
    let position = cursor.position();
    let twice = || {
        Err(SqlError::new(SqlState::SyntaxError, "conflicting or redundant options").at(position))
    };
    if cursor.accept(&["language"]) {
        if options.language.is_some() {
            return twice();
        }
        options.language = Some(word_or_string(cursor)?);
    } else if cursor.accept(&["as"]) {
        if options.body.is_some() {
            return twice();
        }
        options.body = Some(cursor.string()?);
        if cursor.accept_token(&Token::Comma) {
            cursor.string()?;
            return Err(SqlError::unsupported("a function of a shared library"));
        }
    } else if let Some(volatility) = volatility(cursor) {
        if options.volatility.is_some() {
            return twice();
        }
        options.volatility = Some(volatility);
    } else if cursor.accept(&["strict"])
        || cursor.accept(&["returns", "null", "on", "null", "input"])
    {
        options.is_strict = Some(true);
    } else if cursor.accept(&["called", "on", "null", "input"]) {
        options.is_strict = Some(false);
    } else if cursor.accept(&["leakproof"]) {
        options.is_leakproof = Some(true);
    } else if cursor.accept(&["not", "leakproof"]) {
        options.is_leakproof = Some(false);
    } else if cursor.accept(&["external"]) || cursor.peek_word(0).as_deref() == Some("security") {
        cursor.expect(&["security"])?;
        options.is_definer = Some(cursor.accept(&["definer"]));
        if options.is_definer == Some(false) {
            cursor.expect(&["invoker"])?;
        }
    } else if cursor.accept(&["parallel"]) {
        let word = cursor.name()?;
        options.parallel = Some(match word.as_str() {
            "safe" => 's',
            "restricted" => 'r',
            "unsafe" => 'u',
            _ => {
                let message = "parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE";
                return Err(SqlError::new(SqlState::SyntaxError, message));
            }
        });
    } else if cursor.accept(&["cost"]) {
        options.cost = Some(number(cursor)?);
    } else if cursor.accept(&["rows"]) {
        options.rows = Some(number(cursor)?);
    } else if cursor.accept(&["set"]) {
        let name = cursor.name()?;
        if !cursor.accept(&["to"]) {
            cursor.expect_token(&Token::Eq)?;
        }
        let mut values = vec![setting_value(cursor)?];
        while cursor.accept_token(&Token::Comma) {
            values.push(setting_value(cursor)?);
        }
        options.settings.push((Some(name), Some(values.join(", "))));
    } else if cursor.accept(&["reset"]) {
        let name = if cursor.accept(&["all"]) { None } else { Some(cursor.name()?) };
        options.settings.push((name, None));
    } else if cursor.accept(&["window"]) {
        return Err(SqlError::unsupported("a window function of a user's"));
    } else if cursor.accept(&["support"]) || cursor.accept(&["transform"]) {
        return Err(SqlError::unsupported("SUPPORT or TRANSFORM of a function"));
    } else if cursor.accept(&["return"]) {
        let text = expression_text(cursor)?;
        options.body = Some(format!("SELECT {text}"));
        options.is_sql_body = true;
    } else if cursor.accept(&["begin", "atomic"]) {
        let from = cursor.position();
        let Some(last) = cursor.tokens.last().filter(|last| is_word(last, "end")) else {
            cursor.at = cursor.tokens.len();
            return Err(cursor.error());
        };
        options.body = Some(cursor.source.slice(from, start(last)).trim().to_owned());
        options.is_sql_body = true;
        cursor.at = cursor.tokens.len();
    } else {
        return Err(cursor.error());
    }
    Ok(())
}

fn volatility(cursor: &mut Cursor<'_>) -> Option<Volatility> {
    if cursor.accept(&["immutable"]) {
        Some(Volatility::Immutable)
    } else if cursor.accept(&["stable"]) {
        Some(Volatility::Stable)
    } else if cursor.accept(&["volatile"]) {
        Some(Volatility::Volatile)
    } else {
        None
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<String> {
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(digits, _)) => {
            cursor.at += 1;
            Ok(digits.clone())
        }
        _ => Err(cursor.error()),
    }
}

fn setting_value(cursor: &mut Cursor<'_>) -> Result<String> {
    number(cursor).or_else(|_| cursor.string()).or_else(|_| cursor.name())
}

pub(crate) fn named(cursor: &mut Cursor<'_>) -> Result<Named> {
    let name = cursor.qualified_name()?;
    let has_arguments = cursor.peek().is_some_and(|token| token.token == Token::LParen);
    let arguments = if has_arguments { Some(arguments(cursor)?) } else { None };
    Ok(Named { name, arguments })
}

fn cascade(cursor: &mut Cursor<'_>) -> bool {
    let cascade = cursor.accept(&["cascade"]);
    if !cascade {
        cursor.accept(&["restrict"]);
    }
    cascade
}

fn drop_routine(cursor: &mut Cursor<'_>, word: RoutineWord) -> Result<RoutineBody> {
    let if_exists = cursor.accept(&["if", "exists"]);
    let mut names = vec![named(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        names.push(named(cursor)?);
    }
    let cascade = cascade(cursor);
    cursor.expect_end()?;
    Ok(RoutineBody::Drop { word, if_exists, names, cascade })
}

fn alter(cursor: &mut Cursor<'_>, word: RoutineWord) -> Result<RoutineBody> {
    let named = named(cursor)?;
    let change = if cursor.accept(&["rename", "to"]) {
        AlterRoutine::Rename(cursor.name()?)
    } else if cursor.accept(&["set", "schema"]) {
        AlterRoutine::SetSchema(cursor.name()?)
    } else if cursor.accept(&["owner", "to"]) {
        cursor.name()?;
        AlterRoutine::Nothing
    } else {
        let mut options = Options::default();
        while !cursor.is_at_end() && !cursor.accept(&["restrict"]) {
            option(cursor, &mut options)?;
        }
        AlterRoutine::Options(Box::new(options))
    };
    cursor.expect_end()?;
    Ok(RoutineBody::Alter { word, named, change })
}

fn drop_trigger(cursor: &mut Cursor<'_>) -> Result<RoutineBody> {
    let if_exists = cursor.accept(&["if", "exists"]);
    let name = cursor.name()?;
    cursor.expect(&["on"])?;
    let table = cursor.qualified_name()?;
    let cascade = cascade(cursor);
    cursor.expect_end()?;
    Ok(RoutineBody::DropTrigger { if_exists, name, table, cascade })
}

/// `ALTER TABLE t ENABLE | DISABLE TRIGGER name | ALL | USER`
fn enable_trigger(cursor: &mut Cursor<'_>) -> Result<Option<RoutineBody>> {
    if !cursor.accept(&["table"]) {
        return Ok(None);
    }
    if cursor.accept(&["if", "exists"]) {
        return Ok(None);
    }
    cursor.accept(&["only"]);
    let Ok(table) = cursor.qualified_name() else { return Ok(None) };
    let enabled = if cursor.accept(&["enable", "trigger"]) {
        'O'
    } else if cursor.accept(&["disable", "trigger"]) {
        'D'
    } else if cursor.accept(&["enable", "always", "trigger"]) {
        'A'
    } else if cursor.accept(&["enable", "replica", "trigger"]) {
        'R'
    } else {
        return Ok(None);
    };
    let is_all = cursor.accept(&["all"]) || cursor.accept(&["user"]);
    let name = if is_all { None } else { Some(cursor.name()?) };
    cursor.expect_end()?;
    Ok(Some(RoutineBody::EnableTrigger { table, name, enabled }))
}

/// `INSERT OR UPDATE OF a, b OR DELETE`: the events, and the columns.
fn trigger_events(cursor: &mut Cursor<'_>) -> Result<(TriggerEvents, Vec<String>)> {
    let (mut events, mut columns) = (TriggerEvents::default(), Vec::new());
    loop {
        let event = cursor.name()?;
        let flag = match event.as_str() {
            "insert" => &mut events.insert,
            "update" => &mut events.update,
            "delete" => &mut events.delete,
            "truncate" => &mut events.truncate,
            _ => {
                cursor.at -= 1;
                return Err(cursor.error());
            }
        };
        if std::mem::replace(flag, true) {
            return Err(SqlError::new(SqlState::SyntaxError, "duplicate trigger events specified"));
        }
        if event == "update" && cursor.accept(&["of"]) {
            columns.push(cursor.name()?);
            while cursor.accept_token(&Token::Comma) {
                columns.push(cursor.name()?);
            }
        }
        if !cursor.accept(&["or"]) {
            break;
        }
    }
    Ok((events, columns))
}

/// `REFERENCING OLD TABLE AS a NEW TABLE AS b`
fn transition_tables(cursor: &mut Cursor<'_>) -> Result<(Option<String>, Option<String>)> {
    let (mut old_table, mut new_table) = (None, None);
    if cursor.accept(&["referencing"]) {
        while !cursor.is_at_end() {
            let is_old = cursor.accept(&["old", "table"]);
            if !is_old && !cursor.accept(&["new", "table"]) {
                if cursor.accept(&["old", "row"]) || cursor.accept(&["new", "row"]) {
                    return Err(SqlError::new(
                        SqlState::FeatureNotSupported,
                        "ROW variable naming in the REFERENCING clause is not supported",
                    )
                    .with_hint("Use OLD TABLE or NEW TABLE for naming transition tables."));
                }
                break;
            }
            cursor.accept(&["as"]);
            let name = Some(cursor.name()?);
            if is_old {
                old_table = name;
            } else {
                new_table = name;
            }
        }
    }
    Ok((old_table, new_table))
}

fn create_trigger(
    cursor: &mut Cursor<'_>,
    replace: bool,
    is_constraint: bool,
) -> Result<RoutineBody> {
    let name = cursor.name()?;
    let time = if cursor.accept(&["before"]) {
        TriggerTime::Before
    } else if cursor.accept(&["instead", "of"]) {
        TriggerTime::InsteadOf
    } else {
        cursor.expect(&["after"])?;
        TriggerTime::After
    };
    let (events, columns) = trigger_events(cursor)?;
    cursor.expect(&["on"])?;
    let table = cursor.qualified_name()?;
    if cursor.accept(&["from"]) {
        cursor.qualified_name()?;
    }
    let mut constraint = is_constraint.then(Deferral::default);
    if is_constraint {
        constraint = Some(deferral(cursor)?);
    }
    let (old_table, new_table) = transition_tables(cursor)?;
    let mut is_row = false;
    if cursor.accept(&["for"]) {
        cursor.accept(&["each"]);
        is_row = cursor.accept(&["row"]);
        if !is_row {
            cursor.expect(&["statement"])?;
        }
    }
    let mut condition = None;
    if cursor.accept(&["when"]) {
        cursor.expect_token(&Token::LParen)?;
        condition = Some(expression_text(cursor)?);
        cursor.expect_token(&Token::RParen)?;
    }
    cursor.expect(&["execute"])?;
    if !cursor.accept(&["function"]) {
        cursor.expect(&["procedure"])?;
    }
    let function = cursor.qualified_name()?;
    let mut arguments = Vec::new();
    cursor.expect_token(&Token::LParen)?;
    while !cursor.accept_token(&Token::RParen) {
        arguments.push(setting_value(cursor)?);
        if !cursor.accept_token(&Token::Comma) {
            cursor.expect_token(&Token::RParen)?;
            break;
        }
    }
    cursor.expect_end()?;
    Ok(RoutineBody::CreateTrigger(Box::new(TriggerBody {
        replace,
        name,
        time,
        events,
        columns,
        table,
        is_row,
        condition,
        function,
        arguments,
        old_table,
        new_table,
        constraint,
    })))
}

fn deferral(cursor: &mut Cursor<'_>) -> Result<Deferral> {
    let mut deferral = Deferral::default();
    loop {
        if cursor.accept(&["not", "deferrable"]) {
            deferral = Deferral::Never;
        } else if cursor.accept(&["deferrable"]) {
            if deferral == Deferral::Never {
                deferral = Deferral::Immediate;
            }
        } else if cursor.accept(&["initially", "deferred"]) {
            deferral = Deferral::Deferred;
        } else if !cursor.accept(&["initially", "immediate"]) {
            return Ok(deferral);
        }
    }
}
