//! Regular expressions as PostgreSQL's: AREs, EREs and BREs with Spencer's rules of what matches.
//!
//! Of the matches that begin first a pattern takes the longest, or the shortest if its first part that
//! prefers anything prefers that; within the match each part, from the left, takes as much or as little as
//! it prefers, as long as the rest still matches. The rest of what is here serves that rule:
//!
//! * [`parse`] makes a tree whose nodes are the places where a match is divided, and for every node its
//!   language;
//! * every node has an automaton ([`dfa`]) that finds the longest or shortest end from a place;
//! * [`search`] finds where the first match begins and ends, [`dissect`] divides it. Only back references
//!   make it try again.
//!
//! Whether and where there is a match depends on languages only, not on preferences; where the `regex`
//! crate has the same language, it answers that faster, and only lengths and groups are found here.
//!
//! Invariants
//! * The memory is bounded: automata by [`MAX_STATES`] and [`dfa`], all else by the text's length.
//! * So is the time: what takes more than [`MAX_WORK`] steps and some for each character fails. Before that
//!   a search stops when its statement is canceled.
//!
//! Sources: [Spencer99], PostgreSQL's manual 9.7.3, and answers of PostgreSQL 15
//! (`tests/postgres/regexp.tsv`).

mod alphabet;
mod charset;
mod dfa;
mod dissect;
mod lang;
mod lex;
mod nfa;
mod parse;
mod search;
#[cfg(test)]
mod tests;
mod tree;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use alphabet::Alphabet;
use dfa::Dfa;
use lang::{Assertion, Lang};
use nfa::Nfa;
use parse::{Look, parse};
pub(crate) use search::{Match, Subject};
use tree::Node;

use crate::{SqlState, ValueError};

/// The states that the automata of a pattern's looks and nodes may have, each.
const MAX_STATES: u64 = 50_000;

/// So many steps after each other it is not looked whether the statement is to stop.
const STEPS_PER_CHECK: u64 = 1 << 20;

/// The steps that a search may take, beside [`WORK_PER_CHARACTER`].
const MAX_WORK: u64 = 500_000_000;

const WORK_PER_CHARACTER: u64 = 1_000;

/// What is wrong with a pattern, or with its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    BadPattern,
    Collating,
    Class,
    Escape,
    BackReference,
    Bracket,
    Parenthesis,
    Brace,
    BadBound,
    Range,
    BadRepeat,
    Options,
    BadOption,
    TooBig,
    TooManyLetters,
    /// A search took too many steps.
    TooMuchWork,
    /// The statement is to stop.
    Canceled,
}

impl From<Problem> for ValueError {
    fn from(problem: Problem) -> Self {
        let reason = match problem {
            Problem::BadPattern => "invalid regexp (reg version 0.8)",
            Problem::Collating => "invalid collating element",
            Problem::Class => "invalid character class",
            Problem::Escape => "invalid escape \\ sequence",
            Problem::BackReference => "invalid backreference number",
            Problem::Bracket => "brackets [] not balanced",
            Problem::Parenthesis => "parentheses () not balanced",
            Problem::Brace => "braces {} not balanced",
            Problem::BadBound => "invalid repetition count(s)",
            Problem::Range => "invalid character range",
            Problem::BadRepeat => "quantifier operand invalid",
            Problem::Options => "invalid argument to regex function",
            Problem::TooManyLetters => "too many colors",
            Problem::BadOption => "invalid embedded option",
            Problem::TooBig | Problem::TooMuchWork => "regular expression is too complex",
            Problem::Canceled => {
                let message = "canceling statement due to user request";
                return Self::new(SqlState::QueryCanceled, message);
            }
        };
        let message = match problem {
            Problem::TooMuchWork => format!("regular expression failed: {reason}"),
            _ => format!("invalid regular expression: {reason}"),
        };
        Self::new(SqlState::InvalidRegularExpression, message)
    }
}

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// `+`, `?`, `|` and `()` mean something without a backslash.
    extended: bool,
    /// So do escapes, `(?…)` and lazy quantifiers.
    advanced: bool,
    literal: bool,
    ignore_case: bool,
    expanded: bool,
    /// `.` and `[^…]` do not match a newline.
    newline_stops: bool,
    /// `^` and `$` match at newlines.
    line_anchors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            extended: true,
            advanced: true,
            literal: false,
            ignore_case: false,
            expanded: false,
            newline_stops: false,
            line_anchors: false,
        }
    }
}

impl Options {
    pub(crate) fn ignoring_case(ignore_case: bool) -> Self {
        Self { ignore_case, ..Self::default() }
    }

    /// The options that XQuery's flags of a `like_regex` stand for.
    pub(crate) fn of_jsonpath(flags: &str) -> Self {
        let mut options = Self::ignoring_case(flags.contains('i'));
        if flags.contains('q') {
            options.make_literal();
            return options;
        }
        options.newline_stops = !flags.contains('s');
        options.line_anchors = flags.contains('m');
        options
    }

    /// Takes an option of a function's flags; false if there is none of that letter.
    pub(crate) fn set(&mut self, letter: char) -> bool {
        match letter {
            // PostgreSQL takes `e` for `b` there; it is as it is.
            'b' | 'e' => (self.extended, self.advanced, self.literal) = (false, false, false),
            letter => return self.embedded(letter),
        }
        true
    }

