//! From the text of a pattern to its tokens.
//!
//! What a character means depends on the flavour (AREs, EREs, BREs, literals), on whether it is within
//! brackets or bounds, in BREs on the token before it, and for `\12` on how many groups there have been:
//! so the parser pulls tokens one by one and the lexer remembers where it is.

use super::charset::Class;
use super::{Options, Problem};

/// A token. Bounds and brackets are parsed from the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// Before the first.
    Start,
    End,
    Plain(u32),
    /// `.`
    Any,
    /// `^`
    LineStart,
    /// `$`
    LineEnd,
    /// `\A`
    TextStart,
    /// `\Z`
    TextEnd,
    /// `\m`
    WordStart,
    /// `\M`
    WordEnd,
    /// `\y`
    WordEdge,
    /// `\Y`
    NoWordEdge,
    Look {
        ahead: bool,
        negative: bool,
    },
    /// `|`
    Or,
    Star {
        greedy: bool,
    },
    Plus {
        greedy: bool,
    },
    Question {
        greedy: bool,
    },
    /// `{` of a bound.
    BoundOpen,
    BoundClose {
        greedy: bool,
    },
    Digit(u32),
    Comma,
    Open {
        captures: bool,
    },
    Close,
    BackReference(u32),
    /// `[` or `[^`
    BracketOpen {
        negated: bool,
    },
    BracketClose,
    /// A `-` between two characters within brackets.
    Range,
    /// `\d`, `\D` and so on.
    Class {
        class: Class,
        negated: bool,
    },
    /// `[.`
    CollatingOpen,
    /// `[=`
    EquivalenceOpen,
    /// `[:`
    ClassOpen,
    /// `.]`, `=]`, `:]`
    InnerClose,
}

/// Where the lexer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Main,
    Bound,
    Bracket,
    /// Within `[.`, `[=`, `[:`, up to this character and `]`.
    Inner(char),
}

pub(super) struct Lexer {
    chars: Vec<char>,
    at: usize,
    place: Place,
    pub(super) options: Options,
    pub(super) token: Token,
    /// How many groups were opened so far.
    pub(super) group_count: u32,
}

impl Lexer {
    pub(super) fn new(pattern: &str, options: Options) -> Result<Self, Problem> {
        let mut lexer = Self {
            chars: pattern.chars().collect(),
            at: 0,
            place: Place::Main,
            options,
            token: Token::Start,
            group_count: 0,
        };
        lexer.directors()?;
        lexer.next()?;
        Ok(lexer)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek(0) == Some(c);
        self.at += usize::from(found);
        found
    }

    fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, c)| self.peek(index) == Some(c))
    }

    /// `***=`, `***:` and `(?options)` at the beginning.
    fn directors(&mut self) -> Result<(), Problem> {
        if self.options.is_literal() {
            return Ok(());
        }
        if self.starts("***") {
            match self.peek(3) {
                None => {}
                Some('=') => {
                    self.options.make_literal();
                    self.at += 4;
                    return Ok(());
                }
                Some(':') => {
                    self.options.make_advanced();
                    self.at += 4;
                }
                Some('?') => return Err(Problem::BadPattern),
                Some(_) => return Err(Problem::BadRepeat),
            }
        }
        let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphabetic());
        if !self.options.is_advanced() || !self.starts("(?") || !letter(self.peek(2)) {
            return Ok(());
        }
        self.at += 2;
        while let Some(c) = self.peek(0).filter(|c| c.is_alphabetic()) {
            if !self.options.embedded(c) {
                return Err(Problem::BadOption);
            }
            self.at += 1;
        }
        if !self.eat(')') {
            return Err(Problem::BadOption);
        }
        if self.options.is_literal() {
            self.options.make_literal();
        }
        Ok(())
    }

    /// Skips white space and comments of the expanded syntax.
    fn skip(&mut self) {
        loop {
            while self.peek(0).is_some_and(char::is_whitespace) {
                self.at += 1;
            }
            if self.peek(0) != Some('#') {
                return;
            }
            while self.peek(0).is_some_and(|c| c != '\n') {
                self.at += 1;
            }
        }
    }

    /// Goes to the next token.
    pub(super) fn next(&mut self) -> Result<(), Problem> {
        self.token = self.read()?;
        Ok(())
    }

    fn read(&mut self) -> Result<Token, Problem> {
        loop {
            if self.options.expanded && matches!(self.place, Place::Main | Place::Bound) {
                self.skip();
            }
            let Some(c) = self.peek(0) else {
                return match self.place {
                    Place::Main => Ok(Token::End),
                    Place::Bound => Err(Problem::Brace),
                    Place::Bracket | Place::Inner(_) => Err(Problem::Bracket),
                };
            };
            self.at += 1;
            return match self.place {
                Place::Main if self.options.is_literal() => Ok(Token::Plain(c as u32)),
                Place::Main if !self.options.is_extended() => self.basic(c),
                Place::Main => {
                    // A comment is no token.
                    if c == '(' && self.options.is_advanced() && self.starts("?#") {
                        while self.peek(0).is_some_and(|c| c != ')') {
                            self.at += 1;
                        }
                        self.at += usize::from(self.peek(0).is_some());
                        continue;
                    }
                    self.extended(c)
                }
                Place::Bound => self.bound(c),
                Place::Bracket => self.bracket(c),
                Place::Inner(mark) => {
                    if c == mark && self.eat(']') {
                        self.place = Place::Bracket;
                        return Ok(Token::InnerClose);
                    }
                    Ok(Token::Plain(c as u32))
                }
            };
        }
    }

    fn bound(&mut self, c: char) -> Result<Token, Problem> {
        match c {
            '0'..='9' => Ok(Token::Digit(c as u32 - '0' as u32)),
            ',' => Ok(Token::Comma),
            '}' if self.options.is_extended() => {
                self.place = Place::Main;
                Ok(Token::BoundClose { greedy: !self.lazy() })
            }
            '\\' if !self.options.is_extended() && self.eat('}') => {
                self.place = Place::Main;
                Ok(Token::BoundClose { greedy: true })
            }
            _ => Err(Problem::BadBound),
        }
    }

    /// Whether a `?` follows that makes the quantifier lazy.
    fn lazy(&mut self) -> bool {
        self.options.is_advanced() && self.eat('?')
    }

    fn bracket(&mut self, c: char) -> Result<Token, Problem> {
        let first = matches!(self.token, Token::BracketOpen { .. });
        match c {
            ']' if first => Ok(Token::Plain(c as u32)),
            ']' => {
                self.place = Place::Main;
                Ok(Token::BracketClose)
            }
            '\\' if self.options.is_advanced() => match self.escape()? {
                token @ (Token::Plain(_) | Token::Class { .. }) => Ok(token),
                _ => Err(Problem::Escape),
            },
            '-' if first || self.peek(0) == Some(']') => Ok(Token::Plain(c as u32)),
            '-' => Ok(Token::Range),
            '[' => {
                let (mark, token) = match self.peek(0) {
                    None => return Err(Problem::Bracket),
                    Some('.') => ('.', Token::CollatingOpen),
                    Some('=') => ('=', Token::EquivalenceOpen),
                    Some(':') => (':', Token::ClassOpen),
                    Some(_) => return Ok(Token::Plain(c as u32)),
                };
                self.at += 1;
                self.place = Place::Inner(mark);
                Ok(token)
            }
            _ => Ok(Token::Plain(c as u32)),
        }
    }

    /// `[[:<:]]` and `[[:>:]]`, or the beginning of brackets.
    fn open_bracket(&mut self) -> Token {
        for (text, token) in [("[:<:]]", Token::WordStart), ("[:>:]]", Token::WordEnd)] {
            if self.starts(text) {
                self.at += 6;
                return token;
            }
        }
        self.place = Place::Bracket;
        Token::BracketOpen { negated: self.eat('^') }
    }

    fn extended(&mut self, c: char) -> Result<Token, Problem> {
        Ok(match c {
            '|' => Token::Or,
            '*' => Token::Star { greedy: !self.lazy() },
            '+' => Token::Plus { greedy: !self.lazy() },
            '?' => Token::Question { greedy: !self.lazy() },
            '{' => {
                if self.options.expanded {
                    self.skip();
                }
                if !self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
                    return Ok(Token::Plain(c as u32));
                }
                self.place = Place::Bound;
                Token::BoundOpen
            }
            '(' if self.options.is_advanced() && self.eat('?') => return self.special_group(),
            '(' => Token::Open { captures: true },
            ')' => Token::Close,
            '[' => self.open_bracket(),
            '.' => Token::Any,
            '^' => Token::LineStart,
            '$' => Token::LineEnd,
            '\\' => {
                let Some(next) = self.peek(0) else { return Err(Problem::Escape) };
                if self.options.is_advanced() {
                    return self.escape();
                }
                self.at += 1;
                Token::Plain(next as u32)
            }
            _ => Token::Plain(c as u32),
        })
    }

    /// What follows `(?`.
    fn special_group(&mut self) -> Result<Token, Problem> {
        for (text, token) in [
            (":", Token::Open { captures: false }),
            ("=", Token::Look { ahead: true, negative: false }),
            ("!", Token::Look { ahead: true, negative: true }),
            ("<=", Token::Look { ahead: false, negative: false }),
            ("<!", Token::Look { ahead: false, negative: true }),
        ] {
            if self.starts(text) {
                self.at += text.len();
                return Ok(token);
            }
        }
        Err(Problem::BadRepeat)
    }

    fn basic(&mut self, c: char) -> Result<Token, Problem> {
        let plain = Ok(Token::Plain(c as u32));
        let opens = matches!(self.token, Token::Start | Token::Open { .. });
        match c {
            '*' if opens || self.token == Token::LineStart => plain,
            '*' => Ok(Token::Star { greedy: true }),
            '[' => Ok(self.open_bracket()),
            '.' => Ok(Token::Any),
            '^' if opens => Ok(Token::LineStart),
            '$' => {
                if self.options.expanded {
                    self.skip();
                }
                if self.peek(0).is_none() || self.starts("\\)") {
                    Ok(Token::LineEnd)
                } else {
                    plain
                }
            }
            '\\' => {
                let Some(next) = self.peek(0) else { return Err(Problem::Escape) };
                self.at += 1;
                Ok(match next {
                    '{' => {
                        self.place = Place::Bound;
                        Token::BoundOpen
                    }
                    '(' => Token::Open { captures: true },
                    ')' => Token::Close,
                    '<' => Token::WordStart,
                    '>' => Token::WordEnd,
                    '1'..='9' => Token::BackReference(next as u32 - '0' as u32),
                    _ => Token::Plain(next as u32),
                })
            }
            _ => plain,
        }
    }

    /// An ARE's escape; the backslash is behind.
    fn escape(&mut self) -> Result<Token, Problem> {
        let Some(c) = self.peek(0) else { return Err(Problem::Escape) };
        self.at += 1;
        if !c.is_ascii_alphanumeric() {
            return Ok(Token::Plain(c as u32));
        }
        let class = |class, negated| Ok(Token::Class { class, negated });
        match c {
            'a' => Ok(Token::Plain(7)),
            'A' => Ok(Token::TextStart),
            'b' => Ok(Token::Plain(8)),
            'B' => Ok(Token::Plain('\\' as u32)),
            'c' => {
                let Some(next) = self.peek(0) else { return Err(Problem::Escape) };
                self.at += 1;
                Ok(Token::Plain(next as u32 & 0o37))
            }
            'd' => class(Class::Digit, false),
            'D' => class(Class::Digit, true),
            'e' => Ok(Token::Plain(0o33)),
            'f' => Ok(Token::Plain(12)),
            'm' => Ok(Token::WordStart),
            'M' => Ok(Token::WordEnd),
            'n' => Ok(Token::Plain(10)),
            'r' => Ok(Token::Plain(13)),
            's' => class(Class::Space, false),
            'S' => class(Class::Space, true),
            't' => Ok(Token::Plain(9)),
            'u' => self.code(4, 4),
            'U' => self.code(8, 8),
            'v' => Ok(Token::Plain(11)),
            'w' => class(Class::Word, false),
            'W' => class(Class::Word, true),
            'x' => self.code(1, 255),
            'y' => Ok(Token::WordEdge),
            'Y' => Ok(Token::NoWordEdge),
            'Z' => Ok(Token::TextEnd),
            '0'..='9' => self.number(c),
            _ => Err(Problem::Escape),
        }
    }

    /// Up to `most` digits; how many there were, and their value as far as 32 bits hold it.
    fn digits(&mut self, base: u32, most: usize) -> (usize, u32) {
        let (mut count, mut value) = (0, 0_u32);
        while count < most
            && let Some(digit) = self.peek(0).and_then(|c| c.to_digit(base))
        {
            value = value.wrapping_mul(base).wrapping_add(digit);
            count += 1;
            self.at += 1;
        }
        (count, value)
    }

    fn code(&mut self, least: usize, most: usize) -> Result<Token, Problem> {
        let (count, value) = self.digits(16, most);
        if count < least || value > 0x7fff_fffe {
            return Err(Problem::Escape);
        }
        Ok(Token::Plain(value))
    }

    /// A back reference, or a character's code in octal.
    fn number(&mut self, first: char) -> Result<Token, Problem> {
        let after_first = self.at;
        if first != '0' {
            self.at -= 1;
            let (count, value) = self.digits(10, 255);
            if count == 1 || (1..=self.group_count).contains(&value) {
                return Ok(Token::BackReference(value));
            }
            self.at = after_first;
        }
        self.at -= 1;
        let (count, mut value) = self.digits(8, 3);
        if count == 0 {
            return Err(Problem::Escape);
        }
        if value > 0xff {
            self.at -= 1;
            value >>= 3;
        }
        Ok(Token::Plain(value))
    }
}
