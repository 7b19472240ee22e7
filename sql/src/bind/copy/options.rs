//! COPY's options: checked in PostgreSQL's order, so that of two mistakes the same one is told.
//!
//! [`Given::read`] looks at the options alone; [`Given::resolve`] finds the columns that they name.

use driftdb_query::{CopyFormat, CopyHeader, CopyOptions, Result, SqlError, Table};
use driftdb_types::SqlState;

use crate::front::copy::{CopyBody, CopyValue};

/// Names of encodings that PostgreSQL knows and we do not read.
const OTHER_ENCODINGS: &[&str] = &[
    "big5",
    "euccn",
    "eucjis2004",
    "eucjp",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso88591",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin1",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "muleinternal",
    "shiftjis2004",
    "sjis",
    "uhc",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
];
/// Names of UTF-8, and of no encoding: what is valid UTF-8 is taken.
const ENCODINGS: &[&str] = &["utf8", "unicode", "sqlascii"];

/// The options as they were given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) follow: bool,
    options: CopyOptions,
    force_quote: Option<CopyValue>,
    force_not_null: Option<CopyValue>,
    force_null: Option<CopyValue>,
}

#[derive(Default)]
struct Texts {
    format: Option<String>,
    delimiter: Option<String>,
    null: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
    header: Option<CopyHeader>,
}

impl Given {
    /// Reads the options, with the format's defaults for the rest.
    pub(super) fn read(copy: &CopyBody) -> Result<Self> {
        let mut texts = Texts::default();
        let (mut force_quote, mut force_not_null, mut force_null) = (None, None, None);
        let (mut follow, mut heartbeat) = (false, None);
        let mut seen: Vec<&str> = Vec::new();
        for (name, value, position) in &copy.options {
            let place = |error: SqlError| error.at(*position);
            if seen.contains(&name.as_str()) {
                return Err(place(syntax("conflicting or redundant options")));
            }
            seen.push(name);
            match name.as_str() {
                "format" => texts.format = Some(format(name, value).map_err(place)?),
                "delimiter" => texts.delimiter = Some(text(name, value)?),
                "null" => texts.null = Some(text(name, value)?),
                "header" => texts.header = Some(header(name, value, copy.from)?),
                "quote" => texts.quote = Some(text(name, value)?),
                "escape" => texts.escape = Some(text(name, value)?),
                "force_quote" => force_quote = Some(columns(name, value, true).map_err(place)?),
                "force_not_null" => {
                    force_not_null = Some(columns(name, value, false).map_err(place)?);
                }
                "force_null" => force_null = Some(columns(name, value, false).map_err(place)?),
                "follow" => follow = flag(name, value)?,
                "heartbeat" => heartbeat = Some(*position),
                // The rows are durable in any case.
                "freeze" => {
                    flag(name, value)?;
                }
                "encoding" => encoding(name, value).map_err(place)?,
                other => {
                    return Err(place(syntax(format!("option \"{other}\" not recognized"))));
                }
            }
        }
        if let Some(position) = heartbeat.filter(|_| !follow) {
            return Err(refused("COPY heartbeat available only with follow").at(position));
        }
        let forced = Forced {
            quote: force_quote.is_some(),
            not_null: force_not_null.is_some(),
            null: force_null.is_some(),
            from: copy.from,
        };
        let mut options = texts.check(&forced)?;
        options.follow = follow;
        Ok(Self { follow, options, force_quote, force_not_null, force_null })
    }

    /// Finds the columns that options name among those that are copied.
    pub(super) fn resolve(self, copied: &[String], table: Option<&Table>) -> Result<CopyOptions> {
        let find = |option: &str, given: Option<CopyValue>| match given {
            None => Ok(Vec::new()),
            Some(CopyValue::Columns(names)) => {
                names.iter().map(|name| position(option, name, copied, table)).collect()
            }
            Some(_) => Ok((0..copied.len()).collect()),
        };
        Ok(CopyOptions {
            force_quote: find("FORCE_QUOTE", self.force_quote)?,
            force_not_null: find("FORCE_NOT_NULL", self.force_not_null)?,
            force_null: find("FORCE_NULL", self.force_null)?,
            ..self.options
        })
    }
}

/// Which options about single columns were given.
struct Forced {
    quote: bool,
    not_null: bool,
    null: bool,
    from: bool,
}

