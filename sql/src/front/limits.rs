//! How deep a statement's tree can become, told from its tokens; and room for it.
//!
//! `sqlparser` guards its own recursion but not the clone and drop of its trees: five thousand chained
//! operators overflow a 2 MiB stack and end the process. The tokens bound the depth before there is a
//! tree: within a pair of brackets each operator, cast or set operation may add one level, and a comma
//! starts again. Beyond [`MAX_CHAIN`] a statement is refused; above [`SHALLOW`] its tree is built, bound and
//! dropped on a stack of its own.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens;

/// Trees at most this deep fit on any stack.
const SHALLOW: u32 = 24;
/// Deeper trees are refused outright.
const MAX_CHAIN: u32 = 12_000;
/// The deepest bound expression or plan: other crates recurse over those on ordinary stacks.
pub(crate) const MAX_DEPTH: u32 = 500;
/// How many brackets and CASEs may be open at once. The parser would stop at [`PARSER_DEPTH`] by itself,
/// but takes some of its own refusals for syntax errors.
const MAX_OPEN: usize = 250;
/// How deep the parser itself may recurse: several levels for each bracket.
pub(crate) const PARSER_DEPTH: usize = 2_500;
/// Stack per level of tree, generous for unoptimized builds.
const BYTES_PER_LEVEL: usize = 24 << 10;
/// Stack besides.
const BASE_BYTES: usize = 24 << 20;

/// The error for what is nested too deeply.
pub(crate) fn too_deep() -> SqlError {
    SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded").with_hint(
        "Split the statement, or write the chain as a list: IN (...), VALUES, or a temporary table.",
    )
}

/// A bound on the depth of the tree of a statement.
pub(crate) fn depth(tokens: &[TokenWithSpan]) -> Result<u32> {
    // For each open bracket, the depth that the chain inside it reached since the last comma.
    let mut open: Vec<u32> = vec![0];
    let (mut sum, mut deepest) = (0_u32, 0_u32);
    // Prefix operators one after the other: the parser recurses for each, and would call the one at
    // which it stops a syntax error.
    let mut prefixes = 0_u32;
    for token in tokens {
        prefixes = if is_prefix(&token.token) { prefixes + 1 } else { 0 };
        if prefixes > MAX_DEPTH {
            return Err(too_deep().at(tokens::start(token)));
        }
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                open.push(1);
                sum += 1;
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                if open.len() > 1 {
                    sum -= open.pop().unwrap_or(0);
                }
                // A subscript or a call after a value is a level in the chain around it.
                add(&mut open, &mut sum);
            }
            Token::Comma | Token::SemiColon => {
                if let Some(last) = open.last_mut() {
                    sum -= *last;
                    *last = 0;
                }
            }
            Token::Word(word) if word.quote_style.is_none() => {
                if word.value.eq_ignore_ascii_case("case") {
                    open.push(1);
                    sum += 1;
                } else if word.value.eq_ignore_ascii_case("end") && open.len() > 1 {
                    sum -= open.pop().unwrap_or(0);
                    add(&mut open, &mut sum);
                } else if deepens(&word.value) {
                    add(&mut open, &mut sum);
                }
            }
            token if is_operator(token) => add(&mut open, &mut sum),
            _ => {}
        }
        deepest = deepest.max(sum);
        if sum > MAX_CHAIN || open.len() > MAX_OPEN {
            return Err(too_deep().at(tokens::start(token)));
        }
    }
    Ok(deepest)
}

fn add(open: &mut [u32], sum: &mut u32) {
    if let Some(last) = open.last_mut() {
        *last += 1;
        *sum += 1;
    }
}

fn deepens(word: &str) -> bool {
    const WORDS: [&str; 21] = [
        "and",
        "or",
        "not",
        "is",
        "in",
        "between",
        "like",
        "ilike",
        "similar",
        "at",
        "collate",
        "union",
        "except",
        "intersect",
        "join",
        "isnull",
        "notnull",
        "operator",
        "interval",
        "select",
        "array",
    ];
    WORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

fn is_prefix(token: &Token) -> bool {
    match token {
        Token::Minus | Token::Plus | Token::Tilde | Token::AtSign => true,
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case("not"),
        _ => false,
    }
}

fn is_operator(token: &Token) -> bool {
    !matches!(
        token,
        Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::EOF
    )
}

/// Runs `work` where a tree of some depth fits.
pub(crate) fn with_room<T>(depth: u32, work: impl FnOnce() -> T) -> T {
    if depth <= SHALLOW {
        return work();
    }
    stacker::grow(BASE_BYTES + depth as usize * BYTES_PER_LEVEL, work)
}

/// Runs `work` where a tree of some depth fits besides those that are being worked on: views within views.
pub(crate) fn with_room_for_more<T>(depth: u32, work: impl FnOnce() -> T) -> T {
    let shallow_bytes = (SHALLOW as usize + 1) * BYTES_PER_LEVEL;
    with_room(depth, || stacker::maybe_grow(2 * shallow_bytes, BASE_BYTES, work))
}

#[cfg(test)]
mod tests {
    use super::super::tokens::{Source, tokenize};
    use super::*;

    fn depth_of(text: &str) -> Result<u32> {
        depth(&tokenize(&Source::new(text)).unwrap())
    }

    #[test]
    fn lists_are_flat_and_chains_are_deep() {
        let list = format!("values {}", vec!["(1, -2)"; 10_000].join(","));
        assert!(depth_of(&list).unwrap() < 8);
        assert!(depth_of(&vec!["1"; 5_000].join("+")).unwrap() >= 4_999);
        depth_of(&vec!["1"; 50_000].join("+")).unwrap_err();
        depth_of(&"(".repeat(50_000)).unwrap_err();
        depth_of(&vec!["select 1"; 50_000].join(" union ")).unwrap_err();
    }
}
