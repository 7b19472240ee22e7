//! Text to tokens whose places are character positions.
//!
//! `sqlparser` gives line and column, and its tree keeps them in its spans. Every token is put on line 1
//! here, at the column of its character position in the whole text, so that any span of the tree *is*
//! the position that an error reports. Blanks and comments are dropped; string literals that are
//! separated by a line end are joined, as the standard asks.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::literals::{Literal, Plain, plain};

/// The longest text that is looked at.
pub(crate) const MAX_TEXT_BYTES: usize = 16 << 20;

/// A text with what is needed to turn positions into slices.
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    /// The position after the last character, from 1.
    pub(crate) end: u32,
    ascii: bool,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let ascii = text.is_ascii();
        let count = if ascii { text.len() } else { text.chars().count() };
        Self { text, end: count as u32 + 1, ascii }
    }

    /// The byte at which the character at a position starts.
    pub(crate) fn byte(&self, position: u32) -> usize {
        let index = position.saturating_sub(1) as usize;
        if self.ascii {
            return index.min(self.text.len());
        }
        self.text.char_indices().nth(index).map_or(self.text.len(), |(byte, _)| byte)
    }

    /// The text between two positions.
    pub(crate) fn slice(&self, from: u32, to: u32) -> &'a str {
        let (from, to) = (self.byte(from), self.byte(to));
        &self.text[from..to.max(from)]
    }
}

/// Where a token starts: characters from 1.
pub(crate) fn start(token: &TokenWithSpan) -> u32 {
    token.span.start.column as u32
}

/// Where a token ends: the character after it.
pub(crate) fn end(token: &TokenWithSpan) -> u32 {
    token.span.end.column as u32
}

/// A location on the one line.
fn place(position: u32) -> Location {
    Location::new(1, u64::from(position))
}

/// A token at a place.
pub(crate) fn token_at(token: Token, from: u32, to: u32) -> TokenWithSpan {
    TokenWithSpan::new(token, Span::new(place(from), place(to)))
}

/// The error for a token, as PostgreSQL's grammar raises it.
pub(crate) fn syntax_error(source: &Source<'_>, token: Option<&TokenWithSpan>) -> SqlError {
    match token {
        Some(token) => syntax_error_at(source.slice(start(token), end(token)), start(token)),
        None => syntax_error_at_end(source.end),
    }
}

/// The error for a piece of text.
pub(crate) fn syntax_error_at(found: &str, position: u32) -> SqlError {
    SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{found}\""))
        .at(position)
}

/// The error for a text that ends too early.
pub(crate) fn syntax_error_at_end(position: u32) -> SqlError {
    SqlError::new(SqlState::SyntaxError, "syntax error at end of input").at(position)
}

/// Cuts a text into tokens.
pub(crate) fn tokenize(source: &Source<'_>) -> Result<Vec<TokenWithSpan>> {
    if source.text.len() > MAX_TEXT_BYTES {
        return Err(SqlError::new(
            SqlState::ProgramLimitExceeded,
            format!("query text of {} bytes is too long", source.text.len()),
        )
        .with_detail(format!("The limit is {MAX_TEXT_BYTES} bytes."))
        .with_hint("Send the data in several statements, or by COPY."));
    }
    let Plain { text, mut literals } = plain(source.text)?;
    let lines = line_starts(&text);
    let position = |location: Location| -> u32 {
        let line = (location.line.max(1) - 1) as usize;
        let line_start = lines.get(line).copied().unwrap_or(0);
        (line_start + location.column.max(1) as u32).min(source.end)
    };
    let dialect = PostgreSqlDialect {};
    let raw = Tokenizer::new(&dialect, &text)
        .tokenize_with_location()
        .map_err(|error| lexical_error(source, &error.message, position(error.location)))?;
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(raw.len());
    let mut newline = false;
    for token in raw {
        let (from, to) = (position(token.span.start), position(token.span.end));
        if let Some(literal) = literals.remove(&from) {
            out.push(token_at(token_of(literal), from, to));
            newline = false;
            continue;
        }
        match token.token {
            Token::Whitespace(space) => {
                newline |=
                    matches!(space, Whitespace::Newline | Whitespace::SingleLineComment { .. });
                continue;
            }
            Token::SingleQuotedString(text) => {
                if newline
                    && let Some(TokenWithSpan { token: Token::SingleQuotedString(before), span }) =
                        out.last_mut()
                {
                    before.push_str(&text);
                    span.end = place(to);
                } else {
                    out.push(token_at(Token::SingleQuotedString(text), from, to));
                }
            }
            Token::CustomBinaryOperator(symbol) => split_operator(&symbol, from, to, &mut out),
            other => out.push(token_at(other, from, to)),
        }
        newline = false;
    }
    Ok(out)
}