impl Texts {
    fn check(self, forced: &Forced) -> Result<CopyOptions> {
        let format = match self.format.as_deref() {
            Some("csv") => CopyFormat::Csv,
            Some("binary") => CopyFormat::Binary,
            _ => CopyFormat::Text,
        };
        let binary = format == CopyFormat::Binary;
        let csv = format == CopyFormat::Csv;
        if binary && self.delimiter.is_some() {
            return Err(syntax("cannot specify DELIMITER in BINARY mode"));
        }
        if binary && self.null.is_some() {
            return Err(syntax("cannot specify NULL in BINARY mode"));
        }
        let default = if csv { "," } else { "\t" };
        let delimiter = one_byte("delimiter", self.delimiter.as_deref().unwrap_or(default))?;
        let null = self.null.unwrap_or_else(|| if csv { "" } else { "\\N" }.to_owned());
        check_line(csv, delimiter, &null)?;
        let header = self.header.unwrap_or(CopyHeader::Absent);
        if binary && header != CopyHeader::Absent {
            return Err(refused("cannot specify HEADER in BINARY mode"));
        }
        let only_csv = |name: &str, given: bool| match given && !csv {
            true => Err(refused(format!("COPY {name} available only in CSV mode"))),
            false => Ok(()),
        };
        only_csv("quote", self.quote.is_some())?;
        let quote = one_byte("quote", self.quote.as_deref().unwrap_or("\""))?;
        if csv && delimiter == quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        only_csv("escape", self.escape.is_some())?;
        let escape = match &self.escape {
            Some(escape) => one_byte("escape", escape)?,
            None => quote,
        };
        let only = |name: &str, given: bool, direction: bool, which: &str| {
            only_csv(name, given)?;
            match given && !direction {
                true => Err(refused(format!("COPY {name} only available using COPY {which}"))),
                false => Ok(()),
            }
        };
        only("force quote", forced.quote, !forced.from, "TO")?;
        only("force not null", forced.not_null, forced.from, "FROM")?;
        only("force null", forced.null, forced.from, "FROM")?;
        if null.as_bytes().contains(&delimiter) {
            return Err(refused("COPY delimiter must not appear in the NULL specification"));
        }
        if csv && null.as_bytes().contains(&quote) {
            return Err(refused("CSV quote character must not appear in the NULL specification"));
        }
        Ok(CopyOptions {
            format,
            delimiter,
            null,
            header,
            quote,
            escape,
            force_quote: Vec::new(),
            force_not_null: Vec::new(),
            force_null: Vec::new(),
            follow: false,
        })
    }
}

fn check_line(csv: bool, delimiter: u8, null: &str) -> Result<()> {
    if matches!(delimiter, b'\n' | b'\r') {
        return Err(invalid("COPY delimiter cannot be newline or carriage return"));
    }
    if null.contains(['\n', '\r']) {
        return Err(invalid("COPY null representation cannot use newline or carriage return"));
    }
    let taken =
        delimiter.is_ascii_lowercase() || delimiter.is_ascii_digit() || b"\\.".contains(&delimiter);
    if !csv && taken {
        let message = format!("COPY delimiter cannot be \"{}\"", char::from(delimiter));
        return Err(invalid(message));
    }
    Ok(())
}

fn position(option: &str, name: &str, copied: &[String], table: Option<&Table>) -> Result<usize> {
    if let Some(index) = copied.iter().position(|column| column == name) {
        return Ok(index);
    }
    let (state, message) = match table {
        Some(table) if table.column(name).is_some() => (
            SqlState::InvalidColumnReference,
            format!("{option} column \"{name}\" not referenced by COPY"),
        ),
        Some(table) => (
            SqlState::UndefinedColumn,
            format!("column \"{name}\" of relation \"{}\" does not exist", table.name),
        ),
        None => (SqlState::UndefinedColumn, format!("column \"{name}\" does not exist")),
    };
    Err(SqlError::new(state, message))
}

fn format(name: &str, value: &CopyValue) -> Result<String> {
    let format = text(name, value)?;
    match format.as_str() {
        "text" | "csv" | "binary" => Ok(format),
        other => Err(invalid(format!("COPY format \"{other}\" not recognized"))),
    }
}

fn header(name: &str, value: &CopyValue, from: bool) -> Result<CopyHeader> {
    match value {
        CopyValue::Text(text) if text.eq_ignore_ascii_case("match") => match from {
            true => Ok(CopyHeader::Match),
            false => Err(refused("cannot use \"match\" with HEADER in COPY TO")),
        },
        value => match flag(name, value) {
            Ok(true) => Ok(CopyHeader::Names),
            Ok(false) => Ok(CopyHeader::Absent),
            Err(_) => Err(syntax(format!("{name} requires a Boolean value or \"match\""))),
        },
    }
}

/// What an encoding is called may have other signs in it and any case.
fn encoding(name: &str, value: &CopyValue) -> Result<()> {
    let given = text(name, value)?;
    let plain: String = given.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    if ENCODINGS.contains(&plain.as_str()) {
        return Ok(());
    }
    if OTHER_ENCODINGS.contains(&plain.as_str()) {
        return Err(SqlError::unsupported(format!("encoding \"{given}\"")));
    }
    Err(invalid(format!("argument to option \"{name}\" must be a valid encoding name")))
}

pub(super) fn text(name: &str, value: &CopyValue) -> Result<String> {
    match value {
        CopyValue::Text(text) => Ok(text.clone()),
        CopyValue::Columns(names) => Ok(names.join(", ")),
        CopyValue::Star => Ok("*".to_owned()),
        CopyValue::Absent => Err(syntax(format!("{name} requires a parameter"))),
    }
}

fn flag(name: &str, value: &CopyValue) -> Result<bool> {
    let given = match value {
        CopyValue::Absent => return Ok(true),
        CopyValue::Text(text) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    match given.as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(syntax(format!("{name} requires a Boolean value"))),
    }
}

fn columns(name: &str, value: &CopyValue, star: bool) -> Result<CopyValue> {
    match value {
        CopyValue::Columns(_) => Ok(value.clone()),
        CopyValue::Star if star => Ok(CopyValue::Star),
        _ => Err(invalid(format!("argument to option \"{name}\" must be a list of column names"))),
    }
}

fn one_byte(name: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(refused(format!("COPY {name} must be a single one-byte character"))),
    }
}

fn syntax(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::SyntaxError, message)
}

fn refused(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, message)
}

pub(super) fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}