    /// Takes an option that stands in the pattern.
    fn embedded(&mut self, letter: char) -> bool {
        match letter {
            'b' => (self.extended, self.advanced, self.literal) = (false, false, false),
            'e' => (self.extended, self.advanced, self.literal) = (true, false, false),
            'c' => self.ignore_case = false,
            'i' => self.ignore_case = true,
            'm' | 'n' => (self.newline_stops, self.line_anchors) = (true, true),
            'p' => (self.newline_stops, self.line_anchors) = (true, false),
            'q' => (self.extended, self.advanced, self.literal) = (false, false, true),
            's' => (self.newline_stops, self.line_anchors) = (false, false),
            't' => self.expanded = false,
            'w' => (self.newline_stops, self.line_anchors) = (false, true),
            'x' => self.expanded = true,
            _ => return false,
        }
        true
    }

    fn is_literal(self) -> bool {
        self.literal
    }

    fn is_extended(self) -> bool {
        self.extended
    }

    fn is_advanced(self) -> bool {
        self.advanced
    }

    fn is_plainly_extended(self) -> bool {
        self.extended && !self.advanced
    }

    fn make_literal(&mut self) {
        *self = Self {
            extended: false,
            advanced: false,
            literal: true,
            ignore_case: self.ignore_case,
            expanded: false,
            newline_stops: false,
            line_anchors: false,
        };
    }

    fn make_advanced(&mut self) {
        (self.extended, self.advanced) = (true, true);
    }
}

/// A compiled pattern.
pub(crate) struct Regexp {
    tree: Node,
    looks: Vec<Look>,
    group_count: usize,
    has_back_references: bool,
    ignore_case: bool,
    alphabet: Alphabet,
    languages: Vec<Rc<Lang>>,
    /// The nodes' automata, by number, as far as they were needed; likewise those of the look-arounds,
    /// and that of a search for the whole.
    automata: Vec<OnceCell<RefCell<Dfa>>>,
    look_automata: Vec<OnceCell<RefCell<Dfa>>>,
    search_automaton: OnceCell<RefCell<Dfa>>,
    /// The `regex` crate's pattern of the same language.
    quick: Option<regex::Regex>,
}

impl std::fmt::Debug for Regexp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Regexp").field("tree", &self.tree).finish_non_exhaustive()
    }
}

impl Regexp {
    /// Compiles a pattern. What is wrong with it is 2201B, as is one whose automata are too big.
    pub(crate) fn new(pattern: &str, options: Options) -> Result<Self, ValueError> {
        Ok(Self::compile(pattern, options)?)
    }

    fn compile(pattern: &str, options: Options) -> Result<Self, Problem> {
        let is_clash = options.expanded || options.newline_stops || options.line_anchors;
        if options.literal && is_clash {
            return Err(Problem::Options);
        }
        let mut parsed = parse(pattern, options)?;
        let mut languages = Vec::new();
        parsed.tree.number(&mut languages);
        let looks = parsed.looks;
        let all = || languages.iter().take(1).chain(looks.iter().map(|look| &look.lang));
        if all().any(|lang| lang.size(MAX_STATES) > MAX_STATES) {
            return Err(Problem::TooBig);
        }
        let mut sets = Vec::new();
        for lang in languages.iter().chain(looks.iter().map(|look| &look.lang)) {
            lang.each_set(&mut |set| sets.push(Rc::clone(set)));
        }
        sets.sort_unstable();
        sets.dedup();
        let is_line = |a| matches!(a, Assertion::LineStart | Assertion::LineEnd);
        let is_text = |a| matches!(a, Assertion::TextStart | Assertion::TextEnd);
        let has_lines = all().any(|lang| lang.has_assertion(&is_line));
        let has_words = all().any(|lang| lang.has_assertion(&|a| !is_line(a) && !is_text(a)));
        let alphabet = Alphabet::new(sets, has_words, has_lines)?;
        let quick = if parsed.has_back_references { None } else { quick_pattern(&languages[0]) };
        Ok(Self {
            tree: parsed.tree,
            group_count: parsed.group_count as usize,
            has_back_references: parsed.has_back_references,
            ignore_case: parsed.options.ignore_case,
            alphabet,
            automata: (0..languages.len()).map(|_| OnceCell::new()).collect(),
            look_automata: (0..looks.len()).map(|_| OnceCell::new()).collect(),
            search_automaton: OnceCell::new(),
            languages,
            looks,
            quick,
        })
    }

    /// How many groups capture.
    pub(crate) fn group_count(&self) -> usize {
        self.group_count
    }

    fn automaton(&self, number: usize) -> &RefCell<Dfa> {
        self.automata[number].get_or_init(|| self.dfa(&self.languages[number], false))
    }

    /// Of a look-ahead its own automaton, of a look-behind that of a search for it.
    fn look_automaton(&self, number: usize) -> &RefCell<Dfa> {
        let look = &self.looks[number];
        self.look_automata[number].get_or_init(|| self.dfa(&look.lang, !look.ahead))
    }

    fn search_automaton(&self) -> &RefCell<Dfa> {
        self.search_automaton.get_or_init(|| self.dfa(&self.tree.lang, true))
    }

    fn dfa(&self, lang: &Lang, searches: bool) -> RefCell<Dfa> {
        RefCell::new(Dfa::new(Nfa::new(lang, &self.alphabet, searches), &self.alphabet))
    }
}

/// The crate's pattern for a language, if it has one and it is not too big for it.
fn quick_pattern(lang: &Lang) -> Option<regex::Regex> {
    let mut pattern = String::new();
    if !lang.write_crate_pattern(&mut pattern) {
        return None;
    }
    regex::RegexBuilder::new(&pattern)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .nest_limit(1_000)
        .build()
        .ok()
}