/// What a literal with escapes is for the parser.
fn token_of(literal: Literal) -> Token {
    match literal {
        Literal::Escaped(text) => Token::EscapedStringLiteral(text),
        Literal::Unicode(text) => Token::SingleQuotedString(text),
        Literal::Name(name) => Token::make_word(&name, Some('"')),
    }
}

/// For each line, the count of characters before it.
fn line_starts(text: &str) -> Vec<u32> {
    let mut starts = vec![0];
    for (index, c) in text.chars().enumerate() {
        if c == '\n' {
            starts.push(index as u32 + 1);
        }
    }
    starts
}

/// An operator may end in `+` or `-` only if it has one of the characters that no standard operator has:
/// `a<-1` is a comparison with minus one.
fn split_operator(symbol: &str, from: u32, to: u32, out: &mut Vec<TokenWithSpan>) {
    let special = symbol.contains(['~', '!', '@', '#', '%', '^', '&', '|', '`', '?']);
    let core = symbol.trim_end_matches(['+', '-']);
    let known = match core {
        "<" => Some(Token::Lt),
        ">" => Some(Token::Gt),
        "=" => Some(Token::Eq),
        "<=" => Some(Token::LtEq),
        ">=" => Some(Token::GtEq),
        "<>" => Some(Token::Neq),
        "*" => Some(Token::Mul),
        "/" => Some(Token::Div),
        _ => None,
    };
    let signs = from + core.len() as u32;
    match known {
        _ if !special && (known.is_some() && core.len() < symbol.len() || core.is_empty()) => {
            out.extend(known.map(|token| token_at(token, from, signs)));
            for (at, sign) in (signs..).zip(symbol[core.len()..].chars()) {
                let token = if sign == '+' { Token::Plus } else { Token::Minus };
                out.push(token_at(token, at, at + 1));
            }
        }
        _ => out.push(token_at(Token::CustomBinaryOperator(symbol.to_owned()), from, to)),
    }
}

/// The tokenizer's complaints in PostgreSQL's words.
fn lexical_error(source: &Source<'_>, message: &str, position: u32) -> SqlError {
    let lower = message.to_ascii_lowercase();
    let what = if lower.contains("dollar") {
        "unterminated dollar-quoted string"
    } else if lower.contains("comment") {
        return SqlError::new(SqlState::SyntaxError, "unterminated /* comment").at(position);
    } else if lower.contains("delimiter") || lower.contains("quoted identifier") {
        "unterminated quoted identifier"
    } else if lower.contains("unterminated") {
        "unterminated quoted string"
    } else {
        let found: String = source.slice(position, source.end).chars().take(1).collect();
        return syntax_error_at(&found, position);
    };
    let found: String = source.slice(position, source.end).chars().take(64).collect();
    SqlError::new(SqlState::SyntaxError, format!("{what} at or near \"{found}\"")).at(position)
}

/// The unquoted word of a token, in lower case.
pub(crate) fn word(token: &TokenWithSpan) -> Option<String> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
        _ => None,
    }
}

/// Whether a token is a certain unquoted word.
pub(crate) fn is_word(token: &TokenWithSpan, expected: &str) -> bool {
    matches!(&token.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(text: &str) -> Vec<String> {
        let source = Source::new(text);
        let tokens = tokenize(&source).unwrap();
        tokens.iter().map(|token| format!("{}@{}", token.token, start(token))).collect()
    }

    #[test]
    fn places_are_character_positions() {
        assert_eq!(shapes("é\n  a"), ["é@1", "a@5"]);
        assert_eq!(shapes("a -- x\n b"), ["a@1", "b@9"]);
    }

    #[test]
    fn signs_are_not_part_of_comparison_operators() {
        assert_eq!(shapes("a<-1"), ["a@1", "<@2", "-@3", "1@4"]);
        assert_eq!(shapes("a>=-1"), ["a@1", ">=@2", "-@4", "1@5"]);
    }

    #[test]
    fn strings_on_two_lines_are_one() {
        assert_eq!(shapes("'a'\n 'b'"), ["'ab'@1"]);
        assert_eq!(shapes("'a' 'b'"), ["'a'@1", "'b'@5"]);
    }

    #[test]
    fn unterminated_pieces_are_named() {
        let source = Source::new("select 'abc");
        let error = tokenize(&source).unwrap_err();
        assert_eq!(error.message, "unterminated quoted string at or near \"'abc\"");
        assert_eq!(error.position, Some(8));
    }
}
